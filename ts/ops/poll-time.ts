// Readiness and time.
import { constants } from 'node:os';
import { invalidType, outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkInteger, UINT32_MAX } from '../validate.ts';
import { nothing } from './file.ts';

/** Events of `pollAdd` (poll(2)). */
export const PollEvents = {
  IN: 0x001,
  PRI: 0x002,
  OUT: 0x004,
  ERR: 0x008,
  HUP: 0x010,
  RDHUP: 0x2000,
} as const;

const POLL_ADD_MULTI = 1 << 0;
const TIMEOUT_MULTISHOT = 1 << 6;
const TIMESPEC_BYTES = 16;

function poll<K extends 'single' | 'multishot'>(
  fd: Fd,
  events: number,
  options: OperationOptions | undefined,
): Operation<number, K> {
  const operation = new Operation<number, K>(Op.pollAdd, options).on('fd', fd);
  operation.opFlags = checkInteger('events', events, 1, UINT32_MAX);
  return operation;
}

/**
 * Waits until a descriptor is ready.
 *
 * Results in the events that are there ({@link PollEvents}; ERR and HUP also unasked). Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_poll_add.3.html io_uring_prep_poll_add(3)}
 * @example
 * ```ts no-run
 * import { PollEvents, Ring, pollAdd } from 'uring';
 *
 * await using ring = new Ring();
 * const events = await ring.exec(pollAdd(socket, PollEvents.IN));
 * ```
 */
export function pollAdd(fd: Fd, events: number, options?: OperationOptions): Operation<number> {
  return poll(fd, events, options);
}

/**
 * Says whenever a descriptor becomes ready, until it is stopped. Since Linux 5.13.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_poll_multishot.3.html io_uring_prep_poll_multishot(3)}
 * @example
 * ```ts no-run
 * import { PollEvents, Ring, pollMultishot } from 'uring';
 *
 * await using ring = new Ring();
 * for await (const events of ring.multishot(pollMultishot(socket, PollEvents.IN))) console.log(events);
 * ```
 */
export function pollMultishot(
  fd: Fd,
  events: number,
  options?: OperationOptions,
): Operation<number, 'multishot'> {
  const operation = poll<'multishot'>(fd, events, options);
  operation.length = POLL_ADD_MULTI;
  operation.isMultishot = true;
  return operation;
}

class TimespecPayload implements Payload {
  readonly sizeBytes = TIMESPEC_BYTES;
  readonly #seconds: bigint;
  readonly #nanoseconds: bigint;

  constructor(timeoutMs: number) {
    const total = BigInt(Math.round(timeoutMs * 1e6));
    this.#seconds = total / 1_000_000_000n;
    this.#nanoseconds = total % 1_000_000_000n;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    block.view.writeBigInt64LE(this.#seconds, 0);
    block.view.writeBigInt64LE(this.#nanoseconds, 8);
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
    record[base + 6] = 1;
  }
}

function timer<K extends 'single' | 'multishot'>(
  timeoutMs: number,
  [name, count]: readonly [name: string, count: number | undefined],
  options: OperationOptions | undefined,
): Operation<void, K> {
  if (typeof timeoutMs !== 'number') throw invalidType('timeoutMs', 'of type number', timeoutMs);
  if (!(timeoutMs >= 0 && timeoutMs <= Number.MAX_SAFE_INTEGER)) {
    throw outOfRange('timeoutMs', '>= 0 and <= 2 ** 53 - 1', timeoutMs);
  }
  const operation = new Operation<void, K>(Op.timeout, options);
  operation.arguments(new TimespecPayload(timeoutMs));
  if (count !== undefined) operation.offset = checkInteger(name, count, 0, UINT32_MAX);
  operation.successErrno = constants.errno.ETIME;
  operation.decode = nothing;
  return operation;
}

export interface TimeoutOptions extends OperationOptions {
  /** Ends early when this many other operations have completed. Default 0: never. */
  count?: number;
}

/**
 * Ends after a time, or when `count` other operations have completed. Its completion has `res` -ETIME when the time
 * was up and 0 when the count was reached; neither is an error.
 *
 * Errors: `ECANCELED`. Since Linux 5.4.
 *
 * @param timeoutMs time in milliseconds, fractions allowed
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_timeout.3.html io_uring_prep_timeout(3)}
 * @example
 * ```ts
 * import { Ring, timeout } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(timeout(5));
 * ```
 */
export function timeout(timeoutMs: number, options?: TimeoutOptions): Operation<void> {
  return timer(timeoutMs, ['options.count', options?.count], options);
}

export interface TimeoutMultishotOptions extends OperationOptions {
  /** How often it expires. Default 0: until it is stopped. */
  repeat?: number;
}

/**
 * Expires again and again, with one submission. Since Linux 6.4.
 *
 * @param timeoutMs time between two expirations in milliseconds, fractions allowed
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
  timeoutMs: number,
  options?: TimeoutMultishotOptions,
): Operation<void, 'multishot'> {
  const operation = timer<'multishot'>(timeoutMs, ['options.repeat', options?.repeat], options);
  operation.opFlags = TIMEOUT_MULTISHOT;
  operation.isMultishot = true;
  return operation;
}
