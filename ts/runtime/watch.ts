import { type Channel, channel } from 'node:diagnostics_channel';
import { Word } from '../generated/abi.ts';
import { Op } from '../generated/ops.ts';
import type { AnyOperation } from '../operation.ts';
import type { ProvidedBuffers } from '../provided-buffers.ts';
import type { Ring } from '../ring.ts';
import type { RingWatchStats } from '../ring-stats.ts';
import type { Slot } from './slots.ts';
import { onNextTurn } from './turn.ts';

/** Default of `slowOperationMs`. */
const SLOW_OPERATION_MS = 1000;
/** Default of `longTurnMs`. */
const LONG_TURN_MS = 50;

/** Message of the channel `uring:operation:slow`: an operation took longer than `slowOperationMs`. */
export interface SlowOperation {
  readonly ring: Ring;
  readonly operation: AnyOperation;
  /** As in {@link Op}, such as `'read'`. */
  readonly name: string;
  /** From the moment it was prepared to its last completion. */
  readonly durationMs: number;
  /** The kernel's result. */
  readonly res: number;
}

/** Message of the channel `uring:buffers:starved`: all buffers are out, so a stream waits until one is released. */
export interface StarvedBuffers {
  readonly ring: Ring;
  readonly operation: AnyOperation;
  readonly buffers: ProvidedBuffers;
}

/** Message of the channel `uring:queue:full`: there is no room, and operations have begun to wait or are refused. */
export interface FullQueue {
  readonly ring: Ring;
  /** The operation was refused (`ERR_URING_QUEUE_FULL`) and does not wait. */
  readonly refused: boolean;
  readonly waiting: number;
  readonly inFlight: number;
}

/** Message of the channel `uring:turn:long`: callbacks and what awaits have kept the event loop for longer than `longTurnMs`. */
export interface LongTurn {
  readonly ring: Ring;
  /** From the first completion that was delivered to the end of this turn's input. */
  readonly durationMs: number;
  /** Completions of the ring that were delivered meanwhile. */
  readonly completions: number;
}

export const slowOperations: Channel = channel('uring:operation:slow');
export const longTurns: Channel = channel('uring:turn:long');
const starvedBuffers = channel('uring:buffers:starved');
const fullQueues = channel('uring:queue:full');

/** What a watched ring says of itself. */
interface Watched {
  word(word: number): number;
  readonly slots: { readonly live: number; readonly all: readonly unknown[] };
}

/** What becomes noticeable about a ring: counted always, published and timed only if somebody has subscribed. */
export class Watch {
  readonly #ring: unknown;
  readonly #engine: Watched;
  /** When operations were prepared, of those that somebody wants to know of. */
  readonly #started = new Map<Slot, number>();
  #inTurn = false;
  #isTelling = false;
  slowOperationMs = SLOW_OPERATION_MS;
  longTurnMs = LONG_TURN_MS;
  /** Some operation is timed. */
  isTiming = false;
  events = 0;
  #starved = 0;
  #delayed = 0;
  #refused = 0;

  constructor(ring: unknown, engine: Watched) {
    this.#ring = ring;
    this.#engine = engine;
  }

  get stats(): RingWatchStats {
    const { slots } = this.#engine;
    return {
      inFlight: slots.live,
      inFlightMax: slots.all.length,
      delayed: this.#delayed,
      queueFull: this.#refused,
      starved: this.#starved,
      events: this.events,
    };
  }

  /** An operation is prepared. Timers are slow on purpose, and what completes more than once has no duration. */
  started(slot: Slot, operation: AnyOperation): void {
    const { opcode } = operation;
    if (operation.isMultishot || opcode === Op.timeout || opcode === Op.linkTimeout) return;
    this.#started.set(slot, performance.now());
    this.isTiming = true;
  }

  /** The last completion of an operation is in. */
  ended(slot: Slot, operation: AnyOperation, res: number): void {
    const started = this.#started.get(slot);
    if (started === undefined) return;
    const durationMs = performance.now() - started;
    if (durationMs < this.slowOperationMs) return;
    const ring = this.#ring as Ring;
    slowOperations.publish({
      ring,
      operation,
      name: operation.name,
      durationMs,
      res,
    } satisfies SlowOperation);
  }

  /** A slot is free again. */
  forget(slot: Slot): void {
    this.#started.delete(slot);
    this.isTiming = this.#started.size > 0;
  }

  starved(buffers: ProvidedBuffers, operation: AnyOperation): void {
    this.#starved += 1;
    if (!starvedBuffers.hasSubscribers) return;
    starvedBuffers.publish({ ring: this.#ring as Ring, operation, buffers } satisfies StarvedBuffers);
  }

  /** Operations find no room: so many wait already, and at most so many may. */
  full(count: number, waiting: number, max: number): void {
    const refused = waiting + count > max;
    if (refused) this.#refused += count;
    else this.#delayed += count;
    if (!fullQueues.hasSubscribers || (waiting > 0 && !refused) || this.#isTelling) return;
    const inFlight = this.#engine.slots.live;
    // Who is told may start operations itself, which find no room either.
    this.#isTelling = true;
    try {
      fullQueues.publish({ ring: this.#ring as Ring, refused, waiting, inFlight } satisfies FullQueue);
    } finally {
      this.#isTelling = false;
    }
  }

  /** Completions are about to be delivered, for the first time in this turn or again. */
  turn(): void {
    if (this.#inTurn) return;
    this.#inTurn = true;
    const [started, read] = [performance.now(), this.#engine.word(Word.cqHead)];
    onNextTurn(() => {
      this.#inTurn = false;
      const durationMs = performance.now() - started;
      if (durationMs < this.longTurnMs) return;
      const completions = (this.#engine.word(Word.cqHead) - read) | 0;
      longTurns.publish({ ring: this.#ring as Ring, durationMs, completions } satisfies LongTurn);
    });
  }
}
