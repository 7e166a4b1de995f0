import { invalidType, outOfRange } from './errors.ts';

/**
 * A length of time, or a point in time: milliseconds as a number (fractions allowed), nanoseconds as a bigint, or
 * seconds and nanoseconds.
 */
export type Time = number | bigint | { readonly sec: number | bigint; readonly nsec?: number };

/** @internal What a time is checked and made into. */
export interface Timespec {
  readonly sec: bigint;
  readonly nsec: bigint;
}

/** struct __kernel_timespec. */
export const TIMESPEC_BYTES = 16;
const NSEC_PER_SEC = 1_000_000_000n;
const NSEC_PER_MS = 1e6;
/** Numbers that JavaScript holds exactly. The kernel's clocks end sooner, at 292 years, and it cuts what is longer. */
const SEC_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const NSEC_MAX = SEC_MAX * NSEC_PER_SEC;

/** A time, or Node's error for what it is instead. */
export function checkTime(name: string, value: unknown): Timespec {
  if (typeof value === 'number') return fromMilliseconds(name, value);
  if (typeof value === 'bigint') {
    if (value < 0n || value > NSEC_MAX) throw outOfRange(name, `>= 0 and <= ${NSEC_MAX} nanoseconds`, value);
    return { sec: value / NSEC_PER_SEC, nsec: value % NSEC_PER_SEC };
  }
  if (typeof value !== 'object' || value === null) {
    throw invalidType(name, 'milliseconds as a number, nanoseconds as a bigint or { sec, nsec }', value);
  }
  const { sec, nsec = 0 } = value as { sec: unknown; nsec?: unknown };
  return {
    sec: checkPart(`${name}.sec`, sec, SEC_MAX),
    nsec: checkPart(`${name}.nsec`, nsec, NSEC_PER_SEC - 1n),
  };
}

function fromMilliseconds(name: string, timeMs: number): Timespec {
  if (!(timeMs >= 0 && timeMs <= Number.MAX_SAFE_INTEGER)) {
    throw outOfRange(name, '>= 0 and <= 2 ** 53 - 1 milliseconds', timeMs);
  }
  // The whole milliseconds apart, so that a date keeps its fraction.
  const wholeMs = Math.trunc(timeMs);
  const total = BigInt(wholeMs) * 1_000_000n + BigInt(Math.round((timeMs - wholeMs) * NSEC_PER_MS));
  return { sec: total / NSEC_PER_SEC, nsec: total % NSEC_PER_SEC };
}

function checkPart(name: string, value: unknown, max: bigint): bigint {
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw invalidType(name, 'of type number or bigint', value);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < 0 || value > max) throw outOfRange(name, `>= 0 and <= ${max}`, value);
  return BigInt(value);
}

/** @internal Writes a struct __kernel_timespec. */
export function writeTimespec(view: Buffer, at: number, { sec, nsec }: Timespec): void {
  view.writeBigInt64LE(sec, at);
  view.writeBigInt64LE(nsec, at + 8);
}
