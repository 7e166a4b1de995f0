import type { BufferGroup, BufferGroupOptions } from './buffer-group.ts';
import { ByHand } from './by-hand.ts';
import type { ChainResults, SingleOperation } from './chain.ts';
import { CompletionQueue } from './completion-queue.ts';
import { invalidValue, shown, systemError, UringError } from './errors.ts';
import { type ChainOptions, checkSignal, type ExecOptions } from './exec-options.ts';
import { FEATURES } from './flags.ts';
import { Op, opInfo } from './generated/ops.ts';
import { RingMemory } from './memory/ring-memory.ts';
import type { SharedMemory } from './memory/shared-memory.ts';
import type { AnyOperation, Operation } from './operation.ts';
import type { NativeRing } from './platform/native.ts';
import { Registrar } from './registrar.ts';
import type { RingHandle } from './ring-handle.ts';
import { openRing, type RingOptions, setThresholds } from './ring-options.ts';
import { namedStats, type RingStats } from './ring-stats.ts';
import { Attached, WAITING_MAX } from './runtime/attached.ts';
import type { Clock } from './runtime/clock.ts';
import { cancelAndWait, closing } from './runtime/closing.ts';
import { Drive, type RunMode } from './runtime/drive.ts';
import { Engine } from './runtime/engine.ts';
import type { RingEvent } from './runtime/events.ts';
import { forgotten } from './runtime/forgotten.ts';
import type { CompletionCallback } from './runtime/handler.ts';
import { KeepAlive } from './runtime/keep-alive.ts';
import type { MultishotStream } from './runtime/multishot.ts';
import { Receiver } from './runtime/receiver.ts';
import { closedError } from './runtime/rejects.ts';
import { disabledError, RingState } from './runtime/ring-state.ts';
import { Runner } from './runtime/runner.ts';
import { type HalfOwner, SubmissionQueue } from './submission-queue.ts';
import { checkFunction, checkOptions } from './validate.ts';

/**
 * An io_uring of its own: a submission queue, a completion queue, and what is registered with them.
 *
 * There are two ways to use it, which may be mixed. *On the event loop*: `exec` gives a promise, `start` calls back,
 * `multishot` iterates; operations started in one turn are submitted together. *By hand*: `prep`, `submit`,
 * `submitAndWait`, `forEachCompletion`, as in C; waiting blocks the thread.
 *
 * A ring belongs to the thread that made it. Close it when you are done.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring.7.html io_uring(7)}
 * @example
 * ```ts
 * import { Ring, close, openat, read } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('/etc/hostname'));
 * const buffer = ring.alloc(256);
 * const bytes = await ring.exec(read(fd, buffer, { offset: 0 }));
 * console.log(buffer.toString('utf8', 0, bytes));
 * await ring.exec(close(fd));
 * ```
 */
export class Ring extends ByHand {
  readonly #native: NativeRing;
  readonly #engine: Engine;
  readonly #state: RingState;
  readonly #attached: Attached;
  readonly #receiver: Receiver;
  readonly #memory: RingMemory;
  /** @internal */ readonly runner: Runner;
  readonly #drive: Drive;
  readonly #keepAlive: KeepAlive;
  #closing: Promise<void> | undefined;
  #closed = false;
  #onClosed: () => void = () => {};
  override readonly sq: SubmissionQueue;
  override readonly cq: CompletionQueue;
  /** What is registered with the ring, and what it is told ahead of time. */
  readonly registrar: Registrar;

