import { invalidType, invalidValue, outOfRange } from './errors.ts';

/** A whole number in a range, or Node's error for what it is instead. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} and <= ${max}`, value);
  return value;
}

/** A power of two in a range: the kernel would round others up without saying so. */
export function checkPowerOfTwo(name: string, value: unknown, min: number, max: number): number {
  const number = checkInteger(name, value, min, max);
  const next = 2 ** Math.ceil(Math.log2(number));
  if (next !== number) throw outOfRange(name, `a power of two (the next is ${next})`, value);
  return number;
}

/** The position that means "where the file's own position stands" (`-1`, as in preadv2(2)). */
export const CURRENT_POSITION = -1;

/** A file offset: a number or bigint from 0 to 2^53 - 1, or -1 for the file's own position. */
export function checkOffset(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= -1) return value;
  const limit = '>= -1 and <= 2 ** 53 - 1';
  if (typeof value === 'bigint') {
    if (value < -1n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw outOfRange(name, limit, value);
    return Number(value);
  }
  if (typeof value !== 'number') throw invalidType(name, 'of type number or bigint', value);
  throw outOfRange(name, Number.isInteger(value) ? limit : 'an integer', value);
}

/** A boolean, not merely something truthy. */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

/** A boolean that may be left out, which is false. */
export function isSet(name: string, value: unknown): boolean {
  return value !== undefined && checkBoolean(name, value);
}

/** One of some names; answers what it stands for. */
export function checkName<T>(name: string, value: unknown, names: Readonly<Record<string, T>>): T {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  const found = Object.hasOwn(names, value) ? names[value] : undefined;
  if (found !== undefined) return found;
  throw invalidValue(name, `must be one of: ${Object.keys(names).join(', ')}. Received '${value}'`);
}

/** A combination of flags. */
export function checkFlags(name: string, value: unknown, allowed: number, what: string): number {
  const flags = checkInteger(name, value, 0, UINT32_MAX);
  if ((flags & ~allowed) !== 0) throw outOfRange(name, `a combination of ${what}`, flags);
  return flags;
}

/** A number of bytes or an offset in a file: a number or bigint from `min` to 2^53 - 1. */
export function checkSize(name: string, value: unknown, min: number): number {
  const size = checkOffset(name, value);
  if (size < min) throw outOfRange(name, `>= ${min}`, value);
  return size;
}

/** A function. */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

/**
 * The items of an array, each looked at once: what is checked is what is used, and a hole is an item like any other.
 */
export function checkList(
  name: string,
  value: unknown,
  expected: string,
  { min = 0, max }: { readonly min?: number; readonly max: number },
): unknown[] {
  if (!Array.isArray(value)) throw invalidType(name, expected, value);
  const { length } = value;
  if (length < min || length > max) throw outOfRange(`${name}.length`, `>= ${min} and <= ${max}`, length);
  const items: unknown[] = [];
  for (let at = 0; at < length; at += 1) items.push(value[at]);
  return items;
}

/** An options object, or nothing. */
export function checkOptions(name: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'object' || value === null)) {
    throw invalidType(name, 'of type object', value);
  }
}

/** A number that comes back when the kernel has let go of something, or nothing. */
export function checkTag(name: string, value: unknown): number | undefined {
  return value === undefined ? undefined : checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
}

/** The largest 32-bit number without sign. */
export const UINT32_MAX = 0xffff_ffff;

/** How long to wait, if it is said: any number of milliseconds, Infinity too. */
export function checkMilliseconds(name: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!(value >= 0)) throw outOfRange(name, '>= 0', value);
}

/** 32 bits, as a number without sign; also with it, as `|` makes them where the highest bit is set. */
export function checkBits32(name: string, value: unknown): number {
  return checkInteger(name, value, -0x8000_0000, UINT32_MAX) >>> 0;
}
