import type { NativeMemory } from '../platform/native.ts';
import { createArena, viewOf } from './arena.ts';

/** Arenas that small buffers are cut from. */
const ARENA_BYTES = 1 << 20;
/** Buffers from this size on get an arena of their own, so that a small one does not keep a large one alive. */
const OWN_ARENA_BYTES = 1 << 18;
const PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;
const CACHE_LINE_BYTES = 64;

/** O_DIRECT wants addresses aligned like the sizes it is given: to sectors, or to pages on 4 KiB disks. */
function alignment(sizeBytes: number): number {
  if (sizeBytes >= PAGE_BYTES) return PAGE_BYTES;
  return sizeBytes >= SECTOR_BYTES ? SECTOR_BYTES : CACHE_LINE_BYTES;
}

/**
 * `ring.alloc()`: Buffers over Rust-owned arenas. As with Node's own Buffer pool, memory returns when the last
 * Buffer cut from an arena has been collected (and no operation in flight names it).
 */
export class Allocator {
  readonly #native: NativeMemory;
  readonly #ring: unknown;
  #arena: ArrayBuffer | undefined;
  #used = 0;

  constructor(native: NativeMemory, ring: unknown) {
    this.#native = native;
    this.#ring = ring;
  }

  alloc(sizeBytes: number): Buffer {
    if (sizeBytes >= OWN_ARENA_BYTES) {
      return viewOf(createArena(this.#native, this.#ring, sizeBytes, true), 0, sizeBytes);
    }
    const align = alignment(sizeBytes);
    let start = Math.ceil(this.#used / align) * align;
    // A detached arena has length 0 and is replaced like a full one.
    if (this.#arena === undefined || start + sizeBytes > this.#arena.byteLength) {
      this.#arena = createArena(this.#native, this.#ring, ARENA_BYTES, true);
      start = 0;
    }
    this.#used = start + sizeBytes;
    return viewOf(this.#arena, start, sizeBytes);
  }
}
