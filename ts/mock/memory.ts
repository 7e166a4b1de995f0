import { Reject } from '../generated/abi.ts';
import type { NativeArena, NativeSharedMemory } from '../platform/native.ts';
import { Refusal } from './refusal.ts';

/** Memory that several rings of the process have, by token. */
const shared = new Map<number, WeakRef<ArrayBuffer>>();
let lastToken = 0;

/** The arenas of a mock ring: ordinary memory under the handles that a ring names memory by. */
export class Memories {
  readonly #arenas = new Map<number, WeakRef<ArrayBuffer>>();
  #last = 0;

  alloc(sizeBytes: number): NativeArena {
    return this.#add(new ArrayBuffer(sizeBytes));
  }

  #add(memory: ArrayBuffer): NativeArena {
    this.#last += 1;
    this.#arenas.set(this.#last, new WeakRef(memory));
    return { handle: this.#last, registered: 1, memory };
  }

  createShared(sizeBytes: number): NativeSharedMemory {
    const arena = this.alloc(sizeBytes);
    lastToken += 1;
    shared.set(lastToken, new WeakRef(arena.memory));
    return { ...arena, token: lastToken };
  }

  openShared(token: number): NativeSharedMemory | undefined {
    const memory = shared.get(token)?.deref();
    return memory === undefined ? undefined : { ...this.#add(memory), token };
  }

  /** Bytes and count of the arenas that are alive. */
  get sizes(): readonly [bytes: number, count: number] {
    const alive = [...this.#arenas.values()].flatMap((arena) => arena.deref() ?? []);
    return [alive.reduce((sum, { byteLength }) => sum + byteLength, 0), alive.length];
  }

  view(offset: number, handle: number, sizeBytes: number): Buffer {
    const memory = this.#arenas.get(handle)?.deref();
    if (memory === undefined || memory.byteLength === 0) throw new Refusal(Reject.staleMemory);
    if (offset + sizeBytes > memory.byteLength) throw new Refusal(Reject.outOfBounds);
    return Buffer.from(memory, offset, sizeBytes);
  }

  /** A string up to its NUL. */
  text(offset: number, handle: number): string {
    const memory = this.#arenas.get(handle)?.deref();
    const rest = this.view(offset, handle, (memory?.byteLength ?? 0) - offset);
    return rest.toString('utf8', 0, rest.indexOf(0));
  }
}
