import { outOfRange } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { nextTurn } from '../runtime/turn.ts';

const NSEC_PER_MS = 1e6;
/** Turns of the event loop without anything happening, after which nothing more comes by itself. */
const QUIET_TURNS = 3;
/** Turns after which time goes on all the same: some programs never rest. */
const TURNS_MAX = 10_000;

/** @internal A time that the clock can reach. */
export function checkTime(timeMs: unknown): void {
  if (typeof timeMs !== 'number' || !(timeMs >= 0 && timeMs <= Number.MAX_SAFE_INTEGER))
    throw outOfRange('timeMs', '>= 0 and <= 2 ** 53 - 1 milliseconds', timeMs);
}

/** @internal What the clock asks of its kernel. */
export interface ClockHost {
  /** Submits what is prepared on all rings. */
  submitAll(): void;
  /** Whether a ring goes on in the next turn of the event loop. */
  readonly isBusy: boolean;
}

/** @internal Something that happens at a point in time. */
export interface Alarm {
  readonly dueNs: bigint;
  readonly ring: () => void;
}

/**
 * The time of a {@link MockKernel}, which stands still until `advance` is called: `timeout`, `linkTimeout`, `timeoutMs`
 * and `after` count on it. It starts at zero. Only who blocks the thread (`ring.submitAndWait`, `ring.run`) moves it, to
 * the next point at which something happens, because nobody else could.
 *
 * @example
 * ```ts
 * import { timeout } from 'uring';
 * import { mock } from 'uring/mock';
 *
 * const kernel = mock({});
 * await using ring = new kernel.Ring();
 * const hour = ring.exec(timeout(3_600_000));
 * await kernel.clock.advance(3_600_000);
 * await hour;
 * ```
 */
export class MockClock implements Clock {
  readonly #host: ClockHost;
  readonly #startMs: number;
  /** In the order in which they happen. */
  readonly #alarms: Alarm[] = [];
  #nowNs = 0n;
  /** Where the calls of `advance` so far lead to. */
  #goalNs = 0n;

  /** @internal */
  constructor(host: ClockHost, startMs: number) {
    this.#host = host;
    this.#startMs = startMs;
  }

  /** Milliseconds since the start. */
  get nowMs(): number {
    return Number(this.#nowNs) / NSEC_PER_MS;
  }

  /** Nanoseconds since the start: the monotonic clock. */
  nowNs(): bigint {
    return this.#nowNs;
  }

  /** What the realtime clock shows. */
  get date(): Date {
    return new Date(this.#startMs + this.nowMs);
  }

  /** @internal The realtime clock. */
  realtimeNs(): bigint {
    return BigInt(Math.round(this.#startMs * NSEC_PER_MS)) + this.#nowNs;
  }

  /**
   * Lets time pass. Whatever is due happens in its order; what is started because of that is part of it, because the
   * event loop turns in between. What was started before is submitted first.
   *
   * @returns resolves when the time is reached and what completed has been delivered
   * @throws `ERR_OUT_OF_RANGE` for a time that is no number of milliseconds
   */
  async advance(timeMs: number): Promise<void> {
    checkTime(timeMs);
    this.#goalNs += BigInt(Math.round(timeMs * NSEC_PER_MS));
    const goalNs = this.#goalNs;
    this.#host.submitAll();
    do await this.#quiet();
    while (this.jump(goalNs));
    if (this.#nowNs < goalNs) this.#nowNs = goalNs;
  }

  /** Everything that has completed is delivered, and what that has started is submitted. */
  async #quiet(): Promise<void> {
    let quiet = 0;
    for (let count = 0; quiet < QUIET_TURNS && count < TURNS_MAX; count += 1) {
      await nextTurn();
      quiet = this.#host.isBusy ? 0 : quiet + 1;
    }
  }

  /** @internal Goes to the next alarm that is due by then, and lets it ring; answers whether there was one. */
  jump(limitNs?: bigint): boolean {
    const [next] = this.#alarms;
    if (next === undefined || (limitNs !== undefined && next.dueNs > limitNs)) return false;
    this.moveTo(next.dueNs);
    while (this.#alarms[0] !== undefined && this.#alarms[0].dueNs <= this.#nowNs)
      this.#alarms.shift()?.ring();
    return true;
  }

  /** @internal Goes to a point in time before the next alarm. */
  moveTo(timeNs: bigint): void {
    if (timeNs > this.#nowNs) this.#nowNs = timeNs;
    if (this.#goalNs < this.#nowNs) this.#goalNs = this.#nowNs;
  }

  /** @internal Lets alarms ring that are due already; answers whether there were any. */
  ringDue(): boolean {
    return this.jump(this.#nowNs);
  }

  /** @internal */
  at(dueNs: bigint, ring: () => void): Alarm {
    const alarm = { dueNs, ring };
    const before = this.#alarms.findIndex((other) => other.dueNs > dueNs);
    if (before < 0) this.#alarms.push(alarm);
    else this.#alarms.splice(before, 0, alarm);
    return alarm;
  }

  /** @internal */
  forget(alarm: Alarm): void {
    const at = this.#alarms.indexOf(alarm);
    if (at >= 0) this.#alarms.splice(at, 1);
  }

  /** @internal */
  after(timeMs: number, callback: () => void): () => void {
    const alarm = this.at(this.#nowNs + BigInt(Math.round(timeMs * NSEC_PER_MS)), callback);
    return () => this.forget(alarm);
  }
}
