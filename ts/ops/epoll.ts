// The kernel's older way to wait for many descriptors, as operations: a step for programs that have an epoll loop.

import { invalidType, outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { checkBits32, checkInteger, checkName } from '../validate.ts';
import { nothing } from './results.ts';

/** EPOLL_CTL_* (epoll_ctl(2)). */
const CHANGES = { add: 1, delete: 2, modify: 3 } as const;
/** Where `data` stands in struct epoll_event: it is packed on x86-64 only (include/uapi/linux/eventpoll.h). */
// The module node:process would open what the standard streams are at import.
const DATA_AT = process.arch === 'x64' ? 4 : 8;
const EVENT_BYTES = DATA_AT + 8;
/** One block of staging memory; the kernel's own limit is higher (EP_MAX_EVENTS in fs/eventpoll.c). */
const EVENTS_MAX = 65_536;
const UINT64_MAX = 2n ** 64n - 1n;

/** Events of an epoll instance (epoll_ctl(2)). */
export const EpollEvents = {
  IN: 0x001,
  PRI: 0x002,
  OUT: 0x004,
  ERR: 0x008,
  HUP: 0x010,
  RDHUP: 0x2000,
  EXCLUSIVE: 1 << 28,
  WAKEUP: 1 << 29,
  ONESHOT: 1 << 30,
  ET: 2 ** 31,
} as const;

/** What `epollCtl` does with a descriptor. */
export type EpollChange = keyof typeof CHANGES;

/** One entry of what `epollWait` brings. */
export interface EpollEvent {
  /** {@link EpollEvents} */
  readonly events: number;
  /** What was given to `epollCtl` for this descriptor. */
  readonly data: bigint;
}

/** What {@link epollCtl} waits for, and what comes back with it. */
export interface EpollCtlOptions extends OperationOptions {
  /** Events to wait for ({@link EpollEvents}). Default 0: ERR and HUP, which are always told. */
  events?: number;
  /** Comes back with each event, an integer of 64 bits. Default: the descriptor. */
  data?: number | bigint;
}

class EpollEventPayload implements Payload {
  readonly sizeBytes = EVENT_BYTES;
  readonly #events: number;
  readonly #data: bigint;

  constructor(events: number, data: bigint) {
    this.#events = events;
    this.#data = data;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    block.view.fill(0, 0, EVENT_BYTES);
    block.view.writeUInt32LE(this.#events, 0);
    block.view.writeBigUInt64LE(this.#data, DATA_AT);
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  }
}

function checkData(data: unknown): bigint {
  if (typeof data === 'number') {
    if (!Number.isSafeInteger(data)) throw outOfRange('options.data', 'an integer', data);
  } else if (typeof data !== 'bigint') {
    throw invalidType('options.data', 'of type number or bigint', data);
  }
  if (data < 0 || data > UINT64_MAX) throw outOfRange('options.data', '>= 0 and < 2 ** 64', data);
  return BigInt(data);
}

/**
 * Changes what an epoll instance watches.
 *
 * Results in nothing. Errors: those of epoll_ctl(2), such as `EEXIST` for a descriptor that is watched already, `ENOENT`
 * for one that is not, `EPERM` for a file that cannot be watched, `EINVAL` when `epfd` is no epoll instance. Since Linux
 * 5.6.
 *
 * @param epfd descriptor of the epoll instance, not a registered file
 * @param fd descriptor to watch
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_epoll_ctl.3.html io_uring_prep_epoll_ctl(3)}
 * @example
 * ```ts no-run
 * import { EpollEvents, Ring, epollCtl } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(epollCtl(epfd, 'add', socket, { events: EpollEvents.IN }));
 * ```
 */
export function epollCtl(
  epfd: number,
  change: EpollChange,
  fd: number,
  options?: EpollCtlOptions,
): Operation<void> {
  const operation = new Operation<void>(Op.epollCtl, options);
  operation.fd = checkInteger('epfd', epfd, 0, 0x7fff_ffff);
  operation.length = checkName('change', change, CHANGES);
  operation.offset = checkInteger('fd', fd, 0, 0x7fff_ffff);
  const events = checkBits32('options.events', options?.events ?? 0);
  const data = checkData(options?.data ?? fd);
  // The kernel reads no event to delete one (ep_op_has_event in include/linux/eventpoll.h).
  if (change !== 'delete') operation.arguments(new EpollEventPayload(events, data));
  operation.decode = nothing;
  return operation;
}

/** Room for the events that the kernel writes. */
class EpollEventsPayload implements Payload {
  readonly sizeBytes: number;

  constructor(eventsMax: number) {
    this.sizeBytes = eventsMax * EVENT_BYTES;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  }
}

function decodeEvents({ res, staged }: Outcome): EpollEvent[] {
  const { view } = staged as StagedBlock;
  return Array.from({ length: res }, (_, at) => ({
    events: view.readUInt32LE(at * EVENT_BYTES),
    data: view.readBigUInt64LE(at * EVENT_BYTES + DATA_AT),
  }));
}

/**
 * Waits until an epoll instance has events.
 *
 * Results in the events, at least one. Errors: `EINVAL` for a file that is no epoll instance, `EBADF`. Since Linux 6.15.
 *
 * @param epfd the epoll instance
 * @param eventsMax the most events to take, 1 to 65,536. Default 64
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_epoll_wait.3.html io_uring_prep_epoll_wait(3)}
 * @example
 * ```ts no-run
 * import { Ring, epollWait } from 'uring';
 *
 * await using ring = new Ring();
 * for (const { events, data } of await ring.exec(epollWait(epfd))) console.log(data, events);
 * ```
 */
export function epollWait(epfd: Fd, eventsMax = 64, options?: OperationOptions): Operation<EpollEvent[]> {
  const operation = new Operation<EpollEvent[]>(Op.epollWait, options).on('epfd', epfd);
  operation.length = checkInteger('eventsMax', eventsMax, 1, EVENTS_MAX);
  operation.arguments(new EpollEventsPayload(operation.length));
  operation.decode = decodeEvents;
  return operation;
}
