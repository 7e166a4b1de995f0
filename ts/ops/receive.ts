// Receiving from sockets.
import { type BufferLease, BufferRing } from '../buffer-ring.ts';
import { invalidType, invalidValue } from '../errors.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { PlacedBuffer } from '../memory/placed.ts';
import { MessageFlags } from '../message-flags.ts';
import { type Fd, Operation, type Outcome, type Traits } from '../operation.ts';
import { ProvidedBuffers } from '../provided-buffers.ts';
import { checkInteger, isSet } from '../validate.ts';
import { leaseOf } from './results.ts';
import {
  applyOptions,
  BUNDLE,
  checkReceivingBuffers,
  RECV_MULTISHOT,
  type TransferOptions,
  TransferPayload,
} from './transfer.ts';

/** Receiving into a buffer ring. */
export interface ReceiveOptions extends TransferOptions {
  /** Take several buffers at once, as many as the kernel sees data for; the result is a list. Since Linux 6.10. */
  bundle?: boolean;
}

/** Options of {@link recvMultishot}. */
export interface ReceiveMultishotOptions extends ReceiveOptions {
  /** Stop after so many bytes in all, which may end in the middle of what has arrived. Since Linux 6.17. */
  totalBytes?: number;
  /** Bytes after which it is another socket's turn, so that a busy one starves no others. Since Linux 6.17. */
  turnBytes?: number;
}

type Kind = 'single' | 'multishot';

function leasesOf(buffers: BufferRing, { res, flags }: Outcome): BufferLease[] {
  return (flags & CqeFlags.BUFFER) === 0 ? [] : buffers.leases(flags >>> CQE_BUFFER_SHIFT, res);
}

const manyLeases: Traits<unknown> = { parts: (leases) => leases as readonly BufferLease[] };

/** Receiving into a buffer ring, in whichever form. */
function receiveInto<K extends Kind>(
  operation: Operation<unknown, K>,
  buffers: unknown,
  options: ReceiveOptions | undefined,
): boolean {
  const group = checkReceivingBuffers('buffers', buffers);
  applyOptions(operation, options, 0);
  operation.takesFrom(group);
  // The kernel counts what it cut off as used (io_uring/kbuf.c, io_kbuf_inc_commit), in this buffer and those after it.
  if (group instanceof BufferRing && group.incremental && (operation.opFlags & MessageFlags.TRUNC) !== 0)
    throw invalidValue('options.messageFlags', 'has TRUNC, which loses buffers of an incremental ring');
  const bundle = isSet('options.bundle', options?.bundle);
  if (!bundle) {
    operation.decode = (outcome) => leaseOf(group, outcome);
    return false;
  }
  if (!(group instanceof BufferRing))
    throw invalidType('buffers', 'a BufferRing, to receive bundles', buffers);
  if (group.incremental) throw invalidValue('buffers', 'is incremental: bundles take whole buffers');
  operation.priority(BUNDLE);
  operation.needs('options.bundle', '6.10');
  operation.traits = manyLeases;
  operation.decode = (outcome) => leasesOf(group, outcome);
  return true;
}

/**
 * Receives from a socket, into a buffer or into one that the kernel takes from a buffer ring when data arrives.
 *
 * Results in the number of bytes, where 0 is the end of the stream; with a buffer ring in a lease (or null at the
 * end), with `bundle` in a list of them (empty at the end). With `MessageFlags.TRUNC` the number is the size of the
 * whole datagram. Errors are those of recv(2), and `ENOBUFS` when every buffer of the ring is lent. Since Linux 5.6
 * (buffer rings 5.19, bundles 6.10).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recv.3.html io_uring_prep_recv(3)}
 * @example
 * ```ts
 * import { Ring, bind, recv, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, { path: './example.sock' }));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(send(sender, Buffer.from('hello'), { to: { path: './example.sock' } }));
 * const buffer = ring.alloc(64);
 * const bytes = await ring.exec(recv(receiver, buffer));
 * console.log(buffer.toString('utf8', 0, bytes));
 * ```
 */
export function recv(
  fd: Fd,
  buffers: BufferRing,
  options: ReceiveOptions & { bundle: true },
): Operation<BufferLease[]>;
export function recv(
  fd: Fd,
  buffers: ProvidedBuffers,
  options?: ReceiveOptions & { bundle?: false },
): Operation<BufferLease | null>;
export function recv(fd: Fd, buffer: Bytes, options?: TransferOptions): Operation<number>;
export function recv(fd: Fd, into: Bytes | ProvidedBuffers, options?: ReceiveOptions): unknown {
  if (into instanceof ProvidedBuffers) {
    const operation = new Operation<unknown>(Op.recv, options).on('fd', fd);
    const isBundle = receiveInto(operation, into, options);
    operation.length = isBundle ? 0 : into.sizeBytes;
    return operation;
  }
  const operation = new Operation<number>(Op.recv, options).on('fd', fd);
  applyOptions(operation, options, 0);
  const bytes = checkBytes('buffer', into, 'refused');
  if ((operation.opFlags & MessageFlags.TRUNC) === 0) return operation.bytes(bytes, 'kernelWrites');
  operation.arguments(new TransferPayload(new PlacedBuffer(bytes, 'kernelWrites')));
  return operation;
}

/**
 * Receives until the end of the stream, with one submission: each arrival takes a buffer from the ring, or with
 * `bundle` as many as it needs.
 *
 * Run it with `ring.multishot()`, which yields a lease for each arrival (a list of them with `bundle`), waits when
 * every buffer is lent, and ends with the stream, or after `totalBytes`. Since Linux 6.0 (bundles 6.10).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recv_multishot.3.html io_uring_prep_recv_multishot(3)}
 * @example
 * ```ts
 * import { Ring, bind, recvMultishot, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, { path: './example.sock' }));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(send(sender, Buffer.from('hello'), { to: { path: './example.sock' } }));
 * const buffers = ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 4096 });
 * for await (const lease of ring.multishot(recvMultishot(receiver, buffers))) {
 *   console.log(lease.data.toString());
 *   lease.release();
 *   break;
 * }
 * ```
 */
export function recvMultishot(
  fd: Fd,
  buffers: BufferRing,
  options: ReceiveMultishotOptions & { bundle: true },
): Operation<BufferLease[], 'multishot'>;
export function recvMultishot(
  fd: Fd,
  buffers: ProvidedBuffers,
  options?: ReceiveMultishotOptions & { bundle?: false },
): Operation<BufferLease | null, 'multishot'>;
export function recvMultishot(fd: Fd, buffers: ProvidedBuffers, options?: ReceiveMultishotOptions): unknown {
  const operation = new Operation<unknown, 'multishot'>(Op.recv, options).on('fd', fd);
  receiveInto(operation, buffers, options);
  operation.priority(RECV_MULTISHOT);
  operation.needs('receiving many times', '6.0');
  operation.isMultishot = true;
  if (options?.turnBytes !== undefined) {
    operation.length = checkInteger('options.turnBytes', options.turnBytes, 1, 0x7fff_ffff);
    operation.needs('options.turnBytes', '6.17');
  }
  if (options?.totalBytes !== undefined) {
    operation.fileIndex = checkInteger('options.totalBytes', options.totalBytes, 1, 0x7fff_ffff);
    operation.needs('options.totalBytes', '6.17');
    operation.traits = { ...operation.traits, countsBytes: true };
  }
  return operation;
}
