import { getDefaultAutoSelectFamily } from 'node:net';
import type { IpSocketAddress } from '../address.ts';
import type { Ring } from '../ring.ts';
import { checkBoolean, checkOptions } from '../validate.ts';
import { checkRing } from './check.ts';
import { type ConnectOptions, type ConnectTarget, checkConnectOptions, connectTo } from './connect.ts';
import { type DirectSocketOptions, type OpenedSocket, type OpenedSocketFile, settings } from './sockets.ts';

/** Options of {@link udpConnect}. */
export interface UdpConnectOptions extends ConnectOptions {}

/**
 * Makes a UDP socket that sends to one address and receives from there only, by address or by the name of a host. Of a
 * host it takes the first address that there is a way to: whether anybody is there shows when something is sent.
 *
 * Results in `{ fd, address }`, the connected descriptor, which is yours to close, and the address; with `direct` in
 * `{ file, address }`. Errors are those of connect(2), `ENETUNREACH` where no way leads to, in the shape that
 * {@link tcpConnect} has them in. When it fails or is stopped no descriptor is left. Since Linux 5.19 (local address
 * 6.11, options of the socket 6.7).
 *
 * @param target `{ address, port }` or `{ host, port }`
 * @see {@link https://man7.org/linux/man-pages/man2/connect.2.html connect(2)}
 * @example
 * ```ts
 * import { Ring, close, send, udpConnect } from 'uring';
 *
 * await using ring = new Ring();
 * const { fd } = await udpConnect(ring, { host: 'localhost', port: 9 }, { family: 4 });
 * await ring.exec(send(fd, Buffer.from('nobody listens')));
 * await ring.exec(close(fd));
 * ```
 */
export function udpConnect(
  ring: Ring,
  target: ConnectTarget,
  options: UdpConnectOptions & DirectSocketOptions,
): Promise<OpenedSocketFile<IpSocketAddress>>;
export function udpConnect(
  ring: Ring,
  target: ConnectTarget,
  options?: UdpConnectOptions,
): Promise<OpenedSocket<IpSocketAddress>>;
export async function udpConnect(
  ring: Ring,
  target: ConnectTarget,
  options: UdpConnectOptions & Partial<DirectSocketOptions> = {},
): Promise<OpenedSocket<IpSocketAddress> | OpenedSocketFile<IpSocketAddress>> {
  checkRing(ring);
  checkOptions('options', options);
  const { autoSelectFamily = getDefaultAutoSelectFamily() } = options;
  return connectTo(ring, target, {
    ...checkConnectOptions(options),
    type: 'dgram',
    triesAll: checkBoolean('options.autoSelectFamily', autoSelectFamily),
    // Connecting does not wait: there is nothing to race for.
    delayMs: Number.POSITIVE_INFINITY,
    settings: (fd) => settings(fd, options.socketOptions),
  });
}
