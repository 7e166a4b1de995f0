import { FlaggedCompletion } from './completion.ts';
import { Errno } from './errnos.ts';
import { systemError, UringError } from './errors.ts';
import { EXTRA_IS_EVENT } from './generated/abi.ts';
import { SharedMemory } from './memory/shared-memory.ts';
import { type NativeCompletionHalf, native } from './platform/native.ts';
import { eventOf, type RingEvent } from './runtime/events.ts';
import { entered, forgottenHalves } from './runtime/halves.ts';
import { closedError } from './runtime/rejects.ts';
import { checkInteger, checkMilliseconds, checkOptions } from './validate.ts';

const { EBADF, EBUSY } = Errno;
/** Where the completions start in the block, and the size of each, in words of 32 bits. */
const BLOCK_WORDS = 16;
const DELIVERED_WORDS = 6;

/** A completion as the kernel has it: operations and their results stay with the half that submitted them. */
export class SplitCompletion extends FlaggedCompletion {
  /** The number that was given when the operation was prepared; 0 for an event. */
  readonly userData: number;
  /** The kernel's result: a count, a descriptor, 0, or a negative errno (`util.getSystemErrorName` names it). */
  readonly res: number;
  /** The kernel's flags, see `CqeFlags`. */
  override readonly flags: number;
  /** What this is, if it belongs to no operation of this ring: a message of another one. */
  readonly event: RingEvent | undefined;

  /** @internal */
  constructor(userData: number, res: number, flags: number, event: RingEvent | undefined) {
    super();
    this.userData = userData;
    this.res = res;
    this.flags = flags;
    this.event = event;
  }
}

/** How long a {@link CompletionHalf} waits. */
export interface SplitWaitOptions {
  /** Longest wait in milliseconds; default: none. */
  timeoutMs?: number;
}

function openTaking(token: number): NativeCompletionHalf {
  const half = native().openCompletionHalf(checkInteger('token', token, 0, Number.MAX_SAFE_INTEGER));
  if (half === -EBADF) {
    const message = 'no ring of this process has this token, or its submitting half is closed';
    throw new UringError('ERR_URING_CLOSED', message);
  }
  if (half === -EBUSY) {
    const message = 'the completion half is open already: close it there before opening it here';
    throw new UringError('ERR_URING_IN_USE', message);
  }
  if (typeof half === 'number') throw systemError(half, 'mmap');
  return half;
}

/**
 * The half of a ring that takes completions, in another thread than its {@link SubmissionHalf}. One thread has it at a
 * time; when it is closed, or its thread ends, another can open it and gets what was not read.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring.7.html io_uring(7)}
 * @example
 * ```ts
 * import { CompletionHalf, SubmissionHalf, nop } from 'uring';
 *
 * const submission = SubmissionHalf.open();
 * const completion = new CompletionHalf(submission.token); // in another worker, which was sent the token
 * submission.prep(nop(), 7);
 * submission.submit();
 * console.log(completion.next()?.userData); // 7
 * completion.close();
 * submission.close();
 * ```
 */
export class CompletionHalf {
  readonly #native: NativeCompletionHalf;
  /** Says how many completions of the batch have been read, for the one who opens this half next. */
  readonly #read: Uint32Array;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  /** Size of the completion queue. */
  readonly entries: number;
  #at = 0;
  #count = 0;
  #closed = false;

  /**
   * @param token of the submitting half, in this process
   * @throws `ERR_URING_CLOSED` if there is no such half, `ERR_URING_IN_USE` while another thread has this one
   */
  constructor(token: number) {
    this.#native = openTaking(token);
    const block = this.#native.block();
    this.#read = new Uint32Array(block, 0, 1);
    this.#words = new Int32Array(block);
    this.#numbers = new Float64Array(block);
    this.entries = this.#native.cqEntries();
    forgottenHalves.register(this, this.#native, this);
  }

  /** `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Completions that can be read without waiting. */
  get ready(): number {
    return this.#closed ? 0 : this.#count - this.#at + this.#native.ready();
  }

  /** The next completion, if there is one. */
  tryNext(): SplitCompletion | undefined {
    if (this.#closed) throw closedError();
    if (this.#at === this.#count) {
      this.#at = 0;
      this.#count = 0;
      this.#count = entered(this.#native.take());
      if (this.#count === 0) return undefined;
    }
    const word = BLOCK_WORDS + this.#at * DELIVERED_WORDS;
    const [userData, index, res, flags, extra] = [
      this.#numbers[word / 2] as number,
      this.#words[word + 2] as number,
      this.#words[word + 3] as number,
      this.#words[word + 4] as number,
      this.#words[word + 5] as number,
    ];
    this.#at += 1;
    this.#read[0] = this.#at;
    const isEvent = (extra & EXTRA_IS_EVENT) !== 0;
    const event = isEvent ? eventOf(undefined, index, { res, flags }, extra) : undefined;
    return new SplitCompletion(userData, res, flags, event);
  }

  /**
   * Memory that the submitting half, or another ring of the process, has made with `allocShared`. What the kernel has
   * written there is seen once the completion is read.
   *
   * @throws `ERR_URING_STALE_HANDLE` when nobody has it any more
   */
  openShared(token: number): SharedMemory {
    if (this.#closed) throw closedError();
    return SharedMemory.open(this.#native, this, checkInteger('token', token, 1, Number.MAX_SAFE_INTEGER));
  }

  /**
   * The next completion, which is waited for, blocking the thread, if there is none; undefined when the time is up.
   *
   * @throws `ERR_URING_CLOSED` when the submitting half is closed and nothing more can come
   */
  next(options: SplitWaitOptions = {}): SplitCompletion | undefined {
    const ready = this.tryNext();
    if (ready !== undefined) return ready;
    this.wait(1, options);
    return this.tryNext();
  }

  /**
   * Blocks the thread until `count` completions can be read, the time is up, or no more can come; answers how many can
   * be read.
   *
   * @throws `ERR_URING_CLOSED` when the submitting half is closed and there is nothing to read
   */
  wait(count: number, options: SplitWaitOptions = {}): number {
    if (this.#closed) throw closedError();
    checkInteger('count', count, 0, this.entries);
    checkOptions('options', options);
    checkMilliseconds('options.timeoutMs', options.timeoutMs);
    const left = this.#count - this.#at;
    if (left >= count && left > 0) return left + this.#native.ready();
    const ready = this.#native.wait(Math.max(0, count - left), options.timeoutMs ?? -1);
    // What is left in the batch can be read, although nothing comes after it.
    return left > 0 && ready === -EBADF ? left : left + entered(ready);
  }

  /** The completions that can be read without waiting, one after the other. */
  *[Symbol.iterator](): IterableIterator<SplitCompletion> {
    for (let next = this.tryNext(); next !== undefined; next = this.tryNext()) yield next;
  }

  /** All completions, waiting for each; ends when the submitting half is closed and nothing more can come. */
  *blocking(): IterableIterator<SplitCompletion> {
    for (;;) {
      yield* this;
      try {
        this.wait(1);
      } catch (error) {
        if ((error as UringError).code === 'ERR_URING_CLOSED') return;
        throw error;
      }
    }
  }

  /** Closes the half. What was not read is for whoever opens it next; if the other half is closed too, the ring ends. */
  close(): void {
    if (this.#closed) return;
    forgottenHalves.unregister(this);
    this.#closed = true;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
