import { invalidValue, outOfRange, UringError } from './errors.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from './flags.ts';
import { labelArena } from './memory/arena.ts';
import type { NativeRing } from './platform/native.ts';
import { checkProvide, ProvidedBuffers } from './provided-buffers.ts';
import { registrationError } from './registrar-options.ts';
import { checkInteger, checkPowerOfTwo, isSet } from './validate.ts';

/** The kernel takes at most this many buffers in one ring (io_uring/kbuf.c). */
const ENTRIES_MAX = 1 << 15;
/** All buffers of a group lie in one arena, whose offsets have 32 bits; half of that is plenty. */
const TOTAL_BYTES_MAX = 2 ** 31;

/** What a provided-buffer ring is like. */
export interface BufferRingOptions {
  /** Number of buffers, a power of two up to 32,768. Default 256. */
  entries?: number;
  /** Size of each buffer. Default 4096. */
  sizeBytes?: number;
  /**
   * `'automatically'` (the default): the kernel has all buffers and picks one when data arrives; released, they are
   * provided again. `'manually'`: all buffers are yours at first; `take` one, write into it, and `provide` it. That
   * is for sending: the kernel sends them in the order in which they were provided.
   */
  provide?: 'automatically' | 'manually';
  /**
   * Use each buffer up piece by piece, so that a few large buffers serve many small messages. A lease is then a view
   * of one piece; the buffer is provided again when it is used up and all its leases have been released. For sockets
   * and pipes, without bundles. Since Linux 6.12.
   */
  incremental?: boolean;
  /** Let the kernel allocate the ring of entries (not the buffers). Since Linux 6.4. */
  mmap?: boolean;
}

/** @internal What a buffer ring needs of its ring. */
export interface BufferRingOwner {
  readonly native: NativeRing;
  readonly isClosed: boolean;
  recycle(group: number, id: number): void;
  /** The buffers are no longer the ring's. */
  forget(buffers: BufferRing): void;
}

/** How many buffers of a ring are where. */
export interface BufferRingStatus {
  /** Buffers that the kernel has taken so far, modulo 65,536. */
  readonly head: number;
  /** Buffers that the kernel can take now. */
  readonly available: number;
  /** Buffers that are out: lent to you and not released, or taken and not provided. */
  readonly lent: number;
}

/**
 * A ring of provided buffers: the kernel picks one when data arrives, so that no buffer waits with each idle
 * connection. Made by `ring.registrar.registerBufferRing()`. Since Linux 5.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_buf_ring.3.html io_uring_register_buf_ring(3)}
 * @example
 * ```ts
 * import { Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const outgoing = ring.registrar.registerBufferRing({ entries: 8, provide: 'manually' });
 * const lease = outgoing.take();
 * if (lease !== undefined) {
 *   const length = lease.data.write('hello');
 *   lease.provide(length); // the next send from this ring sends it
 * }
 * ```
 */
export class BufferRing extends ProvidedBuffers {
  /** Number of the buffer group. */
  readonly group: number;
  /** Whether you provide the buffers, for sending, or the kernel has them all at first. */
  readonly provide: 'automatically' | 'manually';
  readonly incremental: boolean;
  readonly #owner: BufferRingOwner;
  readonly #memory: ArrayBuffer;
  #unregistered = false;
  /** Of an incremental ring: how far each buffer is used up, and its leases that are out. */
  readonly #used: Uint32Array | undefined;
  readonly #pieces: Uint32Array | undefined;
  /** Of an incremental ring: buffers that the kernel has done with. */
  readonly #finished = new Set<number>();

  /** @internal */
  constructor(ring: unknown, owner: BufferRingOwner, options: BufferRingOptions) {
    super(
      ring,
      checkPowerOfTwo('options.entries', options.entries ?? 256, 1, ENTRIES_MAX),
      checkBufferSize(options),
    );
    this.provide = checkProvide(options.provide);
    this.incremental = isSet('options.incremental', options.incremental);
    const manual = this.provide === 'manually';
    const mmap = isSet('options.mmap', options.mmap);
    if (manual && this.incremental) {
      throw invalidValue('options.incremental', 'is for receiving: what you provide is sent as a whole');
    }
    this.#owner = owner;
    const { entries, sizeBytes, incremental } = this;
    const made = owner.native.registerGroup({ entries, sizeBytes, manual, incremental, mmap });
    if (typeof made === 'number') throw registerError(made, options);
    if (incremental) {
      this.#used = new Uint32Array(entries);
      this.#pieces = new Uint32Array(entries);
    }
    this.group = made.group;
    this.#memory = made.memory;
    // So that what arrived can be sent on without a copy.
    labelArena(made.memory, { ring, handle: made.handle, registered: false });
  }

