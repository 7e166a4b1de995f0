/** What JavaScript counts of a ring. */
export interface RingWatchStats {
  /** Operations started or prepared whose last completion has not been read. */
  readonly inFlight: number;
  /** The most that ever were. */
  readonly inFlightMax: number;
  /** Operations that found no room when they were started, and waited their turn. */
  readonly delayed: number;
  /** Operations that were refused because too many waited (`ERR_URING_QUEUE_FULL`). */
  readonly queueFull: number;
  /** Times that a stream had to wait because all buffers of its group were out. */
  readonly starved: number;
  /** Messages, files and tags that have arrived. */
  readonly events: number;
}

/** Counters of a ring since it was opened, and what it has now. Of a closed ring the counters stay; it has nothing. */
export interface RingStats extends RingWatchStats {
  /** io_uring_enter(2) calls. */
  readonly enters: number;
  /** Operations given to the kernel. */
  readonly submitted: number;
  /**
   * Operations that never reached the kernel: something that they named was not there any more, a field was no good, the
   * credentials had changed, or the ring was closing. Of a chain that is refused all count.
   */
  readonly refused: number;
  /** Completions taken from the kernel: also messages, tags, and each result of a multishot operation. */
  readonly completed: number;
  /** Times that the completion queue was found full; what did not fit the kernel keeps and hands over later. */
  readonly overflows: number;
  /** Times that the kernel has woken the event loop for the ring. */
  readonly wakes: number;
  /** Times that the event loop came to the ring and something was delivered; in one turn of the loop it may come twice. */
  readonly turns: number;
  /** Those that ended with more to deliver, so that others had their turn first. */
  readonly fullTurns: number;
  /** Operations that wait for room now. */
  readonly waiting: number;
  /** Buffers of all buffer rings that are out: lent to you and not released. */
  readonly buffersLent: number;
  /** Arena memory that is registered with the kernel as fixed buffers. */
  readonly registeredBytes: number;
  /** Arena memory that is not, because RLIMIT_MEMLOCK is too low or it is large and short-lived. */
  readonly unregisteredBytes: number;
  /** Arenas alive. */
  readonly arenas: number;
  /** Registered-file slots in use. */
  readonly fileSlots: number;
}

/** @internal The counters by name: those of Rust from the list that it answers. */
export function namedStats(counters: readonly number[], watched: RingWatchStats, waiting: number): RingStats {
  const [enters = 0, submitted = 0, completed = 0, overflows = 0, refused = 0, ...rest] = counters;
  const [registeredBytes = 0, unregisteredBytes = 0, arenas = 0, fileSlots = 0, ...more] = rest;
  const [buffersLent = 0, wakes = 0, turns = 0, fullTurns = 0] = more;
  return {
    enters,
    submitted,
    refused,
    completed,
    overflows,
    wakes,
    turns,
    fullTurns,
    waiting,
    buffersLent,
    registeredBytes,
    unregisteredBytes,
    arenas,
    fileSlots,
    ...watched,
  };
}
