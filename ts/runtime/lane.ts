import type { Completion } from '../completion.ts';
import type { UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { Operation } from '../operation.ts';
import { CANCEL_AGAIN_MS } from './forgotten.ts';
import type { Settler } from './handler.ts';
import type { Link, Pending } from './link.ts';
import type { Runner } from './runner.ts';

/**
 * A place where operations of a composite run, some together and then the next, for one item after the other. It owns
 * its operations and uses them again and again, so that an item allocates nothing here.
 */
export abstract class Lane implements Settler {
  protected readonly runner: Runner;
  /** What runs, or ran last. */
  #links: readonly Link[] = [];
  /** Completions that are still to come. */
  #left = 0;
  #pending: Pending | undefined;
  #cancelsSent = 0;
  /** It is to come to an end: what can be stopped is. */
  #isStopped = false;

  constructor(runner: Runner) {
    this.runner = runner;
  }

  /** One of the operations is over. `step` is the `msg` of its link. */
  protected abstract ended(step: number, error: UringError | null, result: unknown): void;

  /** All of them are over: time to run others. */
  protected abstract next(): void;

  /** Operations that are not to be stopped, because they give something back. */
  protected abstract isKept(link: Link): boolean;

  /**
   * Runs operations, at least one, after which `next` is called.
   *
   * @throws what keeps them from running; none of them runs then
   */
  protected run(links: readonly Link[]): void {
    this.#pending = this.runner.attached.startTogether(links);
    this.#links = links;
    this.#left = links.length;
    this.#cancelsSent = 0;
    if (this.#isStopped) this.#cancel();
  }

  settle(error: UringError | null, result: unknown, completion: Completion): void {
    this.#left -= 1;
    this.ended(completion.msg, error, result);
    if (this.#left === 0) {
      this.#pending = undefined;
      this.next();
    } else if (this.#isStopped) {
      // The next one of a hard chain starts whatever became of this one.
      this.#cancel();
    }
  }

  /** Asks what runs to end. */
  stop(): void {
    this.#isStopped = true;
    if (this.#left === 0) return;
    // What waits for room is not the kernel's yet.
    if (this.#pending?.isGone === false) this.runner.attached.drop(this.#pending);
    else this.#cancel();
  }

  #cancel(): void {
    for (const link of this.#links) if (!this.isKept(link)) this.#cancelOne(link);
  }

  #cancelOne({ slot, sequence }: Link): void {
    // One that is over is not found, which does no harm.
    if (slot === undefined || slot.sequence !== sequence || slot.handler !== this) return;
    const request = new Operation<number>(Op.asyncCancel, undefined);
    request.cancels({ slot, sequence });
    const settle = (error: UringError | null): void => {
      if (error !== null && slot.sequence === sequence && slot.handler === this) this.#cancelLater();
    };
    try {
      this.runner.attached.start(request, { settle }, undefined);
      this.#cancelsSent += 1;
    } catch {
      // A ring that closes, or is broken, ends all of its operations without being asked.
    }
  }

  /** A request finds nothing while its target is between two of the kernel's lists: at first that is soon over. */
  #cancelLater(): void {
    const again = (): void => {
      if (this.#left > 0) this.#cancel();
    };
    if (this.#cancelsSent < 8) setImmediate(again);
    else setTimeout(again, CANCEL_AGAIN_MS).unref();
  }
}
