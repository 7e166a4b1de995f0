import { invalidValue, systemError } from '../errors.ts';
import type { NativeMemory, NativeRing } from '../platform/native.ts';
import { checkList } from '../validate.ts';

/** What an ArrayBuffer over an arena is known by; the ring is compared by identity. */
export interface Arena {
  readonly ring: unknown;
  readonly handle: number;
  /** It is in the kernel's table of buffers; `unregisterBuffers` takes it out. */
  registered: boolean;
  /** What other rings know the same memory by (`cloneBuffers`). */
  clones?: WeakMap<object, Arena>;
}

/**
 * Marks arena memory: the ArrayBuffer, and the views that are made here, because asking a view for its `buffer` costs
 * 50 ns. Views that others make are looked up by their buffer each time: marking one costs 170 ns, and most of them are
 * used once. A property rather than a WeakMap because it is looked up for every operation; whoever copies it elsewhere only
 * renames memory that is theirs, as Rust checks every handle.
 */
const kArena = Symbol('uring.arena');

type Marked = { [kArena]?: Arena };

/** The arena under a view, if there is one. */
export function arenaOf(view: Uint8Array): Arena | undefined {
  return (view as Marked)[kArena] ?? (view.buffer as Marked)[kArena];
}

/** The arena under a view, if there is one that this ring can name. */
export function arenaIn(view: Uint8Array, ring: unknown): Arena | undefined {
  const arena = arenaOf(view);
  if (arena === undefined || arena.ring === ring) return arena;
  return arena.clones?.get(ring as object);
}

/** Arenas that other rings share: given up there when JavaScript has let go of the memory. */
const shared = new FinalizationRegistry<{ native: WeakRef<NativeRing>; handle: number }>((clone) => {
  clone.native.deref()?.releaseArena(clone.handle);
});

/** Makes memory that another ring shares known to it. */
export function shareArena(memory: ArrayBufferLike, original: Arena, clone: Arena, native: NativeRing): void {
  original.clones ??= new WeakMap();
  original.clones.set(clone.ring as object, clone);
  // Weakly, so that a ring that is forgotten can be collected.
  shared.register(memory, { native: new WeakRef(native), handle: clone.handle });
}

/** Arenas that a ring can have (crates/core/src/arenas.rs). */
const BUFFERS_MAX = 65_535;

/** The arenas of a ring under each of the buffers, or Node's error for what is no such memory. */
export function arenasUnder(buffers: unknown, ring: unknown, whose: string): Arena[] {
  return checkList('buffers', buffers, 'an array of buffers', { max: BUFFERS_MAX }).map((buffer, at) => {
    const arena = buffer instanceof Uint8Array ? arenaOf(buffer) : undefined;
    if (arena !== undefined && arena.ring === ring) return arena;
    throw invalidValue(`buffers[${at}]`, `is no memory of ring.alloc() of ${whose}`);
  });
}

function mark(memory: object, arena: Arena): void {
  Reflect.defineProperty(memory, kArena, { value: arena });
}

/** A Buffer over a part of an arena. */
export function viewOf(memory: ArrayBuffer, offset: number, sizeBytes: number): Buffer {
  const view = Buffer.from(memory, offset, sizeBytes);
  const arena = (memory as Marked)[kArena];
  if (arena !== undefined) mark(view, arena);
  return view;
}

/**
 * Labels the memory of an arena. It is not marked as untransferable: Node 24.15 to 26.10 abort at exit when an
 * external ArrayBuffer is (v8::FromJust in Environment::RunCleanup, seen here). Detaching it costs JavaScript its
 * view and nothing else.
 */
export function labelArena(memory: ArrayBuffer, arena: Arena): void {
  mark(memory, arena);
}

/** A new arena of its own. */
export function createArena(
  native: NativeMemory,
  ring: unknown,
  sizeBytes: number,
  register: boolean,
): ArrayBuffer {
  const arena = native.alloc(sizeBytes, register);
  if (typeof arena === 'number') throw systemError(arena, 'mmap');
  labelArena(arena.memory, { ring, handle: arena.handle, registered: arena.registered === 1 });
  return arena.memory;
}
