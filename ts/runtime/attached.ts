import { Completion } from '../completion.ts';
import { Errno } from '../errnos.ts';
import { systemError, UringError } from '../errors.ts';
import { Word } from '../generated/abi.ts';
import type { AnyOperation } from '../operation.ts';
import { isUrgent, means, meansMany } from './cancel.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Engine } from './engine.ts';
import { call, type Handler, isUsers } from './handler.ts';
import { Link, type Pending } from './link.ts';
import { prepTogether } from './linked.ts';
import { canceled } from './rejects.ts';
import { Waiting } from './waiting.ts';
import { longTurns } from './watch.ts';

/** Operations that may wait for room at a time, where the ring's options do not say; one more is an error. */
export const WAITING_MAX: number = 1 << 16;

const ECANCELED = Errno.ECANCELED;

/**
 * A ring on the event loop: what is started in one turn is submitted at its end, together. What finds no room waits
 * here, in order.
 */
export class Attached {
  readonly #engine: Engine;
  readonly #waitingMax: number;
  readonly #waiting = new Waiting();
  #attached = false;
  #broken: UringError | undefined;
  /** The ring closes: what starts because something else ended is cancelled as well, such as the next of hard links. */
  cancelsAll = false;
  /** Functions of the user's that were settled without the kernel, and are yet to be called. */
  readonly #late: (() => void)[] = [];
  readonly #onLate = (): void => this.#callLate();
  readonly #onClosed: () => void;
  /** Held here because Rust holds it weakly while nothing is in flight, so that a forgotten ring can be collected. */
  readonly #onDeliver: (fatal: number) => void = (fatal) => this.deliver(fatal);

  constructor(engine: Engine, waitingMax: number, onClosed: () => void) {
    this.#engine = engine;
    this.#waitingMax = waitingMax;
    this.#onClosed = onClosed;
  }

  get waiting(): number {
    return this.#waiting.count;
  }

  get clock(): Clock {
    return this.#engine.native.clock ?? systemClock;
  }

