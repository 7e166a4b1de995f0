import { BufferGroup, type BufferGroupOptions } from '../buffer-group.ts';
import type { UringError } from '../errors.ts';
import type { NativeRing } from '../platform/native.ts';
import type { ProvidedBuffers } from '../provided-buffers.ts';
import type { Ring } from '../ring.ts';
import { checkInteger } from '../validate.ts';
import { Allocator } from './allocator.ts';
import { SharedMemory } from './shared-memory.ts';

/** The largest arena: offsets in operation records have 32 bits. */
const ALLOC_BYTES_MAX = 2 ** 31;

/** The memory that a ring hands out. */
export class RingMemory {
  readonly #native: NativeRing;
  readonly #ring: Ring;
  readonly #allocator: Allocator;
  readonly #bufferGroups = new Set<ProvidedBuffers>();

  constructor(native: NativeRing, ring: Ring) {
    this.#native = native;
    this.#ring = ring;
    this.#allocator = new Allocator(native, ring);
  }

  alloc(sizeBytes: number): Buffer {
    return this.#allocator.alloc(checkInteger('sizeBytes', sizeBytes, 1, ALLOC_BYTES_MAX));
  }

  createBufferGroup(options: BufferGroupOptions): BufferGroup {
    const ring = this.#ring;
    const owner = {
      native: this.#native,
      start: ring.start.bind(ring),
      exec: ring.exec.bind(ring),
      forget: (buffers: ProvidedBuffers) => this.#bufferGroups.delete(buffers),
      get isClosed(): boolean {
        return ring.closed;
      },
    };
    const buffers = new BufferGroup(ring, owner, options);
    this.#bufferGroups.add(buffers);
    return buffers;
  }

  allocShared(sizeBytes: number): SharedMemory {
    const size = checkInteger('sizeBytes', sizeBytes, 1, ALLOC_BYTES_MAX);
    return SharedMemory.create(this.#native, this.#ring, size);
  }

  openShared(token: number): SharedMemory {
    const checked = checkInteger('token', token, 1, Number.MAX_SAFE_INTEGER);
    return SharedMemory.open(this.#native, this.#ring, checked);
  }

  /** The ring closes: nobody waits for its buffers any more. */
  abandon(error: UringError): void {
    for (const buffers of this.#bufferGroups) buffers.abandon(error);
  }
}
