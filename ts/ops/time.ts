// Time: timers, and limits of time for other operations.
import { Errno } from '../errnos.ts';
import { invalidValue, outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type AnyOperation, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkTime, TIMESPEC_BYTES, type Time, type Timespec, writeTimespec } from '../timespec.ts';
import { checkInteger, checkName, checkOptions, isSet, UINT32_MAX } from '../validate.ts';
import { checkTarget, type OperationTarget } from './cancel.ts';
import { nothing } from './results.ts';

/** IORING_TIMEOUT_* and IORING_LINK_TIMEOUT_UPDATE. */
const ABSOLUTE = 1 << 0;
const UPDATE = 1 << 1;
const LINK_UPDATE = 1 << 4;
const ETIME_SUCCESS = 1 << 5;
const MULTISHOT = 1 << 6;

/** Shortest interval of a timer that repeats: see `checkInterval`. */
const REPEAT_MIN_NSEC = 100_000n;

/** The clocks that a timer can run by (clock_gettime(2)), and the flags that choose them. */
const CLOCKS = { monotonic: 0, boottime: 1 << 2, realtime: 1 << 3 } as const;

/**
 * The clock of a timer (clock_gettime(2)): `monotonic` stands still while the machine sleeps, `boottime` does not, and
 * `realtime` is the time of day, with its jumps.
 */
export type Clock = keyof typeof CLOCKS;

/** Word of the record where a payload puts the place of its time. */
const OFF = 2;
const ADDR = 4;

class TimespecPayload implements Payload {
  readonly sizeBytes = TIMESPEC_BYTES;
  readonly #time: Timespec;
  readonly #field: typeof OFF | typeof ADDR;

  constructor(time: Timespec, field: typeof OFF | typeof ADDR) {
    this.#time = time;
    this.#field = field;
  }

