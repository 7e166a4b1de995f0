import type { AnyOperation } from '../operation.ts';
import type { Handler } from './handler.ts';
import type { Slot } from './slots.ts';

/** One of the operations that are prepared together, or one that waits for room. */
export class Link {
  readonly operation: AnyOperation;
  readonly handler: Handler;
  readonly userData: unknown;
  /** State of whoever started it. */
  readonly msg: number;
  /** {@link SqeFlags} that tie it to the next. */
  readonly flags: number;
  /** It does not keep the process alive. */
  isUnref = false;
  /** Where it is in flight, once it is prepared. */
  slot: Slot | undefined = undefined;
  /** Tells this use of the slot from later ones. */
  sequence = 0;

  constructor(operation: AnyOperation, handler: Handler, userData?: unknown, msg = 0, flags = 0) {
    this.operation = operation;
    this.handler = handler;
    this.userData = userData;
    this.msg = msg;
    this.flags = flags;
  }
}

/** Operations that wait for room, to be prepared together. */
export interface Pending {
  readonly links: readonly Link[];
  /** It waits no more: it was prepared, or settled meanwhile. */
  isGone: boolean;
}
