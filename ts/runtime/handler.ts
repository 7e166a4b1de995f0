import type { Completion } from '../completion.ts';
import type { UringError } from '../errors.ts';

/** A callback: error first as everywhere in Node, then the operation's own result, then the raw completion. */
export type CompletionCallback<T> = (error: UringError | null, result: T, completion: Completion) => void;

/** What becomes of a completion that is not read by hand: a callback, or an object for promises and streams. */
export type Handler = CompletionCallback<unknown> | Settler;

/** Takes the completions of one operation. */
export interface Settler {
  /** It calls a function of the user's, which must not run in the middle of other work. */
  readonly isUsers?: boolean;
  settle(error: UringError | null, result: unknown, completion: Completion): void;
}

/** Calls back, or settles. */
export function call(
  handler: Handler,
  error: UringError | null,
  result: unknown,
  completion: Completion,
): void {
  if (typeof handler === 'function') handler(error, result, completion);
  else handler.settle(error, result, completion);
}

/** Whether a handler calls a function of the user's. */
export function isUsers(handler: Handler): boolean {
  return typeof handler === 'function' || handler.isUsers === true;
}
