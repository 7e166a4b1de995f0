import { BufferLease, checkBufferSize } from './buffer-ring.ts';
import { systemError, UringError } from './errors.ts';
import { CQE_BUFFER_SHIFT } from './flags.ts';
import { createArena } from './memory/arena.ts';
import type { AnyOperation, Operation } from './operation.ts';
import { provideBuffers, removeBuffers } from './ops/provided.ts';
import type { NativeRing } from './platform/native.ts';
import { checkProvide, ProvidedBuffers } from './provided-buffers.ts';
import type { CompletionCallback } from './runtime/handler.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** As many as a buffer ring has at most; the kernel would take twice as many (io_uring/kbuf.c). */
const ENTRIES_MAX = 1 << 15;

/** What a group of provided buffers is like. */
export interface BufferGroupOptions {
  /** Number of buffers, up to 32,768. Default 256. */
  entries?: number;
  /** Size of each buffer. Default 4096. */
  sizeBytes?: number;
  /**
   * `'automatically'` (the default): the kernel gets all buffers at once. `'manually'`: it gets those that you provide,
   * with `provideBuffers`.
   */
  provide?: 'automatically' | 'manually';
}

/** @internal What a buffer group needs of its ring. */
export interface BufferGroupOwner {
  readonly native: NativeRing;
  readonly isClosed: boolean;
  start(operation: AnyOperation, callback: CompletionCallback<unknown>): void;
  exec<T>(operation: Operation<T>): Promise<T>;
  /** The buffers are no longer the ring's. */
  forget(buffers: ProvidedBuffers): void;
}

/**
 * Provided buffers of the older kind: the kernel gets and loses them by operations, one for each that comes back, so that
 * a {@link BufferRing} is cheaper. Taken wherever a buffer ring is, for receiving. Made by
 * `ring.createBufferGroup()`. Since Linux 5.7.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_provide_buffers.3.html io_uring_prep_provide_buffers(3)}
 * @example
 * ```ts
 * import { Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.createBufferGroup({ entries: 16, sizeBytes: 2048 });
 * console.log(buffers.lent); // 0; receive with recv(socket, buffers)
 * await buffers.remove();
 * ```
 */
export class BufferGroup extends ProvidedBuffers {
  readonly group: number;
  /** @internal */ readonly memory: ArrayBuffer;
  readonly #owner: BufferGroupOwner;
  #lent = 0;
  #removed = false;
  /** Buffers that the kernel had no memory to take back; they are offered again with the next one. */
  readonly #refused: number[] = [];

  /** @internal */
  constructor(ring: unknown, owner: BufferGroupOwner, options: BufferGroupOptions) {
    checkOptions('options', options);
    super(
      ring,
      checkInteger('options.entries', options.entries ?? 256, 1, ENTRIES_MAX),
      checkBufferSize(options),
    );
    const provide = checkProvide(options.provide);
    this.#owner = owner;
    const group = owner.native.createLegacyGroup();
    if (group < 0) throw systemError(group, 'io_uring_register');
    this.group = group;
    this.memory = createArena(owner.native, ring, this.entries * this.sizeBytes, false);
    if (provide === 'automatically') this.#provide(0, this.entries);
  }

  /** Buffers that are out: lent to you and not released. */
  get lent(): number {
    return this.isGone ? 0 : this.#lent;
  }

  /** @internal */
  protected get isGone(): boolean {
    return this.#removed || this.#owner.isClosed;
  }

  /** @internal */
  assertRegistered(): void {
    if (!this.#removed) return;
    throw new UringError('ERR_URING_STALE_HANDLE', `buffer group ${this.group} was removed: make a new one`);
  }

  /** @internal */
  lease(id: number, sizeBytes: number): BufferLease {
    const data = this.view(this.memory, id * this.sizeBytes, sizeBytes);
    this.#lent += 1;
    return new BufferLease(this, id, data);
  }

  /** @internal */
  giveUp(flags: number): void {
    this.#lent += 1;
    this.recycle(flags >>> CQE_BUFFER_SHIFT);
  }

  /** @internal */
  recycle(id: number): void {
    this.#lent = Math.max(0, this.#lent - 1);
    this.released += 1;
    if (this.isGone) return;
    for (const refused of this.#refused.splice(0)) this.#provide(refused, 1);
    this.#provide(id, 1);
    this.feedStarved();
  }

  /** @internal */
  provideTaken(): void {
    const message =
      'buffers of a group are provided by the operation provideBuffers, and not through a lease';
    throw Object.assign(new Error(message), { code: 'ERR_INVALID_STATE' });
  }

  #provide(first: number, count: number): void {
    const refused = (): void => {
      for (let id = first; id < first + count; id += 1) this.#refused.push(id);
    };
    try {
      this.#owner.start(provideBuffers(this, { first, count }), (error) => {
        if (error !== null) refused();
      });
    } catch {
      refused();
    }
  }

  /**
   * Takes the buffers back from the kernel, and gives the group up. Leases stay readable.
   *
   * @returns rejects with `EBUSY` while operations take buffers from it: cancel them first
   */
  async remove(): Promise<void> {
    if (this.isGone) return;
    try {
      await this.#owner.exec(removeBuffers(this));
    } catch (error) {
      // The kernel knows no group that never had a buffer.
      if ((error as UringError).code !== 'ENOENT') throw error;
    }
    const result = this.#owner.native.removeLegacyGroup(this.group);
    if (result < 0) throw systemError(result, 'removeBuffers');
    this.#removed = true;
    this.#owner.forget(this);
    this.abandon();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}
