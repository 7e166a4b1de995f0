import { invalidType } from './errors.ts';

/**
 * Names a ring in every thread of the process: `ring.handle`. It is a plain object, so it goes through `postMessage` and
 * `workerData`. When the ring is closed it names nothing any more, whatever else is opened.
 *
 * @example
 * ```ts
 * import { Ring, msgRing } from 'uring';
 *
 * await using ring = new Ring();
 * await using other = new Ring();
 * const copy = structuredClone(other.handle);
 * await ring.exec(msgRing(copy, { data: 1 }));
 * console.log(other.peek()?.event); // { type: 'message', data: 1, res: 0, flags: 0 }
 * ```
 */
export interface RingHandle {
  /** A random number that Rust knows the ring by; not its descriptor. */
  readonly ringToken: number;
}

/** @internal The token of a ring or of a handle that somebody gave for an argument. */
export function tokenOf(name: string, target: unknown): number {
  // A ring has a handle; a handle has a token.
  const { handle = target } = (target ?? {}) as { handle?: unknown };
  const { ringToken } = (handle ?? {}) as Partial<RingHandle>;
  if (!Number.isSafeInteger(ringToken)) throw invalidType(name, 'a Ring or its handle (ring.handle)', target);
  return ringToken as number;
}
