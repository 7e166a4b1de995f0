import { BufferRing, type BufferRingOptions } from './buffer-ring.ts';
import { Errno } from './errnos.ts';
import { invalidType, invalidValue, outOfRange, systemError, UringError } from './errors.ts';
import { FileTable, type FileTableOptions } from './files.ts';
import { type Arena, arenasUnder, shareArena } from './memory/arena.ts';
import { foreignRing } from './operation.ts';
import { type AsyncCancelTarget, asyncCancel } from './ops/cancel.ts';
import type { NativeRing } from './platform/native.ts';
import {
  checkPreference,
  checkRestrictions,
  checkTracking,
  type EventfdOptions,
  type NapiOptions,
  type NapiSettings,
  napiSettings,
  type Restrictions,
  registrationError,
  type WorkerLimits,
} from './registrar-options.ts';
import type { Ring } from './ring.ts';
import { means } from './runtime/cancel.ts';
import type { Engine } from './runtime/engine.ts';
import { closedError } from './runtime/rejects.ts';
import {
  checkBoolean,
  checkInteger,
  checkList,
  checkName,
  checkOptions,
  checkTag,
  isSet,
  UINT32_MAX,
} from './validate.ts';

const INT32_MAX = 0x7fff_ffff;
/** More processors than Linux can be built for (CONFIG_NR_CPUS). */
const CPU_MAX = 8191;
/** Longest wait that is told apart from an endless one: about 11 days. */
const TIMEOUT_MS_MAX = 1e9;

/** @internal What a registrar needs of its ring. */
export interface RegistrarOwner {
  readonly ring: unknown;
  readonly engine: Engine;
  isClosed(): boolean;
  /** The native side of a ring, also of another one; nothing for what is no ring. */
  nativeOf(ring: unknown): NativeRing | undefined;
}

/**
 * What a ring is told ahead of time: files, buffers, credentials, limits. Reached as `ring.registrar`.
 *
 * Errors of the kernel are those of io_uring_register(2), with a hint where there is something to do about them.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_register.2.html io_uring_register(2)}
 */
export class Registrar {
  readonly #owner: RegistrarOwner;
  readonly #native: NativeRing;
  readonly #bufferRings = new Set<BufferRing>();
  #files: FileTable | undefined;
  #eventfdEnabled = true;

  /** @internal */
  constructor(owner: RegistrarOwner) {
    this.#owner = owner;
    this.#native = owner.engine.native;
  }

  #assertOpen(): void {
    if (this.#owner.isClosed()) throw closedError();
  }

  // Files.

  /**
   * Registers the ring's table of files, once.
   *
   * @throws `EMFILE` when the table is larger than RLIMIT_NOFILE, `EBUSY` when there is one already
   */
  registerFiles(options: FileTableOptions = {}): FileTable {
    this.#assertOpen();
    checkOptions('options', options);
    const owner = {
      native: this.#native,
      assertOpen: () => this.#assertOpen(),
      forget: () => {
        this.#files = undefined;
      },
    };
    this.#files = new FileTable(this.#owner.ring, owner, options);
    return this.#files;
  }

  /** The table that `registerFiles` made, unless it was unregistered. */
  get files(): FileTable | undefined {
    return this.#files;
  }

  // Memory.