  /** @internal */
  protected get isGone(): boolean {
    return this.#unregistered || this.#owner.isClosed;
  }

  get lent(): number {
    return this.isGone ? 0 : this.#owner.native.lent(this.group);
  }

  /**
   * How many buffers are where, as the kernel counts them. Since Linux 6.8.
   *
   * @throws `ERR_URING_STALE_HANDLE` once it is unregistered
   */
  status(): BufferRingStatus {
    this.assertRegistered();
    const head = this.#owner.native.groupHead(this.group);
    if (head < 0) throw registrationError(head);
    const available = this.#owner.native.groupAvailable(this.group, head);
    return { head, available, lent: this.lent };
  }

  /**
   * A buffer to write into, of a ring that is provided manually; undefined while all are taken, provided or being
   * sent. `provide` it, or `release` it unused.
   *
   * @throws `ERR_INVALID_STATE` for a ring whose buffers the kernel has
   */
  take(): BufferLease | undefined {
    this.assertRegistered();
    if (this.provide === 'automatically') throw notManual('take');
    const id = this.#owner.native.takeBuffer(this.group);
    if (id < 0) return undefined;
    return new BufferLease(this, id, this.#view(id, 0, this.sizeBytes));
  }

  /** @internal Hands a buffer that was taken to the kernel. */
  provideTaken(id: number, lengthBytes: number): void {
    this.assertRegistered();
    if (this.provide === 'automatically') throw notManual('provide');
    const length = checkInteger('lengthBytes', lengthBytes, 1, this.sizeBytes);
    const result = this.#owner.native.provideBuffer(this.group, id, length);
    if (result < 0) throw registrationError(result);
  }

  #view(id: number, offset: number, sizeBytes: number): Buffer {
    return this.view(this.#memory, id * this.sizeBytes + offset, sizeBytes);
  }

  /**
   * @internal The buffer that a completion names, or the next piece of it; `more` when further pieces follow
   * (IORING_CQE_F_BUF_MORE).
   */
  lease(id: number, sizeBytes: number, more = false): BufferLease {
    const offset = this.#used === undefined ? 0 : (this.#used[id] as number);
    // A result can be more than what was received: a datagram that did not fit (MSG_TRUNC).
    const data = this.#view(id, offset, Math.min(sizeBytes, this.sizeBytes - offset));
    if (this.#used !== undefined && this.#pieces !== undefined) {
      this.#used[id] = Math.min(this.sizeBytes, offset + sizeBytes);
      this.#pieces[id] = (this.#pieces[id] as number) + 1;
      // Some kernels forget the flag, so for a buffer with room left Rust is asked (BufferGroups::lend).
      const full = offset + sizeBytes >= this.sizeBytes;
      if (!more && (full || this.#owner.native.isOut(this.group, id))) this.#finished.add(id);
    }
    return new BufferLease(this, id, data);
  }

  /** @internal The buffers of a bundle, in order: the first is named by its completion, the bytes are those of all. */
  leases(first: number, sizeBytes: number): BufferLease[] {
    const parts = this.#owner.native.bundle(this.group, first, sizeBytes);
    const leases: BufferLease[] = [];
    for (let at = 0; at + 1 < parts.length; at += 2) {
      leases.push(this.lease(parts[at] as number, parts[at + 1] as number));
    }
    return leases;
  }

  /** @internal Nobody gets to see the buffer that a completion names. */
  giveUp(flags: number): void {
    // What was provided by hand is free by itself when the kernel has done with it.
    if (this.provide === 'manually') return;
    const id = flags >>> CQE_BUFFER_SHIFT;
    const isFinished = (flags & CqeFlags.BUF_MORE) === 0;
    if (this.incremental && isFinished && this.#owner.native.isOut(this.group, id)) this.#finished.add(id);
    if (this.#pieces !== undefined) this.#pieces[id] = (this.#pieces[id] as number) + 1;
    this.recycle(id);
  }

  /** @internal A lease ends: the buffer goes back, unless the kernel or another lease has pieces of it. */
  recycle(id: number): void {
    if (this.#pieces !== undefined && this.#used !== undefined) {
      const left = Math.max(0, (this.#pieces[id] as number) - 1);
      this.#pieces[id] = left;
      if (left > 0 || !this.#finished.delete(id)) return;
      this.#used[id] = 0;
    }
    this.released += 1;
    if (this.isGone) return;
    this.#owner.recycle(this.group, id);
    this.feedStarved();
  }

  /** @internal */
  assertRegistered(): void {
    if (!this.#unregistered) return;
    throw new UringError(
      'ERR_URING_STALE_HANDLE',
      `buffer group ${this.group} was unregistered: register a new one`,
    );
  }

  /**
   * Takes the buffers back from the kernel. Leases stay readable.
   *
   * @throws `EBUSY` while operations take buffers from it: cancel them first
   */
  unregister(): void {
    if (this.isGone) return;
    const result = this.#owner.native.unregisterGroup(this.group);
    if (result < 0) throw registrationError(result);
    this.#unregistered = true;
    this.#owner.forget(this);
    // They are told that the handle is stale when they start again.
    this.abandon();
  }

  [Symbol.dispose](): void {
    this.unregister();
  }
}

/** @internal The size of each buffer, when all of them together are not too large. */
export function checkBufferSize({
  entries = 256,
  sizeBytes = 4096,
}: {
  entries?: number;
  sizeBytes?: number;
}): number {
  checkInteger('options.sizeBytes', sizeBytes, 1, TOTAL_BYTES_MAX);
  const total = entries * sizeBytes;
  if (total > TOTAL_BYTES_MAX) {
    throw outOfRange('options.entries * options.sizeBytes', `<= ${TOTAL_BYTES_MAX}`, total);
  }
  return sizeBytes;
}

function registerError(errno: number, options: BufferRingOptions): UringError {
  const isNewer = options.incremental === true || options.mmap === true;
  const hint = 'mmap needs Linux 6.4 and incremental Linux 6.12: leave them away on older kernels';
  return registrationError(errno, isNewer ? { EINVAL: hint } : {});
}

function notManual(what: string): Error {
  const message = `${what} is for a buffer ring that was registered with provide: 'manually': the kernel has all buffers of this one`;
  return Object.assign(new Error(message), { code: 'ERR_INVALID_STATE' });
}

/**
 * A provided buffer on loan: `data` is yours until `release()`, which must be called exactly once. When all buffers
 * are out, operations that need one wait until one comes back.
 *
 * A lease that was taken from a ring with `provide: 'manually'` is written to, and ends with `provide()`, or unused
 * with `release()`.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring_provided_buffers.7.html io_uring_provided_buffers(7)}
 * @example
 * ```ts
 * import { pipe, Ring, read, write } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 4096 });
 * const { readFd, writeFd } = await ring.exec(pipe());
 * await ring.exec(write(writeFd, Buffer.from('hello')));
 * const lease = await ring.exec(read(readFd, buffers));
 * console.log(lease?.data.toString()); // hello
 * lease?.release();
 * ```
 */
export class BufferLease {
  /**
   * The bytes that arrived. They can be sent on without a copy; then release them when the send has completed, not
   * before, or others may be sent.
   */
  get data(): Buffer {
    return this.#data;
  }
  /** Number of the buffer in its group, or of the one that the bytes were in, if a stream has copied them out of it. */
  readonly id: number;
  readonly #owner: ProvidedBuffers;
  #data: Buffer;
  #released = false;
  /** The bytes are a copy, and the buffer is the kernel's again. */
  #isCopy = false;

  /** @internal */
  constructor(owner: ProvidedBuffers, id: number, data: Buffer) {
    this.#owner = owner;
    this.id = id;
    this.#data = data;
  }

  /** @internal Gives the buffer back before anybody has seen it, and keeps its bytes. */
  copyOut(): void {
    if (this.#isCopy || this.#released) return;
    this.#isCopy = true;
    this.#data = Buffer.from(this.#data);
    this.#owner.recycle(this.id);
  }

  /**
   * Gives the buffer back to the kernel; `data` must not be read afterwards. Releases of one turn of the event loop
   * reach the kernel together.
   *
   * @throws `ERR_URING_LEASE_RELEASED` the second time
   */
  release(): void {
    this.#assertHeld();
    this.#released = true;
    if (!this.#isCopy) this.#owner.recycle(this.id);
  }

  /**
   * Hands the first bytes of a buffer that was taken to the kernel, to be sent after those that were provided before.
   * `data` must not be written to until the buffer can be taken again.
   *
   * @throws `ERR_URING_LEASE_RELEASED` the second time, `ERR_OUT_OF_RANGE` for a length that is 0 or too large,
   * `ERR_INVALID_STATE` for a buffer that was received
   */
  provide(lengthBytes: number): void {
    this.#assertHeld();
    this.#owner.provideTaken(this.id, lengthBytes);
    this.#released = true;
  }

  /** It was given back: `data` must not be read any more. */
  get isReleased(): boolean {
    return this.#released;
  }

  #assertHeld(): void {
    if (!this.#released) return;
    const message = `buffer ${this.id} was released already: release it once`;
    throw new UringError('ERR_URING_LEASE_RELEASED', message);
  }

  [Symbol.dispose](): void {
    if (!this.#released) this.release();
  }
}
