// Questions to sockets, by commands to them.

import type { SocketAddress } from '../address.ts';
import { UringError } from '../errors.ts';
import { CqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkInteger, UINT32_MAX } from '../validate.ts';
import { ADDRESS_AT, ADDRESS_ROOM_BYTES, answeredAddress, offerRoom } from './address-room.ts';

/** Commands to a socket (`SOCKET_URING_OP_*`, include/uapi/linux/io_uring.h). */
const SIOCINQ = 0;
const SIOCOUTQ = 1;
const TX_TIMESTAMP = 4;
const GETSOCKNAME = 5;

/** @internal A command to a socket, under a name of its own in errors. */
export function command<T, K extends 'single' | 'multishot' = 'single'>(
  code: number,
  name: string,
  fd: Fd,
  options: OperationOptions | undefined,
): Operation<T, K> {
  const operation = new Operation<T, K>(Op.uringCmd, options).on('fd', fd);
  operation.offset = code;
  operation.syscall = name;
  return operation;
}

/** A command that this kernel does not know, or that the file does not take: both EOPNOTSUPP, in Node's words ENOTSUP. */
function since(name: string, kernel: string): (error: UringError) => UringError {
  return (error) => {
    if (error.code !== 'ENOTSUP') return error;
    const message = `this kernel does not have ${name} (it needs Linux ${kernel} or later), or this is no socket`;
    return new UringError('ERR_URING_UNSUPPORTED_OP', message);
  };
}

/** The kernel has these commands for protocols with an ioctl only (io_uring/cmd_net.c). */
function noQueue(error: UringError): UringError {
  if (error.code === 'ENOTSUP')
    error.message += '; queues of TCP, UDP and raw sockets can be asked (since Linux 6.7)';
  return error;
}

/**
 * How many bytes have arrived on a TCP socket and wait to be received (`SIOCINQ`, `FIONREAD`). On a UDP socket, the
 * size of the next datagram.
 *
 * Errors: `ENOTSUP` for Unix sockets, `EINVAL` for a listening socket. Since Linux 6.7.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/tcp.7.html tcp(7)}
 * @example
 * ```ts
 * import { Ring, receiveQueueBytes, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * console.log(await ring.exec(receiveQueueBytes(fd))); // 0
 * ```
 */
export function receiveQueueBytes(fd: Fd, options?: OperationOptions): Operation<number> {
  const operation = command<number>(SIOCINQ, 'receiveQueueBytes', fd, options);
  operation.traits = { explain: noQueue };
  return operation;
}

/**
 * How many bytes of a TCP socket are not acknowledged by the peer yet (`SIOCOUTQ`, `TIOCOUTQ`). On a UDP socket, the
 * memory of datagrams that have not left yet.
 *
 * Errors: `ENOTSUP` for Unix sockets, `EINVAL` for a listening socket. Since Linux 6.7.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/tcp.7.html tcp(7)}
 * @example
 * ```ts
 * import { Ring, sendQueueBytes, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * console.log(await ring.exec(sendQueueBytes(fd))); // 0
 * ```
 */
export function sendQueueBytes(fd: Fd, options?: OperationOptions): Operation<number> {
  const operation = command<number>(SIOCOUTQ, 'sendQueueBytes', fd, options);
  operation.traits = { explain: noQueue };
  return operation;
}

/** Room for the address. */
const namePayload: Payload = {
  usesLastWords: true,
  sizeBytes: ADDRESS_ROOM_BYTES,
  write(block: StagedBlock, record: Int32Array, base: number): void {
    offerRoom(block);
    record[base + 4] = block.offset + ADDRESS_AT;
    record[base + 5] = block.handle;
    record[base + 12] = block.offset;
    record[base + 13] = block.handle;
  },
};

function name(
  fd: Fd,
  syscall: string,
  peer: 0 | 1,
  options: OperationOptions | undefined,
): Operation<SocketAddress | undefined> {
  const operation = command<SocketAddress | undefined>(GETSOCKNAME, syscall, fd, options);
  operation.fileIndex = peer;
  operation.arguments(namePayload);
  operation.traits = { explain: since(syscall, '6.19') };
  operation.decode = answeredAddress;
  return operation;
}

/**
 * The address of a socket itself: what it was bound to, with the port that the kernel chose.
 *
 * Errors: `ERR_URING_UNSUPPORTED_OP` where the kernel is older, and for what is no socket. Since
 * Linux 6.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/getsockname.2.html getsockname(2)}
 * @example
 * ```ts
 * import { Ring, bind, getsockname, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(bind(fd, { address: '127.0.0.1', port: 0 }));
 * const asked = ring.exec(getsockname(fd)); // { address: '127.0.0.1', port: 40123, family: 'IPv4' }
 * await asked.catch((error) => console.log(error.message)); // before Linux 6.19
 * ```
 */
export function getsockname(fd: Fd, options?: OperationOptions): Operation<SocketAddress | undefined> {
  return name(fd, 'getsockname', 0, options);
}

