// Operations that name a file by its path.

import { constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { invalidType, invalidValue } from '../errors.ts';
import { FixedFile, SLOTS_MAX } from '../files.ts';
import { SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { STATX_BYTES, Stats } from '../stats.ts';
import { checkBoolean, checkInteger, UINT32_MAX } from '../validate.ts';
import { nothing } from './file.ts';

/** The working directory, in place of a directory's descriptor (openat(2)). */
export const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
/** IORING_FILE_INDEX_ALLOC: the kernel chooses the slot. */
const FILE_INDEX_ALLOC = -1;
/** PATH_MAX, with the NUL at the end. */
const PATH_BYTES_MAX = 4096;

/** A path, as node:fs takes it. */
export type Path = string | Uint8Array | URL;

function checkPath(name: string, path: unknown): Uint8Array {
  const value = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw invalidType(name, 'of type string or an instance of Buffer or URL', path);
  }
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (bytes.includes(0)) throw invalidValue(name, 'must not contain null bytes');
  if (bytes.byteLength >= PATH_BYTES_MAX)
    throw invalidValue(name, `is longer than ${PATH_BYTES_MAX - 1} bytes`);
  return bytes;
}

function checkDirectory(dirFd: unknown): number {
  if (dirFd === undefined || dirFd === AT_FDCWD) return AT_FDCWD;
  return checkInteger('options.dirFd', dirFd, 0, 0x7fff_ffff);
}

/** A path at the end of a block, after `before` bytes for something else. */
class PathPayload implements Payload {
  readonly sizeBytes: number;
  readonly #path: Uint8Array;
  readonly #before: number;

  constructor(path: Uint8Array, before: number) {
    this.#path = path;
    this.#before = before;
    this.sizeBytes = before + path.byteLength + 1;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    block.view.set(this.#path, this.#before);
    block.view[this.#before + this.#path.byteLength] = 0;
    record[base + 4] = block.offset + this.#before;
    record[base + 5] = block.handle;
    if (this.#before > 0) {
      record[base + 2] = block.offset;
      record[base + 3] = block.handle;
    }
  }
}

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;

/** What node:fs calls file system flags; it takes the second letter first, too (`'xw'`). */
const OPEN_FLAGS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    r: O_RDONLY,
    rs: O_RDONLY | O_SYNC,
    'r+': O_RDWR,
    'rs+': O_RDWR | O_SYNC,
    w: O_WRONLY | O_CREAT | O_TRUNC,
    wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
    'w+': O_RDWR | O_CREAT | O_TRUNC,
    'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
    a: O_WRONLY | O_CREAT | O_APPEND,
    ax: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
    as: O_WRONLY | O_CREAT | O_APPEND | O_SYNC,
    'a+': O_RDWR | O_CREAT | O_APPEND,
    'ax+': O_RDWR | O_CREAT | O_APPEND | O_EXCL,
    'as+': O_RDWR | O_CREAT | O_APPEND | O_SYNC,
  }).flatMap(([name, flags]) => [
    [name, flags],
    [name.replace(/^(.)([sx])/, '$2$1'), flags],
  ]),
);

function checkOpenFlags(flags: unknown): number {
  if (typeof flags === 'string') {
    const known = OPEN_FLAGS.get(flags);
    if (known === undefined) throw invalidValue('options.openFlags', `is no file system flag: '${flags}'`);
    return known;
  }
  return checkInteger('options.openFlags', flags, 0, 0x7fff_ffff);
}

const O_CLOEXEC = 0o2000000;

export interface OpenatOptions extends OperationOptions {
  /** `'r'`, `'w+'`, ... as node:fs has them, or `O_*` flags. Default `'r'`. O_CLOEXEC is always set. */
  openFlags?: string | number;
  /** Permissions of a file that is created. Default 0o666, less the umask. */
  mode?: number;
  /** Directory that a relative path starts from. Default: the working directory. */
  dirFd?: number;
}

/** Where a direct descriptor goes: a slot of the kernel's choice, or a free slot of ours by number. */
export interface DirectOptions {
  direct: true | number;
}

/** @internal Makes an operation put its new file into a registered slot instead of a descriptor. */
export function makeDirect(
  operation: Operation<FixedFile, 'single' | 'multishot'>,
  direct: true | number,
): void {
  const slot = direct === true ? undefined : checkInteger('options.direct', direct, 0, SLOTS_MAX - 1);
  operation.fileIndex = slot === undefined ? FILE_INDEX_ALLOC : slot + 1;
  operation.decode = ({ ring, res, generation }: Outcome) => FixedFile.filled(ring, slot ?? res, generation);
}

