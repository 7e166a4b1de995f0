import { markAsUntransferable } from 'node:worker_threads';

/** What small files are copied into, in common: one that is kept keeps no more than this. */
const SLAB_BYTES = 1 << 16;
/** From this size on a copy has memory of its own. */
const OWN_BYTES = SLAB_BYTES >> 2;
/** For fewer a slab is not worth making. */
const SHARED_COPIES_MIN = 16;

/** @internal Copies of small things that are made together, and cheaply. */
export class Slab {
  #memory = Buffer.alloc(0);
  #used = 0;
  readonly #isShared: boolean;

  /** @param copies how many there will be */
  constructor(copies: number) {
    this.#isShared = copies >= SHARED_COPIES_MIN;
  }

  /** The first bytes of a buffer that will be used for something else. */
  copy(from: Buffer, sizeBytes: number): Buffer {
    if (sizeBytes >= OWN_BYTES || !this.#isShared) {
      const own = Buffer.allocUnsafe(sizeBytes);
      from.copy(own, 0, 0, sizeBytes);
      return own;
    }
    if (this.#used + sizeBytes > this.#memory.length) {
      this.#memory = Buffer.allocUnsafeSlow(SLAB_BYTES);
      // As Node's own pool: who transfers one file would take the others along.
      markAsUntransferable(this.#memory.buffer);
      this.#used = 0;
    }
    const start = this.#used;
    from.copy(this.#memory, start, 0, sizeBytes);
    // Aligned, for typed arrays over it.
    this.#used = (start + sizeBytes + 7) & ~7;
    return this.#memory.subarray(start, start + sizeBytes);
  }
}
