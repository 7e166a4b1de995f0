import { Errno } from '../errnos.ts';
import type { UringError } from '../errors.ts';
import { SqeFlags } from '../flags.ts';
import type { AnyOperation } from '../operation.ts';
import { linkTimeout, linkTimeoutLater } from '../ops/time.ts';
import type { Attached } from './attached.ts';
import { Link, type Pending } from './link.ts';
import { forgetAborted, whenAborted } from './signals.ts';
import { stopRunning } from './stop.ts';

const { EALREADY, ECANCELED, ENOENT, ETIME } = Errno;
/** What a LINK_TIMEOUT says when its time was up: also that it came too late to stop the operation. */
const REACHED: ReadonlySet<number> = new Set([ETIME, EALREADY, ENOENT]);
const NSEC_PER_MS = 1e6;

/** What became of one operation. */
export interface Ended {
  readonly operation: AnyOperation;
  readonly error: UringError | null;
  readonly result: unknown;
}

/** What may stop operations before they are through. */
export interface Limits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/** Why operations were stopped, if they were; an error if their deadline could not be set. */
export type Stopped = 'aborted' | 'timed out' | UringError | undefined;

/**
 * Operations that run one after the other, at least one, and can be stopped by a signal or a deadline.
 *
 * They are over when all of their completions are in: until then the kernel has their memory. The deadline is the
 * kernel's: behind each operation stands a LINK_TIMEOUT for the same point in time.
 */
export class Together {
  readonly #attached: Attached;
  readonly #signal: AbortSignal | undefined;
  readonly #done: (ended: readonly Ended[], stopped: Stopped) => void;
  /** Those of the operations, without those of the deadlines. */
  readonly #links: Link[] = [];
  readonly #ended: (Ended | undefined)[];
  /** Completions that are still to come. */
  #left = 0;
  #pending: Pending | undefined;
  #forgetTimer: (() => void) | undefined;
  #stopped: Stopped;
  readonly #isHard: boolean;
  #isExpired = false;
  readonly #onAbort = (): void => this.#abort();

  /**
   * @param flags LINK or HARDLINK
   * @param done is called once, with what became of each operation
   * @throws what is wrong with the operations; none of them runs then
   */
  constructor(
    attached: Attached,
    operations: readonly AnyOperation[],
    flags: number,
    { signal, timeoutMs }: Limits,
    done: (ended: readonly Ended[], stopped: Stopped) => void,
  ) {
    this.#attached = attached;
    this.#signal = signal;
    this.#done = done;
    this.#isHard = (flags & SqeFlags.HARDLINK) !== 0;
    this.#ended = operations.map(() => undefined);
    const links = this.#linked(operations, flags, timeoutMs);
    this.#left = links.length;
    this.#pending = attached.startTogether(links);
    // What waits for room is not the kernel's yet, and nor is its deadline. And the kernel arms the deadline of what a worker
    // thread runs only when that is through (since 6.15 and its stable releases, b53e523261bf: io_wq_submit_work issues first).
    if (timeoutMs !== undefined) this.#forgetTimer = attached.clock.after(timeoutMs, () => this.#expire());
    // It may be aborted by now, by a getter of an operation.
    if (signal?.aborted === true) this.#abort();
    else if (signal !== undefined) whenAborted(signal, this.#onAbort);
  }

  #linked(operations: readonly AnyOperation[], flags: number, timeoutMs: number | undefined): Link[] {
    const limit = timeoutMs === undefined ? undefined : this.#limit(timeoutMs, operations.length > 1);
    const links: Link[] = [];
    for (const [at, operation] of operations.entries()) {
      const toNext = at === operations.length - 1 ? 0 : flags;
      const handler = {
        settle: (error: UringError | null, result: unknown): void =>
          this.#endedOne(at, { operation, error, result }),
      };
      const link = new Link(operation, handler, undefined, 0, limit === undefined ? toNext : flags);
      this.#links.push(link);
      links.push(link);
      if (limit !== undefined) links.push(this.#deadline(limit, toNext));
    }
    return links;
  }

  /**
   * A single operation has the time that is left when it is prepared. A chain has a point in time, because each of its
   * deadlines starts with its own link; that is on the kernel's clock, which a time namespace may have moved.
   */
  #limit(timeoutMs: number, isPoint: boolean): AnyOperation {
    const { clock } = this.#attached;
    const end = clock.nowNs() + BigInt(Math.round(timeoutMs * NSEC_PER_MS));
    return isPoint ? linkTimeout(end, { absolute: true }) : linkTimeoutLater(() => end - clock.nowNs());
  }

  #deadline(limit: AnyOperation, flags: number): Link {
    const settle = (error: UringError | null, _result: unknown, { res }: { res: number }): void => {
      // It says ECANCELED when the operation came first, or was refused.
      if (REACHED.has(-res)) this.#stopped ??= 'timed out';
      else if (res !== -ECANCELED) this.#stopped ??= error ?? undefined;
      this.#oneLess();
    };
    const link = new Link(limit, { settle }, undefined, 0, flags);
    // The operation before it says whether the process is kept alive.
    link.isUnref = true;
    return link;
  }

  #endedOne(at: number, ended: Ended): void {
    this.#ended[at] = ended;
    // The next one starts if this one came before the request to stop it; that of a hard chain in any case.
    const goesOn = this.#isHard || ended.error === null;
    if (goesOn && (this.#stopped === 'aborted' || this.#isExpired) && this.#left > 1) this.#cancel();
    this.#oneLess();
  }

  #oneLess(): void {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#forgetTimer?.();
    if (this.#signal !== undefined) forgetAborted(this.#signal, this.#onAbort);
    this.#done(this.#ended as Ended[], this.#stopped);
  }

  #expire(): void {
    this.#stopped ??= 'timed out';
    this.#isExpired = true;
    if (this.#pending !== undefined && this.#attached.drop(this.#pending)) return;
    this.#cancel();
  }

  #abort(): void {
    this.#stopped ??= 'aborted';
    if (this.#pending !== undefined && this.#attached.drop(this.#pending)) return;
    this.#cancel();
  }

  #cancel(): void {
    const at = this.#ended.indexOf(undefined);
    const running = this.#links[at];
    if (running !== undefined) stopRunning(this.#attached, running, () => this.#ended[at] !== undefined);
  }
}
