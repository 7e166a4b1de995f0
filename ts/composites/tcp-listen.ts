import { isIP } from 'node:net';
import { checkAddress, decodeAddress, type IpSocketAddress, type SocketAddressLike } from '../address.ts';
import type { SingleOperation } from '../chain.ts';
import { invalidType, invalidValue, type UringError } from '../errors.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Fd } from '../operation.ts';
import { bind } from '../ops/socket.ts';
import { setsockopt } from '../ops/socket-options.ts';
import type { Ring } from '../ring.ts';
import { checkOptions, isSet } from '../validate.ts';
import { boundAddress } from './bound-address.ts';
import { checkRing } from './check.ts';
import {
  checkDirect,
  checkSteps,
  type DirectSocketOptions,
  listenAt,
  type Opened,
  type OpenedSocket,
  type OpenedSocketFile,
  opened,
  openSocket,
  type SocketCompositeOptions,
  type Steps,
  settings,
} from './sockets.ts';
import { within } from './within.ts';

/** No IPv6 in this kernel, or none that is switched on (net.ipv6.conf.all.disable_ipv6). */
const NO_IPV6: readonly unknown[] = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'];

/** Where to listen: a port, and the address of one interface. */
export type ListenTarget =
  | Extract<SocketAddressLike, { readonly address: string }>
  | { readonly port: number; readonly address?: undefined };

/** Options of {@link tcpListen}. */
export interface TcpListenOptions extends ExecOptions, SocketCompositeOptions {
  /** Connections that may wait to be accepted. Default 511; net.core.somaxconn is the most. */
  backlog?: number;
  /** Share the port with other sockets that want to: the kernel spreads connections over them. Default false. */
  reusePort?: boolean;
  /** Take no IPv4 connections at an IPv6 address such as `'::'`. Default false. */
  ipv6Only?: boolean;
}

/**
 * Makes a TCP socket that listens, to be given to `accept` or `acceptMultishot`. A port of a server that ended may be had
 * again at once (`SO_REUSEADDR`, as in node:net), one that is listened on may not.
 *
 * Results in `{ fd, address }`, the descriptor, which is yours to close, and its address with the port that the kernel
 * chose for port 0; with `direct` in `{ file, address }`. Errors are those of bind(2) and listen(2), `EADDRINUSE` for a
 * port that is taken, with `address` and `port`. When it fails or is stopped no descriptor is left. Since Linux 6.11.
 *
 * @param target `{ port }` for all addresses, of IPv6 and IPv4 (as node:net does it), or `{ address, port }`; host names
 * are to be looked up before
 * @see {@link https://man7.org/linux/man-pages/man2/listen.2.html listen(2)}
 * @see {@link https://man7.org/linux/man-pages/man7/tcp.7.html tcp(7)}
 * @example
 * ```ts
 * import { Ring, acceptMultishot, close, tcpConnect, tcpListen } from 'uring';
 *
 * await using ring = new Ring();
 * const server = await tcpListen(ring, { address: '::1', port: 0 }, { backlog: 128 });
 * const client = await tcpConnect(ring, server.address);
 * for await (const fd of ring.multishot(acceptMultishot(server.fd))) {
 *   await ring.exec(close(fd));
 *   break;
 * }
 * for (const { fd } of [client, server]) await ring.exec(close(fd));
 * ```
 */
export function tcpListen(
  ring: Ring,
  target: ListenTarget,
  options: TcpListenOptions & DirectSocketOptions,
): Promise<OpenedSocketFile<IpSocketAddress>>;
export function tcpListen(
  ring: Ring,
  target: ListenTarget,
  options?: TcpListenOptions,
): Promise<OpenedSocket<IpSocketAddress>>;
export async function tcpListen(
  ring: Ring,
  target: ListenTarget,
  options: TcpListenOptions & Partial<DirectSocketOptions> = {},
): Promise<OpenedSocket<IpSocketAddress> | OpenedSocketFile<IpSocketAddress>> {
  checkRing(ring);
  const limits = checkExecOptions(options);
  checkOptions('target', target);
  if (target === undefined) throw invalidType('target', '{ port } or { address, port }', target);
  if ('host' in target)
    throw invalidValue('target', 'has a host: look it up, and listen on its address ({ address, port })');
  const everywhere = target.address === undefined;
  const choices = everywhere ? ['::', '0.0.0.0'].map((address) => ({ ...target, address })) : [target];
  if (isSet('options.ipv6Only', options.ipv6Only)) choices.splice(1);
  const [first, second] = choices.map((choice) => stepsTo(ring, choice as SocketAddressLike, options));
  return within(ring, limits, 'listen', async (signal) => {
    try {
      return await openSocket(ring, (first as ListenSteps)(signal), signal);
    } catch (error) {
      if (second === undefined || !NO_IPV6.includes((error as UringError).code)) throw error;
      return openSocket(ring, second(signal), signal);
    }
  });
}

type ListenSteps = (signal: AbortSignal) => Steps<Opened<IpSocketAddress>>;

function stepsTo(
  ring: Ring,
  target: SocketAddressLike,
  options: TcpListenOptions & Partial<DirectSocketOptions>,
): ListenSteps {
  const encoded = checkAddress('target', target);
  const { address, bytes } = encoded;
  // As it is now: it is used after the socket was made, when the caller may have another use for the object.
  const place = decodeAddress(bytes, bytes.byteLength) as IpSocketAddress;
  const family = isIP(address ?? '');
  if (family === 0) throw invalidValue('target', 'has no port: for paths there is unixListen');
  const isIpv6Only = isSet('options.ipv6Only', options.ipv6Only);
  if (isIpv6Only && family === 4)
    throw invalidValue('options.ipv6Only', `is for IPv6, and ${address} is IPv4`);
  const isShared = isSet('options.reusePort', options.reusePort);
  const operations = (fd: Fd): SingleOperation[] => [
    ...settings(fd, options.socketOptions),
    setsockopt(fd, 'SO_REUSEADDR', true),
    ...(isShared ? [setsockopt(fd, 'SO_REUSEPORT', true)] : []),
    // Said either way: net.ipv6.bindv6only decides otherwise.
    ...(family === 6 ? [setsockopt(fd, 'IPV6_V6ONLY', isIpv6Only)] : []),
    bind(fd, place),
    listenAt(fd, options.backlog, encoded),
  ];
  checkSteps({ operations });
  const isDirect = checkDirect(options);
  const domain = family === 6 ? 'IPv6' : 'IPv4';
  return (signal) => ({
    domain,
    type: 'stream',
    isDirect,
    operations,
    result: async (fd) => opened(fd, (await boundAddress(ring, fd, signal)) as IpSocketAddress),
  });
}
