import { Errno } from '../errnos.ts';
import type { UringError } from '../errors.ts';
import { CqeFlags } from '../flags.ts';
import { EXTRA_IS_LOCAL, Reject } from '../generated/abi.ts';
import { opInfo } from '../generated/ops.ts';
import { MessageFlags } from '../message-flags.ts';
import type { Entry } from './block.ts';
import type { MockClock } from './clock.ts';
import type { Result } from './outcome.ts';
import { Refusal } from './refusal.ts';
import type { Request } from './request.ts';

const { ECANCELED, EINVAL, EALREADY, ENOENT, ETIME } = Errno;
/** IORING_TIMEOUT_ETIME_SUCCESS. */
const ETIME_SUCCESS = 1 << 5;
/** Sockets for which less than everything is a failure (io_uring/net.c, io_send and io_recv). */
const OF_SOCKETS = ['send', 'recv', 'sendmsg', 'recvmsg', 'sendZc', 'sendmsgZc'];

/** What running operations asks of its ring. */
export interface ExecutionHost {
  readonly clock: MockClock;
  /** Begins an operation; it completes now or later. */
  begin(request: Request): void;
  /** When a time limit ends. */
  dueOf(request: Request): bigint;
  /** Takes a completion; answers false if there is no room and `mayOverflow` is not set. */
  post(entry: Entry, mayOverflow: boolean): boolean;
  /** Something of an operation is not to be had by a number. */
  keepError(index: number, error: UringError): void;
  /** An operation is over, with this result. */
  ended(request: Request, res: number): void;
}

/** Runs the operations of one ring: chains of them, their limits of time, and what stops them. */
export class Execution {
  readonly #host: ExecutionHost;
  /** By the index that the ring knows them by. */
  readonly #requests = new Map<number, Request>();
  /** Completions so far that were no timers': what timers count. */
  #counted = 0;
  /** Operations that never ran, because something that they named was not there. */
  refused = 0;
  /** Timers that count. */
  readonly #counting = new Set<Request>();
  /** What follows operations that are over. Chains can be longer than the stack is deep. */
  readonly #following: { readonly after: Request; readonly next: Request }[] = [];
  #isFollowing = false;

  constructor(host: ExecutionHost) {
    this.#host = host;
  }

  get inFlight(): number {
    return this.#requests.size;
  }

  get all(): Request[] {
    return [...this.#requests.values()];
  }

  /** Ends a timer when so many others have completed. */
  endAfter(timer: Request, count: number): void {
    timer.endsAtCount = this.#counted + count;
    this.#counting.add(timer);
  }

  /** Starts operations that are linked to each other, or one. */
  start(chain: readonly Request[]): void {
    for (const [at, request] of chain.entries()) {
      request.next = chain[at + 1];
      this.#requests.set(request.sqe.index, request);
    }
    const [first] = chain;
    if (first !== undefined) this.#run(first);
  }

  /** Completes operations that never ran, because one of them, `at`, was refused. */
  refuse(chain: readonly { readonly index: number }[], at: number, error: unknown): void {
    this.refused += chain.length;
    for (const [place, { index }] of chain.entries()) {
      if (place !== at) this.#post(index, -ECANCELED, 0, EXTRA_IS_LOCAL | Reject.chainBroken);
      else if (error instanceof Refusal) {
        const res = error.reason === Reject.closed ? -ECANCELED : -EINVAL;
        this.#post(index, res, 0, EXTRA_IS_LOCAL | error.reason);
      } else {
        this.#host.keepError(index, error as UringError);
        this.#post(index, -EINVAL, 0, EXTRA_IS_LOCAL);
      }
    }
  }

  #post(index: number, res: number, flags: number, extra: number, mayOverflow = true): boolean {
    return this.#host.post({ index, res, flags, extra }, mayOverflow);
  }

