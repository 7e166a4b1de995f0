import { systemError, UringError } from '../errors.ts';
import type { NativeShared } from '../platform/native.ts';
import { labelArena } from './arena.ts';

/**
 * Memory that several rings of the process have, of one thread or of many: made by `ring.allocShared()`, and had by
 * others through `ring.openShared(token)`. It lives while any of them has it. What stands in it is read and written with
 * `Atomics`, and waited for with `futexWait`; `Atomics.wait` and `Atomics.notify` do not work on it.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/futex.7.html futex(7)}
 * @example
 * ```ts
 * import { Ring } from 'uring';
 *
 * await using ring = new Ring();
 * await using other = new Ring(); // in another worker, which was sent the token
 * const shared = ring.allocShared(4096);
 * Atomics.store(shared.words, 0, 42);
 * console.log(Atomics.load(other.openShared(shared.token).words, 0)); // 42
 * ```
 */
export class SharedMemory {
  /** All of it, as bytes. */
  readonly buffer: Buffer;
  /** The same, as words for `Atomics` and futexes; what does not fill a word at the end is left out. */
  readonly words: Int32Array;
  /** Tell it to another thread of the process, which finds the memory with it. */
  readonly token: number;

  /** @internal */
  constructor(memory: ArrayBuffer, token: number) {
    this.buffer = Buffer.from(memory);
    this.words = new Int32Array(memory, 0, memory.byteLength >>> 2);
    this.token = token;
  }

  /** @internal */
  static create(native: Pick<NativeShared, 'createShared'>, ring: unknown, sizeBytes: number): SharedMemory {
    const made = native.createShared(sizeBytes);
    if (typeof made === 'number') throw systemError(made, 'mmap');
    labelArena(made.memory, { ring, handle: made.handle, registered: made.registered === 1 });
    return new SharedMemory(made.memory, made.token);
  }

  /** @internal */
  static open(native: Pick<NativeShared, 'openShared'>, ring: unknown, token: number): SharedMemory {
    const made = native.openShared(token);
    if (typeof made === 'number') {
      const error = systemError(made, 'mmap');
      if (error.code !== 'ENOENT') throw error;
      const message = 'no ring of this process has shared memory with this token (any more)';
      throw new UringError('ERR_URING_STALE_HANDLE', message);
    }
    labelArena(made.memory, { ring, handle: made.handle, registered: made.registered === 1 });
    return new SharedMemory(made.memory, made.token);
  }
}
