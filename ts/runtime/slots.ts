import type { StagedBlock } from '../memory/staging.ts';
import type { AnyOperation } from '../operation.ts';
import type { Handler } from './engine.ts';

/** Operations that can be in flight on one ring at a time (`IN_FLIGHT_MAX` in crates/core/src/inflight.rs). */
export const SLOTS_MAX = 1 << 20;

/**
 * What JavaScript knows about each operation in flight, by the index that Rust knows it by too. Columns instead of
 * objects, so that an operation in flight allocates nothing.
 */
export class Slots {
  readonly operations: (AnyOperation | undefined)[] = [];
  readonly handlers: (Handler | undefined)[] = [];
  readonly userData: unknown[] = [];
  readonly staged: (StagedBlock | undefined)[] = [];
  /** Tells the uses of one index apart, for cancel requests. */
  readonly sequences: number[] = [];
  readonly #free: number[] = [];
  live = 0;

  take(operation: AnyOperation, handler: Handler | undefined, userData: unknown): number {
    let index = this.#free.pop();
    if (index === undefined) {
      index = this.operations.length;
      this.staged.push(undefined);
      this.sequences.push(0);
    }
    this.operations[index] = operation;
    this.handlers[index] = handler;
    this.userData[index] = userData;
    this.live += 1;
    return index;
  }

  give(index: number): void {
    this.operations[index] = undefined;
    this.handlers[index] = undefined;
    this.userData[index] = undefined;
    // 31 bits, so that it stays a small integer in V8.
    this.sequences[index] = ((this.sequences[index] ?? 0) + 1) & 0x3fff_ffff;
    this.#free.push(index);
    this.live -= 1;
  }

  get isFull(): boolean {
    return this.live >= SLOTS_MAX;
  }

  /** The index of the first operation in flight that matches, or -1. */
  find(matches: (operation: AnyOperation, index: number) => boolean): number {
    return this.operations.findIndex(
      (operation, index) => operation !== undefined && matches(operation, index),
    );
  }
}
