import type { UringError } from '../errors.ts';
import { Delayed, type MockAnswer, type MockHandlers, type MockLater, type MockOutcome } from './answers.ts';
import type { MockClock } from './clock.ts';
import type { Execution } from './execution.ts';
import { encode, type Files, NO_BUFFER } from './outcome.ts';
import { badAnswer, noHandler } from './refusal.ts';
import type { Request } from './request.ts';
import { leftOver, Script, type Step, stepsOf, whenThere } from './script.ts';

/** The same thing with registered memory. */
const SAME: Readonly<Record<string, keyof MockHandlers>> = {
  readFixed: 'read',
  writeFixed: 'write',
  readvFixed: 'readv',
  writevFixed: 'writev',
};

/** What answering an operation needs of its ring. */
export interface AnswerHost {
  readonly execution: Execution;
  readonly files: Files;
}

/** Asks the handlers of a mock what operations result in. */
export class Answering {
  handlers: MockHandlers;
  readonly #clock: MockClock;
  readonly #scripts = new Map<string, { readonly handler: unknown; readonly script: Script }>();

  constructor(handlers: MockHandlers, clock: MockClock) {
    this.handlers = handlers;
    this.#clock = clock;
  }

  /** A descriptor was closed: what its script has left does not come any more. */
  forgetFile(fd: number): void {
    for (const [key, { script }] of this.#scripts) {
      if (!key.endsWith(`:${fd}`)) continue;
      this.#scripts.delete(key);
      // What is in flight holds the file, and goes on.
      if (!script.isAwaited) script.end();
    }
  }

  answer(request: Request, host: AnswerHost): void {
    try {
      this.#answer(request, host);
    } catch (error) {
      host.execution.fail(request, error as UringError);
    }
  }

  #answer(request: Request, host: AnswerHost): void {
    const { operation } = request.asked;
    const { name } = operation;
    const handler = this.handlers[name] ?? this.handlers[SAME[name] ?? name];
    if (handler === undefined) throw noHandler(name);
    // What comes on a file is its own; a list that is given for all files is one for all.
    const key = typeof handler === 'function' ? `${name}:${operation.fd}` : name;
    const known = this.#scripts.get(key);
    if (known?.handler === handler && !known.script.hasReturned) {
      this.#play(request, known.script, host);
      return;
    }
    const answer: MockAnswer = typeof handler === 'function' ? handler(operation) : handler;
    const steps = stepsOf(answer);
    if (steps === undefined) {
      this.#once(request, answer as MockLater, host, (outcome) => {
        this.#scripts.set(key, { handler, script: new Script(leftOver(outcome), this.#clock) });
      });
      return;
    }
    const script = new Script(steps, this.#clock);
    this.#scripts.set(key, { handler, script });
    this.#play(request, script, host);
    if (typeof handler === 'function' && Symbol.asyncIterator in (answer as object))
      operation.signal.addEventListener('abort', () => this.#leave(key, script), { once: true });
  }

  /** A generator that waits for something is given up with its operation: whoever comes next asks anew. */
  #leave(key: string, script: Script): void {
    if (!script.isBusy || this.#scripts.get(key)?.script !== script) return;
    this.#scripts.delete(key);
    script.end();
  }

  #once(
    request: Request,
    answer: MockLater,
    { execution, files }: AnswerHost,
    keep: (outcome: MockOutcome) => void,
  ): void {
    request.isUnstoppable = answer instanceof Delayed && answer.isUnstoppable;
    const failed = (error: unknown): void => execution.fail(request, error as UringError);
    const use = (outcome: MockOutcome): void => {
      if (!request.isRunning) return;
      try {
        const result = encode(request.asked, outcome, files);
        if (result === NO_BUFFER) keep(outcome);
        execution.complete(request, result);
      } catch (error) {
        failed(error);
      }
    };
    const forget = whenThere(answer, this.#clock, use, failed);
    request.asked.operation.signal.addEventListener('abort', forget, { once: true });
  }

  #play(request: Request, script: Script, host: AnswerHost): void {
    const isWanted = (): boolean => request.isRunning;
    script.take(isWanted, (step) => {
      try {
        const goesOn = this.#use(request, script, step, host);
        if (goesOn) this.#play(request, script, host);
      } catch (error) {
        host.execution.fail(request, error as UringError);
      }
    });
  }

  /** Answers whether the operation takes more. */
  #use(request: Request, script: Script, step: Step, { execution, files }: AnswerHost): boolean {
    const { operation, kind } = request.asked;
    if (step === 'over') {
      // As a socket on which nothing comes any more: it waits until it is stopped.
      if (operation.multishot) return false;
      const problem = `nothing, as its script is over after ${script.given} answers`;
      throw badAnswer(operation.name, problem);
    }
    if ('error' in step) throw step.error;
    const result = encode(request.asked, step.outcome, files);
    if (result === NO_BUFFER) script.putBack(step);
    else if (step.isLast) script.hasReturned = true;
    const isEnd = result.res < 0 || (result.res === 0 && (kind === 'arriving' || kind === 'message'));
    if (!operation.multishot || step.isLast || isEnd) {
      execution.complete(request, result);
      return false;
    }
    return execution.progress(request, result);
  }
}
