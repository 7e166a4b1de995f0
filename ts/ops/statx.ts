// What the file system knows about a file.
import { invalidValue } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { Operation, type OperationOptions } from '../operation.ts';
import { BigIntStats, STATX_BYTES, Stats, StatxMask } from '../stats.ts';
import { checkBoolean, checkInteger, isSet, UINT32_MAX } from '../validate.ts';
import { checkDirectory, type Path, takePath } from './path-arguments.ts';

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;

/** Which file {@link statx} asks for, and what of it. */
export interface StatxOptions extends OperationOptions {
  /** Directory that a relative path starts from; with an empty path the file itself. */
  dirFd?: number;
  /** Follow a symbolic link at the end of the path. Default true. */
  followSymlink?: boolean;
  /** `AT_*` flags besides. */
  atFlags?: number;
  /** {@link StatxMask} of fields to ask for. Default: all that node:fs has. */
  mask?: number;
  /** Results in {@link BigIntStats}. Default false. */
  bigint?: boolean;
}

/**
 * Asks for what the file system knows about a file.
 *
 * Results in {@link Stats}, or with `bigint` in {@link BigIntStats}. Errors are those of statx(2). Since Linux 5.6.
 *
 * @param path where the file is, or its descriptor. An empty path with a `dirFd` means that file, too
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_statx.3.html io_uring_prep_statx(3)}
 * @example
 * ```ts
 * import { Ring, statx, StatxMask } from 'uring';
 *
 * await using ring = new Ring();
 * const stats = await ring.exec(statx('/etc/hostname'));
 * console.log(stats.size, stats.isFile(), stats.mtime);
 * const mask = StatxMask.BASIC_STATS | StatxMask.MNT_ID;
 * const exact = await ring.exec(statx('/etc/hostname', { bigint: true, mask }));
 * console.log(exact.mtimeNs, exact.statx.mountId);
 * ```
 */
export function statx(path: Path | number, options: StatxOptions & { bigint: true }): Operation<BigIntStats>;
export function statx(path: Path | number, options?: StatxOptions & { bigint?: false }): Operation<Stats>;
export function statx(path: Path | number, options?: StatxOptions): Operation<Stats | BigIntStats>;
export function statx(
  path: Path | number,
  options?: StatxOptions,
): Operation<Stats> | Operation<BigIntStats> | Operation<Stats | BigIntStats> {
  const operation = new Operation<Stats | BigIntStats>(Op.statx, options);
  operation.opFlags = checkInteger('options.atFlags', options?.atFlags ?? 0, 0, 0x7fff_ffff);
  if (typeof path === 'number') {
    if (options?.dirFd !== undefined) throw invalidValue('options.dirFd', 'has no meaning for a descriptor');
    operation.fd = checkInteger('path', path, 0, 0x7fff_ffff);
    takePath(operation, 'path', '', STATX_BYTES);
    operation.path = undefined;
    operation.opFlags |= AT_EMPTY_PATH;
  } else {
    if (takePath(operation, 'path', path, STATX_BYTES)) operation.opFlags |= AT_EMPTY_PATH;
    operation.fd = checkDirectory('options.dirFd', options?.dirFd);
  }
  const mask = options?.mask ?? StatxMask.BASIC_STATS | StatxMask.BTIME;
  operation.length = checkInteger('options.mask', mask, 0, UINT32_MAX);
  if (!checkBoolean('options.followSymlink', options?.followSymlink ?? true))
    operation.opFlags |= AT_SYMLINK_NOFOLLOW;
  const Result = isSet('options.bigint', options?.bigint) ? BigIntStats : Stats;
  operation.decode = ({ staged }) => Result.decode(staged?.view ?? Buffer.alloc(STATX_BYTES));
  return operation;
}
