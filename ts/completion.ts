import type { UringError } from './errors.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from './flags.ts';
import type { AnyOperation } from './operation.ts';
import type { RingEvent } from './runtime/events.ts';

/** What the flags of a completion say. */
export abstract class FlaggedCompletion {
  /** The kernel's flags, see {@link CqeFlags}. */
  abstract readonly flags: number;

  /** More completions of the same operation follow. */
  get hasMore(): boolean {
    return (this.flags & CqeFlags.MORE) !== 0;
  }

  /** Number of the provided buffer that holds the data, if there is one. */
  get bufferId(): number | undefined {
    return (this.flags & CqeFlags.BUFFER) === 0 ? undefined : this.flags >>> CQE_BUFFER_SHIFT;
  }

  /** The kernel has let go of the memory of a zero-copy send. */
  get isNotification(): boolean {
    return (this.flags & CqeFlags.NOTIF) !== 0;
  }
}

/**
 * One completion queue entry, with the operation it belongs to.
 *
 * The object given to a callback or to `forEachCompletion` is reused for the next completion: take what you need
 * out of it. Those of `completions()` and `peek()` are yours to keep.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring.7.html io_uring(7)}
 */
export class Completion extends FlaggedCompletion {
  /** What was given when the operation was prepared or started. */
  userData: unknown = undefined;
  /** The number that was given when the operation was started; 0 otherwise. */
  msg = 0;
  /** The kernel's result: a count, a descriptor, 0, or a negative errno. */
  res = 0;
  override flags = 0;
  /** The operation's own result, as its promise would give it; undefined if there is an error. */
  result: unknown = undefined;
  /** Why the operation failed, or null. A timer that expired has not failed, although its `res` is -ETIME. */
  error: UringError | null = null;
  /**
   * What a large completion says besides, in rings with `cqeBytes` 32 or `'mixed'`; undefined for a small one. What it
   * means depends on the operation.
   */
  extra: readonly [bigint, bigint] | undefined = undefined;
  /** The operation this is a completion of. */
  operation: AnyOperation | undefined = undefined;
  /** What this is, if it belongs to no operation of this ring: a message or a tag. */
  event: RingEvent | undefined = undefined;

  /** There is no error. */
  get ok(): boolean {
    return this.error === null;
  }

  /** @internal */
  copy(): Completion {
    return Object.assign(new Completion(), this);
  }
}
