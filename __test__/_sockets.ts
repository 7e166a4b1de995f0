// Sockets whose descriptors belong to the test alone, with peers from node:net.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { accept, type Ring } from 'uring';
import { fixture } from './_process.ts';

/** What node:net keeps behind its sockets; there is no public way to a descriptor. */
interface Handle {
  readonly fd: number;
  close(): void;
}

/** A listening socket that nobody but the ring accepts from. */
export interface Listener {
  readonly fd: number;
  /** A node:net client; it is destroyed when the test ends. Its connection may still wait to be accepted. */
  connect(options?: Partial<net.TcpNetConnectOpts>): Promise<net.Socket>;
  close(): void;
}

export function handleOf(owner: net.Server | net.Socket): Handle {
  return (owner as unknown as { _handle: Handle })._handle;
}

const HELPER_MS = 20_000;

let echo: ChildProcess | undefined;
/** Tests of a file run at the same time, and answers carry no names: one question at a time. */
let asked: Promise<unknown> = Promise.resolve();

/** Another descriptor of a socket, which libuv does not watch. */
function unwatched(handle: Handle): Promise<Handle> {
  const answer = asked.then(() => throughEcho(handle));
  asked = answer.catch(() => {});
  return answer;
}

async function throughEcho(handle: Handle): Promise<Handle> {
  echo ??= fork(fixture('fd-echo.mjs'), { execArgv: [] });
  const received = once(echo, 'message', { signal: AbortSignal.timeout(HELPER_MS) });
  echo.send('handle', handle as unknown as net.Socket);
  const [, copy] = await received;
  return copy as Handle;
}

/** Ends the helper process behind `listen`; called in `after.always`. */
export async function endSocketHelper(): Promise<void> {
  if (echo === undefined) return;
  const gone = once(echo, 'exit');
  echo.disconnect();
  await gone;
  echo = undefined;
}

/** Listens on loopback, or on a Unix socket at `path`. */
export async function listen(t: ExecutionContext<unknown>, path?: string): Promise<Listener> {
  const server = net.createServer();
  if (path === undefined) server.listen({ host: '127.0.0.1', port: 0, backlog: 511 });
  else server.listen({ path, backlog: 511 });
  await once(server, 'listening');
  const copy = await unwatched(handleOf(server));
  const address = server.address() as net.AddressInfo;
  // Closing a server that listens on a path removes the path, so that one lives as long as the test.
  if (path === undefined) server.close();
  else t.teardown(() => void server.close());
  const state = { open: true };
  const close = (): void => {
    if (state.open) copy.close();
    state.open = false;
  };
  t.teardown(close);
  return { fd: copy.fd, close, connect: (options) => connect(t, path ?? address.port, options) };
}

async function connect(
  t: ExecutionContext<unknown>,
  to: string | number,
  options: Partial<net.TcpNetConnectOpts> = {},
): Promise<net.Socket> {
  const where = typeof to === 'string' ? { path: to } : { host: '127.0.0.1', port: to };
  const socket = net.connect({ ...options, ...where } as net.TcpNetConnectOpts);
  t.teardown(() => void socket.destroy());
  await once(socket, 'connect');
  // Resets are part of the tests; what they do to our side is what counts.
  socket.on('error', () => {});
  return socket;
}

/** A connected socket of ours, and its peer. */
export interface Pair {
  readonly fd: number;
  readonly peer: net.Socket;
  close(): void;
}

export async function pairOn(
  t: ExecutionContext<unknown>,
  ring: Ring,
  listener: Listener,
  options?: Partial<net.TcpNetConnectOpts>,
): Promise<Pair> {
  const [fd, peer] = await Promise.all([ring.exec(accept(listener.fd)), listener.connect(options)]);
  const state = { open: true };
  const close = (): void => {
    if (state.open) closeSync(fd);
    state.open = false;
  };
  t.teardown(close);
  return { fd, peer, close };
}

/** Accepts one connection on a listening socket of its own. */
export async function pair(t: ExecutionContext<unknown>, ring: Ring): Promise<Pair> {
  const listener = await listen(t);
  const connected = await pairOn(t, ring, listener);
  listener.close();
  return connected;
}

/** Writes all of it and waits until the kernel has it. */
export function write(socket: net.Socket, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error ? reject(error) : resolve()));
  });
}

/** Everything a socket receives until its end. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Path of a Unix socket in a directory. */
export function socketPath(dir: string): string {
  return join(dir, 'test.sock');
}

/** Bytes that tell their place, so that a lost, doubled or moved one shows. */
export function numbered(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at * 7 + (at >>> 8) * 13 + (at >>> 16)) & 0xff;
  return bytes;
}
