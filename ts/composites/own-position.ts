// A file's own position, where a transfer goes on from it.
import type { Fd } from '../operation.ts';
import type { NativeRing } from '../platform/native.ts';
import type { Ring } from '../ring.ts';

/**
 * @internal Keeps a file's own position where a transfer has come to. The kernel leaves it where it was when an operation
 * completes later (O_DIRECT), or ends in the middle with an error, such as ENOSPC: what followed would go on from the wrong
 * place. Registered files have no descriptor to ask by.
 */
export class OwnPosition {
  readonly #native: NativeRing;
  readonly #fd: number;
  readonly #start: number;

  private constructor(native: NativeRing, fd: number, start: number) {
    this.#native = native;
    this.#fd = fd;
    this.#start = start;
  }

  /** Undefined for what has none, such as pipes. */
  static of(ring: Ring, fd: Fd, writes: boolean): OwnPosition | undefined {
    if (typeof fd !== 'number') return undefined;
    const { native } = ring.runner;
    const start = native.position(fd, writes);
    return start < 0 ? undefined : new OwnPosition(native, fd, start);
  }

  /** One operation has brought the transfer from `before` to `after` bytes. */
  moved(before: number, after: number): void {
    this.#native.moveOn(this.#fd, this.#start + before, this.#start + after);
  }
}