  protected get time(): Timespec {
    return this.#time;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    writeTimespec(block.view, 0, this.time);
    record[base + this.#field] = block.offset;
    record[base + this.#field + 1] = block.handle;
  }
}

/** What is left until a point in time, counted when the operation is prepared: it may have waited for room. */
class RemainingPayload extends TimespecPayload {
  readonly #remaining: () => bigint;

  constructor(remaining: () => bigint) {
    super({ sec: 0n, nsec: 0n }, ADDR);
    this.#remaining = remaining;
  }

  protected override get time(): Timespec {
    const nsec = this.#remaining();
    return checkTime('time', nsec > 0n ? nsec : 0n);
  }
}

/** How the time of a timer is meant. */
export interface ClockOptions extends OperationOptions {
  /** The time is a point on the clock and not a length. Since Linux 5.5. */
  absolute?: boolean;
  /** Default `'monotonic'`; others since Linux 5.15. */
  clock?: Clock;
  /** The end of the time counts as success in a chain, and what is linked to it goes on. Since Linux 5.16. */
  etimeSuccess?: boolean;
}

function clockFlags({ absolute, clock = 'monotonic', etimeSuccess }: ClockOptions): number {
  return (
    checkName('options.clock', clock, CLOCKS) |
    (isSet('options.absolute', absolute) ? ABSOLUTE : 0) |
    (isSet('options.etimeSuccess', etimeSuccess) ? ETIME_SUCCESS : 0)
  );
}

/**
 * A timer that expires again before the loop comes round is in none of the kernel's lists when it is to be stopped
 * (io_uring/timeout.c, io_timeout_fn), and would go on for ever.
 */
function checkInterval(name: string, { sec, nsec }: Timespec, given: unknown): void {
  if (sec > 0n || nsec >= REPEAT_MIN_NSEC) return;
  throw outOfRange(name, '>= 0.1 milliseconds for a timer that repeats, or nothing could stop it', given);
}

function timer<K extends 'single' | 'multishot'>(
  opcode: number,
  time: Timespec,
  options: ClockOptions | undefined,
): Operation<void, K> {
  const operation = new Operation<void, K>(opcode, options);
  operation.arguments(new TimespecPayload(time, ADDR));
  operation.length = 1;
  operation.opFlags = clockFlags(options ?? {});
  if (options?.clock !== undefined) operation.needs('options.clock', '5.15');
  if (options?.etimeSuccess === true) operation.needs('options.etimeSuccess', '5.16');
  operation.successErrno = Errno.ETIME;
  operation.decode = nothing;
  return operation;
}

/** Options of {@link timeout}. */
export interface TimeoutOptions extends ClockOptions {
  /** Ends early when this many other operations have completed. Default 0: never. */
  count?: number;
}

/**
 * Ends after a time, or when `count` other operations have completed. Its completion has `res` -ETIME when the time
 * was up and 0 when the count was reached; neither is an error.
 *
 * Errors: `ECANCELED`. Since Linux 5.4 (`absolute` 5.5, `clock` 5.15, `etimeSuccess` 5.16).
 *
 * @param time milliseconds as a number (fractions allowed), nanoseconds as a bigint, or `{ sec, nsec }`; what the
 * chosen clock shows, with `absolute`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_timeout.3.html io_uring_prep_timeout(3)}
 * @example
 * ```ts
 * import { Ring, timeout } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(timeout(5));
 * await ring.exec(timeout(Date.now() + 5, { absolute: true, clock: 'realtime' }));
 * ```
 */
export function timeout(time: Time, options?: TimeoutOptions): Operation<void> {
  const operation = timer<'single'>(Op.timeout, checkTime('time', time), options);
  if (options?.count !== undefined)
    operation.offset = checkInteger('options.count', options.count, 0, UINT32_MAX);
  return operation;
}

/** Options of {@link timeoutMultishot}. */
export interface TimeoutMultishotOptions extends ClockOptions {
  /** How often it expires. Default 0: until it is stopped. */
  repeat?: number;
}

/**
 * Expires again and again, with one submission. Since Linux 6.4.
 *
 * @param time between two expirations: milliseconds as a number (fractions allowed), nanoseconds as a bigint, or
 * `{ sec, nsec }`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_timeout.3.html io_uring_prep_timeout(3)}
 * @example
 * ```ts
 * import { Ring, timeoutMultishot } from 'uring';
 *
 * await using ring = new Ring();
 * let ticks = 0;
 * for await (const _ of ring.multishot(timeoutMultishot(1, { repeat: 3 }))) ticks += 1;
 * ```
 */
export function timeoutMultishot(
  time: Time,
  options?: TimeoutMultishotOptions,
): Operation<void, 'multishot'> {
  const checked = checkTime('time', time);
  const operation = timer<'multishot'>(Op.timeout, checked, options);
  // io_timeout_prep in io_uring/timeout.c: a point in time comes once.
  if ((operation.opFlags & ABSOLUTE) !== 0)
    throw invalidValue('options.absolute', 'is not possible for a timer that repeats');
  checkInterval('time', checked, time);
  if (options?.repeat !== undefined)
    operation.offset = checkInteger('options.repeat', options.repeat, 0, UINT32_MAX);
  operation.opFlags |= MULTISHOT;
  operation.needs('repeating', '6.4');
  operation.isMultishot = true;
  return operation;
}

/**
 * Stops a timer in flight, which completes with `ECANCELED`.
 *
 * Results in nothing. Errors: `ENOENT` when no such timer is in flight, `EALREADY` when it is expiring. Since Linux 5.5.
 *
 * @param target a `timeout` or `timeoutMultishot`, or `{ userData }` of one
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_timeout_remove.3.html io_uring_prep_timeout_remove(3)}
 * @example
 * ```ts
 * import { Ring, timeout, timeoutRemove } from 'uring';
 *
 * await using ring = new Ring();
 * const hour = timeout(3_600_000);
 * const stopped = ring.exec(hour).catch((error) => error.code); // 'ECANCELED'
 * await ring.exec(timeoutRemove(hour));
 * await stopped;
 * ```
 */
export function timeoutRemove(target: OperationTarget, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.timeoutRemove, options);
  operation.cancels(checkTarget('target', target));
  operation.decode = nothing;
  return operation;
}

/** Options of {@link timeoutUpdate}. */
export interface TimeoutUpdateOptions extends OperationOptions {
  /** The time is a point on the timer's clock and not a length. */
  absolute?: boolean;
  /** The target is a `linkTimeout`; only needed for one that is named by its user data. Since Linux 5.15. */
  linked?: boolean;
}

/**
 * Gives a timer in flight another time, which starts now. Its clock stays what it was.
 *
 * Results in nothing. Errors: `ENOENT` when no such timer is in flight, `EALREADY` when it is expiring. Since Linux 5.11
 * (for a `linkTimeout` 5.15).
 *
 * @param target a `timeout`, `timeoutMultishot` or `linkTimeout`, or `{ userData }` of one
 * @param time milliseconds as a number (fractions allowed), nanoseconds as a bigint, or `{ sec, nsec }`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_timeout_update.3.html io_uring_prep_timeout_update(3)}
 * @example
 * ```ts
 * import { Ring, timeout, timeoutUpdate } from 'uring';
 *
 * await using ring = new Ring();
 * const timer = timeout(3_600_000);
 * const expired = ring.exec(timer);
 * await ring.exec(timeoutUpdate(timer, 1));
 * await expired;
 * ```
 */
export function timeoutUpdate(
  target: OperationTarget,
  time: Time,
  options?: TimeoutUpdateOptions,
): Operation<void> {
  const operation = timeoutRemove(target, options);
  const checked = checkTime('time', time);
  operation.arguments(new TimespecPayload(checked, OFF));
  operation.traits = {
    checkTarget: ({ isMultishot }) => {
      if (isMultishot) checkInterval('time', checked, time);
    },
  };
  operation.needs('changing a timer', '5.11');
  checkOptions('options', options);
  const isLinked = target instanceof Operation && target.opcode === Op.linkTimeout;
  operation.opFlags =
    UPDATE |
    (isLinked || isSet('options.linked', options?.linked) ? LINK_UPDATE : 0) |
    (isSet('options.absolute', options?.absolute) ? ABSOLUTE : 0);
  return operation;
}

/**
 * Limits the time of the operation before it in a chain. When the time is up, that operation is cancelled, and completes
 * with `ECANCELED`; when it completes in time, this one does so with `ECANCELED`.
 *
 * Only for `ring.prepChain`, behind the operation that it limits. Its completion has `res` -ETIME when the time was up,
 * which is no error.
 *
 * Errors: `ECANCELED` when the operation came first, `EINVAL` when no operation is linked to it, `EALREADY` or `ENOENT`
 * when the operation could not be stopped any more. Since Linux 5.5 (`clock` 5.15, `etimeSuccess` 5.16).
 *
 * @param time milliseconds as a number (fractions allowed), nanoseconds as a bigint, or `{ sec, nsec }`; what the
 * chosen clock shows, with `absolute`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_link_timeout.3.html io_uring_prep_link_timeout(3)}
 * @example
 * ```ts
 * import { PollEvents, Ring, linkTimeout, pollAdd } from 'uring';
 *
 * await using ring = new Ring();
 * ring.prepChain([pollAdd(1, PollEvents.PRI), linkTimeout(5)]);
 * ring.submitAndWait(2);
 * for (const { operation, error } of ring.completions()) console.log(operation, error?.code);
 * ```
 */
export function linkTimeout(time: Time, options?: ClockOptions): Operation<void> {
  return timer<'single'>(Op.linkTimeout, checkTime('time', time), options);
}

/** @internal As `linkTimeout`, with the time that is left when it is prepared, in nanoseconds. */
export function linkTimeoutLater(remainingNs: () => bigint): Operation<void> {
  const operation = linkTimeout(0);
  operation.arguments(new RemainingPayload(remainingNs));
  return operation;
}

/** @internal Whether it is a timer that breaks a chain when its time is up. */
export function breaksChains({ opcode, opFlags }: AnyOperation): boolean {
  return opcode === Op.timeout && (opFlags & ETIME_SUCCESS) === 0;
}
