// Operations that run one after the other, and what became of each.
import { AbortError, detailsOf, timeoutError, UringError, wasStopped } from './errors.ts';
import { Op } from './generated/ops.ts';
import type { AnyOperation, Operation } from './operation.ts';
import type { Ended, Stopped } from './runtime/together.ts';

/** What an operation results in. */
export type ResultOf<O> = O extends Operation<infer T, 'single'> ? T : never;

/** An operation that completes once. */
// biome-ignore lint/suspicious/noExplicitAny: results are invariant, so "any single operation" has no other name
export type SingleOperation = Operation<any, 'single'>;

/** What each operation of a chain results in. */
export type ChainResults<L extends readonly SingleOperation[]> = { -readonly [K in keyof L]: ResultOf<L[K]> };

/** What became of one operation of a chain that failed. */
export type LinkResult =
  /** It was done. Of one that transfers bytes: all of them. */
  | { readonly status: 'done'; readonly value: unknown }
  /** It transferred fewer bytes than it was to, which ends a chain. */
  | { readonly status: 'short'; readonly value: unknown }
  | { readonly status: 'failed'; readonly error: UringError }
  /** It did not run, or was stopped, because of another. */
  | { readonly status: 'cancelled' };

/**
 * A chain of which an operation failed. `code`, `errno`, `syscall` and `path` are those of that operation, whose error
 * is the `cause`; `ERR_URING_SHORT_TRANSFER` for one that transferred fewer bytes than it was to.
 *
 * @example
 * ```ts
 * import { ChainError, Ring, fsync, nop } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.chain([nop(), nop({ result: -5 }), nop()]).catch((error: ChainError) => {
 *   console.log(error.code, error.failedIndex, error.results.map(({ status }) => status));
 *   // EIO 1 [ 'done', 'failed', 'cancelled' ]
 * });
 * ```
 */
export class ChainError extends UringError {
  override readonly name = 'ChainError';
  /** The operation that failed, the first if several did (with `hard`). */
  readonly failedIndex: number;
  /** What became of each operation. Descriptors among it are yours to close. */
  readonly results: readonly LinkResult[];

  /** @internal */
  constructor(cause: UringError, failedIndex: number, results: readonly LinkResult[]) {
    const notRun = results.filter(({ status }) => status === 'cancelled').length;
    const others = notRun === 0 ? '' : `, and ${notRun} after it did not run`;
    const message = `${cause.message} (link ${failedIndex} of ${results.length}${others})`;
    super(cause.code, message, detailsOf(cause));
    Object.defineProperty(this, 'cause', { value: cause, configurable: true, writable: true });
    this.failedIndex = failedIndex;
    this.results = results;
  }
}

/** @internal Gives up a result that nobody took; answers whether there was something to give up. */
export type Discard = (operation: AnyOperation, result: unknown) => boolean;

/** @internal What is done with what nobody gets. */
export interface Leftover {
  readonly signal: AbortSignal | undefined;
  readonly discard: Discard;
}

/** @internal The result of a single operation, or what is to be thrown instead. */
export function singleResult(ended: Ended, stopped: Stopped, { signal, discard }: Leftover): unknown {
  const { operation, error, result } = ended;
  if (stopped === 'aborted') {
    const isLost = error !== null || discard(operation, result);
    throw new AbortError(signal?.reason, isLost ? undefined : result);
  }
  if (error !== null) throw errorOf(error, stopped);
  return result;
}

/** @internal The results of all operations of a chain, or what is to be thrown instead. */
export function chainResults(
  ended: readonly Ended[],
  isHard: boolean,
  stopped: Stopped,
  { signal, discard }: Leftover,
): unknown[] {
  const failed = isHard ? ended.findIndex(({ error }) => error !== null) : breakIndex(ended, stopped);
  const results = ended.map((one, at) => linkResult(one, at === failed, isHard, stopped));
  if (stopped === 'aborted') {
    const kept = results.map((link, at) => {
      const isLost = 'value' in link && discard((ended[at] as Ended).operation, link.value);
      return isLost ? { status: link.status, value: undefined } : link;
    });
    throw new AbortError(signal?.reason, kept);
  }
  if (failed < 0) return ended.map(({ result }) => result);
  const link = results[failed] as LinkResult;
  const cause = link.status === 'failed' ? link.error : shortTransfer((ended[failed] as Ended).operation);
  throw new ChainError(cause, failed, results);
}

/** The link that broke a soft chain; -1 if all were done. */
function breakIndex(ended: readonly Ended[], stopped: Stopped): number {
  // An entry that the kernel refuses cancels those before it as well (io_uring/io_uring.c, io_submit_fail_init).
  const culprit = ended.findIndex(({ error }) => error !== null && error.code !== 'ECANCELED');
  if (culprit >= 0) return culprit;
  const cancelled = ended.findIndex(({ error }) => error !== null);
  const before = ended[cancelled - 1];
  return stopped === undefined && before !== undefined && isShort(before) ? cancelled - 1 : cancelled;
}

function linkResult(
  { error, result }: Ended,
  isCulprit: boolean,
  isHard: boolean,
  stopped: Stopped,
): LinkResult {
  if (error === null) return { status: isCulprit ? 'short' : 'done', value: result };
  if (!isHard && !isCulprit && error.code === 'ECANCELED') return { status: 'cancelled' };
  return { status: 'failed', error: errorOf(error, stopped) };
}

/** What an operation that was stopped says, in the words of what stopped it. */
function errorOf(error: UringError, stopped: Stopped): UringError {
  if (!wasStopped(error)) return error;
  if (stopped === 'timed out') return timeoutError(error);
  return stopped instanceof UringError ? stopped : error;
}

/** Whether an operation is known to have transferred fewer bytes than it was to. */
function isShort({ operation, result }: Ended): boolean {
  const { memory, payload, opcode, length } = operation;
  const isSplice = opcode === Op.splice || opcode === Op.tee;
  const wanted = memory?.length ?? payload?.transferBytes ?? (isSplice ? length : 0);
  return typeof result === 'number' && result < wanted;
}

function shortTransfer({ name, path }: AnyOperation): UringError {
  const details = { syscall: name, ...(path === undefined ? {} : { path }) };
  return new UringError(
    'ERR_URING_SHORT_TRANSFER',
    `${name} transferred fewer bytes than it was to`,
    details,
  );
}
