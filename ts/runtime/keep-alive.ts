import { invalidType } from '../errors.ts';
import { Word } from '../generated/abi.ts';
import { type AnyOperation, Operation } from '../operation.ts';
import type { NativeRing } from '../platform/native.ts';
import type { Attached } from './attached.ts';
import type { Engine } from './engine.ts';
import type { Link } from './link.ts';
import { Slot } from './slots.ts';

/** Whether a ring, and single operations of it, keep the process alive. */
export class KeepAlive {
  readonly #native: NativeRing;
  readonly #engine: Engine;
  readonly #attached: Attached;

  constructor(native: NativeRing, engine: Engine, attached: Attached) {
    this.#native = native;
    this.#engine = engine;
    this.#attached = attached;
  }

  /** Of an operation that was started several times, the run that was started first is meant. */
  set(isRef: boolean, operation: AnyOperation | undefined): void {
    if (operation === undefined) {
      this.#engine.setWord(Word.unref, isRef ? 0 : 1);
    } else {
      const run = this.#find(operation, isRef);
      if (run instanceof Slot) this.#engine.setUnref(run, !isRef);
      else if (run !== undefined) this.#attached.setUnref(run, !isRef);
    }
    this.#native.refresh();
  }

  /** Whether the ring may keep the process alive, or an operation does. */
  has(operation: AnyOperation | undefined): boolean {
    const isRef = this.#engine.word(Word.unref) === 0;
    return isRef && (operation === undefined || this.#find(operation, false) !== undefined);
  }

  /** A run of an operation that is unreferenced, or is not. */
  #find(operation: AnyOperation, isUnref: boolean): Slot | Link | undefined {
    if (!Operation.is(operation)) throw invalidType('operation', 'an operation', operation);
    const isMeant = (run: Slot | Link): boolean => run.operation === operation && run.isUnref === isUnref;
    return this.#engine.slots.find(isMeant) ?? this.#attached.find(isMeant);
  }
}
