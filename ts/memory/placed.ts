import { detached, detachedBefore } from '../errors.ts';
import type { Access } from '../operation.ts';
import { arenaIn } from './arena.ts';
import type { StagedBlock } from './staging.ts';

/** Where something stands, as Rust is told: which arena, and where in it. */
export interface Place {
  readonly offset: number;
  readonly handle: number;
}

/**
 * A caller's buffer among other arguments of an operation. Memory of the ring stays where it is, any other is copied
 * into the operation's block. One object serves all runs of its operation, so it keeps nothing of any of them.
 */
export class PlacedBuffer {
  readonly view: Uint8Array;
  readonly access: Access;
  /** Read once: a view over a resizable buffer may change under us. */
  readonly sizeBytes: number;

  constructor(view: Uint8Array, access: Access) {
    this.view = view;
    this.access = access;
    this.sizeBytes = view.byteLength;
  }

  /** Whether it is copied, into a block of this ring. */
  isCopied(ring: unknown): boolean {
    return arenaIn(this.view, ring) === undefined || this.view.byteLength !== this.sizeBytes;
  }

  /** Its place for a run of the operation; `at` is where in the block a copy goes. */
  place(block: StagedBlock, at: number, ring: unknown): Place {
    // Nothing would be copied, and what the block held before would be used.
    if (this.view.byteLength < this.sizeBytes) throw detachedBefore();
    const arena = arenaIn(this.view, ring);
    if (arena !== undefined && !this.isCopied(ring))
      return { offset: this.view.byteOffset, handle: arena.handle };
    if (this.access === 'kernelReads') block.view.set(this.view.subarray(0, this.sizeBytes), at);
    return { offset: block.offset + at, handle: block.handle };
  }

  /** Brings `bytes` that the kernel wrote from the copy at `at` to the caller. */
  bringBack(block: StagedBlock, at: number, bytes: number, ring: unknown): void {
    if (this.access === 'kernelReads' || bytes <= 0 || !this.isCopied(ring)) return;
    if (this.view.byteLength < bytes) throw detached(bytes);
    this.view.set(block.view.subarray(at, at + bytes));
  }
}
