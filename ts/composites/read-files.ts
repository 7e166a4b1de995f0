// Reading whole files: one, or thousands.
import { AsyncResource } from 'node:async_hooks';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import { type CheckedText, checkPath, type Path } from '../ops/path-arguments.ts';
import type { Ring } from '../ring.ts';
import type { Limits } from '../runtime/together.ts';
import { checkFunction, checkInteger, isSet } from '../validate.ts';
import { checkConcurrency, checkEncoding, checkPaths, checkRing, laneCount } from './check.ts';
import { Crew } from './crew.ts';
import { LaneMemory } from './lane-memory.ts';
import { MORE_BYTES, type Reading, ReadLane } from './read-lane.ts';
import { Slab } from './slab.ts';

/** How {@link readFile} reads. */
export interface ReadFileOptions extends ExecOptions {
  /** Gives a string of this encoding rather than a Buffer. */
  encoding?: BufferEncoding | null;
  /**
   * Opens the file into a registered slot of the kernel's choice (`kernelSlots` of `registerFiles`) rather than a
   * descriptor of the process; into a descriptor where no slot is free. Default false. Since Linux 5.19.
   */
  direct?: boolean;
  /** Files of up to so many bytes are read at once, larger ones in several turns. Default 16384, at most 65536. */
  expectedBytes?: number;
  /**
   * A read that brings less than there was room for is the end of a file, which saves a read for each: about a tenth of
   * the time. True of regular files on a disk, unless it fails in their middle; not of /proc and /sys, pipes and terminals,
   * of which only a beginning would be read. Default false.
   */
  shortIsEnd?: boolean;
}

/** How {@link readFiles} reads. */
export interface ReadFilesOptions extends ReadFileOptions {
  /** Files to read at a time, from 1 to 4096; at most a quarter of the ring's `cqEntries`. Default 128. */
  concurrency?: number;
}

const EXPECTED_BYTES = 16_384;
const EXPECTED_BYTES_MAX = 65_536;

const NOTHING = Buffer.alloc(0);

interface Checked {
  readonly limits: Limits;
  readonly encoding: BufferEncoding | undefined;
  readonly isDirect: boolean;
  readonly shortIsEnd: boolean;
  readonly expectedBytes: number;
  readonly concurrency: number;
}

function checkReading(ring: Ring, options: ReadFilesOptions): Checked {
  const limits = checkExecOptions(options);
  const expectedBytes = options.expectedBytes ?? EXPECTED_BYTES;
  const hasSlots = (ring.registrar.files?.kernelSlots ?? 0) > 0;
  return {
    limits,
    encoding: checkEncoding(options.encoding),
    isDirect: isSet('options.direct', options.direct) && hasSlots,
    shortIsEnd: isSet('options.shortIsEnd', options.shortIsEnd),
    expectedBytes: checkInteger('options.expectedBytes', expectedBytes, 1, EXPECTED_BYTES_MAX),
    concurrency: checkConcurrency(options.concurrency),
  };
}

type Contents = Buffer | string;
type Take<T> = Reading<T>['take'];

/** How the bytes of files are given to whoever asked for them. */
function giving({ encoding }: Checked, count: number): Take<Contents> {
  if (encoding !== undefined) return (memory, length) => memory.toString(encoding, 0, length);
  const slab = new Slab(count);
  return (memory, length, isOwn) => (isOwn ? memory : slab.copy(memory, length));
}

interface Prepared<T> {
  readonly crew: Crew<T>;
  readonly begin: () => void;
}

/** Lanes for the files, which do not begin yet. */
function prepare<T>(
  ring: Ring,
  name: string,
  paths: readonly CheckedText[],
  checked: Checked,
  take: Take<T>,
): Prepared<T> {
  const ahead = name === 'readFilesInOrder' ? 2 * checked.concurrency : paths.length;
  const crew = new Crew<T>(ring.runner.attached.clock, name, paths.length, ahead, checked.limits);
  const how = { paths, direct: checked.isDirect, shortIsEnd: checked.shortIsEnd, take };
  const begin = (): void => {
    const memory = LaneMemory.of(ring, checked.expectedBytes + MORE_BYTES);
    const pieces = Array.from({ length: laneCount(ring, checked.concurrency, paths.length) }, () =>
      memory.take(),
    );
    crew.onEnd(() => memory.give(pieces));
    crew.begin(pieces.map((piece) => new ReadLane(ring.runner, crew, how, piece)));
  };
  return { crew, begin };
}

/**
 * Reads a whole file, as `fs.promises.readFile` does: also one whose size is not known (in /proc, pipes, devices until
 * they end), or that changes meanwhile. Since Linux 5.6.
 *
 * @returns the bytes, or with `encoding` a string. Rejects with the errors of open(2) and read(2) (`EISDIR` for a
 * directory), `ERR_FS_FILE_TOO_LARGE` beyond 2 GiB, an {@link AbortError}, or `ERR_URING_TIMEOUT`; the file is closed by then
 * @see {@link readFiles} for many
 * @example
 * ```ts
 * import { Ring, readFile } from 'uring';
 *
 * await using ring = new Ring();
 * const name = await readFile(ring, '/etc/hostname', { encoding: 'utf8', timeoutMs: 1000 });
 * ```
 */