  /** Ties the ring to the event loop, once. */
  attach(): void {
    if (this.#attached) return;
    const result = this.#engine.native.attach(this.#onDeliver, this.#onClosed);
    if (result === -Errno.EBUSY) {
      const message =
        'the event loop needs the only eventfd of this ring: call registrar.unregisterEventfd(), or use the ring by hand';
      throw new UringError('ERR_URING_EVENTFD_TAKEN', message);
    }
    if (result < 0) throw systemError(result, 'uv_poll_init');
    this.#attached = true;
  }

  /** Starts an operation now, or as soon as there is room. */
  start(operation: AnyOperation, handler: Handler, userData: unknown, msg = 0): void {
    if (this.#broken !== undefined) throw this.#broken;
    const engine = this.#engine;
    if (!this.#attached) this.attach();
    const urgent = isUrgent(operation);
    const cancelled = urgent ? this.#cancelWaiting(operation) : 0;
    if (cancelled > 0 && !meansMany(operation)) {
      this.#settle(new Link(operation, handler, userData, msg), null, 0);
      this.wake();
      return;
    }
    if (cancelled > 0) handler = adding(handler, cancelled);
    const isLater = !urgent && (this.waiting > 0 || engine.slots.bounded >= engine.layout.cqEntries);
    // It would become a part of a chain that is being prepared by hand.
    const mustWait = isLater || engine.hasOpenChain;
    if (mustWait || !this.#prep(operation, handler, userData)) {
      const link = new Link(operation, handler, userData, msg);
      if (urgent) this.#waiting.unshift([link]);
      else this.#push([link]);
      this.#announce();
    } else if (msg !== 0) {
      engine.latest.msg = msg;
    }
    this.wake();
  }

  /** Starts operations that are linked to each other; answers what waits, if they have to. */
  startTogether(links: readonly Link[]): Pending | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    const engine = this.#engine;
    if (!this.#attached) this.attach();
    const [first] = links;
    const urgent = first !== undefined && isUrgent(first.operation);
    const mustWait = (this.waiting > 0 && !urgent) || this.#isAtLimit(links) || engine.hasOpenChain;
    let pending: Pending | undefined;
    if (mustWait || !this.#prepTogether(links)) {
      pending = urgent ? this.#waiting.unshift(links) : this.#push(links);
      this.#announce();
    }
    this.wake();
    return pending;
  }

  #push(links: readonly Link[]): Pending {
    this.#engine.watch.full(links.length, this.waiting, this.#waitingMax);
    return this.#waiting.push(links, this.#waitingMax);
  }

  /** Links of the largest group that waits to be prepared together. */
  get longestWaiting(): number {
    let longest = 0;
    for (const { links } of this.#waiting) longest = Math.max(longest, links.length);
    return longest;
  }

  /** Whether an operation that waits will keep the process alive. */
  setUnref(link: Link, isUnref: boolean): void {
    this.#waiting.setUnref(link, isUnref);
    this.#announce();
  }

  /** The first that waits and matches. */
  find(matches: (link: Link) => boolean): Link | undefined {
    for (const { links } of this.#waiting) {
      const link = links.find(matches);
      if (link !== undefined) return link;
    }
    return undefined;
  }

  /** Cancels what still waits; answers whether it did. */
  drop(pending: Pending): boolean {
    if (pending.isGone) return false;
    this.#waiting.drop(pending);
    this.#announce();
    for (const link of pending.links) this.#settle(link, canceled(link.operation), -ECANCELED);
    return true;
  }

  /**
   * Settles an operation without the kernel: promises at once, functions of the user's when the work that is under way
   * is done, on the loop or in `run`.
   */
  #settle(link: Link, error: UringError | null, res: number): void {
    const { operation, handler, userData, msg } = link;
    const result = error === null && operation.decode === undefined ? res : undefined;
    const completion = Object.assign(new Completion(), { operation, userData, msg, error, res, result });
    if (!isUsers(handler)) {
      call(handler, error, result, completion);
      return;
    }
    if (this.#late.length === 0) queueMicrotask(this.#onLate);
    this.#late.push(() => call(handler, error, result, completion));
  }

  /** Calls what was settled without the kernel; an exception of one is the caller's, and the others follow. */
  #callLate(): void {
    while (this.#late.length > 0) {
      try {
        this.#late.shift()?.();
      } catch (error) {
        if (this.#late.length > 0) queueMicrotask(this.#onLate);
        throw error;
      }
    }
  }

  /** Keeps the process alive, until a turn of the loop finds that nothing more can come. */
  wake(): void {
    if (this.#engine.word(Word.referenced) === 0) this.#engine.hot.wake();
  }

  /**
   * Cancels operations that wait here, which the kernel cannot know of, and answers how many. A request for one of
   * several means one that is in flight, if there is any.
   */
  #cancelWaiting(request: AnyOperation): number {
    if (this.waiting === 0 || (request.target !== undefined && 'slot' in request.target)) return 0;
    const isMany = meansMany(request);
    if (!isMany && this.#engine.slots.find((slot) => means(request, slot)) !== undefined) return 0;
    const meant: Pending[] = [];
    for (const pending of this.#waiting) {
      if (!pending.links.some((link) => link.operation !== request && means(request, link))) continue;
      meant.push(pending);
      if (!isMany) break;
    }
    let cancelled = 0;
    for (const pending of meant) {
      this.drop(pending);
      cancelled += pending.links.length;
    }
    return cancelled;
  }

  #prep(operation: AnyOperation, handler: Handler, userData: unknown): boolean {
    if (this.#engine.prep(operation, handler, userData, 0)) return true;
    // The block is full before the turn is over: make room now.
    this.#engine.hot.submit();
    return this.#engine.prep(operation, handler, userData, 0);
  }

  #prepTogether(links: readonly Link[]): boolean {
    if (prepTogether(this.#engine, links)) return true;
    this.#engine.hot.submit();
    return prepTogether(this.#engine, links);
  }

  #isAtLimit(links: readonly Link[]): boolean {
    const { slots, layout } = this.#engine;
    const [first] = links;
    if (first !== undefined && isUrgent(first.operation)) return false;
    return slots.bounded + links.length > layout.cqEntries;
  }

  /** Tells Rust to come again when the block has room (not when only the in-flight limit is in the way). */
  #announce(): void {
    const { first } = this.#waiting;
    const atLimit = first !== undefined && this.#isAtLimit(first.links);
    this.#engine.setWord(Word.pending, atLimit ? 0 : this.waiting);
    this.#engine.setWord(Word.waiting, this.#waiting.referenced);
  }

  /** Delivers what can be read, and starts what waits; `fatal` is an errno if the ring can no longer be entered. */
  deliver(fatal: number): void {
    if (fatal !== 0) this.#breakDown(fatal);
    if (longTurns.hasSubscribers) this.#engine.watch.turn();
    try {
      this.#callLate();
      this.#engine.deliver();
    } finally {
      // Also after an exception in a callback: the rest of the batch is delivered by the next call.
      this.#admit();
      if (this.cancelsAll && this.#engine.slots.live > 0) this.#engine.native.cancelAll();
    }
  }

  /** Starts what waits, as far as there is room. */
  #admit(): void {
    const engine = this.#engine;
    for (let first = this.#waiting.first; first !== undefined; first = this.#waiting.first) {
      if (this.#isAtLimit(first.links) || engine.hasOpenChain) break;
      let failed: unknown;
      try {
        if (!prepTogether(engine, first.links)) break;
      } catch (error) {
        failed = error;
      }
      if (!first.isGone) {
        // A getter may have put a request before it, which is the first then.
        this.#waiting.drop(first);
        if (failed !== undefined) for (const link of first.links) this.#settle(link, failed as UringError, 0);
      } else if (failed === undefined) {
        // A getter has cancelled it.
        engine.unprepTogether(first.links[0]?.sequence ?? 0, first.links.length);
      }
    }
    this.#announce();
  }

  /** Fails everything that waits; nothing of it has reached the kernel. */
  failPending(error: (operation: AnyOperation) => UringError = canceled): void {
    const waiting = this.#waiting.clear();
    this.#announce();
    for (const link of waiting.flatMap(({ links }) => links))
      this.#settle(link, error(link.operation), -ECANCELED);
  }

  /** The kernel refuses to be entered: nothing more will complete, and nobody shall wait for it. */
  #breakDown(errno: number): void {
    if (this.#broken !== undefined) return;
    const error = systemError(-errno, 'io_uring_enter');
    error.message = `${error.message}; the ring is broken: close it and make a new one`;
    this.abandon(error, errno);
  }

  /** Settles everything with an error: the kernel will not. Answers how many operations in flight that were. */
  abandon(error: UringError, errno: number): number {
    let count = 0;
    this.#broken = error;
    this.failPending(() => error);
    for (const slot of this.#engine.slots.all) {
      const { operation, handler, userData, msg } = slot;
      // The slots stay taken: the kernel may still write to what they name.
      if (operation === undefined || handler === undefined || handler === IGNORE) continue;
      count += 1;
      slot.handler = IGNORE;
      this.#settle(new Link(operation, handler, userData, msg), error, -errno);
    }
    return count;
  }
}

const IGNORE: Handler = { settle: () => {} };

/** A handler whose result is what the kernel cancelled and what was cancelled here. */
function adding(handler: Handler, cancelled: number): Handler {
  return {
    isUsers: isUsers(handler),
    settle(error, result, completion) {
      call(handler, error, typeof result === 'number' ? result + cancelled : result, completion);
    },
  };
}
