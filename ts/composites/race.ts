// Attempts of which the first that succeeds is taken (RFC 8305, "happy eyeballs").
import { AbortError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { forgetAborted, whenAborted } from '../runtime/signals.ts';

/** One way to what is wanted; rejects once it is stopped. */
export type Attempt<T> = (signal: AbortSignal) => Promise<T>;

/** What becomes of attempts. */
export interface RaceRules<T> {
  /** How long an attempt goes on alone before the next joins in; Infinity for as long as it takes. */
  readonly delayMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Gives up what a second winner brought. */
  giveUp(result: T): Promise<void>;
  /** Whether others may succeed all the same. */
  mayGoOn(error: unknown): boolean;
}

/**
 * Starts attempts in order: the next when the one before it has failed, or takes longer than the delay. When one
 * succeeds the others are stopped, and it is over when they all are.
 */
export class Race<T> {
  readonly #attempts: readonly Attempt<T>[];
  readonly #rules: RaceRules<T>;
  readonly #stop = new AbortController();
  /** By attempt. */
  readonly #errors: unknown[] = [];
  #next = 0;
  #running = 0;
  #winner: { readonly result: T } | undefined;
  #forgetTimer: (() => void) | undefined;
  #over: () => void = () => {};

  constructor(attempts: readonly Attempt<T>[], rules: RaceRules<T>) {
    this.#attempts = attempts;
    this.#rules = rules;
  }

  /** @param summary makes one error of those of all attempts, in their order */
  async run(summary: (errors: readonly unknown[]) => unknown): Promise<T> {
    const { signal, giveUp } = this.#rules;
    const end = (): void => this.#end();
    if (signal.aborted) throw new AbortError(signal.reason);
    whenAborted(signal, end);
    await new Promise<void>((resolve) => {
      this.#over = resolve;
      this.#startNext();
    });
    forgetAborted(signal, end);
    if (signal.aborted) {
      if (this.#winner !== undefined) await giveUp(this.#winner.result);
      throw new AbortError(signal.reason);
    }
    if (this.#winner !== undefined) return this.#winner.result;
    // An attempt that another one's error has stopped says nothing.
    throw summary(this.#errors.filter((error) => !(error instanceof AbortError)));
  }

  #startNext(): void {
    this.#forgetTimer?.();
    const at = this.#next;
    const attempt = this.#attempts[at] as Attempt<T>;
    this.#next += 1;
    this.#running += 1;
    attempt(this.#stop.signal).then(
      (result) => this.#succeeded(result),
      (error) => this.#failed(at, error),
    );
    const { delayMs, clock } = this.#rules;
    if (this.#hasNext && delayMs !== Number.POSITIVE_INFINITY)
      this.#forgetTimer = clock.after(delayMs, () => this.#startNext());
  }

  get #hasNext(): boolean {
    return this.#next < this.#attempts.length;
  }

  #succeeded(result: T): void {
    if (this.#winner !== undefined) {
      // Both came at once.
      const isGone = (): void => this.#oneLess();
      this.#rules.giveUp(result).then(isGone, isGone);
      return;
    }
    this.#winner = { result };
    this.#end();
    this.#oneLess();
  }

  #failed(at: number, error: unknown): void {
    this.#errors[at] = error;
    const isStopped = this.#stop.signal.aborted;
    if (!isStopped && !this.#rules.mayGoOn(error)) this.#end();
    else if (!isStopped && this.#hasNext) this.#startNext();
    this.#oneLess();
  }

  /** No more attempts, and an end to those that run. */
  #end(): void {
    this.#forgetTimer?.();
    this.#stop.abort('another one was first');
  }

  #oneLess(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#over();
  }
}
