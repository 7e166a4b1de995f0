// The space that a file takes, and what the kernel should expect of its use.
import { Op } from '../generated/ops.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkFlags, checkName, checkSize, UINT32_MAX } from '../validate.ts';
import { nothing } from './results.ts';
import { WidePayload } from './wide.ts';

/**
 * What {@link fallocate} does to a range, to be combined with `|` (`FALLOC_FL_*`). Without any it makes sure that the
 * range has blocks, and the file is at least so large.
 *
 * `KEEP_SIZE`: leaves the file's size alone. `PUNCH_HOLE`: takes the blocks away, and wants `KEEP_SIZE` too.
 * `COLLAPSE_RANGE`: takes the range out, what follows moves up. `ZERO_RANGE`: makes it read as zeros. `INSERT_RANGE`:
 * makes room, what follows moves down. `UNSHARE_RANGE`: gives shared blocks copies of their own. `WRITE_ZEROES`: writes
 * zeros by the device's own means (6.17).
 *
 * @see {@link https://man7.org/linux/man-pages/man2/fallocate.2.html fallocate(2)}
 */
export const FallocateMode = {
  KEEP_SIZE: 0x01,
  PUNCH_HOLE: 0x02,
  COLLAPSE_RANGE: 0x08,
  ZERO_RANGE: 0x10,
  INSERT_RANGE: 0x20,
  UNSHARE_RANGE: 0x40,
  WRITE_ZEROES: 0x80,
} as const;

const FALLOCATE_ALL = Object.values(FallocateMode).reduce((all, flag) => all | flag, 0);

/** The range of {@link fallocate}, and what becomes of it. */
export interface FallocateOptions extends OperationOptions {
  /** Start of the range. Default 0. */
  offset?: number | bigint;
  /** {@link FallocateMode}. Default 0: allocate. */
  mode?: number;
}

/**
 * Gives a range of a file blocks, or takes them away.
 *
 * Errors are those of fallocate(2): `ENOSPC` when the disk is full, `EFBIG` beyond the largest file, `ENOTSUP` where
 * the file system cannot do it, `ENODEV` or `ESPIPE` for what is no file, `EINVAL` where collapse and insert are not
 * aligned to blocks. Since Linux 5.6.
 *
 * @param fd descriptor or registered file, open for writing
 * @param lengthBytes size of the range, at least 1
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fallocate.3.html io_uring_prep_fallocate(3)}
 * @example
 * ```ts
 * import { close, FallocateMode, fallocate, openat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('space', { openFlags: 'w' }));
 * await ring.exec(fallocate(fd, 1 << 20));
 * const hole = FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE;
 * await ring.exec(fallocate(fd, 4096, { offset: 8192, mode: hole }));
 * await ring.exec(close(fd));
 * ```
 */
export function fallocate(fd: Fd, lengthBytes: number | bigint, options?: FallocateOptions): Operation<void> {
  const operation = new Operation<void>(Op.fallocate, options).on('fd', fd);
  operation.decode = nothing;
  operation.arguments(new WidePayload(checkSize('lengthBytes', lengthBytes, 1)));
  operation.offset = checkSize('options.offset', options?.offset ?? 0, 0);
  operation.length = checkFlags('options.mode', options?.mode ?? 0, FALLOCATE_ALL, 'FallocateMode');
  return operation;
}

/**
 * Makes a file exactly so large: what is beyond is lost, what is missing reads as zeros.
 *
 * Errors are those of ftruncate(2): `EINVAL` for what is not a file that is open for writing, `EFBIG` beyond the largest
 * file. Since Linux 6.9.
 *
 * @param fd descriptor or registered file, open for writing
 * @param lengthBytes its new size
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_ftruncate.3.html io_uring_prep_ftruncate(3)}
 * @example
 * ```ts
 * import { close, ftruncate, openat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('log', { openFlags: 'w' }));
 * await ring.exec(ftruncate(fd, 4096));
 * await ring.exec(close(fd));
 * ```
 */
export function ftruncate(fd: Fd, lengthBytes: number | bigint, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.ftruncate, options).on('fd', fd);
  operation.decode = nothing;
  operation.offset = checkSize('lengthBytes', lengthBytes, 0);
  return operation;
}

/** POSIX_FADV_*, the numbers of x86-64 and arm64 (include/uapi/linux/fadvise.h). */
const FADVICE = { normal: 0, random: 1, sequential: 2, willneed: 3, dontneed: 4, noreuse: 5 } as const;

/** What to expect of a file's use (`POSIX_FADV_*`). */
export type FileAdvice = keyof typeof FADVICE;

/** The range of {@link fadvise}. */
export interface FadviseOptions extends OperationOptions {
  /** Start of the range. Default 0. */
  offset?: number | bigint;
  /** Size of the range; 0 (the default) means to the end of the file. From 4 GiB on since Linux 6.10. */
  lengthBytes?: number | bigint;
}

/**
 * Tells the kernel how a range of a file will be used, so that it reads ahead more or less, starts now (`willneed`), or
 * drops what it keeps in memory (`dontneed`).
 *
 * Errors are those of posix_fadvise(2): `ESPIPE` for a pipe. Since Linux 5.6.
 *
 * @param fd descriptor or registered file
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fadvise.3.html io_uring_prep_fadvise(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/posix_fadvise.2.html posix_fadvise(2)}
 * @example
 * ```ts
 * import { close, fadvise, openat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('/etc/services'));
 * await ring.exec(fadvise(fd, 'sequential'));
 * await ring.exec(close(fd));
 * ```
 */
export function fadvise(fd: Fd, advice: FileAdvice, options?: FadviseOptions): Operation<void> {
  const operation = new Operation<void>(Op.fadvise, options).on('fd', fd);
  operation.decode = nothing;
  operation.opFlags = checkName('advice', advice, FADVICE);
  operation.offset = checkSize('options.offset', options?.offset ?? 0, 0);
  const lengthBytes = checkSize('options.lengthBytes', options?.lengthBytes ?? 0, 0);
  // `len` has 32 bits and is what older kernels know; a larger length goes where `len` is 0 (io_uring/advise.c).
  if (lengthBytes <= UINT32_MAX) {
    operation.length = lengthBytes;
    return operation;
  }
  operation.arguments(new WidePayload(lengthBytes));
  operation.needs('options.lengthBytes beyond 4 GiB', '6.10');
  return operation;
}
