import { constants } from 'node:os';
import { Completion } from '../completion.ts';
import { systemError, UringError } from '../errors.ts';
import { Word } from '../generated/abi.ts';
import type { AnyOperation } from '../operation.ts';
import { isUrgent, means, meansMany } from './cancel.ts';
import type { Engine, Handler } from './engine.ts';

/** Operations that may wait for room at a time; one more is an error. */
export const PENDING_MAX = 1 << 16;

const ECANCELED = constants.errno.ECANCELED;

interface Pending {
  readonly operation: AnyOperation;
  readonly handler: Handler;
  readonly userData: unknown;
}

/**
 * A ring on the event loop: what is started in one turn is submitted at its end, together. What finds no room waits
 * here, in order.
 */
export class Attached {
  readonly #engine: Engine;
  #attached = false;
  #pending: Pending[] = [];
  /** Place of the first one that still waits. */
  #first = 0;
  #broken: UringError | undefined;
  readonly #onClosed: () => void;
  /** Held here because Rust holds it weakly while nothing is in flight, so that a forgotten ring can be collected. */
  readonly #onDeliver: (fatal: number) => void = (fatal) => this.#deliver(fatal);

  constructor(engine: Engine, onClosed: () => void) {
    this.#engine = engine;
    this.#onClosed = onClosed;
  }

  get waiting(): number {
    return this.#pending.length - this.#first;
  }