  #run(request: Request): void {
    request.state = 'running';
    const { next } = request;
    const limit = next?.sqe.name === 'linkTimeout' ? next : undefined;
    if (limit !== undefined) {
      request.next = limit.next;
      limit.next = undefined;
      limit.limited = request;
      request.limit = limit;
    }
    this.#host.begin(request);
    // One that is through by now needs no limit (io_uring/io_uring.c, io_queue_sqe).
    if (limit !== undefined && request.isRunning) this.#arm(limit);
  }

  #arm(limit: Request): void {
    limit.state = 'running';
    limit.alarm = this.#host.clock.at(this.#host.dueOf(limit), () => this.expire(limit));
  }

  /** A time limit has been moved. */
  rearm(limit: Request, dueNs: bigint): void {
    if (limit.alarm !== undefined) this.#host.clock.forget(limit.alarm);
    limit.alarm = this.#host.clock.at(dueNs, () => this.expire(limit));
  }

  /** A time limit is reached. */
  expire(limit: Request): void {
    const { limited } = limit;
    if (!limit.isRunning || limited === undefined) return;
    limited.limit = undefined;
    limit.alarm = undefined;
    // The limit is over first, so that what stops does not take it along.
    const isStopped = !limited.isUnstoppable && limited.isRunning;
    const after = isStopped ? limited.next : undefined;
    if (isStopped) {
      limited.next = undefined;
      this.#stop(limited);
    }
    this.complete(limit, { res: isStopped ? -ETIME : -EALREADY, flags: 0, extra: 0 });
    if (after !== undefined) this.#goOn(limited, after);
  }

  /** A result, of several; answers whether there was room, without which it is the last. */
  progress(request: Request, { res, flags, extra }: Result): boolean {
    const hadRoom = this.#post(request.sqe.index, res, flags | CqeFlags.MORE, extra, false);
    if (hadRoom) this.#count(request);
    else this.complete(request, { res, flags, extra });
    return hadRoom;
  }

  /** The last result. What is linked to the operation starts, or is cancelled. */
  complete(request: Request, { res, flags, extra }: Result): void {
    if (request.state === 'over') return;
    request.state = 'over';
    const { index } = request.sqe;
    request.hasFailed ||= isFailure(request, res);
    if (request.alarm !== undefined) this.#host.clock.forget(request.alarm);
    if (opInfo[request.sqe.opcode]?.notifies === true && res >= 0) {
      this.#post(index, res, flags | CqeFlags.MORE, extra);
      this.#post(index, 0, CqeFlags.NOTIF, 0);
    } else this.#post(index, res, flags, extra);
    this.#requests.delete(index);
    this.#count(request);
    const { limit, next } = request;
    if (limit !== undefined) this.complete(limit, { res: -ECANCELED, flags: 0, extra: 0 });
    this.#host.ended(request, res);
    if (next !== undefined) this.#goOn(request, next);
  }

  /** An operation is over because of an error that has no number. */
  fail(request: Request, error: UringError): void {
    if (request.state === 'over') return;
    this.#host.keepError(request.sqe.index, error);
    this.complete(request, { res: -EINVAL, flags: 0, extra: EXTRA_IS_LOCAL });
  }

  #goOn(after: Request, next: Request): void {
    this.#following.push({ after, next });
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    try {
      for (let one = this.#following.shift(); one !== undefined; one = this.#following.shift())
        this.#follow(one.after, one.next);
    } finally {
      this.#isFollowing = false;
    }
  }

  #follow({ hasFailed, sqe }: Request, next: Request): void {
    if (!hasFailed || sqe.isHard) {
      this.#run(next);
      return;
    }
    for (let rest: Request | undefined = next; rest !== undefined; rest = rest.next) this.#skip(rest);
  }

  /** It does not run, because the chain has ended. */
  #skip(request: Request): void {
    request.state = 'over';
    this.#post(request.sqe.index, -ECANCELED, 0, 0);
    this.#requests.delete(request.sqe.index);
    this.#count(request);
    this.#host.ended(request, -ECANCELED);
  }

  /** Timers end early when enough others have completed. */
  #count({ sqe }: Request): void {
    if (sqe.name === 'timeout' || sqe.name === 'linkTimeout') return;
    this.#counted += 1;
    for (const timer of this.#counting) {
      if (timer.endsAtCount > this.#counted) continue;
      this.#counting.delete(timer);
      this.complete(timer, { res: 0, flags: 0, extra: 0 });
    }
  }

  /** An operation by its index and sequence. */
  find(index: number, sequence: number): Request | undefined {
    const request = this.#requests.get(index);
    return request?.sqe.sequence === sequence ? request : undefined;
  }

  /** What a cancel request says: 0, or why it stops nothing. What waits for another is not found. */
  canStop(request: Request | undefined): number {
    if (request === undefined || !request.isRunning || request.sqe.name === 'linkTimeout') return -ENOENT;
    return request.isUnstoppable ? -EALREADY : 0;
  }

  /** Stops an operation. */
  stop(request: Request): void {
    if (this.canStop(request) === 0) this.#stop(request);
  }

  #stop(request: Request): void {
    request.asked.operation.stop();
    this.complete(request, { res: -ECANCELED, flags: 0, extra: 0 });
  }

  /** Stops everything that can be stopped. */
  stopAll(): void {
    for (const request of this.all) this.stop(request);
  }
}

/** Whether a result breaks a chain that is not hard. */
function isFailure({ sqe, asked }: Request, res: number): boolean {
  if (res < 0) return !(res === -ETIME && (sqe.opFlags & ETIME_SUCCESS) !== 0);
  if (OF_SOCKETS.includes(sqe.name)) {
    const { room, data } = asked.operation;
    return (sqe.opFlags & MessageFlags.WAITALL) !== 0 && res < room + data.byteLength;
  }
  return asked.fullBytes >= 0 && res !== asked.fullBytes;
}
