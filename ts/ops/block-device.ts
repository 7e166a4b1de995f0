// Commands to block devices.
import type { UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkSize } from '../validate.ts';
import { nothing } from './results.ts';
import { WidePayload } from './wide.ts';

/** _IO(0x12, 0) of include/uapi/linux/blkdev.h. */
const BLOCK_URING_CMD_DISCARD = 0x1200;

/** The range of {@link blockDiscard}. */
export interface BlockDiscardOptions extends OperationOptions {
  /** Start of the range, a multiple of the device's sector size. */
  offset: number | bigint;
  /** Size of the range, a multiple of the device's sector size. */
  lengthBytes: number | bigint;
}

function onlyDevices(error: UringError): UringError {
  if (error.code === 'ENOTSUP')
    error.message += '; it is for block devices that can discard, since Linux 6.12';
  return error;
}

/**
 * Tells a block device that what is in a range is no longer needed. What it reads as afterwards is the device's affair.
 *
 * Errors: `ENOTSUP` for what is no block device, and for one that cannot discard; `EBADF` where it is not open for
 * writing; `EINVAL` for a range that is not aligned or leaves the device. Since Linux 6.12.
 *
 * @param fd descriptor or registered file of a block device, open for writing
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_cmd_discard.3.html io_uring_prep_cmd_discard(3)}
 * @example
 * ```ts no-run
 * import { openSync } from 'node:fs';
 * import { blockDiscard, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(blockDiscard(openSync('/dev/sdz', 'r+'), { offset: 0, lengthBytes: 1 << 20 }));
 * ```
 */
export function blockDiscard(fd: Fd, options: BlockDiscardOptions): Operation<void> {
  const operation = new Operation<void>(Op.uringCmd, options).on('fd', fd);
  operation.decode = nothing;
  operation.syscall = 'blockDiscard';
  operation.traits = { explain: onlyDevices };
  operation.offset = BLOCK_URING_CMD_DISCARD;
  const offset = checkSize('options.offset', options?.offset, 0);
  operation.arguments(new WidePayload(offset, checkSize('options.lengthBytes', options?.lengthBytes, 1)));
  return operation;
}