export function readFile(
  ring: Ring,
  path: Path,
  options: ReadFileOptions & { encoding: BufferEncoding },
): Promise<string>;
export function readFile(
  ring: Ring,
  path: Path,
  options?: ReadFileOptions & { encoding?: null },
): Promise<Buffer>;
export function readFile(ring: Ring, path: Path, options?: ReadFileOptions): Promise<Buffer | string>;
export async function readFile(ring: Ring, path: Path, options: ReadFileOptions = {}): Promise<Contents> {
  const checked = checkReading(checkRing(ring), options);
  const paths = [checkPath('path', path)];
  const { crew, begin } = prepare(ring, 'readFile', paths, checked, giving(checked, 1));
  begin();
  const error = await crew.ended();
  if (error !== undefined) throw Object.assign(error, { result: undefined });
  const [result] = crew.results;
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason;
}

/**
 * Reads many files, a number of them at a time: a batch of operations serves all of these, so that a file costs a
 * fraction of a system call. Since Linux 5.6.
 *
 * @returns one result for each path, in their order, as of `Promise.allSettled`: one that fails does not keep the others
 * from being read. Rejects, with what was read as its `result`, when it was aborted or the time was up; all files are
 * closed by then
 * @see {@link readFilesInOrder} to have each as soon as it is its turn, and not all of them in memory
 * @example
 * ```ts
 * import { Ring, readFiles } from 'uring';
 *
 * await using ring = new Ring();
 * const paths = ['/etc/hostname', '/etc/passwd', '/nowhere'];
 * for (const [at, result] of (await readFiles(ring, paths)).entries()) {
 *   if (result.status === 'fulfilled') console.log(paths[at], result.value.length);
 *   else console.log(result.reason.code); // ENOENT
 * }
 * ```
 */
export function readFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options: ReadFilesOptions & { encoding: BufferEncoding },
): Promise<PromiseSettledResult<string>[]>;
export function readFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options?: ReadFilesOptions & { encoding?: null },
): Promise<PromiseSettledResult<Buffer>[]>;
export async function readFiles(
  ring: Ring,
  paths: Iterable<Path>,
  options: ReadFilesOptions = {},
): Promise<PromiseSettledResult<Contents>[]> {
  const checked = checkReading(checkRing(ring), options);
  const all = checkPaths('paths', paths);
  const { crew, begin } = prepare(ring, 'readFiles', all, checked, giving(checked, all.length));
  begin();
  const error = await crew.ended();
  if (error !== undefined) throw error;
  return crew.results as PromiseSettledResult<Contents>[];
}

/**
 * As {@link readFiles}, one after the other: yields the result of each path in their order, and reads no more than
 * twice `concurrency` ahead of whoever consumes them. Leaving the loop ends the reading, as does `return()` while a result is
 * being waited for. Since Linux 5.6.
 *
 * @see {@link readFiles}
 * @example
 * ```ts
 * import { Ring, readFilesInOrder } from 'uring';
 *
 * await using ring = new Ring();
 * let bytes = 0;
 * for await (const file of readFilesInOrder(ring, ['/etc/hostname', '/etc/passwd'])) {
 *   if (file.status === 'fulfilled') bytes += file.value.length;
 * }
 * ```
 */
export function readFilesInOrder(
  ring: Ring,
  paths: Iterable<Path>,
  options: ReadFilesOptions & { encoding: BufferEncoding },
): AsyncGenerator<PromiseSettledResult<string>, void, void>;
export function readFilesInOrder(
  ring: Ring,
  paths: Iterable<Path>,
  options?: ReadFilesOptions & { encoding?: null },
): AsyncGenerator<PromiseSettledResult<Buffer>, void, void>;
export function readFilesInOrder(
  ring: Ring,
  paths: Iterable<Path>,
  options: ReadFilesOptions = {},
): AsyncGenerator<PromiseSettledResult<Contents>, void, void> {
  const checked = checkReading(checkRing(ring), options);
  const all = checkPaths('paths', paths);
  const { crew, begin } = prepare(ring, 'readFilesInOrder', all, checked, giving(checked, all.length));
  return crew.inOrder(begin);
}

/** Takes one file of {@link forEachFile}. */
export type FileCallback = (error: Error | null, bytes: Buffer, at: number) => void;

/**
 * As {@link readFiles}, for whoever needs each file only for a moment: calls back with the bytes of each as soon as it is
 * read, in whatever order, and nothing is copied or kept. The fastest way to look through many files.
 * Since Linux 5.6.
 *
 * @param callback gets (error, bytes, at): the bytes are the file's while it runs, and another's as soon as it returns;
 * empty if there is an error. What it throws ends the reading, and is what the promise rejects with
 * @returns when all were read; rejects when it was aborted or the time was up. All files are closed by then
 * @see {@link readFiles}
 * @example
 * ```ts
 * import { createHash } from 'node:crypto';
 * import { forEachFile, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const hashes = new Map();
 * await forEachFile(ring, ['/etc/hostname', '/etc/passwd'], (error, bytes, at) => {
 *   if (error === null) hashes.set(at, createHash('sha256').update(bytes).digest('hex'));
 * });
 * ```
 */
export async function forEachFile(
  ring: Ring,
  paths: Iterable<Path>,
  callback: FileCallback,
  options: Omit<ReadFilesOptions, 'encoding'> = {},
): Promise<void> {
  const checked = checkReading(checkRing(ring), options);
  const all = checkPaths('paths', paths);
  checkFunction('callback', callback);
  const context = new AsyncResource('URING');
  const tell = (error: Error | null, bytes: Buffer, at: number): void =>
    crew.guard(() => context.runInAsyncScope(callback, undefined, error, bytes, at));
  const { crew, begin } = prepare<void>(ring, 'forEachFile', all, checked, (memory, length, _isOwn, at) =>
    tell(null, memory.subarray(0, length), at),
  );
  crew.onRejected = (reason, at) => tell(reason, NOTHING, at);
  begin();
  const error = await crew.ended();
  if (error !== undefined) throw error;
}
