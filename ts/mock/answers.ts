import type { SocketAddressLike } from '../address.ts';
import { invalidType } from '../errors.ts';
import type { Op } from '../generated/ops.ts';
import { checkTime } from './clock.ts';
import type { MockOperation } from './operation.ts';

/** Operations that have no number of their own: commands to sockets and block devices. */
export type MockCommandName =
  | 'receiveQueueBytes'
  | 'sendQueueBytes'
  | 'getsockopt'
  | 'setsockopt'
  | 'txTimestamp'
  | 'getsockname'
  | 'getpeername'
  | 'blockDiscard';

/** What a handler can be for. */
export type MockOperationName = keyof typeof Op | MockCommandName;

/** What statx answers. What is left out is 0; times are milliseconds since 1970. */
export interface MockStats {
  readonly mode?: number;
  readonly size?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly ino?: number;
  readonly nlink?: number;
  readonly blocks?: number;
  readonly blksize?: number;
  readonly atimeMs?: number;
  readonly mtimeMs?: number;
  readonly ctimeMs?: number;
  readonly birthtimeMs?: number;
}

/** An answer in parts, for operations that result in more than a number or bytes. */
export interface MockResult {
  /** The kernel's number: a count, a descriptor, a negative errno. Default: what follows from the rest. */
  readonly res?: number;
  /** Bytes that arrive. */
  readonly data?: Uint8Array;
  /** Who has connected, who has sent, what a socket is called. */
  readonly address?: SocketAddressLike;
  /** What statx says. */
  readonly stats?: MockStats;
  /** `CqeFlags` in addition to what the mock sets, such as `SOCK_NONEMPTY`; of `recvmsg`, see `messageFlags`. */
  readonly flags?: number;
  /** `MessageFlags` of a message that is received. */
  readonly messageFlags?: number;
}

/** What an operation results in, at once. A text is the name of an error, such as `'ENOENT'`, and never bytes. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that answers nothing means success
export type MockOutcome = number | string | Uint8Array | MockResult | void;

/** What an operation results in, now or later. */
export type MockLater = MockOutcome | Delayed | Promise<MockOutcome>;

/**
 * What a handler answers.
 *
 * - A number: bytes transferred, a descriptor, an event mask. `'ENOENT'`: that error. Bytes: what is read or received.
 *   {@link MockResult}: anything else.
 * - Nothing: success. What is to be written is written whole, what makes a descriptor makes a new one.
 * - A promise of one of these, or {@link after}: later.
 * - An array or a generator of these: what comes one after the other. A multishot operation takes all of it, and is in
 *   flight until it is stopped when nothing is left; what a generator *returns* is its last result. Operations with one
 *   result take one each.
 */
export type MockAnswer =
  | MockLater
  | Iterable<MockLater, MockLater, unknown>
  | AsyncIterable<MockOutcome, MockOutcome, unknown>;

/** @internal Also one of another realm, as test frameworks have them. */
export function isPromise<T>(value: unknown): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Decides what an operation results in. */
export type MockHandler = (operation: MockOperation) => MockAnswer;

/** What the operations of each kind result in: a function that decides, or the same answer for all. */
export type MockHandlers = {
  readonly [K in MockOperationName]?: MockHandler | Exclude<MockAnswer, void>;
};

/** An answer that is not there yet, and how it comes. */
export class Delayed {
  /** Milliseconds of the mock's clock, or undefined for a promise. */
  readonly timeMs: number | undefined;
  readonly answer: MockOutcome | Promise<MockOutcome>;
  /** A cancel request does not stop it. */
  readonly isUnstoppable: boolean;

  /** @internal */
  constructor(
    timeMs: number | undefined,
    answer: MockOutcome | Promise<MockOutcome>,
    isUnstoppable: boolean,
  ) {
    this.timeMs = timeMs;
    this.answer = answer;
    this.isUnstoppable = isUnstoppable;
  }
}

/**
 * An answer that comes when so much time of the mock's clock has passed, in whatever order that is.
 *
 * @throws `ERR_OUT_OF_RANGE` for a time that is no number of milliseconds
 * @example
 * ```ts
 * import { openat } from 'uring';
 * import { after, mock } from 'uring/mock';
 *
 * const kernel = mock({ openat: ({ path }) => after(path === '/slow' ? 100 : 10, 'ENOENT') });
 * await using ring = new kernel.Ring();
 * const codes = ['/slow', '/fast'].map((path) => ring.exec(openat(path)).catch((error) => error.path));
 * await kernel.clock.advance(10);
 * console.log(await Promise.race(codes)); // /fast
 * await kernel.clock.advance(90);
 * ```
 */
export function after(timeMs: number, answer?: MockOutcome): Delayed {
  checkTime(timeMs);
  return new Delayed(timeMs, answer, false);
}

/**
 * An answer that comes although the operation is cancelled, as of one that a worker thread of the kernel is busy with:
 * a cancel request gets `EALREADY`, and whoever waits goes on waiting.
 *
 * @example
 * ```ts
 * import { fsync } from 'uring';
 * import { mock, unstoppable } from 'uring/mock';
 *
 * const kernel = mock({ fsync: () => unstoppable(new Promise((resolve) => setImmediate(() => resolve(0)))) });
 * await using ring = new kernel.Ring();
 * const { signal } = new AbortController();
 * await ring.exec(fsync(1), { signal });
 * ```
 */
export function unstoppable(answer: Promise<MockOutcome>): Delayed {
  if (!isPromise(answer)) throw invalidType('answer', 'a promise', answer);
  return new Delayed(undefined, answer, true);
}
