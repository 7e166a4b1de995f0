// What composites have in common: what they work with.
import { invalidType, invalidValue } from '../errors.ts';
import { Ring } from '../ring.ts';
import { checkInteger } from '../validate.ts';

const CONCURRENCY = 128;
const CONCURRENCY_MAX = 4096;

/** @internal A ring that can be worked with. */
export function checkRing(ring: unknown): Ring {
  if (!(ring instanceof Ring)) throw invalidType('ring', 'an instance of Ring', ring);
  ring.assertOpen();
  return ring;
}

/** @internal Node's name of an encoding, or nothing. */
export function checkEncoding(encoding: unknown): BufferEncoding | undefined {
  if (encoding === undefined || encoding === null) return undefined;
  if (typeof encoding === 'string' && Buffer.isEncoding(encoding)) return encoding;
  throw invalidValue('options.encoding', `is no encoding: ${String(encoding)}`);
}

/** @internal How many to work on at a time. */
export function checkConcurrency(concurrency: unknown): number {
  return checkInteger('options.concurrency', concurrency ?? CONCURRENCY, 1, CONCURRENCY_MAX);
}

/** @internal Lanes that leave room for others: each has up to two operations in flight. */
export function laneCount(ring: Ring, concurrency: number, items: number): number {
  return Math.min(concurrency, items, Math.max(1, ring.cqEntries >> 2));
}
