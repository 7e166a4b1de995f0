import { outOfRange, systemError, UringError } from './errors.ts';
import { labelArena } from './memory/arena.ts';
import type { NativeRing } from './platform/native.ts';
import { checkInteger, checkPowerOfTwo } from './validate.ts';

/** The kernel takes at most this many buffers in one ring (io_uring/kbuf.c). */
const ENTRIES_MAX = 1 << 15;
/** All buffers of a group lie in one arena, whose offsets have 32 bits; half of that is plenty. */
const TOTAL_BYTES_MAX = 2 ** 31;

/** Sizes of a provided-buffer ring. */
export interface BufferRingOptions {
  /** Number of buffers, a power of two up to 32,768. Default 256. */
  entries?: number;
  /** Size of each buffer. Default 4096. */
  sizeBytes?: number;
}

/** @internal What a buffer ring needs of its ring. */
export interface BufferRingOwner {
  readonly native: NativeRing;
  readonly isClosed: boolean;
  assertOpen(): void;
  recycle(group: number, id: number): void;
  /** The buffers are no longer the ring's. */
  forget(buffers: BufferRing): void;
}

/** @internal Continues a stream that waits for a buffer, or ends it with an error. */
export type Starved = (error?: UringError) => void;

/**
 * A ring of provided buffers: the kernel picks one when data arrives, so that no buffer waits with each idle
 * connection. Made by `ring.registerBufferRing()`. Since Linux 5.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_buf_ring.3.html io_uring_register_buf_ring(3)}
 */
export class BufferRing {
  /** Number of the buffer group. */
  readonly group: number;
  readonly entries: number;
  readonly sizeBytes: number;
  /** @internal */ readonly ring: unknown;
  /** @internal Counts releases, so that a starved stream knows whether waiting makes sense. */ released = 0;
  readonly #owner: BufferRingOwner;
  readonly #memory: ArrayBuffer;
  /** Streams that wait for a buffer, those that have waited longest first. */
  readonly #starved: Starved[] = [];
  #sweepComing = false;
  #unregistered = false;

  /** @internal */
  constructor(ring: unknown, owner: BufferRingOwner, options: BufferRingOptions) {
    this.entries = checkPowerOfTwo('options.entries', options.entries ?? 256, 1, ENTRIES_MAX);
    this.sizeBytes = checkInteger('options.sizeBytes', options.sizeBytes ?? 4096, 1, TOTAL_BYTES_MAX);
    if (this.entries * this.sizeBytes > TOTAL_BYTES_MAX) {
      throw outOfRange(
        'options.entries * options.sizeBytes',
        `<= ${TOTAL_BYTES_MAX}`,
        this.entries * this.sizeBytes,
      );
    }
    this.ring = ring;
    this.#owner = owner;
    const made = owner.native.registerBuffers(this.entries, this.sizeBytes);
    if (typeof made === 'number') throw systemError(made, 'io_uring_register');
    this.group = made.group;
    this.#memory = made.memory;
    // So that what arrived can be sent on without a copy.
    labelArena(made.memory, { ring, handle: made.handle, registered: false });
  }

  /** Buffers that are out: lent to you and not released. */
  get lent(): number {
    return this.#unregistered || this.#owner.isClosed ? 0 : this.#owner.native.lent(this.group);
  }

  /** @internal The buffer that a completion names. */
  lease(id: number, sizeBytes: number): BufferLease {
    if (this.#memory.byteLength === 0) {
      throw new UringError(
        'ERR_URING_BUFFER_DETACHED',
        'the memory of this buffer ring was detached (a byte stream does that to what it is given): copy what arrives',
      );
    }
    return new BufferLease(this, id, Buffer.from(this.#memory, id * this.sizeBytes, sizeBytes));
  }

  /** @internal */
  recycle(id: number): void {
    this.released += 1;
    if (this.#unregistered || this.#owner.isClosed) return;
    this.#owner.recycle(this.group, id);
    // One buffer feeds one stream; the others wait for the next, in their order.
    this.#starved.shift()?.();
    this.#sweepLater();
  }

  /**
   * A stream that was continued may leave its buffer to others after all: at the end of its data, stopped meanwhile,
   * or because somebody else has read the socket. No release follows then, so free buffers are looked for once what
   * was continued has been submitted: the second turn of the loop is surely after that.
   */
  #sweepLater(): void {
    if (this.#sweepComing || this.#starved.length === 0) return;
    this.#sweepComing = true;
    setImmediate(() => setImmediate(() => this.#sweep()));
  }

  #sweep(): void {
    this.#sweepComing = false;
    if (this.#unregistered || this.#owner.isClosed) return;
    const served = this.#starved.splice(0, this.entries - this.lent);
    for (const wake of served) wake();
    if (served.length > 0) this.#sweepLater();
  }

  /** @internal No buffer will come back any more: ends the streams that wait for one. */
  abandon(error?: UringError): void {
    for (const wake of this.#starved.splice(0)) wake(error);
  }

  /** @internal */
  whenReleased(wake: Starved): void {
    this.#starved.push(wake);
  }

  /** @internal */
  forget(wake: Starved): void {
    const at = this.#starved.indexOf(wake);
    if (at >= 0) this.#starved.splice(at, 1);
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
    if (this.#unregistered || this.#owner.isClosed) return;
    const result = this.#owner.native.unregisterBuffers(this.group);
    if (result < 0) throw systemError(result, 'io_uring_register');
    this.#unregistered = true;
    this.#owner.forget(this);
    // They are told that the handle is stale when they start again.
    this.abandon();
  }

  [Symbol.dispose](): void {
    this.unregister();
  }
}

/**
 * A provided buffer on loan: `data` is yours until `release()`, which must be called exactly once. When all buffers
 * are out, operations that need one wait until one comes back.
 */
export class BufferLease {
  /**
   * The bytes that arrived. They can be sent on without a copy; then release them when the send has completed, not
   * before, or others may be sent.
   */
  readonly data: Buffer;
  /** Number of the buffer in its group. */
  readonly id: number;
  readonly #ring: BufferRing;
  #released = false;

  /** @internal */
  constructor(ring: BufferRing, id: number, data: Buffer) {
    this.#ring = ring;
    this.id = id;
    this.data = data;
  }

  /**
   * Gives the buffer back to the kernel; `data` must not be read afterwards. Releases of one turn of the event loop
   * reach the kernel together.
   *
   * @throws `ERR_URING_LEASE_RELEASED` the second time
   */
  release(): void {
    if (this.#released) {
      throw new UringError(
        'ERR_URING_LEASE_RELEASED',
        `buffer ${this.id} was released already: release it once`,
      );
    }
    this.#released = true;
    this.#ring.recycle(this.id);
  }

  [Symbol.dispose](): void {
    if (!this.#released) this.release();
  }
}
