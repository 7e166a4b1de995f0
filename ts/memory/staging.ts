import type { NativeMemory } from '../platform/native.ts';
import { arenaOf, createArena, viewOf } from './arena.ts';

/** Blocks up to this size are cut from common arenas, larger ones have an arena each. */
const SHARED_BLOCK_MAX = 1 << 16;
const ARENA_BYTES = 1 << 20;
const SMALLEST_LOG2 = 6;
/** Free blocks with arenas of their own that are kept for reuse; what is beyond is left to the collector. */
const KEPT_BYTES_MAX = 64 << 20;

/** Rust-owned memory that stands in for JavaScript's own while the kernel works. */
export class StagedBlock {
  readonly handle: number;
  readonly offset: number;
  readonly view: Buffer;
  /** Place of its size in the free lists. */
  readonly sizeLog2: number;

  constructor(handle: number, offset: number, view: Buffer, sizeLog2: number) {
    this.handle = handle;
    this.offset = offset;
    this.view = view;
    this.sizeLog2 = sizeLog2;
  }
}

/** For arguments that need no memory. */
export const NO_BLOCK: StagedBlock = new StagedBlock(0, 0, Buffer.alloc(0), 0);

/**
 * Staging: bytes in memory that JavaScript owns are copied into such a block before the kernel reads them, and
 * out of it after the kernel has written them (principle 1). Blocks have power-of-two sizes and are reused.
 */
export class Staging {
  readonly #native: NativeMemory;
  readonly #ring: unknown;
  readonly #free: StagedBlock[][] = [];
  #arena: ArrayBuffer | undefined;
  #used = 0;
  #keptBytes = 0;

  constructor(native: NativeMemory, ring: unknown) {
    this.#native = native;
    this.#ring = ring;
  }

  take(sizeBytes: number): StagedBlock {
    const sizeLog2 = sizeBytes <= 1 << SMALLEST_LOG2 ? SMALLEST_LOG2 : 32 - Math.clz32(sizeBytes - 1);
    const block = this.#free[sizeLog2]?.pop();
    if (block === undefined) return this.#create(sizeLog2);
    if (sizeLog2 > 16) this.#keptBytes -= 2 ** sizeLog2;
    return block;
  }

  give(block: StagedBlock): void {
    if (block.sizeLog2 > 16) {
      const sizeBytes = 2 ** block.sizeLog2;
      if (this.#keptBytes + sizeBytes > KEPT_BYTES_MAX) return;
      this.#keptBytes += sizeBytes;
    }
    let list = this.#free[block.sizeLog2];
    if (list === undefined) {
      list = [];
      this.#free[block.sizeLog2] = list;
    }
    list.push(block);
  }

  #create(sizeLog2: number): StagedBlock {
    const sizeBytes = 2 ** sizeLog2;
    if (sizeBytes > SHARED_BLOCK_MAX) {
      return this.#cut(createArena(this.#native, this.#ring, sizeBytes, false), 0, sizeLog2);
    }
    const start = Math.ceil(this.#used / sizeBytes) * sizeBytes;
    if (this.#arena === undefined || start + sizeBytes > ARENA_BYTES) {
      this.#arena = createArena(this.#native, this.#ring, ARENA_BYTES, true);
      this.#used = sizeBytes;
      return this.#cut(this.#arena, 0, sizeLog2);
    }
    this.#used = start + sizeBytes;
    return this.#cut(this.#arena, start, sizeLog2);
  }

  #cut(arena: ArrayBuffer, start: number, sizeLog2: number): StagedBlock {
    const view = viewOf(arena, start, 2 ** sizeLog2);
    return new StagedBlock(arenaOf(view)?.handle ?? 0, start, view, sizeLog2);
  }
}
