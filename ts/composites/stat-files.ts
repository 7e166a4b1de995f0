// What the file system knows about many files.
import { type UringError, wasStopped } from '../errors.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Operation } from '../operation.ts';
import { type CheckedText, type Path, PathPayload, stringOf } from '../ops/path-arguments.ts';
import { type StatxOptions, statx } from '../ops/statx.ts';
import type { Ring } from '../ring.ts';
import { Lane } from '../runtime/lane.ts';
import { Link } from '../runtime/link.ts';
import type { Runner } from '../runtime/runner.ts';
import { type BigIntStats, STATX_BYTES, type Stats } from '../stats.ts';
import { checkConcurrency, checkPaths, checkRing, laneCount } from './check.ts';
import { Crew, type Worker } from './crew.ts';

/** What {@link statFiles} asks for. */
export interface StatFilesOptions
  extends ExecOptions,
    Pick<StatxOptions, 'dirFd' | 'followSymlink' | 'atFlags' | 'mask' | 'bigint'> {
  /** Files to ask for at a time, from 1 to 4096; at most a quarter of the ring's `cqEntries`. Default 128. */
  concurrency?: number;
}

type AnyStats = Stats | BigIntStats;

/** Asks for one file after the other. */
class StatLane extends Lane implements Worker {
  readonly #crew: Crew<AnyStats>;
  readonly #paths: readonly CheckedText[];
  readonly #path = new PathPayload('', STATX_BYTES);
  readonly #operation: Operation<AnyStats>;
  readonly #links: readonly Link[];
  #item = -1;
  #result: PromiseSettledResult<AnyStats> | undefined;

  constructor(
    runner: Runner,
    crew: Crew<AnyStats>,
    paths: readonly CheckedText[],
    options: StatFilesOptions,
  ) {
    super(runner);
    this.#crew = crew;
    this.#paths = paths;
    this.#operation = asking(options);
    this.#operation.arguments(this.#path);
    this.#links = [new Link(this.#operation, this)];
  }

  protected isKept(): boolean {
    return false;
  }

  begin(): void {
    for (let item = this.#crew.take(); item >= 0; item = this.#crew.take()) {
      this.#item = item;
      if (this.#ask()) return;
    }
    this.#crew.rest(this);
  }

  #ask(): boolean {
    const path = this.#paths[this.#item] as CheckedText;
    this.#path.set(path);
    this.#operation.path = stringOf(path);
    try {
      this.run(this.#links);
      return true;
    } catch (reason) {
      this.#crew.settle(this.#item, { status: 'rejected', reason });
      return false;
    }
  }

  protected ended(_step: number, error: UringError | null, result: unknown): void {
    if (error === null) this.#result = { status: 'fulfilled', value: result as AnyStats };
    else this.#result = { status: 'rejected', reason: error };
  }

  protected next(): void {
    const result = this.#result as PromiseSettledResult<AnyStats>;
    const code = result.status === 'rejected' ? result.reason.code : undefined;
    if (code === 'EINTR' && !this.#crew.isStopped && this.#ask()) return;
    // What was stopped has no result.
    const isLost = this.#crew.isStopped && wasStopped({ code });
    if (!isLost && this.#crew.results[this.#item] === undefined) this.#crew.settle(this.#item, result);
    this.begin();
  }
}

/** The operation for any of the paths, and a check of the options. */
function asking({ dirFd, followSymlink, atFlags, mask, bigint }: StatFilesOptions): Operation<AnyStats> {
  const given = Object.entries({ dirFd, followSymlink, atFlags, mask, bigint });
  return statx('.', Object.fromEntries(given.filter(([, value]) => value !== undefined)));
}

/**
 * Asks for what the file system knows about many files, a number of them at a time. Since Linux 5.6.
 *
 * @returns one result for each path, in their order, as of `Promise.allSettled`: `Stats`, or with `bigint` `BigIntStats`,
 * and one that fails does not keep the others from being asked for. Rejects, with what is known as its `result`, when it
 * was aborted or the time was up
 * @see {@link https://man7.org/linux/man-pages/man2/statx.2.html statx(2)}
 * @example
 * ```ts
 * import { readdirSync } from 'node:fs';
 * import { Ring, statFiles } from 'uring';
 *
 * await using ring = new Ring();
 * const names = readdirSync('/etc');
 * const results = await statFiles(ring, names.map((name) => `/etc/${name}`), { followSymlink: false });
 * const bytes = results.reduce((sum, one) => sum + (one.status === 'fulfilled' ? one.value.size : 0), 0);
 * ```
 */
export function statFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options: StatFilesOptions & { bigint: true },
): Promise<PromiseSettledResult<BigIntStats>[]>;
export function statFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options?: StatFilesOptions & { bigint?: false },
): Promise<PromiseSettledResult<Stats>[]>;
export async function statFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options: StatFilesOptions = {},
): Promise<PromiseSettledResult<AnyStats>[]> {
  checkRing(ring);
  const limits = checkExecOptions(options);
  const concurrency = checkConcurrency(options.concurrency);
  asking(options);
  const all = checkPaths('paths', paths);
  const crew = new Crew<AnyStats>(ring.runner.attached.clock, 'statFiles', all.length, all.length, limits);
  const lanes = laneCount(ring, concurrency, all.length);
  crew.begin(Array.from({ length: lanes }, () => new StatLane(ring.runner, crew, all, options)));
  const error = await crew.ended();
  if (error !== undefined) throw error;
  return crew.results as PromiseSettledResult<AnyStats>[];
}