/**
 * The address of the socket that this one is connected to.
 *
 * Errors: `ENOTCONN` without a connection, `ERR_URING_UNSUPPORTED_OP` where the kernel is older, or takes no commands
 * for this kind of socket. Since Linux 6.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/getpeername.2.html getpeername(2)}
 * @example
 * ```ts
 * import { Ring, getpeername, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(getpeername(fd)).catch((error) => console.log(error.code)); // it is not connected
 * ```
 */
export function getpeername(fd: Fd, options?: OperationOptions): Operation<SocketAddress | undefined> {
  return name(fd, 'getpeername', 1, options);
}

/** When something that was sent left. */
export interface TransmitTimestamp {
  /** Which one: a count of sends, or of bytes on a stream (`SOF_TIMESTAMPING_OPT_ID`). */
  readonly key: number;
  /** Where it was: handed to the network card, to the queue before it, or acknowledged (`SCM_TSTAMP_*`). */
  readonly type: 'sent' | 'scheduled' | 'acknowledged' | 'completed';
  /** The card has measured it, not the kernel. */
  readonly hardware: boolean;
  /** Nanoseconds since 1970. */
  readonly nanoseconds: bigint;
}

const TIMESTAMP_TYPE_SHIFT = 17;
/** SCM_TSTAMP_*, in the order of their numbers (include/uapi/linux/errqueue.h). */
const TIMESTAMP_TYPES = ['sent', 'scheduled', 'acknowledged', 'completed'] as const;

/** Needs no memory; looks whether the ring has room for what the kernel answers. */
class TimestampPayload implements Payload {
  readonly sizeBytes = 0;

  write(_block: StagedBlock, _record: Int32Array, _base: number, ring: unknown): void {
    const { setupFlags } = ring as { setupFlags: readonly string[] };
    if (setupFlags.includes('CQE32') || setupFlags.includes('CQE_MIXED')) return;
    const message = "txTimestamp answers in large completions: open the ring with cqeBytes: 32 or 'mixed'";
    throw new UringError('ERR_URING_UNSUPPORTED_OP', message);
  }
}

const timestampPayload = new TimestampPayload();

/**
 * Reports when what was sent on a UDP or TCP socket left, until it is stopped. Ask for timestamps first, with the
 * option `SO_TIMESTAMPING`: they take the place of those that `recvmsg` finds in the error queue.
 *
 * Run it with `ring.multishot()`, on a ring with large completions. Errors: `ERR_URING_UNSUPPORTED_OP` where the ring
 * or the kernel cannot. Since Linux 6.17.
 *
 * @see {@link https://docs.kernel.org/networking/timestamping.html Timestamping}
 * @example
 * ```ts
 * import { Ring, send, setsockopt, socket, txTimestamp } from 'uring';
 *
 * await using ring = new Ring({ cqeBytes: 32 });
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * // SOF_TIMESTAMPING_TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY
 * await ring.exec(setsockopt(fd, 'SO_TIMESTAMPING', (1 << 1) | (1 << 4) | (1 << 7) | (1 << 11)));
 * await ring.exec(send(fd, Buffer.from('x'), { to: { address: '127.0.0.1', port: 9 } }));
 * for await (const { key, nanoseconds } of ring.multishot(txTimestamp(fd))) {
 *   console.log(key, nanoseconds); // 0 1700000000000000000n
 *   break;
 * }
 * ```
 */
export function txTimestamp(fd: Fd, options?: OperationOptions): Operation<TransmitTimestamp, 'multishot'> {
  const operation = command<TransmitTimestamp, 'multishot'>(TX_TIMESTAMP, 'txTimestamp', fd, options);
  operation.isMultishot = true;
  operation.arguments(timestampPayload);
  operation.traits = { explain: since('txTimestamp', '6.17') };
  operation.decode = ({ res, flags, extra: [seconds, nanoseconds] = [0n, 0n] }) => ({
    key: res >>> 0,
    type: TIMESTAMP_TYPES[(flags >>> TIMESTAMP_TYPE_SHIFT) & 0xff] ?? 'sent',
    hardware: (flags & CqeFlags.TSTAMP_HW) !== 0,
    nanoseconds: seconds * 1_000_000_000n + nanoseconds,
  });
  return operation;
}

/** An operation of Linux 6.19 with 80 bytes of command, for files that have such commands. */
export interface UringCmd128Options extends OperationOptions {
  /** Number of the command. */
  command: number;
}

/**
 * A socket command in an entry of 128 bytes. It takes those of {@link receiveQueueBytes} (0) only, which need no such
 * room: it is here so that the operation can be named.
 *
 * Errors: `ERR_URING_UNSUPPORTED_OP` where the kernel is older. Since Linux 6.19, on rings with large entries.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_enter.2.html io_uring_enter(2)}
 * @example
 * ```ts
 * import { Ring, socket, uringCmd128 } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * await ring.exec(uringCmd128(fd, { command: 0 })).catch((error) => console.log(error.code));
 * ```
 */
export function uringCmd128(fd: Fd, options: UringCmd128Options): Operation<number> {
  const operation = new Operation<number>(Op.uringCmd128, options).on('fd', fd);
  operation.offset = checkInteger('options.command', options?.command, 0, UINT32_MAX);
  return operation;
}
