import { AsyncResource } from 'node:async_hooks';
import type { Completion } from '../completion.ts';
import type { UringError } from '../errors.ts';
import type { CompletionCallback, Settler } from './handler.ts';

/** A callback that runs in the asynchronous context of whoever gave it, as `AsyncLocalStorage` wants it. */
export class InContext extends AsyncResource implements Settler {
  readonly isUsers = true;
  readonly #callback: CompletionCallback<unknown>;

  constructor(callback: CompletionCallback<unknown>) {
    super('URING');
    this.#callback = callback;
  }

  settle(error: UringError | null, result: unknown, completion: Completion): void {
    this.runInAsyncScope(this.#callback, undefined, error, result, completion);
  }
}
