import { invalidType, invalidValue } from './errors.ts';
import { FREED_BATCH } from './generated/abi.ts';
import { Op } from './generated/ops.ts';
import { Allocator } from './memory/allocator.ts';
import { SharedMemory } from './memory/shared-memory.ts';
import type { AnyOperation } from './operation.ts';
import type { Layout, NativeSubmission, NativeSubmissionHalf } from './platform/native.ts';
import { opening, setupError } from './platform/opening.ts';
import { checkSizes } from './ring-options.ts';
import { Engine } from './runtime/engine.ts';
import { entered, forgottenHalves } from './runtime/halves.ts';
import { closedError } from './runtime/rejects.ts';
import { type HalfOwner, SubmissionQueue } from './submission-queue.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** The largest arena: offsets in operation records have 32 bits. */
const ALLOC_BYTES_MAX = 2 ** 31;

/** Those that may have something in flight: closing them would cancel it, so they live until they are closed. */
const busy = new Set<SubmissionHalf>();

/** How to open a ring for two threads. */
export interface SplitOptions {
  /** Size of the submission queue, a power of two from 1 to 32,768. Default 256. */
  entries?: number;
  /** Size of the completion queue, a power of two from `entries` to 65,536. Default 4096, or `entries` if more. */
  cqEntries?: number;
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
 * Close it when you are done: that cancels what is in flight. One that is forgotten is closed when nothing is in flight
 * any more. The ring ends when both halves are closed or their threads have ended.
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
    forgottenHalves.register(this, parts.native, this);
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
    const half = opening().openSplit(sizes.entries, sizes.cqEntries);
    if (typeof half === 'number') throw setupError(half);
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
   * Prepares an operation for the next `submit`. Answers false when the queue is full. When it throws, the operations
   * that are linked to it are taken back.
   *
   * @param userData a number that comes with its completions
   * @throws `ERR_URING_CLOSED`, and errors that say what is wrong with the operation
   */
  override prep(operation: AnyOperation, userData: unknown = 0, flags = 0): boolean {
    return super.prep(operation, userData, flags);
  }

  /** @internal */
  protected override check(operation: AnyOperation, userData: unknown): void {
    if (typeof userData !== 'number') throw invalidType('userData', 'of type number', userData);
    super.check(operation, userData);
    checkResult(operation);
    // Before the record counts as written: a thread can be terminated between any two steps, and what it has prepared
    // completes all the same.
    this.#numbers[this.#parts.engine.slots.nextIndex] = userData;
  }

  /** Gives what is prepared to the kernel, in one system call, and answers how many operations that were. */
  override submit(): number {
    try {
      return super.submit();
    } finally {
      this.reclaim();
    }
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
      if (count === FREED_BATCH) continue;
      if (engine.slots.live > 0) busy.add(this);
      else busy.delete(this);
      return total;
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
    forgottenHalves.unregister(this);
    busy.delete(this);
    this.#parts.state.isClosed = true;
    this.#parts.engine.isClosing = true;
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
