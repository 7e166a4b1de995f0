// One ring on two threads: a half that submits, and a half that takes completions.
import { constants } from 'node:os';
import { invalidType, invalidValue, systemError, UringError } from './errors.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from './flags.ts';
import { EXTRA_IS_EVENT } from './generated/abi.ts';
import { Op } from './generated/ops.ts';
import { Allocator } from './memory/allocator.ts';
import { SharedMemory } from './memory/shared-memory.ts';
import { type AnyOperation, Operation } from './operation.ts';
import {
  type Layout,
  type NativeCompletionHalf,
  type NativeSubmission,
  type NativeSubmissionHalf,
  native,
} from './platform/native.ts';
import { checkSizes } from './ring-options.ts';
import { Engine } from './runtime/engine.ts';
import { eventOf, type RingEvent } from './runtime/events.ts';
import { closedError } from './runtime/rejects.ts';
import { type HalfOwner, SubmissionQueue } from './submission-queue.ts';
import { checkInteger, checkMilliseconds, checkOptions } from './validate.ts';

const { EBADF, EBUSY } = constants.errno;
/** The largest arena: offsets in operation records have 32 bits. */
const ALLOC_BYTES_MAX = 2 ** 31;
/** As many free indexes as one native call hands out (`BATCH` in crates/binding/src/split.rs). */
const FREED_BATCH = 512;
/** Where the completions start in the block, and the size of each, in words of 32 bits. */
const BLOCK_WORDS = 16;
const DELIVERED_WORDS = 6;

/** Halves that were forgotten without being closed. */
const forgotten = new FinalizationRegistry<{ isOpen(): boolean; close(): void }>((half) => {
  if (!half.isOpen()) return;
  const message = 'A half of a ring was garbage collected without being closed: call its close()';
  process.emitWarning(message, 'UringWarning');
  half.close();
});

/** How to open a ring for two threads. */
export interface SplitOptions {
  /** Size of the submission queue, a power of two from 1 to 32,768. Default 256. */
  entries?: number;
  /** Size of the completion queue, a power of two from `entries` to 65,536. Default 4096, or `entries` if more. */
  cqEntries?: number;
}

function entered(result: number): number {
  if (result === -EBADF) throw closedError();
  if (result < 0) throw systemError(result, 'io_uring_enter');
  return result;
}

/** What both halves of a {@link SubmissionHalf} share before either exists. */
interface Parts {
  readonly native: NativeSubmissionHalf;
  readonly engine: Engine<NativeSubmission>;
  readonly allocator: Allocator;
  readonly state: { isClosed: boolean };
  readonly owner: HalfOwner;
  /** What tells the memory of this ring from that of others. */
  readonly ring: object;
}

function partsOf(half: NativeSubmissionHalf, layout: Layout): Parts {
  const state = { isClosed: false };
  const ring = {};
  const queues: NativeSubmission = {
    shared: () => half.shared(),
    hot: () => ({ submit: () => half.submit() }),
    alloc: (sizeBytes, register) => half.alloc(sizeBytes, register),
  };
  const owner: HalfOwner = {
    assertOpen: () => {
      if (state.isClosed) throw closedError();
    },
    entered,
    get isGone(): boolean {
      return state.isClosed;
    },
  };
  const allocator = new Allocator(half, ring);
  return { native: half, engine: new Engine(ring, queues, layout), allocator, state, owner, ring };
}

/**
 * The submitting half of a ring whose completions another thread takes, with a {@link CompletionHalf}. The ring is
 * set up for it: it belongs to no thread, so it has none of the flags that make a {@link Ring} fast on one.
 *
 * The other thread gets the number that came with an operation, and the kernel's result as it is. What more an
 * operation results in (stats, messages, registered files) needs a `Ring`. Bytes for the other thread go into memory
 * of `allocShared()`, which it opens with a token. Into buffers that are not the ring's they are copied by `submit`,
 * `reclaim` or `inFlight`, once the other thread has taken the completion.
 *
 * Keep it while you need it, and close it when you are done: that cancels what is in flight. The ring ends when both
 * halves are closed or their threads have ended.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring.7.html io_uring(7)}
 * @example
 * ```ts
 * import { CompletionHalf, SubmissionHalf, write } from 'uring';
 *
 * const submission = SubmissionHalf.open();
 * const completion = new CompletionHalf(submission.token); // in another worker, which was sent the token
 * submission.prep(write(1, Buffer.from('hello\n')), 7);
 * submission.submit();
 * const { userData, res } = completion.next() ?? {};
 * console.log(userData, res); // 7 6
 * completion.close();
 * submission.close();
 * ```
 */
export class SubmissionHalf extends SubmissionQueue {
  readonly #parts: Parts;
  /** A number for each index in flight, where Rust finds it. */
  readonly #numbers: Float64Array;
  /** What `reclaim` hands out: index and result. */
  readonly #freed: Int32Array;
  /** Opens the other half: `new CompletionHalf(token)`, once at a time, in any thread of this process. */
  readonly token: number;

  private constructor(parts: Parts) {
    super(parts.engine, parts.owner);
    this.#parts = parts;
    this.#numbers = new Float64Array(parts.native.userData());
    this.#freed = new Int32Array(parts.native.freed());
    this.token = parts.native.token();
    forgotten.register(this, parts.native, this);
  }

