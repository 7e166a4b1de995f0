import { checkAddress, decodeAddress, type UnixSocketAddress } from '../address.ts';
import { invalidValue } from '../errors.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Fd } from '../operation.ts';
import { connect } from '../ops/socket.ts';
import type { Ring } from '../ring.ts';
import { checkName } from '../validate.ts';
import { checkRing } from './check.ts';
import {
  checkDirect,
  checkSteps,
  type DirectSocketOptions,
  type OpenedSocket,
  type OpenedSocketFile,
  opened,
  openSocket,
  type SocketCompositeOptions,
  settings,
} from './sockets.ts';
import { within } from './within.ts';

/** Where a Unix socket is: a path, or an abstract name that starts with `'\0'`. */
export type UnixTarget = string | Uint8Array | { readonly path: string | Uint8Array };

const TYPES = { stream: 'stream', seqpacket: 'seqpacket', dgram: 'dgram' } as const;

/** Options of {@link unixConnect}. */
export interface UnixConnectOptions extends ExecOptions, SocketCompositeOptions {
  /** Default `'stream'`. */
  type?: keyof typeof TYPES;
}

/** A target as addresses are given: a copy, because it is used after the socket was made. */
export function unixAddress(target: UnixTarget): { path: string | Uint8Array } {
  const address = typeof target === 'string' || target instanceof Uint8Array ? { path: target } : target;
  if (typeof address === 'object' && address !== null && !('path' in address))
    throw invalidValue(
      'target',
      'has no path: for hosts and IP addresses there are tcpConnect and tcpListen',
    );
  const path = address?.path;
  return { path: path instanceof Uint8Array ? Buffer.from(path) : path };
}

/**
 * Connects to a Unix socket.
 *
 * Results in `{ fd, address }`, the connected descriptor, which is yours to close, and the path; with `direct` in
 * `{ file, address }`. Errors are those of connect(2), with the path as `address`: `ENOENT` where no socket is,
 * `ECONNREFUSED` where a server has left one, `EPROTOTYPE` for another type, `EAGAIN` when its queue is full. When it fails or is
 * stopped no descriptor is left. Since Linux 5.19 (options of the socket 6.18 at the latest).
 *
 * @param target a path, `{ path }`, or an abstract name that starts with `'\0'`
 * @see {@link https://man7.org/linux/man-pages/man7/unix.7.html unix(7)}
 * @example
 * ```ts
 * import { Ring, close, unixConnect, unixListen } from 'uring';
 *
 * await using ring = new Ring();
 * const server = await unixListen(ring, './server.sock');
 * const { fd } = await unixConnect(ring, './server.sock', { timeoutMs: 1_000 });
 * await ring.exec(close(fd));
 * await ring.exec(close(server.fd));
 * ```
 */
export function unixConnect(
  ring: Ring,
  target: UnixTarget,
  options: UnixConnectOptions & DirectSocketOptions,
): Promise<OpenedSocketFile<UnixSocketAddress>>;
export function unixConnect(
  ring: Ring,
  target: UnixTarget,
  options?: UnixConnectOptions,
): Promise<OpenedSocket<UnixSocketAddress>>;
export async function unixConnect(
  ring: Ring,
  target: UnixTarget,
  options: UnixConnectOptions & Partial<DirectSocketOptions> = {},
): Promise<OpenedSocket<UnixSocketAddress> | OpenedSocketFile<UnixSocketAddress>> {
  checkRing(ring);
  const limits = checkExecOptions(options);
  const place = unixAddress(target);
  const { bytes } = checkAddress('target', place);
  const steps = {
    domain: 'unix',
    type: checkName('options.type', options.type ?? 'stream', TYPES),
    isDirect: checkDirect(options),
    operations: (fd: Fd) => [...settings(fd, options.socketOptions), connect(fd, place)],
    result: (fd: Fd) => opened(fd, decodeAddress(bytes, bytes.byteLength) as UnixSocketAddress),
  } as const;
  checkSteps(steps);
  return within(ring, limits, 'connect', (signal) => openSocket(ring, steps, signal));
}
