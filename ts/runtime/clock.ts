/** What tells a ring the time, and calls back later. */
export interface Clock {
  /** Of the monotonic clock, which absolute timers count on. */
  nowNs(): bigint;
  /** Calls back after so long; answers what forgets it. */
  after(timeMs: number, callback: () => void): () => void;
}

/** Node's timers take no more. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The clock of every ring but a mock's. */
export const systemClock: Clock = {
  nowNs: () => process.hrtime.bigint(),
  after(timeMs, callback) {
    const timer = setTimeout(callback, Math.min(timeMs, TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
};
