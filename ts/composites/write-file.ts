// Writing whole files.
import { hasNotRun, invalidValue, shown, type UringError } from '../errors.ts';
import type { ExecOptions } from '../exec-options.ts';
import type { Bytes } from '../memory/bytes.ts';
import { close, openat } from '../ops/open.ts';
import type { Path } from '../ops/path-arguments.ts';
import { fsync } from '../ops/sync.ts';
import { closeDescriptor } from '../platform/descriptors.ts';
import type { Ring } from '../ring.ts';
import { checkEncoding, checkRing } from './check.ts';
import { checkParts, writeWhole, writing } from './full-length.ts';
import { Remaining } from './remaining.ts';

/** How {@link writeFile} writes. */
export interface WriteFileOptions extends ExecOptions {
  /** `'w'`, `'a'`, `'wx'`, ... as node:fs has them, or `O_*` flags. Default `'w'`. */
  openFlags?: string | number;
  /** Permissions of a file that is created. Default 0o666, less the umask. */
  mode?: number;
  /** Of a string. Default `'utf8'`. */
  encoding?: BufferEncoding | null;
  /**
   * Waits until the file is on the disk; `'data'` its bytes, and only so much else as it takes to read them. (A new
   * file's name is on the disk when its directory is, too.) Default false.
   */
  fsync?: boolean | 'data';
}

/** What node:fs calls something else: silently left out, a file would be overwritten that is to be appended to. */
function checkNames(options: object): void {
  const { flag, flush } = options as { flag?: unknown; flush?: unknown };
  if (flag !== undefined) throw invalidValue('options.flag', 'is for node:fs: it is openFlags here');
  if (flush !== undefined) throw invalidValue('options.flush', 'is for node:fs: it is fsync here');
}

function checkData(data: unknown, encoding: BufferEncoding | undefined): Uint8Array[] {
  return typeof data === 'string' ? [Buffer.from(data, encoding)] : checkParts('data', data);
}

/** The operation that makes it durable, if there is to be one. */
function checkFsync(wanted: unknown): { readonly dataOnly: boolean } | undefined {
  if (wanted === undefined || wanted === false) return undefined;
  if (wanted === true || wanted === 'data') return { dataOnly: wanted === 'data' };
  throw invalidValue('options.fsync', `must be a boolean or 'data'. Received ${shown(wanted)}`);
}

/**
 * Writes a whole file, which is made if it is not there, and emptied before if it is. Since Linux 5.6.
 *
 * @param data a string, bytes, or several parts one after the other; they must not change until it is done
 * @returns rejects with the errors of open(2), write(2) (a `TransferError`, which tells how many bytes were written),
 * fsync(2) and close(2), an {@link AbortError}, or `ERR_URING_TIMEOUT`; the file is closed by then, and what was
 * written stays
 * @see {@link https://man7.org/linux/man-pages/man2/open.2.html open(2)}
 * @example
 * ```ts
 * import { Ring, writeFile } from 'uring';
 *
 * await using ring = new Ring();
 * await writeFile(ring, './settings.json', JSON.stringify({ mode: 'fast' }), { fsync: true });
 * await writeFile(ring, './example.log', ['one\n', 'two\n'].map((line) => Buffer.from(line)), { openFlags: 'a' });
 * ```
 */
export async function writeFile(
  ring: Ring,
  path: Path,
  data: string | Bytes | readonly Bytes[],
  options: WriteFileOptions = {},
): Promise<void> {
  const left = new Remaining(checkRing(ring), 'writeFile', options);
  checkNames(options);
  const { openFlags = 'w', mode = 0o666 } = options;
  const opening = openat(path, { openFlags, mode });
  const parts = checkData(data, checkEncoding(options.encoding));
  const syncing = checkFsync(options.fsync);
  const fd = await left.exec(opening);
  try {
    await writeWhole(left, writing(ring, fd, parts, {}, opening.path));
    if (syncing !== undefined) await sync(left, fd, syncing, opening.path);
  } catch (error) {
    await closeFile(ring, fd).catch(() => {});
    throw error;
  }
  await closeFile(ring, fd);
}

async function sync(
  left: Remaining,
  fd: number,
  options: { readonly dataOnly: boolean },
  path: string | undefined,
): Promise<void> {
  for (;;) {
    const operation = fsync(fd, options);
    operation.path = path;
    try {
      return await left.exec(operation);
    } catch (error) {
      if ((error as UringError).code !== 'EINTR') throw error;
    }
  }
}

/** Closes it, whatever becomes of the ring. */
async function closeFile(ring: Ring, fd: number): Promise<void> {
  try {
    await ring.exec(close(fd));
  } catch (error) {
    if (!hasNotRun(error as UringError)) throw error;
    closeDescriptor(fd);
  }
}
