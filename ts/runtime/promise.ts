import type { UringError } from '../errors.ts';
import type { Settler } from './handler.ts';

type Resolve = (value: unknown) => void;
type Reject = (error: unknown) => void;

let capturedResolve: Resolve;
let capturedReject: Reject;

/** One function for all promises: a closure for each would be an allocation more per operation. */
function capture(resolve: Resolve, reject: Reject): void {
  capturedResolve = resolve;
  capturedReject = reject;
}

/** A promise that an operation's completion settles. */
export class PromiseSettler implements Settler {
  readonly promise: Promise<unknown>;
  readonly #resolve: Resolve;
  readonly #reject: Reject;

  constructor() {
    this.promise = new Promise(capture);
    this.#resolve = capturedResolve;
    this.#reject = capturedReject;
  }

  settle(error: UringError | null, result: unknown): void {
    if (error === null) this.#resolve(result);
    else this.#reject(error);
  }
}