  /**
   * Gives memory of `ring.alloc()` to the kernel again, after `unregisterBuffers`. A buffer shares its arena with its
   * neighbours, so they are registered with it.
   *
   * @param options.tags one for each buffer, or undefined: comes back as an event of the ring (`completion.event`)
   * when the kernel has let go of that memory again. Since Linux 5.13
   * @throws `EBUSY` for memory that is registered, `ENOMEM` beyond RLIMIT_MEMLOCK. Memory before it in the list is
   * registered then
   * @example
   * ```ts
   * import { Ring } from 'uring';
   *
   * await using ring = new Ring();
   * const buffer = ring.alloc(4096);
   * ring.registrar.unregisterBuffers([buffer]);
   * ring.registrar.registerBuffers([buffer], { tags: [7] });
   * ring.registrar.unregisterBuffers([buffer]);
   * for (const { event } of ring.completions()) console.log(event); // { type: 'tag', tag: 7 }
   * ```
   */
  registerBuffers(
    buffers: readonly Uint8Array[],
    options: { tags?: readonly (number | undefined)[] } = {},
  ): void {
    this.#assertOpen();
    checkOptions('options', options);
    const arenas = arenasUnder(buffers, this.#owner.ring, 'this ring');
    const tags = new Map<Arena, number>();
    for (const [at, arena] of arenas.entries()) {
      const tag = checkTag(`options.tags[${at}]`, options.tags?.[at]);
      if (tag === undefined) continue;
      if (tags.has(arena)) throw invalidValue(`options.tags[${at}]`, 'is a second tag for the same arena');
      tags.set(arena, tag);
    }
    for (const arena of new Set(arenas)) {
      this.#check(this.#native.registerArena(arena.handle, tags.get(arena)), {
        EBUSY: 'this memory is registered: memory of ring.alloc() is from the start, where the limits allow',
        ENOMEM: 'RLIMIT_MEMLOCK allows no more: raise it (ulimit -l), or unregister other buffers',
        ENOSPC: 'the table of buffers is full, or the buffer is larger than 1 GiB',
      });
      arena.registered = true;
    }
  }

  /**
   * Takes memory of `ring.alloc()` out of the kernel's table, so that it no longer counts against RLIMIT_MEMLOCK. It
   * can be used as before, only `readFixed` and `writeFixed` refuse it. Operations in flight go on, and keep it locked
   * until they end. A buffer shares its arena with its neighbours, so they are unregistered with it.
   *
   * @throws `ENXIO` for memory that is not registered. Memory before it in the list is unregistered then
   */
  unregisterBuffers(buffers: readonly Uint8Array[]): void {
    this.#assertOpen();
    for (const arena of new Set(arenasUnder(buffers, this.#owner.ring, 'this ring'))) {
      this.#check(this.#native.unregisterArena(arena.handle), { ENXIO: 'this memory is not registered' });
      arena.registered = false;
    }
  }

  /**
   * Makes registered memory of another ring of this thread known to this one, without a copy, and without locking it
   * a second time: a buffer of the other ring's `alloc()` can then be given to operations of this ring as to its own.
   * It stays so until the buffer is collected. Since Linux 6.13.
   *
   * @param source the ring that the buffers come from
   * @throws `ENXIO` for memory that is not registered there
   * @example
   * ```ts
   * import { Ring, openat, readFixed } from 'uring';
   *
   * await using source = new Ring();
   * await using ring = new Ring();
   * const buffer = source.alloc(4096);
   * ring.registrar.cloneBuffers(source, [buffer]);
   * const fd = await ring.exec(openat('/etc/hostname'));
   * await ring.exec(readFixed(fd, buffer, { offset: 0 }));
   * ```
   */
  cloneBuffers(source: Ring, buffers: readonly Uint8Array[]): void {
    this.#assertOpen();
    const native = this.#owner.nativeOf(source);
    if (native === undefined) throw invalidType('source', 'a Ring', source);
    if (native === this.#native) throw invalidValue('source', 'is this ring, which knows its own buffers');
    if (source.closed) throw closedError();
    const ring = this.#owner.ring;
    const arenas = arenasUnder(buffers, source, 'the source');
    for (const [at, arena] of arenas.entries()) {
      if (arena.clones?.has(ring as object)) continue;
      const handle = this.#check(this.#native.shareArena(native, arena.handle), {
        ENXIO: 'this memory is not registered with the source: see ring.stats().unregisteredBytes',
        EINVAL: 'sharing single buffers needs Linux 6.13 or later',
      });
      const memory = (buffers[at] as Uint8Array).buffer;
      shareArena(memory, arena, { ring, handle, registered: true }, this.#native);
    }
  }

  /**
   * Registers a ring of provided buffers. Since Linux 5.19 (`mmap` 6.4, `incremental` 6.12).
   *
   * @throws `ERR_OUT_OF_RANGE` for sizes that are no power of two or too large
   */
  registerBufferRing(options: BufferRingOptions = {}): BufferRing {
    this.#assertOpen();
    checkOptions('options', options);
    const { ring, engine, isClosed } = this.#owner;
    const owner = {
      native: this.#native,
      recycle: (group: number, id: number) => engine.recycle(group, id),
      forget: (buffers: BufferRing) => this.#bufferRings.delete(buffers),
      get isClosed(): boolean {
        return isClosed();
      },
    };
    const buffers = new BufferRing(ring, owner, options);
    this.#bufferRings.add(buffers);
    return buffers;
  }

  /** @internal The ring is closing: ends the streams that wait for a buffer. */
  abandon(error: UringError): void {
    for (const buffers of this.#bufferRings) buffers.abandon(error);
  }

  // Being told of completions.

  /**
   * Signals an eventfd when completions arrive, for a ring that is used by hand; answers its descriptor, which stays
   * yours to close. The event loop uses the ring's only eventfd itself: `exec`, `start` and `multishot` are not
   * for a ring with one of yours. Since Linux 5.2.
   *
   * @throws `ERR_URING_EVENTFD_TAKEN` for a ring on the event loop, `EBUSY` when there is one already, `EBADF` and
   * `EINVAL` for a descriptor that is no eventfd
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_eventfd.3.html io_uring_register_eventfd(3)}
   */
  registerEventfd(options: EventfdOptions = {}): number {
    this.#assertOpen();
    checkOptions('options', options);
    const given = options.fd === undefined ? -1 : checkInteger('options.fd', options.fd, 0, INT32_MAX);
    const onlyAsync = isSet('options.async', options.async);
    this.#assertNotAttached();
    const fd = this.#native.registerEventfd(given, onlyAsync);
    if (fd < 0) {
      throw registrationError(fd, {
        EBUSY: 'one is registered already: unregister it first',
        EINVAL: 'the descriptor is no eventfd',
      });
    }
    return fd;
  }

  /**
   * Signals the eventfd no longer. It stays open.
   *
   * @throws `ENXIO` when there is none, `ERR_URING_EVENTFD_TAKEN` for a ring on the event loop
   */
  unregisterEventfd(): void {
    this.#assertOpen();
    this.#assertNotAttached();
    this.#check(this.#native.unregisterEventfd(), { ENXIO: 'no eventfd is registered' });
  }

  /**
   * Switches the signals of the eventfd off and on without a system call. Since Linux 5.8.
   *
   * @throws `ERR_URING_EVENTFD_TAKEN` for a ring on the event loop
   */
  setEventfdEnabled(enabled: boolean): void {
    this.#assertOpen();
    checkBoolean('enabled', enabled);
    this.#assertNotAttached();
    this.#check(this.#native.setEventfdEnabled(enabled));
    this.#eventfdEnabled = enabled;
  }

  /** Whether the eventfd is signalled; see `setEventfdEnabled`. */
  get eventfdEnabled(): boolean {
    return this.#eventfdEnabled;
  }

  #assertNotAttached(): void {
    if (!this.#native.isAttached()) return;
    const message =
      'the event loop uses the only eventfd of this ring: use a ring of its own by hand (prep, submit, completions)';
    throw new UringError('ERR_URING_EVENTFD_TAKEN', message);
  }

  // Who and what.

  /**
   * Registers the process's present credentials; answers a number for the `personality` option of operations, which
   * then run with them whatever the process has become. Since Linux 5.6.
   */
  registerPersonality(): number {
    this.#assertOpen();
    return this.#check(this.#native.registerPersonality());
  }

  /**
   * Gives up credentials. Operations in flight with them go on.
   *
   * @throws `EINVAL` for a number that is not registered
   */
  unregisterPersonality(id: number): void {
    this.#assertOpen();
    const result = this.#native.unregisterPersonality(checkInteger('id', id, 1, 0xffff));
    this.#check(result, { EINVAL: 'no such credentials are registered' });
  }

  /**
   * Restricts what the ring may be used for, once, on a ring that was opened `disabled`; it holds from `ring.enable()`
   * on. Other operations and registrations then fail with `EACCES`. What the package itself needs to be woken by the
   * event loop and to close a ring safely stays allowed: `asyncCancel`, and the registrations of eventfd, synchronous
   * cancelling and taking memory, files and buffers back. Since Linux 5.10.
   *
   * Memory of `ring.alloc()` turns `read` into `readFixed` by itself: allow both.
   *
   * @throws `EBADFD` for a ring that is not disabled, `EBUSY` the second time
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_restrictions.3.html io_uring_register_restrictions(3)}
   * @example
   * ```ts
   * import { Ring, nop, openat } from 'uring';
   *
   * await using ring = new Ring({ disabled: true });
   * ring.registrar.restrict({ operations: ['nop'] });
   * ring.enable();
   * await ring.exec(nop());
   * await ring.exec(openat('/etc/hostname')).catch((error) => error.code); // 'EACCES'
   * ```
   */
  restrict(restrictions: Restrictions): void {
    this.#assertOpen();
    const allowed = checkRestrictions(restrictions, this.#owner.engine.layout.operations);
    this.#check(this.#native.restrict(allowed), {
      EBADFD:
        'the ring is not disabled: open it with { disabled: true }, and restrict it before ring.enable()',
      EBUSY: 'it is restricted already',
    });
  }

  // How work is run.

  /**
   * The processors that the kernel's worker threads for this thread may run on; null for all. It holds for all rings
   * of the thread. Since Linux 5.14.
   *
   * @throws `EINVAL` for a processor that is not there, or that the process may not use
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_iowq_aff.3.html io_uring_register_iowq_aff(3)}
   */
  setWorkerAffinity(cpus: readonly number[] | null): void {
    this.#assertOpen();
    const list =
      cpus === null ? [] : checkList('cpus', cpus, 'an array of numbers or null', { max: CPU_MAX + 1 });
    if (cpus !== null && list.length === 0)
      throw invalidValue('cpus', 'names no processor: give null for all');
    const numbers = list.map((cpu, at) => checkInteger(`cpus[${at}]`, cpu, 0, CPU_MAX));
    const result = this.#native.setWorkerAffinity(numbers);
    this.#check(result, { EINVAL: 'the process may not use all of these processors' });
  }

  /**
   * The most worker threads that the kernel makes for this thread; answers the limits before, 0 for unknown. It holds
   * for all rings of the thread. Since Linux 5.15.
   *
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_iowq_max_workers.3.html io_uring_register_iowq_max_workers(3)}
   */
  setWorkerLimits(limits: WorkerLimits): Required<WorkerLimits> {
    this.#assertOpen();
    if (limits === undefined) throw invalidType('limits', 'of type object', limits);
    checkOptions('limits', limits);
    const most = checkInteger('limits.bounded', limits.bounded ?? 0, 0, INT32_MAX);
    const others = checkInteger('limits.unbounded', limits.unbounded ?? 0, 0, INT32_MAX);
    const [bounded = 0, unbounded = 0] = this.#native.setWorkerLimits(most, others);
    this.#check(bounded);
    return { bounded, unbounded };
  }

  /**
   * Polls network devices for a while before waiting for interrupts; answers the settings before. Since Linux 6.9
   * (`tracking` 6.13).
   *
   * @throws `EINVAL` for a ring with `iopoll`
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_napi.3.html io_uring_register_napi(3)}
   */
  registerNapi(options: NapiOptions): NapiSettings {
    this.#assertOpen();
    if (options === undefined) throw invalidType('options', 'of type object', options);
    checkOptions('options', options);
    const busyPollUs = checkInteger('options.busyPollUs', options.busyPollUs, 0, UINT32_MAX);
    const isStatic = checkTracking(options) === 'static';
    const before = this.#native.registerNapi(busyPollUs, checkPreference(options), isStatic);
    this.#check(before[0] ?? 0, { EINVAL: 'it needs Linux 6.9 (tracking 6.13), and a ring without iopoll' });
    return napiSettings(before);
  }

  /** Ends busy polling; answers the settings before, as far as the kernel tells them here. Since Linux 6.9. */
  unregisterNapi(): Omit<NapiSettings, 'tracking'> {
    this.#assertOpen();
    const before = this.#native.unregisterNapi();
    this.#check(before[0] ?? 0);
    // The kernel does not fill in the tracking (io_uring/napi.c, io_unregister_napi).
    const { busyPollUs, preferBusyPoll } = napiSettings(before);
    return { busyPollUs, preferBusyPoll };
  }

  /**
   * Adds a receive queue (SO_INCOMING_NAPI_ID) to those polled with static tracking. Since Linux 6.13.
   *
   * @throws `EINVAL` without static tracking, and for a number that is none of a receive queue; `EEXIST` the second time
   */
  addNapiId(id: number): void {
    this.#assertOpen();
    const result = this.#native.napiId(checkInteger('id', id, 0, UINT32_MAX), true);
    this.#check(result, { EINVAL: "needs registerNapi with tracking: 'static', and the number of a queue" });
  }

  /**
   * Takes a receive queue out of those polled with static tracking. Since Linux 6.13.
   *
   * @throws `EINVAL` without static tracking, `ENOENT` for a queue that was not added
   */
  removeNapiId(id: number): void {
    this.#assertOpen();
    const result = this.#native.napiId(checkInteger('id', id, 0, UINT32_MAX), false);
    this.#check(result, { EINVAL: "needs registerNapi with tracking: 'static', and the number of a queue" });
  }

  /**
   * The clock that limits of waits count on: `'boottime'` goes on while the machine is suspended. Since Linux 6.12.
   */
  setClock(clock: 'monotonic' | 'boottime'): void {
    this.#assertOpen();
    const isBoottime = checkName('clock', clock, { monotonic: false, boottime: true });
    this.#check(this.#native.setClock(isBoottime), { EINVAL: 'it needs Linux 6.12 or later' });
  }

  // Cancelling.

  /**
   * Cancels operations in flight as `asyncCancel` does, and blocks the thread until they have ended. What is prepared
   * and not submitted is not found. Answers how many operations were cancelled, where the kernel tells (0 for a single
   * target). On a ring with `sqpoll` it does not find what runs on worker threads of the kernel. Since Linux 6.0.
   *
   * @param options.timeoutMs longest wait in milliseconds; default: none
   * @throws `ENOENT` when nothing matches, `ETIME` when it has not ended in time
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_sync_cancel.3.html io_uring_register_sync_cancel(3)}
   * @example
   * ```ts
   * import { Ring, timeout } from 'uring';
   *
   * await using ring = new Ring();
   * const hour = timeout(3_600_000);
   * ring.prep(hour);
   * ring.submit();
   * ring.registrar.syncCancel(hour, { timeoutMs: 100 });
   * ```
   */
  syncCancel(target: AsyncCancelTarget, options: { timeoutMs?: number } = {}): number {
    this.#assertOpen();
    checkOptions('options', options);
    const timeoutMs = options.timeoutMs ?? -1;
    if (typeof timeoutMs !== 'number') throw invalidType('options.timeoutMs', 'of type number', timeoutMs);
    if (options.timeoutMs !== undefined && !(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) {
      throw outOfRange('options.timeoutMs', `>= 0 and <= ${TIMEOUT_MS_MAX}`, timeoutMs);
    }
    const request = asyncCancel(target);
    const { engine, ring } = this.#owner;
    if (request.owner !== undefined && request.owner !== ring) {
      throw foreignRing();
    }
    const wanted = { fd: request.fd, flags: request.opFlags, opcode: request.length };
    const slot = request.target && engine.slots.find((one) => means(request, one));
    if (request.target !== undefined && slot === undefined) {
      throw systemError(-Errno.ENOENT, 'io_uring_register');
    }
    const found = slot === undefined ? wanted : { ...wanted, index: slot.index, sequence: slot.sequence };
    return this.#check(this.#native.syncCancel(found, timeoutMs));
  }

  /**
   * Zero-copy receiving is not to be had from here: it needs a network card that splits headers from data, a receive
   * queue of it set aside (ethtool), CAP_NET_ADMIN, and memory that the card writes to by itself.
   *
   * @throws `ERR_URING_UNSUPPORTED`, always
   */
  registerZeroCopyReceive(): never {
    const message =
      'zero-copy receiving (REGISTER_ZCRX_IFQ, Linux 6.15) needs a network card with header split and flow steering, a receive queue of its own and CAP_NET_ADMIN, and is not supported: use recvMultishot with a buffer ring';
    throw new UringError('ERR_URING_UNSUPPORTED', message);
  }

  #check(result: number, hints?: Readonly<Record<string, string>>): number {
    if (result < 0) throw registrationError(result, hints);
    return result;
  }
}
