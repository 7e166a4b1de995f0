import type { AnyOperation } from '../operation.ts';
import { means } from './cancel.ts';
import type { Slot, Slots } from './slots.ts';

/** Which operation in flight a request is about: one that cancels, updates or renames it. */
export class Targets {
  readonly #slots: Slots;
  /** Operations in flight whose user data changes when the request in this slot succeeds; rare, so no field of slots. */
  readonly #renamed = new Map<Slot, { readonly target: Slot; readonly sequence: number }>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** Names the target in the request's record, at word `base`. */
  write(request: AnyOperation, slot: Slot, records: Int32Array, base: number): void {
    const target = this.#find(request);
    if (target?.operation !== undefined) request.traits?.checkTarget?.(target.operation);
    // -1 is an index that no operation has: the kernel then answers ENOENT.
    records[base + 4] = target?.index ?? -1;
    records[base + 5] = target?.sequence ?? 0;
    if (request.newUserData !== undefined && target !== undefined)
      this.#renamed.set(slot, { target, sequence: target.sequence });
  }

  #find(request: AnyOperation): Slot | undefined {
    const { target } = request;
    if (target === undefined || !('slot' in target)) return this.#slots.find((slot) => means(request, slot));
    const { slot, sequence } = target;
    // It may be in use for another operation by now.
    return slot.sequence === sequence && slot.operation !== undefined ? slot : undefined;
  }

  /** A request that gives its target other user data is over. */
  rename(slot: Slot, request: AnyOperation, succeeded: boolean): void {
    const renamed = this.#renamed.get(slot);
    this.#renamed.delete(slot);
    if (renamed === undefined || !succeeded) return;
    const { target, sequence } = renamed;
    if (target.sequence === sequence && target.operation !== undefined) target.userData = request.newUserData;
  }

  /** A request is taken back. */
  forget(slot: Slot): void {
    this.#renamed.delete(slot);
  }
}
