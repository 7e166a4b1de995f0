import { getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import type { IpSocketAddress } from '../address.ts';
import type { SingleOperation } from '../chain.ts';
import type { Fd } from '../operation.ts';
import { setsockopt } from '../ops/socket-options.ts';
import type { Ring } from '../ring.ts';
import { checkBoolean, checkMilliseconds, checkOptions, isSet } from '../validate.ts';
import { checkRing } from './check.ts';
import { type ConnectOptions, type ConnectTarget, checkConnectOptions, connectTo } from './connect.ts';
import { type DirectSocketOptions, type OpenedSocket, type OpenedSocketFile, settings } from './sockets.ts';

const MS_PER_SECOND = 1000;

/** Options of {@link tcpConnect}. */
export interface TcpConnectOptions extends ConnectOptions {
  /**
   * How long an address of a host is tried before the next joins in. The first connection wins, the others are closed.
   * Default `net.getDefaultAutoSelectFamilyAttemptTimeout()`; Infinity for one after the other.
   */
  attemptDelayMs?: number;
  /** Send at once, however little it is (`TCP_NODELAY`). Default false. */
  noDelay?: boolean;
  /** Probe whether the peer is still there (`SO_KEEPALIVE`). Default false. */
  keepAlive?: boolean;
  /**
   * How long nothing may come before the first probe; whole seconds, rounded up (`TCP_KEEPIDLE`). Default 0: the
   * system's, 2 hours.
   */
  keepAliveInitialDelayMs?: number;
}

/**
 * Connects to a TCP server, by address or by the name of a host. A name is looked up as node:net does it, and its
 * addresses are tried in turn, the families alternating, each with a head start: "happy eyeballs", RFC 8305. Other than
 * in node:net an address that is slow stays in the race when the next one joins.
 *
 * Results in `{ fd, address }`, the connected descriptor, which is yours to close, and the address that answered; with
 * `direct` in `{ file, address }`. The descriptor does not block, so `new net.Socket({ fd })` can have it. When it fails
 * or is stopped no descriptor is left.
 *
 * Errors are those of connect(2), `ECONNREFUSED` when nobody listens there, with `address`, `port`, and `host` if there
 * was one; for several addresses an `AggregateError` with all of them in `errors` and the first one's `code`; those of
 * `dns.lookup`, `ENOTFOUND`; `ETIMEDOUT` for an address that took `attemptTimeoutMs`; `ERR_URING_TIMEOUT` and
 * `AbortError` for the whole. Since Linux 5.19 (local address 6.11, options of the socket 6.7).
 *
 * @param target `{ address, port }` or `{ host, port }`
 * @see {@link https://man7.org/linux/man-pages/man2/connect.2.html connect(2)}
 * @see {@link https://nodejs.org/api/net.html#socketconnectoptions-connectlistener socket.connect}
 * @example
 * ```ts
 * import net from 'node:net';
 * import { Ring, tcpConnect, tcpListen } from 'uring';
 *
 * await using ring = new Ring();
 * const server = await tcpListen(ring, { address: '127.0.0.1', port: 0 });
 * const { port } = server.address;
 * const { fd, address } = await tcpConnect(ring, { host: 'localhost', port }, { noDelay: true, timeoutMs: 5_000 });
 * console.log(address); // { address: '127.0.0.1', port: 40123, family: 'IPv4' }
 * const stream = new net.Socket({ fd }); // it is the stream's from here on
 * stream.destroy();
 * ```
 */
export function tcpConnect(
  ring: Ring,
  target: ConnectTarget,
  options: TcpConnectOptions & DirectSocketOptions,
): Promise<OpenedSocketFile<IpSocketAddress>>;
export function tcpConnect(
  ring: Ring,
  target: ConnectTarget,
  options?: TcpConnectOptions,
): Promise<OpenedSocket<IpSocketAddress>>;
export async function tcpConnect(
  ring: Ring,
  target: ConnectTarget,
  options: TcpConnectOptions & Partial<DirectSocketOptions> = {},
): Promise<OpenedSocket<IpSocketAddress> | OpenedSocketFile<IpSocketAddress>> {
  checkRing(ring);
  checkOptions('options', options);
  const { attemptDelayMs = getDefaultAutoSelectFamilyAttemptTimeout() } = options;
  const { autoSelectFamily = getDefaultAutoSelectFamily() } = options;
  checkMilliseconds('options.attemptDelayMs', attemptDelayMs);
  const isBound = options.localAddress !== undefined || options.localPort !== undefined;
  return connectTo(ring, target, {
    ...checkConnectOptions(options),
    type: 'stream',
    triesAll: checkBoolean('options.autoSelectFamily', autoSelectFamily),
    delayMs: attemptDelayMs,
    settings: (fd) => [
      ...settings(fd, options.socketOptions),
      // As libuv does: the port of a connection that is over can be had again at once.
      ...(isBound ? [setsockopt(fd, 'SO_REUSEADDR', true)] : []),
      ...ownSettings(fd, options),
    ],
  });
}

function ownSettings(fd: Fd, options: TcpConnectOptions): SingleOperation[] {
  const { keepAliveInitialDelayMs = 0 } = options;
  checkMilliseconds('options.keepAliveInitialDelayMs', keepAliveInitialDelayMs);
  const operations: SingleOperation[] = [];
  if (isSet('options.noDelay', options.noDelay)) operations.push(setsockopt(fd, 'TCP_NODELAY', true));
  if (!isSet('options.keepAlive', options.keepAlive)) return operations;
  operations.push(setsockopt(fd, 'SO_KEEPALIVE', true));
  if (keepAliveInitialDelayMs > 0)
    operations.push(setsockopt(fd, 'TCP_KEEPIDLE', Math.ceil(keepAliveInitialDelayMs / MS_PER_SECOND)));
  return operations;
}