  /** Ties the ring to the event loop, once. */
  attach(): void {
    if (this.#attached) return;
    const result = this.#engine.native.attach(this.#onDeliver, this.#onClosed);
    if (result === -constants.errno.EBUSY) {
      const message =
        'the event loop needs the only eventfd of this ring: call registrar.unregisterEventfd(), or use the ring by hand';
      throw new UringError('ERR_URING_EVENTFD_TAKEN', message);
    }
    if (result < 0) throw systemError(result, 'uv_poll_init');
    this.#attached = true;
  }

  /** Starts an operation now, or as soon as there is room. */
  start(operation: AnyOperation, handler: Handler, userData: unknown): void {
    if (this.#broken !== undefined) throw this.#broken;
    const engine = this.#engine;
    if (!this.#attached) this.attach();
    const urgent = isUrgent(operation);
    const cancelled = urgent && this.waiting > 0 ? this.#cancelWaiting(operation) : [];
    if (cancelled.length > 0 && !meansMany(operation)) {
      settle({ operation, handler, userData }, null, 0);
      return;
    }
    if (cancelled.length > 0) handler = adding(handler, cancelled.length);
    const isLater = !urgent && (this.waiting > 0 || engine.slots.live >= this.#engine.layout.cqEntries);
    // It would become a part of a chain that is being prepared by hand.
    const mustWait = isLater || engine.hasOpenChain;
    if (mustWait || !this.#prep(operation, handler, userData))
      this.#wait({ operation, handler, userData }, urgent);
    this.wake();
  }

  /** Keeps the process alive, until a turn of the loop finds that nothing more can come. */
  wake(): void {
    if (this.#engine.word(Word.referenced) === 0) this.#engine.hot.wake();
  }

  /**
   * Cancels operations that wait here, which the kernel cannot know of, and answers them. A request for one of several
   * means one that is in flight, if there is any.
   */
  #cancelWaiting(request: AnyOperation): Pending[] {
    const waiting = this.#pending.slice(this.#first);
    const found = waiting.filter((pending) => pending.operation !== request && means(request, pending));
    const isKernels =
      !meansMany(request) && this.#engine.slots.find((slot) => means(request, slot)) !== undefined;
    const cancelled = isKernels ? [] : found.slice(0, meansMany(request) ? found.length : 1);
    if (cancelled.length === 0) return [];
    this.#pending = waiting.filter((pending) => !cancelled.includes(pending));
    this.#first = 0;
    for (const pending of cancelled) settle(pending, canceled(pending), -ECANCELED);
    this.#announce();
    return cancelled;
  }

  #prep(operation: AnyOperation, handler: Handler, userData: unknown): boolean {
    if (this.#engine.prep(operation, handler, userData, 0)) return true;
    // The block is full before the turn is over: make room now.
    this.#engine.hot.submit();
    return this.#engine.prep(operation, handler, userData, 0);
  }

  #wait(pending: Pending, urgent: boolean): void {
    if (!urgent && this.waiting >= PENDING_MAX) {
      const message = `${PENDING_MAX} operations are waiting already: start fewer at a time, or use a larger ring`;
      throw new UringError('ERR_URING_QUEUE_FULL', message);
    }
    if (!urgent) this.#pending.push(pending);
    else if (this.#first > 0) this.#pending[--this.#first] = pending;
    else this.#pending.unshift(pending);
    this.#announce();
  }

  /** Tells Rust to come again when the block has room (not when only the in-flight limit is in the way). */
  #announce(): void {
    const first = this.#pending[this.#first];
    const atLimit =
      !(first !== undefined && isUrgent(first.operation)) &&
      this.#engine.slots.live >= this.#engine.layout.cqEntries;
    this.#engine.setWord(Word.pending, atLimit ? 0 : this.waiting);
  }

  #deliver(fatal: number): void {
    if (fatal !== 0) this.#breakDown(fatal);
    try {
      this.#engine.deliver();
    } finally {
      // Also after an exception in a callback: the rest of the batch is delivered by the next call.
      this.#admit();
    }
  }

  /** Starts what waits, as far as there is room. */
  #admit(): void {
    const engine = this.#engine;
    while (this.waiting > 0) {
      const pending = this.#pending[this.#first] as Pending;
      const atLimit = !isUrgent(pending.operation) && engine.slots.live >= this.#engine.layout.cqEntries;
      if (atLimit || engine.hasOpenChain) break;
      try {
        if (!engine.prep(pending.operation, pending.handler, pending.userData, 0)) break;
        this.#shift();
      } catch (error) {
        this.#shift();
        settle(pending, error as UringError, 0);
      }
    }
    this.#announce();
  }

  #shift(): void {
    // The place is cleared at once and the array shortened now and then, so that neither costs per operation.
    this.#pending[this.#first] = undefined as unknown as Pending;
    this.#first += 1;
    if (this.#first >= 1024 || this.#first === this.#pending.length) {
      this.#pending = this.#pending.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Fails everything that waits; nothing of it has reached the kernel. */
  failPending(error: (pending: Pending) => UringError = canceled): void {
    const waiting = this.#pending.slice(this.#first);
    this.#pending = [];
    this.#first = 0;
    this.#engine.setWord(Word.pending, 0);
    for (const pending of waiting) settle(pending, error(pending), -ECANCELED);
  }

  /** The kernel refuses to be entered: nothing more will complete, and nobody shall wait for it. */
  #breakDown(errno: number): void {
    if (this.#broken !== undefined) return;
    const error = systemError(-errno, 'io_uring_enter');
    error.message = `${error.message}; the ring is broken: close it and make a new one`;
    this.abandon(error, errno);
  }

  /** Settles everything with an error: the kernel will not. */
  abandon(error: UringError, errno: number): void {
    this.#broken = error;
    this.failPending(() => error);
    for (const slot of this.#engine.slots.all) {
      const { operation, handler, userData } = slot;
      // The slots stay taken: the kernel may still write to what they name.
      if (operation !== undefined && handler !== undefined) {
        slot.handler = ignore;
        settle({ operation, handler, userData }, error, -errno);
      }
    }
  }
}

function ignore(): void {}

/** A handler whose result is what the kernel cancelled and what was cancelled here. */
function adding(handler: Handler, cancelled: number): Handler {
  return {
    settle(error, result, completion) {
      const sum = typeof result === 'number' ? result + cancelled : result;
      if (typeof handler === 'function') handler(error, sum, completion);
      else handler.settle(error, sum, completion);
    },
  };
}

/** Settles an operation without the kernel; exceptions are the loop's, as for any callback. */
function settle({ operation, handler, userData }: Pending, error: UringError | null, res: number): void {
  const result = error === null && operation.decode === undefined ? res : undefined;
  const completion = Object.assign(new Completion(), { operation, userData, error, res, result });
  if (typeof handler === 'function') queueMicrotask(() => handler(error, result, completion));
  else handler.settle(error, result, completion);
}

function canceled({ operation }: Pending): UringError {
  return systemError(-ECANCELED, operation.name, operation.path);
}
