import type { Completion } from '../completion.ts';
import { AbortError, type UringError } from '../errors.ts';
import { CqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import type { AnyOperation, Operation } from '../operation.ts';
import { asyncCancel } from '../ops/cancel.ts';
import type { ProvidedBuffers } from '../provided-buffers.ts';
import type { Settler } from './handler.ts';
import { forgetAborted, whenAborted } from './signals.ts';
import { onNextTurn } from './turn.ts';

/** Results that may wait for the consumer before the operation is stopped for the time being. */
const WAITING_MAX = 64;
/**
 * SOCK_NONEMPTY with nothing received means "come again", as after an empty datagram. TCP says it at the end of a
 * stream too (tcp_inq_hint in include/net/tcp.h), so that this often in a row it is taken for the end.
 */
const EMPTY_STREAK_MAX = 4;

function isLent(part: unknown): part is { copyOut(): void } {
  return typeof part === 'object' && part !== null && 'copyOut' in part;
}

/** @internal What a stream needs of its ring. */
export interface StreamOwner {
  /** The handler is the user data, too. */
  start(operation: AnyOperation, handler: Settler, isUnref: boolean): void;
  setRef(isRef: boolean, operation: AnyOperation): void;
  /** It works on a datagram socket that is named by its descriptor. */
  isDatagram(operation: AnyOperation): boolean;
  /** All buffers are out. */
  starved(buffers: ProvidedBuffers, operation: AnyOperation): void;
  /** Gives up a result that nobody took. */
  discard(operation: AnyOperation, result: unknown): unknown;
}

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/**
 * The results of a multishot operation, as an async iterator.
 *
 * It starts with the first `next()`. The kernel ends multishot operations of its own accord, and may turn them into
 * single ones: only a completion without `MORE` tells (docs/measured.md, "Multishot operations end by themselves"). The stream then starts the
 * operation again, until there is an error, the end of the data, or nobody who wants more.
 */
export class MultishotStream<T> implements AsyncIterableIterator<T>, Settler {
  readonly #owner: StreamOwner;
  readonly #operation: Operation<T, 'multishot'>;
  readonly #results: T[] = [];
  readonly #waiters: Waiter<T>[] = [];
  readonly #wake = (error?: UringError): void => (error === undefined ? this.#arm() : this.#finish(error));
  #isUnref = false;
  /** The operation as it was started last. */
  #running: Operation<T, 'multishot'> | undefined;
  /** In flight: its last completion is not in. */
  #armed = false;
  /** A cancel request for the present start is out. */
  #cancelSent = false;
  /** Waits for a provided buffer to come back. */
  #parked = false;
  #finished = false;
  #error: UringError | AbortError | undefined;
  /** Calls of `return` that wait for the last completion. */
  readonly #whenIdle: (() => void)[] = [];
  #releasedWhenArmed = 0;
  #emptyStreak = 0;
  /** Others miss the buffers that its results are in: it takes no more until all of them have been taken. */
  readonly #copyOut = (): void => {
    this.#operation.buffers?.forget(this.#wake);
    this.#parked = false;
    this.#cancel();
    for (const result of this.#results) {
      for (const part of this.#operation.traits?.parts?.(result) ?? [result])
        if (isLent(part)) part.copyOut();
    }
  };
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#abort();
  /** Bytes that may still come, where the operation counts them. */
  #left: number | undefined;

  constructor(owner: StreamOwner, operation: Operation<T, 'multishot'>, signal: AbortSignal | undefined) {
    this.#owner = owner;
    this.#operation = operation;
    this.#signal = signal;
    if (operation.traits?.countsBytes === true) this.#left = operation.fileIndex;
  }

  /** @internal For whoever looks at it in a debugger. */
  get description(): { operation: AnyOperation; state: string; results: number } {
    const ended = this.#finished ? 'ended' : 'not started, or paused';
    const state = this.#parked ? 'waits for a buffer' : this.#armed ? 'runs' : ended;
    return { operation: this.#operation, state, results: this.#results.length };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next result, or the end; the first call starts the operation. */
  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#results.length > 0) {
        resolve({ done: false, value: this.#results.shift() as T });
        if (this.#results.length === 0) {
          this.#operation.buffers?.holdsNoMore(this.#copyOut);
          this.#arm();
        }
      } else if (this.#finished && this.#armed && this.#error instanceof AbortError) {
        this.#waiters.push({ resolve, reject });
      } else if (this.#finished) {
        this.#end({ resolve, reject });
      } else {
        this.#waiters.push({ resolve, reject });
        this.#arm();
      }
    });
  }

  /** Stops the operation, waits until the kernel has let go of it, and gives up results that nobody took. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#finish(undefined);
    this.#discardResults();
    if (this.#armed) {
      await new Promise<void>((resolve) => {
        this.#whenIdle.push(resolve);
        this.#cancel();
      });
    }
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Lets the operation keep the process alive, which is the default. */
  ref(): this {
    return this.#setRef(true);
  }

  /** The process may end although the operation is in flight, also when the stream starts it again. */
  unref(): this {
    return this.#setRef(false);
  }

  #setRef(isRef: boolean): this {
    this.#isUnref = !isRef;
    if (this.#armed && this.#running !== undefined) this.#owner.setRef(isRef, this.#running);
    return this;
  }

  #end({ resolve, reject }: Waiter<T>): void {
    const error = this.#error;
    // An error is reported once; after that the iterator is simply over.
    this.#error = undefined;
    if (error === undefined) resolve({ done: true, value: undefined });
    else reject(error);
  }

  #abort(): void {
    // Whoever waits is told when the kernel has let go.
    const waiters = this.#armed ? this.#waiters.splice(0) : [];
    this.#finish(new AbortError(this.#signal?.reason));
    this.#discardResults();
    this.#waiters.push(...waiters);
    if (this.#armed) this.#whenIdle.push(() => this.#endWaiters());
    this.#cancel();
  }

  #finish(error: UringError | AbortError | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#error = error;
    if (this.#signal !== undefined) forgetAborted(this.#signal, this.#onAbort);
    this.#operation.buffers?.forget(this.#wake);
    this.#parked = false;
    this.#endWaiters();
  }

  #endWaiters(): void {
    for (const waiter of this.#waiters.splice(0)) this.#end(waiter);
  }

  #discardResults(): void {
    this.#operation.buffers?.holdsNoMore(this.#copyOut);
    for (const result of this.#results.splice(0)) this.#owner.discard(this.#operation, result);
  }

  #arm(): void {
    if (this.#armed || this.#finished) return;
    if (this.#signal?.aborted === true) {
      this.#abort();
      return;
    }
    if (this.#signal !== undefined) whenAborted(this.#signal, this.#onAbort);
    this.#parked = false;
    this.#releasedWhenArmed = this.#operation.buffers?.released ?? 0;
    try {
      this.#running = this.#present();
      this.#owner.start(this.#running, this, this.#isUnref);
      this.#armed = true;
    } catch (error) {
      this.#finish(error as UringError);
    }
  }

  /** The operation as it is to be started now: the kernel counts from the start, again each time. */
  #present(): Operation<T, 'multishot'> {
    const operation = this.#operation;
    if (this.#left === undefined || this.#left === operation.fileIndex) return operation;
    return Object.assign(operation.copy(), { fileIndex: this.#left });
  }

  /** Asks the kernel to stop; the operation's own last completion says when it has. */
  #cancel(): void {
    if (this.#cancelSent || !this.#armed) return;
    this.#cancelSent = true;
    // A request that comes while the operation is about to complete or to start again finds nothing.
    const answer = (error: UringError | null): void => {
      if (error !== null && this.#armed) onNextTurn(() => this.#cancelAgain());
    };
    try {
      this.#owner.start(asyncCancel({ userData: this }), { settle: answer }, false);
    } catch {
      // A ring that closes, or is broken, ends all of its operations without being asked.
    }
  }

  #cancelAgain(): void {
    this.#cancelSent = false;
    this.#cancel();
  }

  /** @internal */
  settle(error: UringError | null, result: unknown, completion: Completion): void {
    const last = !completion.hasMore;
    const stoppedByUs = this.#cancelSent;
    if (last) {
      this.#armed = false;
      this.#cancelSent = false;
    }
    if (error !== null) {
      if (last) {
        this.#stopped(error, stoppedByUs);
      } else {
        // One result could not be had; what follows would have a gap before it.
        this.#finish(error);
        this.#cancel();
      }
    } else if (this.#isNothing(result as T, completion.res)) {
      this.#owner.discard(this.#operation, result);
      this.#nothingReceived((completion.flags & CqeFlags.SOCK_NONEMPTY) !== 0);
    } else {
      this.#emptyStreak = 0;
      if (this.#left !== undefined) this.#left = Math.max(0, this.#left - completion.res);
      this.#take(result as T, last);
    }
    if (last) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Whether a completion brings nothing for the consumer, which is the end of a stream's data. */
  #isNothing(result: T, res: number): boolean {
    const { buffers, traits } = this.#operation;
    if (buffers !== undefined && res === 0) return true;
    // An empty datagram comes with an address, or tells that there was one.
    return traits?.isEmpty?.(result) === true && !this.#owner.isDatagram(this.#operation);
  }

  #take(result: T, last: boolean): void {
    if (this.#finished) {
      this.#owner.discard(this.#operation, result);
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#results.push(result);
      this.#operation.buffers?.holds(this.#copyOut);
    } else {
      waiter.resolve({ done: false, value: result });
    }
    const isFull = this.#results.length >= WAITING_MAX;
    if (!last && isFull) this.#cancel();
    else if (last && this.#isOver()) this.#finish(undefined);
    else if (last && !isFull) this.#arm();
  }

  /** The last completion was its end, and no reason to start it again. */
  #isOver(): boolean {
    const { opcode, traits } = this.#operation;
    return opcode === Op.timeout || traits?.endsByItself === true || this.#left === 0;
  }

  #nothingReceived(moreIsThere: boolean): void {
    this.#emptyStreak += 1;
    // An empty datagram looks like the end of a stream, and must not let a peer end ours.
    const goesOn =
      (moreIsThere && this.#emptyStreak <= EMPTY_STREAK_MAX) || this.#owner.isDatagram(this.#operation);
    if (goesOn) this.#arm();
    else this.#finish(undefined);
  }

  #stopped(error: UringError, stoppedByUs: boolean): void {
    if (this.#finished) return;
    if (error.code === 'ECANCELED' && stoppedByUs) {
      // The consumer was slow; `next` starts the operation again when everything has been taken.
      if (this.#results.length === 0) this.#arm();
    } else if (error.code === 'ENOBUFS' && this.#waitsForBuffers()) {
      this.#park();
    } else {
      this.#finish(error);
    }
  }

  #waitsForBuffers(): boolean {
    return this.#operation.buffers !== undefined && this.#operation.traits?.endsByItself !== true;
  }

  #park(): void {
    const buffers = this.#operation.buffers;
    if (buffers === undefined || this.#parked) return;
    // Its own results come back when they are taken.
    if (this.#results.length === 0) buffers.reclaim();
    // A buffer that came back since the start is there already; no later release will wake us for it.
    if (buffers.released !== this.#releasedWhenArmed) {
      this.#arm();
      return;
    }
    this.#parked = true;
    buffers.whenReleased(this.#wake);
    this.#owner.starved(buffers, this.#operation);
  }
}
