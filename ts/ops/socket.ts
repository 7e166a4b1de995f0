// Operations on sockets.
import type { BufferLease } from '../buffer-ring.ts';
import { BufferRing } from '../buffer-ring.ts';
import { invalidType } from '../errors.ts';
import type { FixedFile } from '../files.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkInteger } from '../validate.ts';
import { type DirectOptions, makeDirect } from './direct.ts';
import { takeFrom } from './results.ts';

const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const ACCEPT_MULTISHOT = 1 << 0;
const RECV_MULTISHOT = 1 << 1;

export interface AcceptOptions extends OperationOptions {
  /** `SOCK_*` flags of the new socket, see accept4(2). Default SOCK_NONBLOCK | SOCK_CLOEXEC. */
  acceptFlags?: number;
}

type Kind = 'single' | 'multishot';

function acceptOn(
  fd: Fd,
  options: (AcceptOptions & Partial<DirectOptions>) | undefined,
): Operation<number, Kind> {
  const operation = new Operation<number, Kind>(Op.accept, options).on('fd', fd);
  const direct = options?.direct;
  // A slot cannot be close-on-exec: the kernel answers -EINVAL.
  const defaults = direct === undefined ? SOCK_NONBLOCK | SOCK_CLOEXEC : SOCK_NONBLOCK;
  operation.opFlags = checkInteger('options.acceptFlags', options?.acceptFlags ?? defaults, 0, 0x7fff_ffff);
  if (direct !== undefined) makeDirect(operation as unknown as Operation<FixedFile, Kind>, direct);
  return operation;
}

/**
 * Accepts one connection on a listening socket.
 *
 * Results in the new socket's descriptor, which is yours to close, or with `direct` in a registered file. Errors are
 * those of accept(2). Since Linux 5.5 (`direct` 5.15).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_accept.3.html io_uring_prep_accept(3)}
 * @example
 * ```ts no-run
 * import { Ring, accept } from 'uring';
 *
 * await using ring = new Ring();
 * const socket = await ring.exec(accept(listeningFd));
 * ```
 */
export function accept(fd: Fd, options: AcceptOptions & DirectOptions): Operation<FixedFile>;
export function accept(fd: Fd, options?: AcceptOptions): Operation<number>;
export function accept(
  fd: Fd,
  options?: AcceptOptions & Partial<DirectOptions>,
): Operation<number> | Operation<FixedFile> {
  return acceptOn(fd, options) as Operation<number>;
}

/**
 * Accepts connections until it is stopped, with one submission. With `direct: true` they become registered files.
 *
 * Run it with `ring.multishot()`. Since Linux 5.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_multishot_accept.3.html io_uring_prep_multishot_accept(3)}
 * @example
 * ```ts no-run
 * import { Ring, acceptMultishot } from 'uring';
 *
 * await using ring = new Ring();
 * for await (const socket of ring.multishot(acceptMultishot(listeningFd))) serve(socket);
 * ```
 */
export function acceptMultishot(
  fd: Fd,
  options: AcceptOptions & { direct: true },
): Operation<FixedFile, 'multishot'>;
export function acceptMultishot(fd: Fd, options?: AcceptOptions): Operation<number, 'multishot'>;
export function acceptMultishot(
  fd: Fd,
  options?: AcceptOptions & { direct?: true },
): Operation<number, 'multishot'> | Operation<FixedFile, 'multishot'> {
  const operation = acceptOn(fd, options);
  operation.priority(ACCEPT_MULTISHOT);
  operation.isMultishot = true;
  return operation as Operation<number, 'multishot'>;
}

export interface TransferOptions extends OperationOptions {
  /** `MSG_*` flags, see recv(2) and send(2). */
  messageFlags?: number;
}

function checkMessageFlags(options: TransferOptions | undefined): number {
  return checkInteger('options.messageFlags', options?.messageFlags ?? 0, 0, 0x7fff_ffff);
}

/**
 * Receives from a socket, into a buffer or into one that the kernel takes from a buffer ring when data arrives.
 *
 * Results in the number of bytes, where 0 is the end of the stream; with a buffer ring in a lease (or null at the
 * end). Errors are those of recv(2), and `ENOBUFS` when every buffer of the ring is lent. Since Linux 5.6 (buffer
 * rings 5.19).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recv.3.html io_uring_prep_recv(3)}
 * @example
 * ```ts no-run
 * import { Ring, recv } from 'uring';
 *
 * await using ring = new Ring();
 * const bytes = await ring.exec(recv(socket, ring.alloc(4096)));
 * ```
 */
export function recv(fd: Fd, buffers: BufferRing, options?: TransferOptions): Operation<BufferLease | null>;
export function recv(fd: Fd, buffer: Bytes, options?: TransferOptions): Operation<number>;
export function recv(
  fd: Fd,
  into: Bytes | BufferRing,
  options?: TransferOptions,
): Operation<number> | Operation<BufferLease | null> {
  if (into instanceof BufferRing) {
    const operation = new Operation<BufferLease | null>(Op.recv, options).on('fd', fd);
    operation.opFlags = checkMessageFlags(options);
    operation.length = into.sizeBytes;
    return takeFrom(operation, into);
  }
  const operation = new Operation<number>(Op.recv, options).on('fd', fd);
  operation.opFlags = checkMessageFlags(options);
  return operation.bytes(checkBytes('buffer', into, 'refused'), 'kernelWrites');
}

/**
 * Receives until the end of the stream, with one submission: each arrival takes a buffer from the ring.
 *
 * Run it with `ring.multishot()`, which yields a lease for each arrival, waits when every buffer is lent, and ends
 * with the stream. Since Linux 6.0.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recv_multishot.3.html io_uring_prep_recv_multishot(3)}
 * @example
 * ```ts no-run
 * import { Ring, recvMultishot } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 4096 });
 * for await (const lease of ring.multishot(recvMultishot(socket, buffers))) {
 *   console.log(lease?.data.toString());
 *   lease?.release();
 * }
 * ```
 */
export function recvMultishot(
  fd: Fd,
  buffers: BufferRing,
  options?: TransferOptions,
): Operation<BufferLease | null, 'multishot'> {
  if (!(buffers instanceof BufferRing)) throw invalidType('buffers', 'a BufferRing of this ring', buffers);
  const operation = new Operation<BufferLease | null, 'multishot'>(Op.recv, options).on('fd', fd);
  operation.opFlags = checkMessageFlags(options);
  operation.priority(RECV_MULTISHOT);
  operation.isMultishot = true;
  return takeFrom(operation, buffers);
}

/**
 * Sends on a socket. Memory of `ring.alloc()` is sent from directly, any other is copied first. An empty buffer
 * sends an empty datagram. A broken connection is the error `EPIPE`, never a signal.
 *
 * Results in the number of bytes taken, which may be fewer than given. Errors are those of send(2). Since Linux 5.6.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_send.3.html io_uring_prep_send(3)}
 * @example
 * ```ts no-run
 * import { Ring, send } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(send(socket, Buffer.from('hello')));
 * ```
 */
export function send(fd: Fd, buffer: Bytes, options?: TransferOptions): Operation<number> {
  const operation = new Operation<number>(Op.send, options).on('fd', fd);
  operation.opFlags = checkMessageFlags(options) | MSG_NOSIGNAL;
  return operation.bytes(checkBytes('buffer', buffer, 'allowed'), 'kernelReads');
}
