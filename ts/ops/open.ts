// Opening and closing files.
import { constants } from 'node:fs';
import { invalidValue } from '../errors.ts';
import { type FixedFile, SLOTS_MAX } from '../files.ts';
import { SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkInteger, checkList, checkName } from '../validate.ts';
import { type DirectOptions, makeDirect } from './direct.ts';
import { checkDirectory, type Path, takePath } from './path-arguments.ts';
import { nothing } from './results.ts';

/** Missing in Node's constants: O_CLOEXEC, and __O_TMPFILE, the bit of O_TMPFILE that is its own (asm-generic/fcntl.h). */
const O_CLOEXEC = 0o2000000;
const TMPFILE = 0o20000000;
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

/** A descriptor always is, a slot cannot be: the kernel answers -EINVAL (io_uring/openclose.c). */
function closeOnExec(flags: number, direct: true | number | undefined): number {
  return direct === undefined ? flags | O_CLOEXEC : flags & ~O_CLOEXEC;
}

/** How {@link openat} opens a file. */
export interface OpenatOptions extends OperationOptions {
  /** `'r'`, `'w+'`, ... as node:fs has them, or `O_*` flags. Default `'r'`. O_CLOEXEC is always set. */
  openFlags?: string | number;
  /** Permissions of a file that is created. Default 0o666, less the umask. */
  mode?: number;
  /** Directory that a relative path starts from. Default: the working directory. */
  dirFd?: number;
}

/** @internal Permissions of a file that is created. */
export function checkMode(mode: unknown): number {
  return checkInteger('options.mode', mode, 0, 0o7777);
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
  takePath(operation, 'path', path);
  operation.fd = checkDirectory('options.dirFd', options?.dirFd);
  operation.opFlags = closeOnExec(checkOpenFlags(options?.openFlags ?? 'r'), options?.direct);
  // A mode without O_CREAT or O_TMPFILE means nothing to open(2).
  operation.length = checkMode(options?.mode ?? 0o666);
  if (options?.direct === undefined) return operation as Operation<number>;
  makeDirect(operation as Operation<FixedFile>, options.direct);
  return operation as Operation<FixedFile>;
}

/** Rules for how a path is resolved, by name: see {@link Openat2Options}. */
const RESOLVE = {
  noXdev: 0x01,
  noMagiclinks: 0x02,
  noSymlinks: 0x04,
  beneath: 0x08,
  inRoot: 0x10,
  cached: 0x20,
} as const;

/** A rule for how a path is resolved (`RESOLVE_*`). */
export type ResolveRule = keyof typeof RESOLVE;

/** How {@link openat2} opens a file, and resolves its path. */
export interface Openat2Options extends OpenatOptions {
  /** Permissions of a file that is created; only with O_CREAT or O_TMPFILE. Default 0o666 then, less the umask. */
  mode?: number;
  /**
   * What the path must keep to. `noXdev`: no mount is crossed. `noMagiclinks`: no link of /proc is followed.
   * `noSymlinks`: no link at all. `beneath`: nothing leads out of the directory. `inRoot`: the directory is the root,
   * for `..` and absolute links too. `cached`: only what needs no waiting, else `EAGAIN` (5.12).
   */
  resolve?: readonly ResolveRule[];
}

/** sizeof(struct open_how): flags, mode and resolve, of 64 bits each. */
const OPEN_HOW_BYTES = 24;

/** More than there are; a rule may stand there twice. */
const RULES_MAX = 64;

function checkResolve(rules: unknown): number {
  const list = checkList('options.resolve', rules, 'an array of rules', { max: RULES_MAX });
  let resolve = 0;
  for (const [at, rule] of list.entries()) {
    resolve |= checkName(`options.resolve[${at}]`, rule, RESOLVE);
  }
  const both = RESOLVE.beneath | RESOLVE.inRoot;
  if ((resolve & both) === both)
    throw invalidValue('options.resolve', "has both 'beneath' and 'inRoot': give one");
  return resolve;
}

/** openat2(2) refuses what openat(2) ignores: permissions of a file that is not created. */
function checkModeOfNew(mode: unknown, openFlags: number): number {
  if ((openFlags & (constants.O_CREAT | TMPFILE)) !== 0) return checkMode(mode ?? 0o666);
  if (mode !== undefined && checkMode(mode) !== 0) {
    throw invalidValue('options.mode', 'is for files that are created: give O_CREAT or O_TMPFILE too');
  }
  return 0;
}

/**
 * As {@link openat}, with rules for how the path is resolved, so that a path from somebody else cannot lead out of a
 * directory.
 *
 * Results in a descriptor, which is yours to close, or with `direct` in a registered file. Errors are those of
 * openat2(2): `EXDEV` where `beneath` or `noXdev` is broken, `ELOOP` where a link is not to be followed, `EINVAL` for
 * flags that the kernel does not know. Since Linux 5.6 (`direct` 5.15, a slot of the kernel's choice 5.19).
 *
 * @param path where the file is
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_openat2.3.html io_uring_prep_openat2(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/openat2.2.html openat2(2)}
 * @example
 * ```ts
 * import { Ring, close, openat, openat2 } from 'uring';
 *
 * await using ring = new Ring();
 * const dirFd = await ring.exec(openat('/etc'));
 * const fd = await ring.exec(openat2('hostname', { dirFd, resolve: ['beneath', 'noSymlinks'] }));
 * await ring.exec(openat2('../etc/hostname', { dirFd, resolve: ['beneath'] })).catch((error) => error.code); // 'EXDEV'
 * await ring.exec(close(fd));
 * await ring.exec(close(dirFd));
 * ```
 */
export function openat2(path: Path, options: Openat2Options & DirectOptions): Operation<FixedFile>;
export function openat2(path: Path, options?: Openat2Options): Operation<number>;
export function openat2(
  path: Path,
  options?: Openat2Options & Partial<DirectOptions>,
): Operation<number> | Operation<FixedFile> {
  const operation = new Operation<number | FixedFile>(Op.openat2, options);
  const flags = checkOpenFlags(options?.openFlags ?? 'r');
  const how = Buffer.alloc(OPEN_HOW_BYTES);
  how.writeUInt32LE(closeOnExec(flags, options?.direct), 0);
  how.writeUInt32LE(checkModeOfNew(options?.mode, flags), 8);
  if (options?.resolve !== undefined) how.writeUInt32LE(checkResolve(options.resolve), 16);
  takePath(operation, 'path', path, how);
  operation.fd = checkDirectory('options.dirFd', options?.dirFd);
  operation.length = OPEN_HOW_BYTES;
  if (options?.direct !== undefined) makeDirect(operation as Operation<FixedFile>, options.direct);
  return operation as Operation<number>;
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
