// Sending without copying, and receiving so.
import { invalidValue, UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import type { Bytes } from '../memory/bytes.ts';
import { MessageFlags } from '../message-flags.ts';
import { type Fd, Operation, type OperationOptions, type Outcome } from '../operation.ts';
import { checkInteger, isSet, UINT32_MAX } from '../validate.ts';
import { type SendOptions, sendsData } from './send.ts';
import { type OutgoingMessage, sendsMessage } from './socket-message.ts';
import { applyOptions, RECV_MULTISHOT, REPORT_USAGE, type TransferOptions } from './transfer.ts';

/** What became of a zero-copy send. */
export interface ZeroCopyResult {
  /** The number of bytes taken. */
  readonly bytes: number;
  /**
   * The kernel has copied the bytes after all, as it does on loopback and for sockets that cannot do without. Undefined
   * in a completion that is read by hand: there the second one tells, by a negative `res`.
   */
  readonly copied: boolean | undefined;
}

interface ReportOptions {
  /** Say whether the bytes were copied after all. Since Linux 6.2. */
  reportUsage?: boolean;
}

function zeroCopyResult({ res, notification }: Outcome): ZeroCopyResult {
  // IORING_NOTIF_USAGE_ZC_COPIED is bit 31.
  return { bytes: res, copied: notification === undefined ? undefined : notification < 0 };
}

/** The result comes before the notification, with which it is delivered: results without a decoder are not kept. */
function bytesSent({ res }: Outcome): number {
  return res;
}

function reports(
  operation: Operation<unknown>,
  options: (TransferOptions & ReportOptions) | undefined,
): void {
  applyOptions(operation, options, MessageFlags.NOSIGNAL);
  operation.decode = bytesSent;
  if (!isSet('options.reportUsage', options?.reportUsage)) return;
  operation.priority(REPORT_USAGE);
  operation.needs('options.reportUsage', '6.2');
  operation.decode = zeroCopyResult;
}

/**
 * Sends on a socket without copying the bytes into the kernel, which pays from some 10 KiB on. The memory must not
 * change until the operation's promise settles: that is when the kernel has let go of it, which may be as late as the
 * peer's acknowledgement. Memory of `ring.alloc()` is best; any other is copied once, into memory that Rust owns.
 *
 * Results in the number of bytes taken, with `reportUsage` in `{ bytes, copied }`. Completions read by hand come twice:
 * the result, and the notification that the memory is free (`completion.isNotification`). Errors are those of send(2),
 * and `ENOTSUP` for sockets that only copy (Unix ones). Since Linux 6.0 (`reportUsage` 6.2, a list 6.17).
 *
 * @param data memory to send from, or a list of up to 1024 of them
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_send_zc.3.html io_uring_prep_send_zc(3)}
 * @example
 * ```ts
 * import { Ring, sendZc, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * const to = { address: '127.0.0.1', port: 9 };
 * const { bytes, copied } = await ring.exec(sendZc(fd, ring.alloc(16_384), { to, reportUsage: true }));
 * console.log(bytes, copied); // 16384 true: loopback copies
 * ```
 */
export function sendZc(
  fd: Fd,
  data: Bytes | readonly Bytes[],
  options: SendOptions & { reportUsage: true },
): Operation<ZeroCopyResult>;
export function sendZc(
  fd: Fd,
  data: Bytes | readonly Bytes[],
  options?: SendOptions & { reportUsage?: false },
): Operation<number>;
export function sendZc(
  fd: Fd,
  data: Bytes | readonly Bytes[],
  options?: SendOptions & ReportOptions,
): unknown {
  const operation = new Operation<unknown>(Op.sendZc, options).on('fd', fd);
  reports(operation, options);
  sendsData(operation, data, options?.to);
  return operation;
}

/**
 * As {@link sendZc}, for a message with an address and control messages. Buffers of one registered arena are sent in
 * their registered form. Since Linux 6.1 (registered buffers 6.15).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_sendmsg_zc.3.html io_uring_prep_sendmsg_zc(3)}
 * @example
 * ```ts
 * import { Ring, sendmsgZc, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * const to = { address: '127.0.0.1', port: 9 };
 * await ring.exec(sendmsgZc(fd, { data: [ring.alloc(1024), ring.alloc(8192)], to }));
 * ```
 */
export function sendmsgZc(
  fd: Fd,
  message: OutgoingMessage,
  options: TransferOptions & { reportUsage: true },
): Operation<ZeroCopyResult>;
export function sendmsgZc(
  fd: Fd,
  message: OutgoingMessage,
  options?: TransferOptions & { reportUsage?: false },
): Operation<number>;
export function sendmsgZc(
  fd: Fd,
  message: OutgoingMessage,
  options?: TransferOptions & ReportOptions,
): unknown {
  const operation = new Operation<unknown>(Op.sendmsgZc, options).on('fd', fd);
  reports(operation, options);
  sendsMessage(operation, message);
  return operation;
}

/** Options of {@link recvZc}. */
export interface ReceiveZeroCopyOptions extends OperationOptions {
  /** Number of the receive queue, as the kernel gave it when it was registered. */
  queue: number;
  /** Stop after so many bytes; default: never. */
  totalBytes?: number;
}

/**
 * Receives what a network card has put into memory of this process, without any copy.
 *
 * It needs a hardware receive queue that is registered with the ring (IORING_REGISTER_ZCRX_IFQ), a network card that
 * splits headers from data, root, and a ring with large completions. This package does not register such queues, so
 * the operation fails with `ERR_URING_UNSUPPORTED_OP` on every ring. Since Linux 6.15.
 *
 * @see {@link https://docs.kernel.org/networking/iou-zcrx.html io_uring zero copy receive}
 * @example
 * ```ts
 * import { Ring, recvZc, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * const stream = ring.multishot(recvZc(fd, { queue: 0 }));
 * await stream.next().catch((error) => console.log(error.code)); // ERR_URING_UNSUPPORTED_OP
 * ```
 */
export function recvZc(fd: Fd, options: ReceiveZeroCopyOptions): Operation<number, 'multishot'> {
  const operation = new Operation<number, 'multishot'>(Op.recvZc, options).on('fd', fd);
  if (options === undefined) throw invalidValue('options', 'is missing: name the receive queue');
  operation.fileIndex = checkInteger('options.queue', options.queue, 0, UINT32_MAX);
  operation.length = checkInteger('options.totalBytes', options.totalBytes ?? 0, 0, UINT32_MAX);
  operation.priority(RECV_MULTISHOT);
  operation.isMultishot = true;
  operation.traits = { explain: noQueue, endsByItself: true };
  return operation;
}

/** The kernel knows no queue of that number (io_uring/zcrx.c, io_recvzc_prep: EINVAL). */
function noQueue(error: UringError): UringError {
  if (error.code !== 'EINVAL') return error;
  const message =
    'recvZc needs a zero-copy receive queue of a network card that supports it, registered with this ring (Linux 6.15); there is none: use recv';
  return new UringError('ERR_URING_UNSUPPORTED_OP', message);
}
