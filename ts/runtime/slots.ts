import type { StagedBlock } from '../memory/staging.ts';
import type { AnyOperation } from '../operation.ts';
import type { Handler } from './handler.ts';

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
  msg = 0;
  staged: StagedBlock | undefined = undefined;
  /** It does not keep the process alive. */
  isUnref = false;
  /** The result of an operation whose notification is still to come. */
  early = 0;
  /** Counts all uses of slots: tells those of one index apart, and which of two operations was started first. */
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
  /** Of these, multishot operations. */
  multishots = 0;
  lastSequence = 0;

  /**
   * Operations in flight that count against the limit: not multishot ones, which stay for as long as a connection does.
   * What they complete beyond the queue's size the kernel keeps (NODROP).
   */
  get bounded(): number {
    return this.live - this.multishots;
  }

  /** Index of the slot that is taken next. */
  get nextIndex(): number {
    return this.#free?.index ?? this.all.length;
  }

  /** A slot to fill, or undefined at the limit. */
  take(): Slot | undefined {
    const slot = this.#free;
    if (slot === undefined) return this.#grow();
    this.#free = slot.next;
    this.live += 1;
    // 32 bits, so that it stays a small integer in V8.
    this.lastSequence = (this.lastSequence + 1) | 0;
    slot.sequence = this.lastSequence;
    return slot;
  }

  #grow(): Slot | undefined {
    if (this.all.length === SLOTS_MAX) return undefined;
    const slot = new Slot(this.all.length);
    this.all.push(slot);
    this.live += 1;
    this.lastSequence = (this.lastSequence + 1) | 0;
    slot.sequence = this.lastSequence;
    return slot;
  }

  give(slot: Slot): void {
    if (slot.operation?.isMultishot === true) this.multishots -= 1;
    slot.operation = undefined;
    slot.handler = undefined;
    slot.userData = undefined;
    slot.msg = 0;
    slot.next = this.#free;
    this.#free = slot;
    this.live -= 1;
  }

  /** Of the slots in use that match, the one that was taken first. */
  find(matches: (slot: Slot) => boolean): Slot | undefined {
    let first: Slot | undefined;
    for (const slot of this.all) {
      if (slot.operation === undefined || !matches(slot)) continue;
      // The difference, because the count wraps around.
      if (first === undefined || ((slot.sequence - first.sequence) | 0) < 0) first = slot;
    }
    return first;
  }
}
