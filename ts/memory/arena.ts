import * as workers from 'node:worker_threads';
import { systemError } from '../errors.ts';
import type { NativeRing } from '../platform/native.ts';

/** What an ArrayBuffer over an arena is known by; the ring is compared by identity. */
export interface Arena {
  readonly ring: unknown;
  readonly handle: number;
  readonly registered: boolean;
}

/**
 * Marks an ArrayBuffer as arena memory. A property rather than a WeakMap because it is looked up for every
 * operation; whoever copies it to another buffer only renames memory that is theirs, as Rust checks every handle.
 */
const kArena = Symbol('uring.arena');

type ArenaBuffer = ArrayBufferLike & { [kArena]?: Arena };

/** The arena under a buffer, if there is one. */
export function arenaOf(buffer: ArrayBufferLike): Arena | undefined {
  return (buffer as ArenaBuffer)[kArena];
}

/** Labels memory of an arena, and forbids to detach it where the runtime can (Node 24.15 and later). */
export function labelArena(memory: ArrayBuffer, arena: Arena): void {
  (memory as ArenaBuffer)[kArena] = arena;
  workers.markAsUntransferable(memory);
}

/** A new arena of its own. */
export function createArena(
  native: NativeRing,
  ring: unknown,
  sizeBytes: number,
  register: boolean,
): ArrayBuffer {
  const arena = native.alloc(sizeBytes, register);
  if (typeof arena === 'number') throw systemError(arena, 'mmap');
  labelArena(arena.memory, { ring, handle: arena.handle, registered: arena.registered === 1 });
  return arena.memory;
}
