// Making sockets and connecting them.
import { checkAddress, type EncodedAddress, type SocketAddressLike, withAddress } from '../address.ts';
import { invalidType } from '../errors.ts';
import type { FixedFile } from '../files.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkInteger, checkName } from '../validate.ts';
import { type DirectOptions, makeDirect } from './direct.ts';
import { nothing } from './results.ts';

/** Flags of a new socket (`SOCK_*`), see socket(2). */
export const SocketFlags = { NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;

const DOMAINS = { unix: 1, IPv4: 2, IPv6: 10, netlink: 16, packet: 17, vsock: 40 } as const;
const TYPES = { stream: 1, dgram: 2, raw: 3, rdm: 4, seqpacket: 5 } as const;
/** The bits of a type that are no flags (include/linux/net.h, SOCK_TYPE_MASK). */
const TYPE_MAX = 0xf;
const BACKLOG = 511;
const HOW = { read: 0, write: 1, both: 2 } as const;

/** What a socket speaks, by name or as a number (`AF_*`). */
export type SocketDomain = keyof typeof DOMAINS | number;
/** How a socket speaks, by name or as a number (`SOCK_*`). */
export type SocketType = keyof typeof TYPES | number;

function checkNamed(
  name: string,
  value: unknown,
  names: Readonly<Record<string, number>>,
  max: number,
): number {
  if (typeof value === 'string') return checkName(name, value, names);
  if (typeof value !== 'number') throw invalidType(name, 'of type string or number', value);
  return checkInteger(name, value, 0, max);
}

/** @internal The flags of a new socket. */
export function checkSocketFlags(name: string, flags: unknown, direct: true | number | undefined): number {
  const checked = checkInteger(name, flags ?? SocketFlags.NONBLOCK | SocketFlags.CLOEXEC, 0, 0x7fff_ffff);
  // A slot cannot be close-on-exec: the kernel answers -EINVAL (io_uring/net.c).
  return direct === undefined ? checked : checked & ~SocketFlags.CLOEXEC;
}

/** Options of {@link socket}. */
export interface SocketOptions extends OperationOptions {
  /** `IPPROTO_*` number; default 0, which is TCP for a stream and UDP for datagrams. MPTCP is 262. */
  protocol?: number;
  /** {@link SocketFlags}. Default NONBLOCK | CLOEXEC. */
  socketFlags?: number;
}

/**
 * Makes a socket.
 *
 * Results in its descriptor, which is yours to close, or with `direct` in a registered file, which never takes a
 * descriptor number at all (the ring needs a files table). Errors are those of socket(2), `EAFNOSUPPORT` for a domain
 * that the kernel lacks. Since Linux 5.19.
 *
 * @param domain `'IPv4'`, `'IPv6'`, `'unix'`, ..., or an `AF_*` number
 * @param type `'stream'`, `'dgram'`, `'seqpacket'`, `'raw'`, ..., or a `SOCK_*` number
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_socket.3.html io_uring_prep_socket(3)}
 * @example
 * ```ts
 * import { Ring, close, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(close(fd));
 * ```
 */
export function socket(
  domain: SocketDomain,
  type: SocketType,
  options: SocketOptions & DirectOptions,
): Operation<FixedFile>;
export function socket(domain: SocketDomain, type: SocketType, options?: SocketOptions): Operation<number>;
export function socket(
  domain: SocketDomain,
  type: SocketType,
  options?: SocketOptions & Partial<DirectOptions>,
): Operation<number> | Operation<FixedFile> {
  const operation = new Operation<number>(Op.socket, options);
  operation.fd = checkNamed('domain', domain, DOMAINS, 0xffff);
  operation.offset = checkNamed('type', type, TYPES, TYPE_MAX);
  operation.length = checkInteger('options.protocol', options?.protocol ?? 0, 0, 0x7fff_ffff);
  operation.offset |= checkSocketFlags('options.socketFlags', options?.socketFlags, options?.direct);
  if (options?.direct === undefined) return operation;
  makeDirect(operation as unknown as Operation<FixedFile>, options.direct);
  return operation as unknown as Operation<FixedFile>;
}

/** An address as the only argument besides numbers. */
class AddressPayload implements Payload {
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;

  constructor({ bytes }: EncodedAddress) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.byteLength;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    block.view.set(this.#bytes);
    record[base + 2] = this.sizeBytes;
    record[base + 3] = 0;
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  }
}

function withAddressOf(
  opcode: number,
  fd: Fd,
  address: SocketAddressLike,
  options: OperationOptions | undefined,
): Operation<void> {
  const operation = new Operation<void>(opcode, options).on('fd', fd);
  const encoded = checkAddress('address', address);
  operation.arguments(new AddressPayload(encoded));
  operation.traits = { explain: withAddress(encoded) };
  operation.decode = nothing;
  return operation;
}

/**
 * Gives a socket its own address. Port 0 lets the kernel choose one; so does the Unix path `''`, with an abstract
 * name.
 *
 * Errors are those of bind(2), `EADDRINUSE` for an address that is taken, with its `address` and `port`. Since Linux
 * 6.11.
 *
 * @param address `{ address, port }`, `{ path }` or `{ bytes }`, see {@link SocketAddressLike}
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_bind.3.html io_uring_prep_bind(3)}
 * @example
 * ```ts
 * import { Ring, bind, listen, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(fd, { path: '\0an example of uring' }));
 * await ring.exec(listen(fd));
 * ```
 */
export function bind(fd: Fd, address: SocketAddressLike, options?: OperationOptions): Operation<void> {
  return withAddressOf(Op.bind, fd, address, options);
}

/**
 * Makes a socket accept connections.
 *
 * Errors are those of listen(2), `EADDRINUSE` for a port that another socket listens on. Since Linux 6.11.
 *
 * @param backlog connections that may wait to be accepted. Default 511; net.core.somaxconn is the most
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_listen.3.html io_uring_prep_listen(3)}
 * @example
 * ```ts
 * import { Ring, bind, listen, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(bind(fd, { address: '127.0.0.1', port: 0 }));
 * await ring.exec(listen(fd, 128));
 * ```
 */
export function listen(fd: Fd, backlog = BACKLOG, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.listen, options).on('fd', fd);
  operation.length = checkInteger('backlog', backlog, 0, 0x7fff_ffff);
  operation.decode = nothing;
  return operation;
}

