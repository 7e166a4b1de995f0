import type { Completion } from './completion.ts';
import { Word } from './generated/abi.ts';
import type { Engine } from './runtime/engine.ts';
import { nothingInFlight } from './runtime/rejects.ts';
import type { HalfOwner } from './submission-queue.ts';
import { checkFunction, checkInteger } from './validate.ts';
import { checkWait, type WaitOptions } from './wait-options.ts';

/**
 * The completing half of a ring, as an object of its own: `ring.cq`. Completions of operations with callbacks and
 * promises go there instead, and are never seen here.
 *
 * @example
 * ```ts
 * import { Ring, nop } from 'uring';
 *
 * await using ring = new Ring();
 * for (let at = 0; at < 3; at += 1) ring.sq.prep(nop(), at);
 * ring.sq.submit();
 * for (const { userData } of ring.cq) console.log(userData);
 * ```
 */
export class CompletionQueue {
  readonly #engine: Engine;
  readonly #owner: HalfOwner;

  /** @internal */
  constructor(engine: Engine, owner: HalfOwner) {
    this.#engine = engine;
    this.#owner = owner;
  }

  /** Its size. */
  get entries(): number {
    return this.#engine.layout.cqEntries;
  }
  /** Completions that can be read without waiting. */
  get ready(): number {
    const unread = this.#engine.unread.length;
    return this.#owner.isGone ? unread : unread + Math.max(0, this.#engine.hot.collect());
  }
  /** The kernel holds completions that found no room in the queue; reading makes room for them. */
  get overflowed(): boolean {
    return this.#engine.word(Word.overflowed) !== 0;
  }

  /**
   * Blocks the thread until `count` completions can be read or the time is up; submits what is prepared on the way, in
   * the same system call. Operations that were started with callbacks or promises count too. Answers how many
   * operations were submitted. A ring whose `handle` somebody has may wait for messages, with nothing in flight.
   *
   * @throws `ERR_URING_NOTHING_IN_FLIGHT` when that would wait forever, `ERR_URING_UNSUPPORTED_FEATURE` for a minimum or
   * a deadline before Linux 6.12, `ERR_URING_DISABLED` for a ring that is not enabled
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_submit_and_wait_min_timeout.3.html io_uring_submit_and_wait_min_timeout(3)}
   * @example
   * ```ts
   * import { Ring, nop } from 'uring';
   *
   * await using ring = new Ring();
   * ring.prep(nop());
   * // Two would be better, but after 5 ms one will do, and after a second none.
   * ring.cq.wait(2, { minWaitMs: 5, timeoutMs: 1000 });
   * ring.cq.forEach(({ res }) => console.log(res));
   * ```
   */
  wait(count: number, options: WaitOptions = {}): number {
    this.#owner.assertOpen();
    checkInteger('count', count, 0, this.entries);
    const engine = this.#engine;
    const ends = checkWait(options, engine.layout.features);
    // Multishot operations complete more than once, so only "nothing at all" is sure to be a mistake.
    const nothing = engine.slots.live === 0 && engine.unread.length === 0 && !engine.isKnown;
    if (!ends && count > 0 && nothing) throw nothingInFlight();
    const want = Math.max(0, count - engine.unread.length);
    const { timeoutMs = -1, minWaitMs, deadlineNs } = options;
    return this.#owner.entered(engine.hot.submitAndWait(want, timeoutMs, minWaitMs, deadlineNs));
  }

  /**
   * The next completion, which is waited for if there is none; undefined when the time is up. It is yours to keep.
   *
   * @throws `ERR_URING_NOTHING_IN_FLIGHT` when that would wait forever, `ERR_URING_UNSUPPORTED_FEATURE` for a minimum or
   * a deadline before Linux 6.12, `ERR_URING_DISABLED` for a ring that is not enabled
   * @see {@link https://man7.org/linux/man-pages/man3/io_uring_submit_and_wait_min_timeout.3.html io_uring_submit_and_wait_min_timeout(3)}
   * @example
   * ```ts
   * import { Ring, nop } from 'uring';
   *
   * await using ring = new Ring();
   * ring.prep(nop());
   * // Two would be better, but after 5 ms one will do, and after a second none.
   * ring.cq.wait(2, { minWaitMs: 5, timeoutMs: 1000 });
   * ring.cq.forEach(({ res }) => console.log(res));
   * ```
   */
  next(options: WaitOptions = {}): Completion | undefined {
    const ready = this.tryNext();
    if (ready !== undefined) return ready;
    this.wait(1, options);
    return this.tryNext();
  }

  /** The next completion, if there is one; it is yours to keep. */
  tryNext(): Completion | undefined {
    const engine = this.#engine;
    const kept = engine.unread.shift();
    if (kept !== undefined) return kept;
    for (;;) {
      if (!engine.hasRecords && !this.#owner.isGone) this.#collect();
      if (!engine.hasRecords) return undefined;
      const completion = engine.next();
      if (completion !== undefined) return completion.copy();
    }
  }

  /** The next completion, without taking it; undefined if there is none. */
  peek(): Completion | undefined {
    const next = this.tryNext();
    if (next !== undefined) this.#engine.unread.unshift(next);
    return next;
  }

  /** The completions that can be read without waiting, one after the other. They are yours to keep. */
  *[Symbol.iterator](): IterableIterator<Completion> {
    for (let next = this.tryNext(); next !== undefined; next = this.tryNext()) yield next;
  }

  /** As iterating, but waits for `count` completions whenever there is none; ends when nothing is in flight. */
  *blocking(count = 1): IterableIterator<Completion> {
    checkInteger('count', count, 1, this.entries);
    for (;;) {
      yield* this;
      const left = this.#engine.slots.live;
      if (left === 0) return;
      this.wait(Math.min(count, left));
    }
  }

  /**
   * Calls a function for every completion that can be read, without waiting, and answers how many there were.
   *
   * The completion is reused: take out of it what you need. The function may prepare and submit more.
   */
  forEach(callback: (completion: Completion) => void): number {
    checkFunction('callback', callback);
    const engine = this.#engine;
    if (!this.#owner.isGone) this.#collect();
    // What arrives while this runs is for the next call, so that it ends.
    let count = 0;
    for (let left = engine.unread.length; left > 0; left -= 1) {
      count += 1;
      callback(engine.unread.shift() as Completion);
    }
    do {
      for (let left = engine.records; left > 0 && engine.hasRecords; left -= 1) {
        const completion = engine.next();
        if (completion === undefined) continue;
        count += 1;
        engine.lend(completion, callback);
      }
      // The block may have been too small for all that the kernel had ready.
    } while (engine.hasRecords && this.overflowed);
    return count;
  }

  #collect(): void {
    if (!this.#engine.hasRecords) this.#owner.entered(this.#engine.hot.collect());
  }
}
