import type { Ring } from '../ring.ts';

/** Pieces of each size that a ring keeps. */
const KEPT_MAX = 128;

const memories = new WeakMap<Ring, Map<number, LaneMemory>>();

/** @internal Memory of a ring that lanes read into, kept from one composite to the next. */
export class LaneMemory {
  readonly #ring: Ring;
  readonly #sizeBytes: number;
  readonly #free: Buffer[] = [];

  private constructor(ring: Ring, sizeBytes: number) {
    this.#ring = ring;
    this.#sizeBytes = sizeBytes;
  }

  /** That of a ring, in pieces of one size. */
  static of(ring: Ring, sizeBytes: number): LaneMemory {
    let sizes = memories.get(ring);
    if (sizes === undefined) {
      sizes = new Map();
      memories.set(ring, sizes);
    }
    let memory = sizes.get(sizeBytes);
    if (memory === undefined) {
      memory = new LaneMemory(ring, sizeBytes);
      // One size at a time: programs that use many are rare, and are not to fill the memory.
      sizes.clear();
      sizes.set(sizeBytes, memory);
    }
    return memory;
  }

  take(): Buffer {
    for (let piece = this.#free.pop(); piece !== undefined; piece = this.#free.pop()) {
      // Whoever was shown it in a callback may have transferred it.
      if (piece.length === this.#sizeBytes) return piece;
    }
    return this.#ring.alloc(this.#sizeBytes);
  }

  /** The kernel has let go of it. */
  give(pieces: readonly Buffer[]): void {
    this.#free.push(...pieces.slice(0, KEPT_MAX - this.#free.length));
  }
}
