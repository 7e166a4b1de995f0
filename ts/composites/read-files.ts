// Reading whole files: one, or thousands.
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Path } from '../ops/path-arguments.ts';
import type { Ring } from '../ring.ts';
import type { Limits } from '../runtime/together.ts';
import { checkInteger, isSet } from '../validate.ts';
import { checkConcurrency, checkEncoding, checkRing, laneCount } from './check.ts';
import { Crew } from './crew.ts';
import { type CheckedPath, checkOnePath, checkPaths } from './lane-path.ts';
import { ReadLane } from './read-lane.ts';
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
}

/** How {@link readFiles} reads. */
export interface ReadFilesOptions extends ReadFileOptions {
  /** Files to read at a time, from 1 to 4096. Default 128. */
  concurrency?: number;
}

const EXPECTED_BYTES = 16_384;
const EXPECTED_BYTES_MAX = 65_536;

interface Checked {
  readonly limits: Limits;
  readonly encoding: BufferEncoding | undefined;
  readonly isDirect: boolean;
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
    expectedBytes: checkInteger('options.expectedBytes', expectedBytes, 1, EXPECTED_BYTES_MAX),
    concurrency: checkConcurrency(options.concurrency),
  };
}

type Contents = Buffer | string;

function crewOf(
  ring: Ring,
  name: string,
  paths: readonly CheckedPath[],
  checked: Checked,
  ahead: number,
): { crew: Crew<Contents>; begin: () => void } {
  const { encoding } = checked;
  const crew = new Crew<Contents>(ring.runner.attached.clock, name, paths.length, ahead, checked.limits);
  const how = {
    paths,
    expectedBytes: checked.expectedBytes,
    direct: checked.isDirect,
    slab: new Slab(paths.length),
    decode: (bytes: Buffer): Contents => (encoding === undefined ? bytes : bytes.toString(encoding)),
  };
  const lanes = Array.from(
    { length: laneCount(ring, checked.concurrency, paths.length) },
    () => new ReadLane(ring.runner, crew, how),
  );
  return { crew, begin: () => crew.begin(lanes) };
}

/**
 * Reads a whole file, as `fs.promises.readFile` does: also one whose size is not known (in /proc, pipes, devices until
 * they end), or that changes meanwhile.
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
  const paths = [checkOnePath('path', path)];
  const { crew, begin } = crewOf(ring, 'readFile', paths, checked, 1);
  begin();
  const error = await crew.ended();
  if (error !== undefined) throw Object.assign(error, { result: undefined });
  const [result] = crew.results;
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason;
}

/**
 * Reads many files, a number of them at a time: a batch of operations serves all of these, so that a file costs a
 * fraction of a system call.
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
  const { crew, begin } = crewOf(ring, 'readFiles', all, checked, all.length);
  begin();
  const error = await crew.ended();
  if (error !== undefined) throw error;
  return crew.results as PromiseSettledResult<Contents>[];
}

/**
 * As {@link readFiles}, one after the other: yields the result of each path in their order, and reads no more than
 * twice `concurrency` ahead of whoever consumes them. Leaving the loop ends the reading.
 *
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
  const ahead = 2 * checked.concurrency;
  const { crew, begin } = crewOf(ring, 'readFilesInOrder', all, checked, ahead);
  return crew.inOrder(begin, ahead);
}
