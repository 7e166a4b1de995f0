// Readiness of descriptors.
import type { UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkInteger, checkOptions, isSet, UINT32_MAX } from '../validate.ts';
import { checkTarget, type OperationTarget } from './cancel.ts';
import { nothing } from './results.ts';

/** Events of `pollAdd` (poll(2), and those of epoll_ctl(2) that say how to wait). */
export const PollEvents = {
  IN: 0x001,
  PRI: 0x002,
  OUT: 0x004,
  ERR: 0x008,
  HUP: 0x010,
  NVAL: 0x020,
  RDNORM: 0x040,
  RDBAND: 0x080,
  WRNORM: 0x100,
  WRBAND: 0x200,
  MSG: 0x400,
  RDHUP: 0x2000,
  /** One of several that wait for the same file is woken, not all. */
  EXCLUSIVE: 1 << 28,
} as const;

/** IORING_POLL_*. */
const ADD_MULTI = 1 << 0;
const UPDATE_EVENTS = 1 << 1;
const ADD_LEVEL = 1 << 3;

/** Options of {@link pollAdd} and {@link pollMultishot}. */
export interface PollOptions extends OperationOptions {
  /**
   * Looks at the state and not for a change of it (`IORING_POLL_ADD_LEVEL`). It is in the kernel's interface since 6.0,
   * but all kernels so far, 6.18 included, answer EINVAL.
   */
  level?: boolean;
}

function noLevel(error: UringError): UringError {
  if (error.code === 'EINVAL') error.message += '; this kernel does not take options.level: leave it out';
  return error;
}

function poll<K extends 'single' | 'multishot'>(
  fd: Fd,
  events: number,
  options: PollOptions | undefined,
): Operation<number, K> {
  const operation = new Operation<number, K>(Op.pollAdd, options).on('fd', fd);
  operation.opFlags = checkInteger('events', events, 1, UINT32_MAX);
  if (isSet('options.level', options?.level)) {
    operation.length = ADD_LEVEL;
    operation.traits = { explain: noLevel };
  }
  return operation;
}

/**
 * Waits until a descriptor is ready.
 *
 * Results in the events that are there ({@link PollEvents}; ERR and HUP also unasked). Errors: `EBADF`; `EPERM` never
 * (a file that cannot be polled is always ready). Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_poll_add.3.html io_uring_prep_poll_add(3)}
 * @example
 * ```ts
 * import { PollEvents, Ring, pollAdd } from 'uring';
 *
 * await using ring = new Ring();
 * const events = await ring.exec(pollAdd(1, PollEvents.OUT));
 * console.log((events & PollEvents.OUT) !== 0); // true
 * ```
 */
export function pollAdd(fd: Fd, events: number, options?: PollOptions): Operation<number> {
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
export function pollMultishot(fd: Fd, events: number, options?: PollOptions): Operation<number, 'multishot'> {
  const operation = poll<'multishot'>(fd, events, options);
  operation.length |= ADD_MULTI;
  operation.isMultishot = true;
  operation.needs('polling many times', '5.13');
  return operation;
}

/** What `pollUpdate` changes. */
export interface PollChanges {
  /** The events to wait for from now on ({@link PollEvents}); single or multishot stays as it was. */
  readonly events: number;
  /** What the completions that follow bring back as their user data. */
  readonly userData?: unknown;
}

/**
 * Changes what a poll in flight waits for. The poll is armed anew, so that an event that is there already counts. A file
 * with two wait queues (a pipe or FIFO that is open for both ways) cannot be armed a second time: its poll ends with
 * `ECANCELED`. A stream of `ring.multishot` that has to start its poll again does so with the first events.
 *
 * Results in nothing. Errors: `ENOENT` when no such poll is in flight, `EALREADY` when it is completing. Since Linux
 * 5.13.
 *
 * @param target a `pollAdd` or `pollMultishot`, or `{ userData }` of one
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_poll_update.3.html io_uring_prep_poll_update(3)}
 * @example
 * ```ts
 * import { PollEvents, Ring, pollAdd, pollUpdate } from 'uring';
 *
 * await using ring = new Ring();
 * const poll = pollAdd(1, PollEvents.PRI); // never comes
 * const ready = ring.exec(poll);
 * await ring.exec(pollUpdate(poll, { events: PollEvents.OUT }));
 * await ready;
 * ```
 */
export function pollUpdate(
  target: OperationTarget,
  changes: PollChanges,
  options?: OperationOptions,
): Operation<void> {
  const operation = pollRemove(target, options);
  checkOptions('changes', changes);
  operation.length = UPDATE_EVENTS;
  operation.needs('changing a poll', '5.13');
  operation.opFlags = checkInteger('changes.events', changes?.events, 1, UINT32_MAX);
  operation.newUserData = changes.userData;
  return operation;
}

/**
 * Stops a poll in flight, which completes with `ECANCELED`.
 *
 * Results in nothing. Errors: `ENOENT` when no such poll is in flight, `EALREADY` when it is completing. Since Linux
 * 5.1.
 *
 * @param target a `pollAdd` or `pollMultishot`, or `{ userData }` of one
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_poll_remove.3.html io_uring_prep_poll_remove(3)}
 * @example
 * ```ts
 * import { PollEvents, Ring, pollAdd, pollRemove } from 'uring';
 *
 * await using ring = new Ring();
 * const poll = pollAdd(1, PollEvents.PRI);
 * const stopped = ring.exec(poll).catch((error) => error.code); // 'ECANCELED'
 * await ring.exec(pollRemove(poll));
 * await stopped;
 * ```
 */
export function pollRemove(target: OperationTarget, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.pollRemove, options);
  operation.cancels(checkTarget('target', target));
  operation.decode = nothing;
  return operation;
}
