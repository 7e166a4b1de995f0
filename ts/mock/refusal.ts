import { UringError } from '../errors.ts';

/** Why a record is refused before it runs, as Rust would (`Reject`). */
export class Refusal extends Error {
  readonly reason: number;

  constructor(reason: number) {
    super(`refused for reason ${reason}`);
    this.reason = reason;
  }
}

/** There is nothing that says what an operation shall answer. */
export function noHandler(name: string): UringError {
  const message = `the mock has no handler for ${name}: give it one, as in mock({ ${name}: (operation) => ... })`;
  return new UringError('ERR_URING_NO_MOCK_HANDLER', message);
}

/** A handler answered what its operation cannot result in. */
export function badAnswer(name: string, problem: string): UringError {
  return new UringError(
    'ERR_URING_MOCK_ANSWER',
    `the handler of ${name} answered what it cannot: ${problem}`,
  );
}

/** What a kernel has, and the mock has not. */
export function notMocked(what: string, instead?: string): UringError {
  const advice = instead === undefined ? 'test it with a real ring' : instead;
  return new UringError('ERR_URING_NOT_MOCKED', `the mock has no ${what}: ${advice}`);
}

/** A wait that nothing could end. */
export function deadlock(inFlight: number): UringError {
  const message =
    `the thread would block forever: ${inFlight} operations are in flight, and none of them completes by itself. ` +
    'While a thread is blocked no promise is settled: answer at once, or with after()';
  return new UringError('ERR_URING_MOCK_DEADLOCK', message);
}
