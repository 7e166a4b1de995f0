// Making what was written durable.
import { Op } from '../generated/ops.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkFlags, checkInteger, checkSize, isSet, UINT32_MAX } from '../validate.ts';
import { nothing } from './results.ts';

/** What {@link fsync} makes durable. */
export interface FsyncOptions extends OperationOptions {
  /** Only the data and what is needed to read it back, as fdatasync(2). */
  dataOnly?: boolean;
  /** Start of a range to sync. Default 0. */
  offset?: number | bigint;
  /** Size of the range; 0 (the default) means to the end of the file. */
  lengthBytes?: number;
}

/** A range for the kernel, which takes 32 bits of length. */
function takeRange(
  operation: Operation<void>,
  options: FsyncOptions | SyncFileRangeOptions | undefined,
): void {
  if (options?.offset !== undefined) operation.offset = checkSize('options.offset', options.offset, 0);
  if (options?.lengthBytes !== undefined) {
    operation.length = checkInteger('options.lengthBytes', options.lengthBytes, 0, UINT32_MAX);
  }
}

/**
 * Makes what was written durable. It does not wait for writes that are still in flight: link it after them.
 *
 * Errors are those of fsync(2). Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fsync.3.html io_uring_prep_fsync(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, fsync } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(fsync(openSync('/etc/hostname', 'r'), { dataOnly: true }));
 * ```
 */
export function fsync(fd: Fd, options?: FsyncOptions): Operation<void> {
  const operation = new Operation<void>(Op.fsync, options).on('fd', fd);
  operation.decode = nothing;
  if (isSet('options.dataOnly', options?.dataOnly)) operation.opFlags = 1;
  takeRange(operation, options);
  return operation;
}

/** What {@link syncFileRange} does, to be combined with `|` (`SYNC_FILE_RANGE_*`). */
export const SyncFileRangeFlags = {
  /** Waits for pages of the range that are being written already. */
  WAIT_BEFORE: 1,
  /** Starts to write the pages that are not. */
  WRITE: 2,
  /** Waits for them. */
  WAIT_AFTER: 4,
} as const;

const SYNC_ALL = SyncFileRangeFlags.WAIT_BEFORE | SyncFileRangeFlags.WRITE | SyncFileRangeFlags.WAIT_AFTER;

/** The range of {@link syncFileRange}, and how far it goes. */
export interface SyncFileRangeOptions extends OperationOptions {
  /** {@link SyncFileRangeFlags}. Default: all of them, which writes and waits. */
  syncFlags?: number;
  /** Start of the range. Default 0. */
  offset?: number | bigint;
  /** Size of the range; 0 (the default) means to the end of the file. */
  lengthBytes?: number;
}

/**
 * Writes a range of a file's pages out to the disk, or starts to. It makes nothing durable: neither the file's size and
 * blocks nor the disk's own cache are flushed; {@link fsync} does that.
 *
 * Errors are those of sync_file_range(2): `ESPIPE` for what is no file, directory, link or block device. Since Linux
 * 5.2.
 *
 * @param fd descriptor or registered file
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_sync_file_range.3.html io_uring_prep_sync_file_range(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/sync_file_range.2.html sync_file_range(2)}
 * @example
 * ```ts
 * import { Ring, close, openat, syncFileRange, SyncFileRangeFlags, write } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('journal', { openFlags: 'w' }));
 * await ring.exec(write(fd, Buffer.alloc(65536), { offset: 0 }));
 * await ring.exec(syncFileRange(fd, { offset: 0, lengthBytes: 65536, syncFlags: SyncFileRangeFlags.WRITE }));
 * await ring.exec(close(fd));
 * ```
 */
export function syncFileRange(fd: Fd, options?: SyncFileRangeOptions): Operation<void> {
  const operation = new Operation<void>(Op.syncFileRange, options).on('fd', fd);
  operation.decode = nothing;
  takeRange(operation, options);
  const syncFlags = options?.syncFlags ?? SYNC_ALL;
  operation.opFlags = checkFlags('options.syncFlags', syncFlags, SYNC_ALL, 'SyncFileRangeFlags');
  return operation;
}
