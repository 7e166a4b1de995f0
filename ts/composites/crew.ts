// Working on many items, a few at a time.
import { AbortError, lateError, type UringError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Lane } from '../runtime/lane.ts';
import { forgetAborted, whenAborted } from '../runtime/signals.ts';
import type { Limits, Stopped } from '../runtime/together.ts';
import { type Again, park, unpark } from './open-files.ts';

/** @internal A lane that takes items from a crew. */
export interface Worker extends Pick<Lane, 'stop'> {
  /** Takes an item if there is one; called while it does nothing. */
  begin(): void;
}

/**
 * @internal Lanes that work on items in order, each on one at a time. It is over when no lane does anything any more:
 * until then the kernel has memory and files of theirs.
 */
export class Crew<T> {
  /** Called for an item that failed. */
  onRejected: (reason: Error, item: number) => void = () => {};
  /** One for each item, as soon as it is there. */
  readonly results: (PromiseSettledResult<T> | undefined)[];
  readonly #clock: Clock;
  readonly #name: string;
  readonly #count: number;
  readonly #limits: Limits;
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];
  /** Those that found no descriptor free, until somebody gives one back. */
  readonly #parked = new Set<Again>();
  readonly #over: Promise<void>;
  #end: () => void = () => {};
  #onResult: () => void = () => {};
  #next = 0;
  /** Items before this one may be begun. */
  #until: number;
  #settled = 0;
  readonly #atEnd: (() => void)[] = [];
  readonly #thrown: unknown[] = [];
  #stopped: Stopped | 'left';
  #forgetTimer: (() => void) | undefined;
  readonly #onAbort = (): void => this.stop('aborted');

  /**
   * @param name what the composite is called, for errors
   * @param until items before this one may be begun; see `advance`
   * @throws {@link AbortError} when the signal is aborted already
   */
  constructor(clock: Clock, name: string, count: number, until: number, limits: Limits) {
    if (limits.signal?.aborted === true) throw new AbortError(limits.signal.reason);
    this.#clock = clock;
    this.#name = name;
    this.#count = count;
    this.#until = until;
    this.#limits = limits;
    this.results = new Array(count).fill(undefined);
    this.#over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Starts work. */
  begin(workers: readonly Worker[]): void {
    const { signal, timeoutMs } = this.#limits;
    if (signal?.aborted === true) throw new AbortError(signal.reason);
    if (signal !== undefined) whenAborted(signal, this.#onAbort);
    if (timeoutMs !== undefined)
      this.#forgetTimer = this.#clock.after(timeoutMs, () => this.stop('timed out'));
    this.#workers.push(...workers);
    for (const worker of workers) worker.begin();
    if (this.#count === 0) this.#finishIfIdle();
  }

  /** The next item for a lane, or -1 if it has to rest. */
  take(): number {
    if (this.isStopped || this.#next >= Math.min(this.#until, this.#count)) return -1;
    this.#next += 1;
    return this.#next - 1;
  }

  /** A lane does nothing any more. */
  rest(worker: Worker): void {
    this.#idle.push(worker);
    if (this.isStopped || this.#settled === this.#count) this.#finishIfIdle();
  }

  settle(item: number, result: PromiseSettledResult<T>): void {
    this.results[item] = result;
    this.#settled += 1;
    if (result.status === 'rejected') this.onRejected(result.reason, item);
    this.#onResult();
  }

  /** More items may be begun. */
  advance(until: number): void {
    this.#until = until;
    while (this.#next < Math.min(until, this.#count) && !this.isStopped) {
      const worker = this.#idle.pop();
      if (worker === undefined) return;
      worker.begin();
    }
  }

  /** Calls back when there may be a descriptor again, or all is to end; answers false if that would be never. */
  park(again: Again, hasTicket: boolean): boolean {
    const wake: Again = (withTicket) => {
      this.#parked.delete(wake);
      again(withTicket);
    };
    if (!park(wake, hasTicket)) return false;
    this.#parked.add(wake);
    return true;
  }

  stop(why: Stopped | 'left'): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    for (const worker of this.#workers) worker.stop();
    for (const wake of [...this.#parked]) unpark(wake);
    this.#finishIfIdle();
  }

  /** It is to end before all is done. */
  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  #finishIfIdle(): void {
    if (this.#idle.length < this.#workers.length) return;
    this.#forgetTimer?.();
    const { signal } = this.#limits;
    if (signal !== undefined) forgetAborted(signal, this.#onAbort);
    for (const callback of this.#atEnd.splice(0)) callback();
    this.#end();
    this.#onResult();
  }

  /** Calls back when it is over. */
  onEnd(callback: () => void): void {
    this.#atEnd.push(callback);
  }

  /** Runs code of the user's: what it throws ends all. */
  guard(run: () => void): void {
    if (this.#thrown.length > 0) return;
    try {
      run();
    } catch (error) {
      this.#thrown.push(error);
      this.stop('left');
    }
  }

  /** The results one after the other, no more of them in advance than may be begun at first. */
  inOrder(begin: () => void): AsyncGenerator<PromiseSettledResult<T>, void, void> {
    const results = this.#inOrder(begin);
    const leave = results.return.bind(results);
    // A generator takes it only when a result that is being waited for is there, which may be never.
    results.return = (value) => {
      this.stop('left');
      return leave(value);
    };
    return results;
  }

  async *#inOrder(begin: () => void): AsyncGenerator<PromiseSettledResult<T>, void, void> {
    const ahead = this.#until;
    begin();
    try {
      for (let item = 0; item < this.#count; item += 1) {
        while (this.results[item] === undefined && !this.isStopped) await this.#nextResult();
        const result = this.results[item];
        if (result === undefined) break;
        this.results[item] = undefined;
        yield result;
        this.advance(item + 1 + ahead);
      }
    } finally {
      this.stop('left');
      await this.#over;
    }
    if (this.#stopped === 'left' && this.#settled < this.#count) return;
    const error = await this.ended();
    if (error !== undefined) throw error;
  }

  #nextResult(): Promise<void> {
    return new Promise((resolve) => {
      this.#onResult = resolve;
    });
  }

  /** Why it ended before all was done, once it has. */
  async ended(): Promise<AbortError | UringError | undefined> {
    await this.#over;
    if (this.#thrown.length > 0) throw this.#thrown[0];
    if (this.#settled === this.#count) return undefined;
    if (this.#stopped === 'aborted') return new AbortError(this.#limits.signal?.reason, this.results);
    return Object.assign(lateError(this.#name), { result: this.results });
  }
}
