// Operations that run one after the other, and what became of each.
import { AbortError, timeoutError, UringError } from './errors.ts';
import { opInfo } from './generated/ops.ts';
import type { AnyOperation, Operation } from './operation.ts';
import type { Ended, Stopped } from './runtime/together.ts';

/** What an operation results in. */
export type ResultOf<O> = O extends Operation<infer T, 'single'> ? T : never;

/** What each operation of a chain results in. */
export type ChainResults<L extends readonly AnyOperation[]> = { -readonly [K in keyof L]: ResultOf<L[K]> };

/** What became of one operation of a chain that failed. */
export type LinkResult =
  /** It was done. Of one that transfers bytes: all of them. */
  | { readonly status: 'done'; readonly value: unknown }
  /** It transferred fewer bytes than it was to, which ends a chain. */
  | { readonly status: 'short'; readonly value: unknown }
  | { readonly status: 'failed'; readonly error: UringError }
  /** It did not run, because the chain had ended before. */
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
    const { code, errno, syscall, path, dest } = cause;
    const notRun = results.filter(({ status }) => status === 'cancelled').length;
    const others = notRun === 0 ? '' : `, and ${notRun} after it did not run`;
    super(code, `${cause.message} (link ${failedIndex} of ${results.length}${others})`);
    Object.assign(this, { errno, syscall, path, dest, cause });
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
  const failed = failedIndex(ended, isHard, stopped);
  const results = ended.map((one, at) => linkResult(one, at - failed, isHard, stopped));
  if (stopped === 'aborted') {
    const kept = results.map((link, at) => {
      const isLost = 'value' in link && discard((ended[at] as Ended).operation, link.value);
      return isLost ? { status: link.status, value: undefined } : link;
    });
    throw new AbortError(signal?.reason, kept);
  }
  if (failed < 0) return ended.map(({ result }) => result);
  const link = results[failed] as LinkResult;
  throw new ChainError(
    link.status === 'failed' ? link.error : shortTransfer((ended[failed] as Ended).operation),
    failed,
    results,
  );
}

/** The link that ended the chain, or failed first; -1 if all were done. */
function failedIndex(ended: readonly Ended[], isHard: boolean, stopped: Stopped): number {
  const first = ended.findIndex(({ error }) => error !== null);
  const before = ended[first - 1];
  const wasCancelled = ended[first]?.error?.code === 'ECANCELED' && !isHard && stopped === undefined;
  return wasCancelled && before !== undefined && isShort(before) ? first - 1 : first;
}

/** @param distance from the link that failed */
function linkResult(
  { error, result }: Ended,
  distance: number,
  isHard: boolean,
  stopped: Stopped,
): LinkResult {
  if (error === null) return { status: distance === 0 ? 'short' : 'done', value: result };
  if (!isHard && distance > 0 && error.code === 'ECANCELED') return { status: 'cancelled' };
  return { status: 'failed', error: errorOf(error, stopped) };
}

function errorOf(error: UringError, stopped: Stopped): UringError {
  const isLate = stopped === 'timed out' && (error.code === 'ECANCELED' || error.code === 'EINTR');
  return isLate ? timeoutError(error) : error;
}

/** Whether an operation may have transferred fewer bytes than it was to; lists are not added up. */
function isShort({ operation, result }: Ended): boolean {
  return opInfo[operation.opcode]?.result === 'bytes' && result !== operation.memory?.length;
}

function shortTransfer({ name, path }: AnyOperation): UringError {
  const details = { syscall: name, ...(path === undefined ? {} : { path }) };
  return new UringError(
    'ERR_URING_SHORT_TRANSFER',
    `${name} transferred fewer bytes than it was to`,
    details,
  );
}
