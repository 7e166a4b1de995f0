// Timers, and limits of time: they need no handler, as the mock has a clock.
import { Errno } from '../errnos.ts';
import { TIMESPEC_BYTES } from '../timespec.ts';
import type { MockClock } from './clock.ts';
import type { Execution } from './execution.ts';
import type { Memories } from './memory.ts';
import type { Request } from './request.ts';
import type { Place, Sqe } from './sqe.ts';

const { EINVAL, ENOENT, ETIME } = Errno;
/** IORING_TIMEOUT_*, IORING_LINK_TIMEOUT_UPDATE. */
const ABSOLUTE = 1 << 0;
const UPDATE = 1 << 1;
const REALTIME = 1 << 3;
const LINK_UPDATE = 1 << 4;
const MULTISHOT = 1 << 6;
const NSEC_PER_SEC = 1_000_000_000n;

/** What timers need of their ring. */
export interface TimerHost {
  readonly clock: MockClock;
  readonly memories: Memories;
  readonly execution: Execution;
}

function lengthNs({ memories }: TimerHost, { offset, handle }: Place): bigint {
  const time = memories.view(offset, handle, TIMESPEC_BYTES);
  return time.readBigInt64LE(0) * NSEC_PER_SEC + time.readBigInt64LE(8);
}

function dueNs(host: TimerHost, place: Place, flags: number): bigint {
  const time = lengthNs(host, place);
  const now = host.clock.nowNs();
  if ((flags & ABSOLUTE) === 0) return now + time;
  return (flags & REALTIME) === 0 ? time : now + (time - host.clock.realtimeNs());
}

/** When the time limit of an operation ends that starts now. */
export function dueOf({ sqe }: Request, host: TimerHost): bigint {
  return dueNs(host, sqe.addrPlace, sqe.opFlags);
}

/** Begins a timer. */
export function timeout(request: Request, host: TimerHost): void {
  const { sqe } = request;
  const { clock, execution } = host;
  const isRepeating = (sqe.opFlags & MULTISHOT) !== 0;
  if (isRepeating) request.left = sqe.off === 0 ? -1 : sqe.off;
  else if (sqe.off > 0) execution.endAfter(request, sqe.off);
  const expire = (): void => {
    const expired = { res: -ETIME, flags: 0, extra: 0 };
    request.left -= 1;
    if (!isRepeating || request.left === 0 || !execution.progress(request, expired)) {
      request.alarm = undefined;
      execution.complete(request, expired);
      return;
    }
    request.alarm = clock.at(clock.nowNs() + lengthNs(host, sqe.addrPlace), expire);
  };
  request.onExpiry = expire;
  request.alarm = clock.at(dueOf(request, host), expire);
}

/** Stops a timer, or moves it. */
export function timeoutRemove(request: Request, host: TimerHost): void {
  const { sqe } = request;
  const { execution } = host;
  const target = execution.find(sqe.addrPlace.offset | 0, sqe.addrPlace.handle);
  const done = (res: number): void => execution.complete(request, { res, flags: 0, extra: 0 });
  if ((sqe.opFlags & UPDATE) !== 0) done(move(sqe, target, host));
  else if (target?.isRunning === true && target.sqe.name === 'timeout') {
    done(0);
    execution.stop(target);
  } else done(-ENOENT);
}

function move(sqe: Sqe, target: Request | undefined, host: TimerHost): number {
  const wanted = (sqe.opFlags & LINK_UPDATE) === 0 ? 'timeout' : 'linkTimeout';
  if (target?.isRunning !== true || target.sqe.name !== wanted) return -ENOENT;
  // The time counts on the clock of the timer.
  const due = dueNs(host, sqe.offPlace, (sqe.opFlags & ABSOLUTE) | (target.sqe.opFlags & REALTIME));
  if (wanted === 'linkTimeout') host.execution.rearm(target, due);
  else {
    if (target.alarm !== undefined) host.clock.forget(target.alarm);
    target.alarm = host.clock.at(due, () => target.onExpiry?.());
  }
  return 0;
}

/** A limit that limits nothing. */
export function linkTimeout(request: Request, { execution }: TimerHost): void {
  execution.complete(request, { res: -EINVAL, flags: 0, extra: 0 });
}
