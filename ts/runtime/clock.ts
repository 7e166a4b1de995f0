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
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const isLast = leftMs <= TIMER_MAX_MS;
      timer = setTimeout(
        () => (isLast ? callback() : wait(leftMs - TIMER_MAX_MS)),
        Math.min(leftMs, TIMER_MAX_MS),
      );
      // What it is about keeps the process alive, or shall not.
      timer.unref();
    };
    wait(timeMs);
    return () => clearTimeout(timer);
  },
};
