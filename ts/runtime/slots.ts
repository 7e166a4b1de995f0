import type { StagedBlock } from '../memory/staging.ts';
import type { AnyOperation } from '../operation.ts';
import type { Handler } from './engine.ts';

/** Operations that can be in flight on one ring at a time (`IN_FLIGHT_MAX` in crates/core/src/inflight.rs). */
export const SLOTS_MAX: number = 1 << 20;

/**
 * What JavaScript knows about one operation in flight, under the index that Rust knows it by too. Slots are made
 * once and reused, so that an operation in flight allocates nothing.
 */
export class Slot {
  readonly index: number;
  operation: AnyOperation | undefined = undefined;
  /** Undefined for an operation that was prepared by hand. */
  handler: Handler | undefined = undefined;
  userData: unknown = undefined;
  staged: StagedBlock | undefined = undefined;
  /** Tells the uses of one index apart, for cancel requests. */
  sequence = 0;
  /** The next free slot. */
  next: Slot | undefined = undefined;

  constructor(index: number) {
    this.index = index;
  }
}

/** The slots of a ring, free ones in a list. */
export class Slots {
  readonly all: Slot[] = [];
  #free: Slot | undefined = undefined;
  live = 0;

  /** A slot to fill, or undefined at the limit. */
  take(): Slot | undefined {
    const slot = this.#free;
    if (slot === undefined) return this.#grow();
    this.#free = slot.next;
    this.live += 1;
    return slot;
  }

  #grow(): Slot | undefined {
    if (this.all.length === SLOTS_MAX) return undefined;
    const slot = new Slot(this.all.length);
    this.all.push(slot);
    this.live += 1;
    return slot;
  }

  give(slot: Slot): void {
    slot.operation = undefined;
    slot.handler = undefined;
    slot.userData = undefined;
    // 30 bits, so that it stays a small integer in V8.
    slot.sequence = (slot.sequence + 1) & 0x3fff_ffff;
    slot.next = this.#free;
    this.#free = slot;
    this.live -= 1;
  }

  /** The first slot in use that matches. */
  find(matches: (slot: Slot) => boolean): Slot | undefined {
    return this.all.find((slot) => slot.operation !== undefined && matches(slot));
  }
}
