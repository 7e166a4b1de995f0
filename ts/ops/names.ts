// The names of files: giving, changing and taking them.
import { invalidValue } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { Operation, type OperationOptions } from '../operation.ts';
import { isSet } from '../validate.ts';
import { checkMode } from './open.ts';
import { checkDirectory, type Path, takePath, takePaths } from './path-arguments.ts';
import { nothing } from './results.ts';

const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_EMPTY_PATH = 0x1000;
const RENAME_NOREPLACE = 1 << 0;
const RENAME_EXCHANGE = 1 << 1;
const RENAME_WHITEOUT = 1 << 2;

/** Options of operations on one path. */
export interface PathOptions extends OperationOptions {
  /** Directory that a relative path starts from. Default: the working directory. */
  dirFd?: number;
}

/** Options of operations on two paths. */
export interface TwoPathsOptions extends OperationOptions {
  /** Directory that a relative old path starts from. Default: the working directory. */
  oldDirFd?: number;
  /** Directory that a relative new path starts from. Default: the working directory. */
  newDirFd?: number;
}

function withPath(opcode: number, path: Path, options: PathOptions | undefined): Operation<void> {
  const operation = new Operation<void>(opcode, options);
  operation.decode = nothing;
  takePath(operation, 'path', path);
  operation.fd = checkDirectory('options.dirFd', options?.dirFd);
  return operation;
}

function takeDirectories(operation: Operation<void>, options: TwoPathsOptions | undefined): void {
  operation.fd = checkDirectory('options.oldDirFd', options?.oldDirFd);
  operation.length = checkDirectory('options.newDirFd', options?.newDirFd);
}

function flagIf(name: string, value: unknown, flag: number): number {
  return isSet(name, value) ? flag : 0;
}

/** Options of {@link renameat}. */
export interface RenameatOptions extends TwoPathsOptions {
  /** Fail with `EEXIST` where there is something at the new path. */
  noReplace?: boolean;
  /** Exchange the two, both of which must be there. */
  exchange?: boolean;
  /** Leave a whiteout at the old path, for overlay file systems. */
  whiteout?: boolean;
}

/**
 * Gives a file another path; a file that is there already is replaced.
 *
 * Errors are those of renameat2(2), with both paths: `ENOENT`, `EXDEV` between file systems, `ENOTEMPTY` or `EEXIST` for
 * a directory that is not empty, `EINVAL` for a directory into itself. Since Linux 5.11.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_renameat.3.html io_uring_prep_renameat(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/rename.2.html rename(2)}
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { renameat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * writeFileSync('draft', 'text');
 * await ring.exec(renameat('draft', 'final', { noReplace: true }));
 * ```
 */
export function renameat(oldPath: Path, newPath: Path, options?: RenameatOptions): Operation<void> {
  const operation = new Operation<void>(Op.renameat, options);
  operation.decode = nothing;
  takePaths(operation, ['oldPath', oldPath], ['newPath', newPath]);
  takeDirectories(operation, options);
  operation.opFlags =
    flagIf('options.noReplace', options?.noReplace, RENAME_NOREPLACE) |
    flagIf('options.exchange', options?.exchange, RENAME_EXCHANGE) |
    flagIf('options.whiteout', options?.whiteout, RENAME_WHITEOUT);
  const others = operation.opFlags & ~RENAME_EXCHANGE;
  if (operation.opFlags !== others && others !== 0) {
    throw invalidValue('options.exchange', 'goes with neither noReplace nor whiteout');
  }
  return operation;
}

/** Options of {@link unlinkat}. */
export interface UnlinkatOptions extends PathOptions {
  /** Remove a directory, which must be empty, and nothing else. Default false: anything but a directory. */
  removeDirectory?: boolean;
}

/**
 * Takes a file's name away; its contents go with the last name and the last descriptor.
 *
 * Errors are those of unlink(2) and rmdir(2): `ENOENT`, `EISDIR` for a directory without `removeDirectory`, `ENOTDIR`
 * for anything else with it, `ENOTEMPTY`. Since Linux 5.11.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_unlinkat.3.html io_uring_prep_unlinkat(3)}
 * @example
 * ```ts
 * import { mkdirat, Ring, unlinkat } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(mkdirat('empty'));
 * await ring.exec(unlinkat('empty', { removeDirectory: true }));
 * ```
 */
export function unlinkat(path: Path, options?: UnlinkatOptions): Operation<void> {
  const operation = withPath(Op.unlinkat, path, options);
  operation.opFlags = flagIf('options.removeDirectory', options?.removeDirectory, AT_REMOVEDIR);
  return operation;
}

/** Options of {@link mkdirat}. */
export interface MkdiratOptions extends PathOptions {
  /** Permissions of the directory. Default 0o777, less the umask. */
  mode?: number;
}

/**
 * Makes a directory; those above it must be there.
 *
 * Errors are those of mkdir(2): `EEXIST`, `ENOENT`. Since Linux 5.15.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_mkdirat.3.html io_uring_prep_mkdirat(3)}
 * @example
 * ```ts
 * import { mkdirat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(mkdirat('private', { mode: 0o700 }));
 * ```
 */
export function mkdirat(path: Path, options?: MkdiratOptions): Operation<void> {
  const operation = withPath(Op.mkdirat, path, options);
  operation.length = checkMode(options?.mode ?? 0o777);
  return operation;
}

/**
 * Makes a symbolic link.
 *
 * Errors are those of symlink(2), with both paths: `EEXIST`, `ENOENT` for an empty target. Since Linux 5.15.
 *
 * @param target what the link says; it need not be there
 * @param path where the link is made
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_symlinkat.3.html io_uring_prep_symlinkat(3)}
 * @example
 * ```ts
 * import { Ring, symlinkat } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(symlinkat('/etc/hostname', 'name'));
 * ```
 */
export function symlinkat(target: Path, path: Path, options?: PathOptions): Operation<void> {
  const operation = new Operation<void>(Op.symlinkat, options);
  operation.decode = nothing;
  takePaths(operation, ['target', target], ['path', path]);
  operation.fd = checkDirectory('options.dirFd', options?.dirFd);
  return operation;
}

/** Options of {@link linkat}. */
export interface LinkatOptions extends TwoPathsOptions {
  /** Where the old path is a symbolic link, link to what it names. Default false: to the link itself. */
  followSymlink?: boolean;
}

/**
 * Gives a file one more name, on the same file system.
 *
 * An empty old path with an `oldDirFd` means that file itself, which needs CAP_DAC_READ_SEARCH or, since Linux 6.10,
 * the credentials that opened it. Errors are those of link(2), with both paths: `EEXIST`, `ENOENT`, `EXDEV`, `EPERM` for
 * a directory. Since Linux 5.15.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_linkat.3.html io_uring_prep_linkat(3)}
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { linkat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * writeFileSync('one', 'text');
 * await ring.exec(linkat('one', 'two'));
 * ```
 */
export function linkat(oldPath: Path, newPath: Path, options?: LinkatOptions): Operation<void> {
  const operation = new Operation<void>(Op.linkat, options);
  operation.decode = nothing;
  const isOldEmpty = takePaths(operation, ['oldPath', oldPath], ['newPath', newPath]);
  takeDirectories(operation, options);
  operation.opFlags = flagIf('options.followSymlink', options?.followSymlink, AT_SYMLINK_FOLLOW);
  if (isOldEmpty) operation.opFlags |= AT_EMPTY_PATH;
  return operation;
}
