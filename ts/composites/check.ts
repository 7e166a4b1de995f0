// What composites have in common: what they work with.
import { invalidType, invalidValue, shown } from '../errors.ts';
import { type CheckedText, checkPath, type Path } from '../ops/path-arguments.ts';
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
  throw invalidValue('options.encoding', `is no encoding: ${shown(encoding)}`);
}

/** @internal How many to work on at a time. */
export function checkConcurrency(concurrency: unknown): number {
  return checkInteger('options.concurrency', concurrency ?? CONCURRENCY, 1, CONCURRENCY_MAX);
}

/** @internal Lanes that leave room for others: each has up to two operations in flight. */
export function laneCount(ring: Ring, concurrency: number, items: number): number {
  return Math.min(concurrency, items, Math.max(1, ring.cqEntries >> 2));
}

/** Strings up to this length are no path that is too long, whatever is in them. */
const SHORT_PATH = 1024;

/** @internal Many paths, all of them before anything is done with one. */
export function checkPaths(name: string, paths: unknown): CheckedText[] {
  const isIterable = typeof paths === 'object' && paths !== null && Symbol.iterator in paths;
  if (!isIterable || paths instanceof Uint8Array) throw invalidType(name, 'an array of paths', paths);
  const checked: CheckedText[] = [];
  for (const path of paths as Iterable<Path>) {
    // To name each would cost more than to check it.
    const isRight = typeof path === 'string' && path.length <= SHORT_PATH && !path.includes('\0');
    checked.push(isRight ? path : checkPath(`${name}[${checked.length}]`, path));
  }
  return checked;
}