  /**
   * Opens a ring for two threads.
   *
   * @throws `ERR_URING_UNAVAILABLE` where there is no io_uring, `ERR_OUT_OF_RANGE` for sizes that are no powers of two
   * or too large, and the kernel's error when it refuses
   */
  static open(options: SplitOptions = {}): SubmissionHalf {
    checkOptions('options', options);
    const { entries = 256, cqEntries } = options;
    const sizes = checkSizes({ entries, cqEntries }, false);
    const half = native().openSplit(sizes.entries, sizes.cqEntries);
    if (typeof half === 'number') throw systemError(half, 'io_uring_setup');
    const layout = half.layout();
    if (layout === null) throw closedError();
    return new SubmissionHalf(partsOf(half, layout));
  }

  /** `close` was called. */
  get closed(): boolean {
    return this.#parts.state.isClosed;
  }

  /** Operations whose last completion the other thread has not taken. */
  get inFlight(): number {
    this.reclaim();
    return this.#parts.engine.slots.live;
  }

  /** The optional setup flags that this kernel granted. */
  get setupFlags(): readonly string[] {
    return this.#parts.engine.layout.setupFlags;
  }

  /**
   * Prepares an operation for the next `submit`. Answers false when the queue is full.
   *
   * @param userData a number that comes with its completions
   * @throws `ERR_URING_CLOSED`, and errors that say what is wrong with the operation
   */
  override prep(operation: AnyOperation, userData: unknown = 0, flags = 0): boolean {
    if (typeof userData !== 'number') throw invalidType('userData', 'of type number', userData);
    if (operation instanceof Operation) checkResult(operation);
    // Before the record counts as written: a thread can be terminated between any two steps, and what it has prepared
    // completes all the same.
    this.#numbers[this.#parts.engine.slots.nextIndex] = userData;
    return super.prep(operation, userData, flags);
  }

  /** Gives what is prepared to the kernel, in one system call, and answers how many operations that were. */
  override submit(): number {
    const submitted = super.submit();
    this.reclaim();
    return submitted;
  }

  /**
   * Copies what the kernel wrote into memory that is not of `alloc()`, for operations whose completion the other thread
   * has taken; answers how many are over since the last time. `submit` does this too.
   */
  reclaim(): number {
    const { native: half, engine } = this.#parts;
    let total = 0;
    for (;;) {
      const count = half.reclaim();
      for (let at = 0; at < count; at += 1) {
        engine.retire(this.#freed[2 * at] as number, this.#freed[2 * at + 1] as number);
      }
      total += count;
      if (count < FREED_BATCH) return total;
    }
  }

  /** Memory that Rust owns, as of `ring.alloc`; only this half sees it. */
  alloc(sizeBytes: number): Buffer {
    this.#parts.owner.assertOpen();
    return this.#parts.allocator.alloc(checkInteger('sizeBytes', sizeBytes, 1, ALLOC_BYTES_MAX));
  }

  /** Memory that the other half sees too, when it is told the token: see {@link SharedMemory}. */
  allocShared(sizeBytes: number): SharedMemory {
    const { native: half, owner, ring } = this.#parts;
    owner.assertOpen();
    return SharedMemory.create(half, ring, checkInteger('sizeBytes', sizeBytes, 1, ALLOC_BYTES_MAX));
  }

  /** Memory that another ring of the process has made with `allocShared`, for operations of this one. */
  openShared(token: number): SharedMemory {
    const { native: half, owner, ring } = this.#parts;
    owner.assertOpen();
    return SharedMemory.open(half, ring, checkInteger('token', token, 1, Number.MAX_SAFE_INTEGER));
  }

  /**
   * Closes the half: nothing more is submitted, and what is in flight is cancelled. The other half gets the completions
   * that are left, and then `ERR_URING_CLOSED`. If there is no other half, nobody gets them.
   */
  close(): void {
    if (this.#parts.state.isClosed) return;
    forgotten.unregister(this);
    this.#parts.state.isClosed = true;
    this.#parts.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Refuses what could only be used, or undone, by the thread that does not get the completion. */
function checkResult(operation: AnyOperation): void {
  if (operation.opcode === Op.pipe) {
    throw invalidValue('operation', 'makes descriptors that its completion does not name: use a Ring');
  }
  if (operation.newUserData !== undefined) {
    throw invalidValue('operation', 'changes user data, which has left this thread: use a Ring');
  }
}

/** A completion as the kernel has it: operations and their results stay with the half that submitted them. */
export class SplitCompletion {
  /** The number that was given when the operation was prepared; 0 for an event. */
  readonly userData: number;
  /** The kernel's result: a count, a descriptor, 0, or a negative errno (`util.getSystemErrorName` names it). */
  readonly res: number;
  /** The kernel's flags, see {@link CqeFlags}. */
  readonly flags: number;
  /** What this is, if it belongs to no operation of this ring: a message of another one. */
  readonly event: RingEvent | undefined;

  /** @internal */
  constructor(userData: number, res: number, flags: number, event: RingEvent | undefined) {
    this.userData = userData;
    this.res = res;
    this.flags = flags;
    this.event = event;
  }

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
    forgotten.register(this, this.#native, this);
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
    forgotten.unregister(this);
    this.#closed = true;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
