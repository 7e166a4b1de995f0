import { unlinkSync } from 'node:fs';
import { checkAddress, type UnixSocketAddress } from '../address.ts';
import type { SingleOperation } from '../chain.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Fd } from '../operation.ts';
import { unlinkat } from '../ops/names.ts';
import { bind } from '../ops/socket.ts';
import type { Ring } from '../ring.ts';
import { checkName } from '../validate.ts';
import { boundAddress } from './bound-address.ts';
import { checkRing } from './check.ts';
import {
  anyway,
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
import { type UnixTarget, unixAddress } from './unix-connect.ts';
import { within } from './within.ts';

/** Those that have connections to accept. */
const TYPES = { stream: 'stream', seqpacket: 'seqpacket' } as const;

/** Options of {@link unixListen}. */
export interface UnixListenOptions extends ExecOptions, SocketCompositeOptions {
  /** Default `'stream'`. */
  type?: keyof typeof TYPES;
  /** Connections that may wait to be accepted. Default 511; net.core.somaxconn is the most. */
  backlog?: number;
}

/**
 * Makes a Unix socket that listens, to be given to `accept` or `acceptMultishot`.
 *
 * Results in `{ fd, address }`, the descriptor, which is yours to close, and the path; with `direct` in
 * `{ file, address }`. The path stays when the descriptor is closed: remove it with `unlinkat`. A path that is there
 * already, also one that a dead server has left, is `EADDRINUSE`, as in node:net; nothing is removed for you. Other errors
 * are those of bind(2) and listen(2), with the path as `address`. When it fails or is stopped, neither a descriptor nor a
 * new path is left. Since Linux 6.11 (options of the socket 6.18 at the latest).
 *
 * @param target a path, `{ path }`, or an abstract name that starts with `'\0'`; `''` lets the kernel choose such a name
 * @see {@link https://man7.org/linux/man-pages/man7/unix.7.html unix(7)}
 * @example
 * ```ts
 * import { Ring, close, unixListen, unlinkat } from 'uring';
 *
 * await using ring = new Ring();
 * const { fd, address } = await unixListen(ring, './server.sock');
 * await unixListen(ring, address).catch((error) => console.log(error.code)); // EADDRINUSE
 * await ring.exec(close(fd));
 * await ring.exec(unlinkat('./server.sock'));
 * ```
 */
export function unixListen(
  ring: Ring,
  target: UnixTarget,
  options: UnixListenOptions & DirectSocketOptions,
): Promise<OpenedSocketFile<UnixSocketAddress>>;
export function unixListen(
  ring: Ring,
  target: UnixTarget,
  options?: UnixListenOptions,
): Promise<OpenedSocket<UnixSocketAddress>>;
export async function unixListen(
  ring: Ring,
  target: UnixTarget,
  options: UnixListenOptions & Partial<DirectSocketOptions> = {},
): Promise<OpenedSocket<UnixSocketAddress> | OpenedSocketFile<UnixSocketAddress>> {
  checkRing(ring);
  const limits = checkExecOptions(options);
  const address = unixAddress(target);
  const { path } = address;
  const encoded = checkAddress('target', address);
  const type = checkName('options.type', options.type ?? 'stream', TYPES);
  const isDirect = checkDirect(options);
  const before = (fd: Fd): SingleOperation[] => settings(fd, options.socketOptions);
  const operations = (fd: Fd): SingleOperation[] => [
    ...before(fd),
    bind(fd, address),
    listenAt(fd, options.backlog, encoded),
  ];
  checkSteps({ operations });
  const undo = async (done: number): Promise<void> => {
    if (done > before(0).length) await removePath(ring, path);
  };
  return within(ring, limits, 'listen', (signal) => {
    const result: Steps<Opened<UnixSocketAddress>>['result'] = async (fd) =>
      opened(fd, (await boundAddress(ring, fd, signal)) as UnixSocketAddress);
    return openSocket(ring, { domain: 'unix', type, isDirect, operations, result, undo }, signal);
  });
}

/** Removes the path that binding has made; names that are no paths go with their socket. */
async function removePath(ring: Ring, path: string | Uint8Array): Promise<void> {
  const isAbstract = path.length === 0 || path[0] === '\0' || path[0] === 0;
  if (isAbstract) return;
  const name = typeof path === 'string' ? path : Buffer.from(path);
  await anyway(ring, unlinkat(name), () => unlinkSync(name));
}
