import type { Completion } from './completion.ts';
import type { CompletionQueue } from './completion-queue.ts';
import type { AnyOperation } from './operation.ts';
import type { PrepChainOptions, SubmissionQueue } from './submission-queue.ts';
import type { WaitOptions } from './wait-options.ts';

/** A ring used by hand: its two halves, under the names that liburing has for what they do. */
export abstract class ByHand {
  /** The half that submits. */
  abstract readonly sq: SubmissionQueue;
  /** The half that completes. */
  abstract readonly cq: CompletionQueue;

  /** Prepares an operation for the next `submit`; see {@link SubmissionQueue.prep}. */
  prep(operation: AnyOperation, userData?: unknown, flags = 0): boolean {
    return this.sq.prep(operation, userData, flags);
  }
  /** Prepares operations that run one after the other; see {@link SubmissionQueue.prepChain}. */
  prepChain(operations: readonly AnyOperation[], options: PrepChainOptions = {}): boolean {
    return this.sq.prepChain(operations, options);
  }
  /** Gives what is prepared to the kernel; see {@link SubmissionQueue.submit}. */
  submit(): number {
    return this.sq.submit();
  }
  /** As `submit`, then waits for completions; see {@link CompletionQueue.wait}. */
  submitAndWait(count: number, options: WaitOptions = {}): number {
    return this.cq.wait(count, options);
  }
  /** Calls a function for every completion that can be read; see {@link CompletionQueue.forEach}. */
  forEachCompletion(callback: (completion: Completion) => void): number {
    return this.cq.forEach(callback);
  }
  /** The completions that can be read without waiting, one after the other. They are yours to keep. */
  completions(): IterableIterator<Completion> {
    return this.cq[Symbol.iterator]();
  }
  /** The next completion, without taking it; undefined if there is none. */
  peek(): Completion | undefined {
    return this.cq.peek();
  }
  /** Operations prepared and not yet submitted. */
  get sqReady(): number {
    return this.sq.ready;
  }
  /** Operations that can be prepared before the next `submit`. */
  get sqSpaceLeft(): number {
    return this.sq.spaceLeft;
  }
  /** Completions that can be read without waiting. */
  get cqReady(): number {
    return this.cq.ready;
  }
  /** The kernel holds completions that found no room in the completion queue; reading makes room for them. */
  get overflowed(): boolean {
    return this.cq.overflowed;
  }
}