  /**
   * @throws `ERR_URING_UNAVAILABLE` where there is no io_uring, `ERR_OUT_OF_RANGE` for sizes that are no powers of
   * two or too large, and the kernel's error when it refuses what was asked for
   */
  constructor(given: RingOptions = {}) {
    super();
    checkOptions('options', given);
    // Looked at once: a getter that throws later would leave the ring behind that is open by then.
    const options = { ...given };
    this.#native = openRing(options);
    const layout = this.#native.layout();
    if (layout === null) throw new UringError('ERR_URING_CLOSED', 'the ring closed while it was opened');
    this.#engine = new Engine(this, this.#native, layout);
    if (options.attachTo !== undefined && options.sqpoll !== undefined) {
      this.sharePolling();
      if (options.attachTo instanceof Ring) options.attachTo.sharePolling();
    }
    setThresholds(this.#engine.watch, options);
    this.#state = new RingState(this.#native, this.#engine);
    this.#memory = new RingMemory(this.#native, this);
    const waitingMax = options.waitingMax ?? WAITING_MAX;
    this.#attached = new Attached(this.#engine, waitingMax, () => this.#onClosed());
    this.#receiver = new Receiver(this.#engine, this.#attached);
    const owner = this.#halfOwner();
    this.#drive = new Drive(this.#engine, this.#attached, owner);
    this.#keepAlive = new KeepAlive(this.#native, this.#engine, this.#attached);
    this.runner = new Runner(owner, {
      native: this.#native,
      engine: this.#engine,
      attached: this.#attached,
      state: this.#state,
      keepAlive: this.#keepAlive,
      keepsContext: options.asyncContext ?? true,
    });
    this.sq = new SubmissionQueue(this.#engine, owner);
    this.cq = new CompletionQueue(this.#engine, owner);
    this.registrar = new Registrar({
      ring: this,
      engine: this.#engine,
      isClosed: () => this.closed,
      nativeOf: (ring) => (ring instanceof Ring ? ring.#native : undefined),
    });
    forgotten.register(this, this.#native, this);
  }

  #halfOwner(): HalfOwner {
    const isGone = (): boolean => this.#closed;
    return {
      assertOpen: () => this.assertOpen(),
      entered: (result) => {
        if (result >= 0) return result;
        throw this.#state.isDisabled ? disabledError() : systemError(result, 'io_uring_enter');
      },
      get isGone(): boolean {
        return isGone();
      },
    };
  }

  // What the ring is.

  /** The ring's descriptor; -1 if it was opened with `registeredFdOnly`. */
  get fd(): number {
    this.assertOpen();
    return this.#engine.layout.fd;
  }
  /**
   * Names the ring to other rings and other threads: for `msgRing`, `msgRingFile`, `sendMessage` and `attachTo`.
   *
   * @throws `ERR_URING_NO_DESCRIPTOR` for a ring that was opened with `registeredFdOnly`
   */
  get handle(): RingHandle {
    this.assertOpen();
    return this.#state.handle;
  }
  /** Size of the submission queue. */
  get entries(): number {
    return this.#engine.layout.sqEntries;
  }
  /** Size of the completion queue. */
  get cqEntries(): number {
    return this.#engine.layout.cqEntries;
  }
  /** The setup flags that this kernel granted, asked for or not, such as `DEFER_TASKRUN`. */
  get setupFlags(): readonly string[] {
    return this.#engine.layout.setupFlags;
  }
  /** The ring's features, such as `NODROP`. */
  get features(): readonly string[] {
    return FEATURES.filter((_, bit) => (this.#engine.layout.features & (1 << bit)) !== 0);
  }
  /** Names of the operations of this package that this kernel has, from its own probe. */
  get operations(): readonly (keyof typeof Op)[] {
    return this.#engine.layout.operations.flatMap((opcode) => opInfo[opcode]?.name ?? []);
  }
  /** Whether this kernel has an operation, by its name in this package, such as `'futexWait'`. */
  supports(name: keyof typeof Op): boolean {
    if (typeof name !== 'string' || !Object.hasOwn(Op, name))
      throw invalidValue('name', `is no operation: ${shown(name)}`);
    return this.#engine.layout.operations.includes(Op[name]);
  }
  /** `close` was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Starts a ring that was opened with `disabled`. Since Linux 5.10.
   *
   * @throws `ERR_URING_NOT_DISABLED` for any other ring
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_enable_rings.3.html io_uring_enable_rings(3)}
   * @example
   * ```ts
   * import { Ring, nop } from 'uring';
   *
   * await using ring = new Ring({ disabled: true });
   * ring.enable();
   * await ring.exec(nop());
   * ```
   */
  enable(): void {
    this.assertOpen();
    this.#state.enable();
  }

  /**
   * Gives the queues other sizes, each as when a ring is opened; what is left out stays as it is. Operations may be in
   * flight and completions unread: nothing is lost. Since Linux 6.13.
   *
   * @throws `ERR_URING_PREPARED` when operations are prepared and not submitted, `ERR_URING_UNSUPPORTED_FLAG` for a
   * ring without DEFER_TASKRUN, `ERR_URING_UNSUPPORTED_FEATURE` before Linux 6.13
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_resize_rings.3.html io_uring_resize_rings(3)}
   * @example
   * ```ts
   * import { Ring } from 'uring';
   *
   * await using ring = new Ring({ entries: 8, cqEntries: 16 });
   * ring.resize({ cqEntries: 4096 });
   * ```
   */
  resize(options: { entries?: number; cqEntries?: number }): void {
    this.assertOpen();
    this.#state.resize(options, this.#attached.longestWaiting);
  }

  /**
   * Names the ring by its place in a table of this thread, which saves the kernel looking its descriptor up whenever
   * the ring is entered. Since Linux 5.18.
   *
   * @throws `EBUSY` when this thread has 16 rings there already
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_ring_fd.3.html io_uring_register_ring_fd(3)}
   * @example
   * ```ts
   * import { Ring, nop } from 'uring';
   *
   * await using ring = new Ring();
   * ring.registerRingFd();
   * await ring.exec(nop());
   * ```
   */
  registerRingFd(): void {
    this.assertOpen();
    this.#state.registerRingFd();
  }

  /** Undoes `registerRingFd`; closing does so too. */
  unregisterRingFd(): void {
    this.assertOpen();
    this.#state.unregisterRingFd();
  }

  // Counts.

  /** Operations started or prepared whose last completion has not been read. */
  get inFlight(): number {
    return this.#engine.slots.live;
  }
  /** Operations that wait for room, in order. */
  get waiting(): number {
    return this.#attached.waiting;
  }

  /** Counters since the ring was opened. */
  stats(): RingStats {
    return namedStats(this.#native.stats(), this.#engine.watch.stats, this.waiting);
  }

  // On the event loop.

  /**
   * Runs an operation and promises its result: bytes, a descriptor, stats. Operations of one turn of the event loop
   * are submitted together at its end.
   *
   * @returns rejects with the kernel's error, or with what is wrong with the operation; with {@link AbortError} or
   * `ERR_URING_TIMEOUT` when it was stopped. The promise settles when the kernel has let go of the memory. A result that
   * comes although the signal was aborted is not lost: a descriptor is closed, anything else is the error's `result`
   * @example
   * ```ts
   * import { Ring, timeout } from 'uring';
   *
   * await using ring = new Ring();
   * const late = ring.exec(timeout(3_600_000), { timeoutMs: 5 });
   * console.log(await late.catch((error) => error.code)); // ERR_URING_TIMEOUT
   * ```
   */
  exec<T>(operation: Operation<T, 'single'>, options?: ExecOptions): Promise<T> {
    return this.runner.exec(operation, options) as Promise<T>;
  }

  /**
   * Runs operations one after the other, without coming back to JavaScript in between, and promises the results of all.
   * When one fails (a short read or write too), those after it do not run, unless the links are `hard`.
   *
   * @param options `timeoutMs` is for the whole chain
   * @returns rejects with a {@link ChainError}, which says which one failed and what became of each
   * `ERR_OUT_OF_RANGE` for one that is longer than the queue (with `timeoutMs` than half of it), `ERR_URING_SHARED_SQPOLL`;
   * {@link AbortError} when it was stopped by its signal, and `ERR_URING_TIMEOUT` is the code of one that was late. Since
   * Linux 5.3
   * @see {@link https://man7.org/linux/man-pages/man7/io_uring_linked_requests.7.html io_uring_linked_requests(7)}
   * @example
   * ```ts
   * import { openSync } from 'node:fs';
   * import { Ring, fsync, write } from 'uring';
   *
   * await using ring = new Ring();
   * const fd = openSync('/tmp/journal', 'a');
   * const [bytes] = await ring.chain([write(fd, Buffer.from('entry')), fsync(fd, { dataOnly: true })]);
   * ```
   */
  chain<const L extends readonly SingleOperation[]>(
    operations: L,
    options: ChainOptions = {},
  ): Promise<ChainResults<L>> {
    return this.runner.chain(operations, options);
  }

  /**
   * Runs an operation and calls back with its result, for multishot operations as often as there is one. The completion
   * is reused. The callback may start more; it runs in the asynchronous context of whoever started the operation.
   *
   * @param callback gets (error, result, completion); default: nobody learns what became of it
   * @param userData comes back in the completion
   * @param msg a number that comes back in the completion too, such as the state of a state machine
   * @throws `ERR_URING_CLOSED`, `ERR_URING_QUEUE_FULL`, and errors that say what is wrong with the operation
   */
  start<T>(
    operation: Operation<T, 'single' | 'multishot'>,
    callback?: CompletionCallback<T>,
    userData?: unknown,
    msg = 0,
  ): void {
    this.runner.start(operation, callback as CompletionCallback<unknown> | undefined, userData, msg);
  }

  /**
   * Runs a multishot operation as an async iterator. Leaving the loop stops it, and gives up what was not taken.
   *
   * A consumer that is slow makes it pause; a buffer ring whose buffers are all lent makes it wait for one.
   *
   * @param options with `signal`, which ends it with an {@link AbortError}
   */
  multishot<T>(
    operation: Operation<T, 'multishot'>,
    options: { signal?: AbortSignal } = {},
  ): MultishotStream<Exclude<T, null>> {
    this.assertOpen();
    checkOptions('options', options);
    checkSignal('options.signal', options.signal);
    // A null result is the end of the data, which the stream turns into its own end.
    return this.runner.multishot(operation as Operation<Exclude<T, null>, 'multishot'>, options.signal);
  }

  /**
   * Listens to what arrives without an operation of this ring: messages of other rings (`msgRing`, `msgRingFile`).
   * Everything goes to each listener, and nothing of it to readers by hand; what came before is delivered first. Keeps
   * the process alive until the function that it returns is called, or the ring is closed.
   *
   * @returns stops listening
   */
  receive(listener: (event: RingEvent) => void): () => void {
    this.assertOpen();
    checkFunction('listener', listener);
    return this.#receiver.listen(listener);
  }

  /**
   * Drives the ring without the event loop, which stands still meanwhile: blocks the thread, and calls the callbacks of
   * `start` from in here. For workers and scripts; promises settle as well, but whoever awaits them goes on only when this
   * has returned.
   *
   * @param mode `'once'` returns after the first completions, `'untilDone'` (the default) when nothing is in flight or
   * waits, `'forever'` when `stop` is called. All three return early if a callback throws
   * @returns how many completions were delivered
   * @throws what a callback has thrown, after the rest of the batch was delivered; an `AggregateError` if several have.
   * `ERR_URING_NOTHING_IN_FLIGHT` where `'forever'` would wait for nothing, `ERR_URING_RUNNING` within a callback of `run`,
   * `ERR_URING_CLOSED`
   * @example
   * ```ts
   * import { Ring, nop } from 'uring';
   *
   * await using ring = new Ring();
   * ring.start(nop(), () => ring.start(nop(), () => console.log('second')));
   * ring.run();
   * ```
   */
  run(mode: RunMode = 'untilDone'): number {
    this.assertOpen();
    return this.#drive.run(mode);
  }

  /** Makes `run` return when what has completed is delivered; for callbacks. Does nothing while nobody runs the ring. */
  stop(): void {
    this.#drive.stop();
  }

  /**
   * Lets the ring keep the process alive while something is in flight, which is the default; or an operation, for which
   * `unref` was called.
   */
  ref(operation?: AnyOperation): this {
    this.#keepAlive.set(true, operation);
    return this;
  }

  /**
   * As `unref` of Node's timers: the process may end although something is in flight. For the whole ring, or for one
   * operation that was started; of several runs of it, the first. A stream has `unref` of its own.
   *
   * @example
   * ```ts
   * import { Ring, timeout } from 'uring';
   *
   * const ring = new Ring();
   * const hour = timeout(3_600_000);
   * ring.start(hour);
   * ring.unref(hour); // does not wait for it
   * ```
   */
  unref(operation?: AnyOperation): this {
    this.#keepAlive.set(false, operation);
    return this;
  }

  /** Whether the ring may keep the process alive, as it does while something is in flight; or whether an operation does. */
  hasRef(operation?: AnyOperation): boolean {
    return this.#keepAlive.has(operation);
  }

  // Memory.

  /**
   * Memory that Rust owns: never copied, aligned for O_DIRECT, registered with the kernel where the limits allow. An
   * ordinary Buffer otherwise; the memory returns when it has been collected and no operation names it any more.
   */
  alloc(sizeBytes: number): Buffer {
    this.assertOpen();
    return this.#memory.alloc(sizeBytes);
  }

  /** Makes provided buffers of the older kind, which need no registration. Since Linux 5.7. */
  createBufferGroup(options: BufferGroupOptions = {}): BufferGroup {
    this.assertOpen();
    return this.#memory.createBufferGroup(options);
  }

  /** New memory that other rings of the process can have too, also those of other threads: see {@link SharedMemory}. */
  allocShared(sizeBytes: number): SharedMemory {
    this.assertOpen();
    return this.#memory.allocShared(sizeBytes);
  }

  /**
   * The memory that another ring of the process has made with `allocShared`.
   *
   * @param token the `token` of that memory
   * @throws `ERR_URING_STALE_HANDLE` when nobody has it any more
   */
  openShared(token: number): SharedMemory {
    this.assertOpen();
    return this.#memory.openShared(token);
  }

  // The end.

  /**
   * Closes the ring: refuses new operations, cancels what is in flight, and waits until the kernel has let go of
   * all memory, or for 5 seconds: memory of operations that cannot be cancelled is never freed then. Promises settle with
   * what became of their operations, mostly `ECANCELED`. Closing twice is the same as closing once.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#engine.isClosing = true;
    forgotten.unregister(this);
    this.#receiver.end();
    this.#attached.failPending();
    this.registrar.abandon(closing());
    this.#memory.abandon(closing());
    await cancelAndWait(this.#native, this.#attached, (gone) => {
      this.#onClosed = gone;
    });
    this.#closed = true;
    for (const completion of this.#engine.unread) {
      if (completion.ok && completion.operation !== undefined)
        this.runner.discard(completion.operation, completion.result);
    }
    this.#engine.unread.length = 0;
  }

  /** @internal What deadlines count on. */
  get clock(): Clock {
    return this.#attached.clock;
  }

  /** @internal Another ring has the same polling thread. */
  sharePolling(): void {
    this.#engine.cutsChains = true;
  }

  /** @internal */
  assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}