/**
 * Opens a file.
 *
 * Results in a descriptor, which is yours to close, or with `direct` in a registered file, which never takes a
 * descriptor number at all (the ring needs a files table: `ring.registrar.registerFiles()`). Errors are those of open(2).
 * Since Linux 5.6 (`direct` 5.15, a slot of the kernel's choice 5.19).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_openat.3.html io_uring_prep_openat(3)}
 * @example
 * ```ts
 * import { Ring, close, openat } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('/etc/hostname'));
 * await ring.exec(close(fd));
 * ```
 */
export function openat(path: Path, options: OpenatOptions & DirectOptions): Operation<FixedFile>;
export function openat(path: Path, options?: OpenatOptions): Operation<number>;
export function openat(
  path: Path,
  options?: OpenatOptions & Partial<DirectOptions>,
): Operation<number> | Operation<FixedFile> {
  const operation = new Operation<number | FixedFile>(Op.openat, options);
  const bytes = checkPath('path', path);
  operation.path = Buffer.from(bytes).toString();
  operation.fd = checkDirectory(options?.dirFd);
  operation.arguments(new PathPayload(bytes, 0));
  operation.opFlags = checkOpenFlags(options?.openFlags ?? 'r');
  // A mode without O_CREAT or O_TMPFILE means nothing to open(2), and O_CLOEXEC nothing to a slot (-EINVAL).
  operation.length = checkInteger('options.mode', options?.mode ?? 0o666, 0, 0o7777);
  if (options?.direct === undefined) {
    operation.opFlags |= O_CLOEXEC;
    return operation as Operation<number>;
  }
  makeDirect(operation as Operation<FixedFile>, options.direct);
  return operation as Operation<FixedFile>;
}

/**
 * Closes a descriptor, or empties the slot of a registered file. It neither waits for operations in flight on it
 * nor stops them.
 *
 * Errors are those of close(2); a registered file that is gone is `ERR_URING_STALE_HANDLE`. Since Linux 5.6
 * (registered files 5.15).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_close.3.html io_uring_prep_close(3)}
 * @example
 * ```ts
 * import { Ring, close, openat } from 'uring';
 *
 * await using ring = new Ring();
 * ring.registrar.registerFiles();
 * const file = await ring.exec(openat('/etc/hostname', { direct: true }));
 * await ring.exec(close(file));
 * ```
 */
export function close(fd: Fd, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.close, options);
  operation.decode = nothing;
  if (typeof fd === 'number' && operation.hasFlags(SqeFlags.FIXED_FILE)) {
    // A slot by its number, as for every other operation; closing one names it in another field.
    operation.head &= ~(SqeFlags.FIXED_FILE << 8);
    operation.fd = 0;
    operation.fileIndex = checkInteger('fd', fd, 0, SLOTS_MAX - 1) + 1;
  } else if (typeof fd === 'number') {
    operation.on('fd', fd);
  } else {
    operation.fd = 0;
    operation.fileIndex = operation.own('fd', fd).handle + 1;
  }
  return operation;
}

export interface StatxOptions extends OperationOptions {
  /** Directory that a relative path starts from; with an empty path the file itself. */
  dirFd?: number;
  /** Follow a symbolic link at the end of the path. Default true. */
  followSymlink?: boolean;
  /** `AT_*` flags besides. */
  atFlags?: number;
  /** `STATX_*` fields to ask for. Default: all that {@link Stats} has. */
  mask?: number;
}

/**
 * Asks for what the file system knows about a file.
 *
 * Results in {@link Stats}. An empty path with a `dirFd` means that file itself. Errors are those of statx(2).
 * Since Linux 5.6.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_statx.3.html io_uring_prep_statx(3)}
 * @example
 * ```ts
 * import { Ring, statx } from 'uring';
 *
 * await using ring = new Ring();
 * const stats = await ring.exec(statx('/etc/hostname'));
 * console.log(stats.size, stats.isFile());
 * ```
 */
export function statx(path: Path, options?: StatxOptions): Operation<Stats> {
  const operation = new Operation<Stats>(Op.statx, options);
  const bytes = checkPath('path', path);
  operation.path = Buffer.from(bytes).toString();
  operation.fd = checkDirectory(options?.dirFd);
  operation.arguments(new PathPayload(bytes, STATX_BYTES));
  operation.length = checkInteger(
    'options.mask',
    options?.mask ?? STATX_BASIC_STATS | STATX_BTIME,
    0,
    UINT32_MAX,
  );
  operation.opFlags = checkInteger('options.atFlags', options?.atFlags ?? 0, 0, 0x7fff_ffff);
  if (!checkBoolean('options.followSymlink', options?.followSymlink ?? true))
    operation.opFlags |= AT_SYMLINK_NOFOLLOW;
  if (bytes.byteLength === 0) operation.opFlags |= AT_EMPTY_PATH;
  operation.decode = ({ staged }: Outcome) => Stats.decode(staged?.view ?? Buffer.alloc(STATX_BYTES));
  return operation;
}
