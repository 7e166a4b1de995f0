// Sockets that the ring itself makes, on loopback; each is closed when its test ends.
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import {
  accept,
  bind,
  connect,
  type IpSocketAddress,
  listen,
  type Ring,
  type SocketDomain,
  type SocketType,
  socket,
  socketAddress,
  tcpConnect,
} from 'uring';
import { queuedAt, unusedPort } from './_ports.ts';

type T = ExecutionContext<unknown>;

/** Closes a descriptor when the test ends. */
export function closing(t: T, fd: number): number {
  t.teardown(() => closeSync(fd));
  return fd;
}

export async function open(t: T, ring: Ring, domain: SocketDomain, type: SocketType): Promise<number> {
  return closing(t, await ring.exec(socket(domain, type)));
}

/** The port that the kernel gave an IP socket. */
export function portOf(fd: number): number {
  return (socketAddress(fd) as IpSocketAddress).port;
}

export type Ip = 'IPv4' | 'IPv6';
export const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

interface Bound {
  readonly fd: number;
  readonly port: number;
  readonly at: { readonly address: string; readonly port: number };
}

/** A datagram socket that is bound to a free port. */
export async function bound(t: T, ring: Ring, family: Ip = 'IPv4'): Promise<Bound> {
  const fd = await open(t, ring, family, 'dgram');
  const address = LOOPBACK[family];
  await ring.exec(bind(fd, { address, port: 0 }));
  const port = portOf(fd);
  return { fd, port, at: { address, port } };
}

/** A socket that listens on a free port. */
export async function listening(
  t: T,
  ring: Ring,
  family: Ip = 'IPv4',
  { backlog = 511, port: wanted = 0 } = {},
): Promise<Bound> {
  const fd = await open(t, ring, family, 'stream');
  const address = LOOPBACK[family];
  await ring.exec(bind(fd, { address, port: wanted }));
  await ring.exec(listen(fd, backlog));
  const port = portOf(fd);
  return { fd, port, at: { address, port } };
}

/**
 * Where connecting never ends: the kernel drops what comes to a queue that is full (net/ipv4/tcp_input.c). Nobody has its port
 * in the other family.
 */
export async function blackHole(t: T, ring: Ring, family: Ip = 'IPv4'): Promise<Bound> {
  const full = await listening(t, ring, family, { backlog: 0, port: unusedPort() });
  closing(t, (await tcpConnect(ring, full.at)).fd);
  // The client is connected when it has been answered, and in the queue when the listener has heard of that.
  await eventually(() => queuedAt(full.port) === 1);
  return full;
}

/** The two ends of a TCP connection. */
export async function tcpPair(t: T, ring: Ring): Promise<[client: number, server: number]> {
  const { fd, at } = await listening(t, ring);
  const client = await open(t, ring, 'IPv4', 'stream');
  const [server] = await Promise.all([ring.exec(accept(fd)), ring.exec(connect(client, at))]);
  return [client, closing(t, server)];
}

let names = 0;

/** An abstract name that nobody else has. */
export function abstractName(): { path: string } {
  names += 1;
  return { path: `\0uring-test-${process.pid}-${names}` };
}

/** The two ends of a Unix connection. */
export async function unixPair(
  t: T,
  ring: Ring,
  type: 'stream' | 'seqpacket' = 'stream',
): Promise<[client: number, server: number]> {
  const name = abstractName();
  const fd = await open(t, ring, 'unix', type);
  await ring.exec(bind(fd, name));
  await ring.exec(listen(fd));
  const client = await open(t, ring, 'unix', type);
  const [server] = await Promise.all([ring.exec(accept(fd)), ring.exec(connect(client, name))]);
  return [client, closing(t, server)];
}

const LONGEST_WAIT_MS = 60_000;

/** Waits until something is so that no event tells of. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + LONGEST_WAIT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${condition}`);
    await sleep(1);
  }
}
