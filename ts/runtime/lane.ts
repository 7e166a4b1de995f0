import type { Completion } from '../completion.ts';
import type { UringError } from '../errors.ts';
import type { Settler } from './handler.ts';
import type { Link, Pending } from './link.ts';
import { canceled } from './rejects.ts';
import type { Runner } from './runner.ts';
import { stopRunning } from './stop.ts';
import { onNextTurn } from './turn.ts';

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
  /** It is to come to an end: what can be stopped is. */
  #isStopped = false;
  readonly #onTurn = (): void => this.#runAgain();

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
   * Runs operations, at least one, after which `next` is called; in a later turn, if too many of others wait already.
   *
   * @throws what else keeps them from running; none of them runs then
   */
  protected run(links: readonly Link[]): void {
    this.#links = links;
    try {
      this.#pending = this.runner.attached.startTogether(links);
    } catch (error) {
      if ((error as UringError).code !== 'ERR_URING_QUEUE_FULL') throw error;
      onNextTurn(this.#onTurn);
      return;
    }
    this.#left = links.length;
    if (this.#isStopped) this.#cancel();
  }

  /** There may be room now. */
  #runAgain(): void {
    const links = this.#links;
    let failed: unknown;
    try {
      if (!this.#isStopped) {
        this.run(links);
        return;
      }
    } catch (error) {
      failed = error;
    }
    for (const { operation, msg } of links)
      this.ended(msg, (failed as UringError | undefined) ?? canceled(operation), undefined);
    this.next();
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
    for (const link of this.#links) {
      // The place of one that is over may be in use for another.
      const isOver = (): boolean => link.slot?.sequence !== link.sequence || link.slot.handler !== this;
      if (!this.isKept(link)) stopRunning(this.runner.attached, link, isOver);
    }
  }
}
