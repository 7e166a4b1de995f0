/** Counters of a ring since it was opened. */
export interface RingStats {
  /** io_uring_enter(2) calls. */
  readonly enters: number;
  /** Operations given to the kernel. */
  readonly submitted: number;
  /** Completions taken from the kernel. */
  readonly completed: number;
  /** Times that the completion queue was found full; what did not fit the kernel keeps and hands over later. */
  readonly overflows: number;
  /** Arena memory that is registered with the kernel as fixed buffers. */
  readonly registeredBytes: number;
  /** Arena memory that is not, because RLIMIT_MEMLOCK is too low or it is large and short-lived. */
  readonly unregisteredBytes: number;
  /** Arenas alive. */
  readonly arenas: number;
  /** Registered-file slots in use. */
  readonly fileSlots: number;
}

/** @internal The counters by name, from the list that Rust answers. */
export function namedStats(counters: readonly number[]): RingStats {
  const [enters = 0, submitted = 0, completed = 0, overflows = 0, ...rest] = counters;
  const [registeredBytes = 0, unregisteredBytes = 0, arenas = 0, fileSlots = 0] = rest;
  return { enters, submitted, completed, overflows, registeredBytes, unregisteredBytes, arenas, fileSlots };
}
