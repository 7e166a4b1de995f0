// Sending on sockets.
import { checkAddress, type EncodedAddress, type SocketAddressLike, withAddress } from '../address.ts';
import { BufferRing } from '../buffer-ring.ts';
import { invalidValue, type UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { PlacedBuffer } from '../memory/placed.ts';
import { MessageFlags } from '../message-flags.ts';
import { type Fd, Operation } from '../operation.ts';
import {
  applyOptions,
  BUNDLE,
  checkSendingBuffers,
  type TransferOptions,
  TransferPayload,
  VECTORIZED,
} from './transfer.ts';
import { BufferList, checkVectors } from './vectors.ts';

/** Options of {@link send} and `sendZc`. */
export interface SendOptions extends TransferOptions {
  /** Where to send a datagram to, from a socket that is not connected. Since Linux 6.0. */
  to?: SocketAddressLike;
}

/** @internal What a send moves: a buffer, or several. */
export function sendsData(
  operation: Operation<unknown>,
  data: Bytes | readonly Bytes[],
  to: SocketAddressLike | undefined,
): void {
  const address = to === undefined ? undefined : checkAddress('options.to', to);
  if (Array.isArray(data)) {
    operation.priority(VECTORIZED);
    const list = new BufferList(checkVectors('data', data), 'kernelReads');
    operation.arguments(new TransferPayload(list, address?.bytes));
  } else if (address !== undefined) {
    const bytes = checkBytes('data', data, operation.opcode === Op.send ? 'allowed' : 'refused');
    operation.arguments(new TransferPayload(new PlacedBuffer(bytes, 'kernelReads'), address.bytes));
  } else {
    operation.bytes(
      checkBytes('data', data, operation.opcode === Op.send ? 'allowed' : 'refused'),
      'kernelReads',
    );
  }
  const isList = Array.isArray(data);
  if (isList || address !== undefined) {
    operation.traits = { ...operation.traits, explain: (error) => explain(error, address, isList) };
  }
}

/** There is no way to ask a kernel whether it takes lists; one that does not says EINVAL (io_uring/net.c). */
function explain(error: UringError, address: EncodedAddress | undefined, isList: boolean): UringError {
  const explained = address === undefined ? error : withAddress(address)(error);
  if (isList && explained.code === 'EINVAL') {
    explained.message += '; a list of buffers needs Linux 6.17: use sendmsg on older kernels';
  }
  return explained;
}

/**
 * Sends on a socket. Memory of `ring.alloc()` is sent from directly, any other is copied first. A list of buffers is
 * sent as one, and an empty buffer is an empty datagram. A broken connection is the error `EPIPE`, never a signal.
 *
 * From a {@link BufferRing} with `provide: 'manually'` it sends the buffer that was provided first, which can be taken
 * again afterwards; so several sends of one socket can be in flight and stay in order.
 *
 * Results in the number of bytes taken, which may be fewer than given. Errors are those of send(2), with the `address`
 * and `port` if it was sent `to` one; `ENOBUFS` when nothing was provided. Since Linux 5.6 (`to` 6.0, a buffer ring
 * 6.10, a list 6.17).
 *
 * @param data memory to send from, a list of up to 1024 of them, or a buffer ring
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_send.3.html io_uring_prep_send(3)}
 * @example
 * ```ts
 * import { Ring, bind, recv, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const to = { path: './example.sock' };
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, to));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(send(sender, [Buffer.from('hello '), Buffer.from('world')], { to }));
 * console.log(await ring.exec(recv(receiver, ring.alloc(64)))); // 11
 * ```
 */
export function send(
  fd: Fd,
  data: Bytes | readonly Bytes[] | BufferRing,
  options?: SendOptions,
): Operation<number> {
  const operation = new Operation<number>(Op.send, options).on('fd', fd);
  applyOptions(operation, options, MessageFlags.NOSIGNAL);
  if (!(data instanceof BufferRing)) {
    sendsData(operation, data, options?.to);
    return operation;
  }
  if (options?.to !== undefined) {
    throw invalidValue(
      'options.to',
      'is for data that is given: connect the socket to send from a buffer ring',
    );
  }
  operation.takesFrom(checkSendingBuffers('data', data));
  return operation;
}

/**
 * Sends all buffers that are provided in a buffer ring, in their order, as one: a bundle. Buffers that were sent can
 * be taken again.
 *
 * Run it with `ring.multishot()`, which yields a number of bytes for each bundle: one is enough for about a thousand
 * buffers, and what is provided meanwhile makes another. It ends when nothing is left, or with a short send. Errors
 * are those of send(2), and `ENOBUFS` when nothing was provided. Since Linux 6.10.
 *
 * @param buffers a ring that was registered with `provide: 'manually'`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_send_bundle.3.html io_uring_prep_send_bundle(3)}
 * @example
 * ```ts
 * import { Ring, bind, connect, listen, sendBundle, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const listening = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(listening, { path: './example.sock' }));
 * await ring.exec(listen(listening));
 * const fd = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(connect(fd, { path: './example.sock' }));
 * const outgoing = ring.registrar.registerBufferRing({ entries: 8, provide: 'manually' });
 * for (const text of ['one ', 'two ', 'three']) {
 *   const lease = outgoing.take();
 *   lease?.provide(lease.data.write(text));
 * }
 * for await (const bytes of ring.multishot(sendBundle(fd, outgoing))) console.log(bytes); // 13
 * ```
 */
export function sendBundle(
  fd: Fd,
  buffers: BufferRing,
  options?: TransferOptions,
): Operation<number, 'multishot'> {
  const operation = new Operation<number, 'multishot'>(Op.send, options).on('fd', fd);
  applyOptions(operation, options, MessageFlags.NOSIGNAL);
  operation.priority(BUNDLE);
  operation.needs('sending bundles', '6.10');
  operation.takesFrom(checkSendingBuffers('buffers', buffers));
  operation.isMultishot = true;
  operation.traits = { endsByItself: true };
  return operation;
}