/**
 * Connects a socket, also one that does not block: the operation completes when the connection is there. A datagram
 * socket gets the address it sends to.
 *
 * Errors are those of connect(2), `ECONNREFUSED` when nobody listens there, with the `address` and `port`. Since Linux
 * 5.5.
 *
 * @param address `{ address, port }`, `{ path }` or `{ bytes }`, see {@link SocketAddressLike}; no host names
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_connect.3.html io_uring_prep_connect(3)}
 * @example
 * ```ts
 * import { Ring, connect, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * const connected = ring.exec(connect(fd, { address: '127.0.0.1', port: 1 }));
 * await connected.catch((error) => console.log(error.message)); // ECONNREFUSED: ... 127.0.0.1:1
 * ```
 */
export function connect(fd: Fd, address: SocketAddressLike, options?: OperationOptions): Operation<void> {
  return withAddressOf(Op.connect, fd, address, options);
}

/**
 * Ends one direction of a connection, or both. After `'write'` the peer reads the end of the stream; the socket stays
 * open until it is closed.
 *
 * Errors are those of shutdown(2), `ENOTCONN` for a socket that is not connected. Since Linux 5.11.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_shutdown.3.html io_uring_prep_shutdown(3)}
 * @example
 * ```ts
 * import { Ring, shutdown, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(shutdown(fd, 'both')).catch((error) => console.log(error.code)); // ENOTCONN
 * ```
 */
export function shutdown(fd: Fd, how: keyof typeof HOW, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.shutdown, options).on('fd', fd);
  operation.length = checkName('how', how, HOW);
  operation.decode = nothing;
  return operation;
}
