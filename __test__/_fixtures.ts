// Real files, pipes and sockets for the specs, and one way to run an operation in each of the three forms.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { accept, type Completion, nop, type Operation, type Ring } from 'uring';
import { tmpDir } from './_helpers.ts';

type T = ExecutionContext<unknown>;

// biome-ignore lint/suspicious/noExplicitAny: results are invariant, so "any single operation" has no other name
export type AnySingle = Operation<any>;

/** Longest that anything here may take: a limit against hanging, never something a test measures. */
export const PATIENCE_MS = 60_000;

/** The forms in which an operation can be run. */
export const FORMS = ['promise', 'callback', 'manual'] as const;
export type Form = (typeof FORMS)[number];

/** Blocks until `count` completions can be read; fails, rather than hangs, when they do not come. */
export function waitFor(ring: Ring, count: number): void {
  ring.submitAndWait(count, { timeoutMs: PATIENCE_MS });
  if (ring.cqReady < count) throw new Error(`only ${ring.cqReady} of ${count} completions came`);
}

/** What is ready, as completions that may be kept. */
export function reap(ring: Ring): Completion[] {
  return [...ring.completions()];
}

function runByHand<R>(ring: Ring, operation: Operation<R>): R {
  if (!ring.prep(operation)) throw new Error('the queue is full');
  waitFor(ring, 1);
  const [completion] = reap(ring);
  if (completion === undefined) throw new Error('no completion came');
  if (completion.error !== null) throw completion.error;
  return completion.result as R;
}

/** Runs one operation on an otherwise idle ring. */
export async function runAs<R>(form: Form, ring: Ring, operation: Operation<R>): Promise<R> {
  if (form === 'promise') return ring.exec(operation);
  if (form === 'manual') return runByHand(ring, operation);
  return new Promise<R>((resolve, reject) => {
    ring.start(operation, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

/** The ring has not suffered: a nop comes back, awaited and by hand. */
export async function assertUsable(t: T, ring: Ring): Promise<void> {
  t.is(await ring.exec(nop({ result: 41 })), 41);
  t.is(await runAs('manual', ring, nop({ result: 42 })), 42);
}

/** Bytes that are different everywhere, so that a wrong offset shows. */
export function pattern(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = seed >>> 0;
  for (let at = 0; at < sizeBytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Opens a descriptor that is closed when the test ends. */
export function open(t: T, path: string, flags: string | number = 'r'): number {
  const fd = openSync(path, flags);
  t.teardown(() => closeSync(fd));
  return fd;
}

/** A new file with these bytes, open for reading and writing. */
export function file(t: T, bytes: Uint8Array = new Uint8Array(0)): { path: string; fd: number } {
  const path = join(tmpDir(t), 'file');
  writeFileSync(path, bytes);
  return { path, fd: open(t, path, 'r+') };
}

/** A named pipe, open for reading and writing: a read of it waits until somebody writes. */
export function fifo(t: T): number {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  return open(t, path, 'r+');
}

/** The two ends of a named pipe, which do not wait. */
export function twoEnds(t: T): { reader: number; writer: number; closeWriter(): void } {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let isOpen = true;
  const closeWriter = (): void => {
    if (isOpen) closeSync(writer);
    isOpen = false;
  };
  t.teardown(() => closeSync(reader));
  t.teardown(closeWriter);
  return { reader, writer, closeWriter };
}

type WithHandle = { _handle: { fd: number } };

/** The descriptor below one of Node's own servers or sockets. */
export function fdOf(stream: net.Server | net.Socket): number {
  return (stream as unknown as WithHandle)._handle.fd;
}

/** A listening socket on 127.0.0.1, made by Node. */
export async function listen(t: T): Promise<{ server: net.Server; fd: number; port: number }> {
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { server, fd: fdOf(server), port: (server.address() as net.AddressInfo).port };
}

/**
 * Clients whose connections wait in the server's backlog. Node connects in `process.nextTick`, and its own server
 * would accept in the next turn of the loop: whoever accepts in this turn is first.
 */
export async function connect(t: T, port: number, count = 1): Promise<net.Socket[]> {
  const clients = Array.from({ length: count }, () => net.connect(port, '127.0.0.1'));
  for (const client of clients) {
    client.on('error', () => {});
    t.teardown(() => client.destroy());
  }
  await new Promise<void>((resolve) => process.nextTick(resolve));
  return clients;
}

/** Exactly these operations have completed, in any order: by user data, with an error's code or else the result. */
export function endedAs(
  t: T,
  completions: readonly Completion[],
  expected: readonly [unknown, string | number][],
): void {
  const actual = new Map<unknown, unknown>(
    completions.map(({ userData, error, res }) => [userData, error?.code ?? res]),
  );
  t.is(completions.length, expected.length);
  for (const [userData, how] of expected) t.is(actual.get(userData), how, String(userData));
}

/** A connection: the ring's end as a descriptor, the other end as one of Node's sockets. */
export async function connection(t: T, ring: Ring): Promise<{ fd: number; client: net.Socket }> {
  const { fd: listening, port } = await listen(t);
  const [client] = await connect(t, port);
  const fd = await runAs('manual', ring, accept(listening));
  t.teardown(() => closeSync(fd));
  return { fd, client: client as net.Socket };
}

/** Collects what a socket receives, until there are that many bytes. */
export function received(socket: net.Socket, sizeBytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      if (all.length >= sizeBytes) resolve(all);
    });
  });
}
