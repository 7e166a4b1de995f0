// The kernel and the mock, each with the same world around it: what a test says of one has to be true of the other.
import { existsSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { PollEvents, Ring } from 'uring';
import { type MockKernel, mock } from 'uring/mock';
import { connection, file, received, twoEnds } from '../_fixtures.ts';
import { tmpDir } from '../_helpers.ts';
import { until } from '../_until.ts';
import { MockFiles } from './_mock-files.ts';
import { MockNetwork } from './_mock-network.ts';
import { MockPipe } from './_pipe.ts';

type RingOptions = ConstructorParameters<typeof Ring>[0];

/** A stream of bytes, seen from outside of the ring. */
export interface Pipe {
  /** A descriptor that a ring reads from. */
  readonly reader: number;
  /** Bytes arrive. */
  put(bytes: string): void;
  /** Nothing arrives any more. */
  hangUp(): void;
}

/** A connection, seen from its other end. */
export interface Connection extends Pipe {
  /** What has been sent to the other end, once it is so many bytes. */
  sent(sizeBytes: number): Promise<string>;
}

/** Where a test runs. */
export interface World {
  readonly backend: 'kernel' | 'mock';
  open(options?: RingOptions): Ring;
  pipe(): Pipe;
  connect(ring: Ring): Promise<Connection>;
  /** A path with these bytes at it. */
  path(bytes: string): string;
  /** Where nothing is yet. */
  newPath(name: string): string;
  /** What is at a path, if anything is. */
  textAt(path: string): string | undefined;
  /** Lets time pass, at least so much. */
  pass(timeMs: number): Promise<void>;
}

function kernelWorld(t: ExecutionContext): World {
  const folder = tmpDir(t);
  return {
    backend: 'kernel',
    open: (options) => new Ring(options),
    pipe() {
      const { reader, writer, closeWriter } = twoEnds(t);
      return { reader, put: (bytes) => void writeSync(writer, bytes), hangUp: closeWriter };
    },
    async connect(ring) {
      const { fd, client } = await connection(t, ring);
      return {
        reader: fd,
        put: (bytes) => void client.write(bytes),
        hangUp: () => void client.end(),
        sent: async (sizeBytes) => (await received(client, sizeBytes)).toString(),
      };
    },
    path: (bytes) => file(t, Buffer.from(bytes)).path,
    newPath: (name) => join(folder, name),
    textAt: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined),
    pass: async (timeMs) => void (await sleep(timeMs)),
  };
}

function mockWorld(t: ExecutionContext): World {
  const pipes = new Map<number, MockPipe>();
  const files = new MockFiles();
  const network = new MockNetwork();
  const pipeOf = (fd: number): MockPipe => pipes.get(fd) as MockPipe;
  const kernel: MockKernel = mock({
    ...files.handlers,
    ...network.handlers,
    read: (operation) => pipes.get(operation.fd)?.read(operation) ?? files.read(operation),
    write: (operation) => pipes.get(operation.fd)?.put(operation.data) ?? files.write(operation),
    pipe: ({ newFd, newWriteFd }) => {
      const pipe = new MockPipe();
      pipes.set(newFd, pipe).set(newWriteFd, pipe);
    },
    readMultishot: (operation) => pipeOf(operation.fd).arriving(operation),
    pollAdd: async ({ fd, signal }) => ((await network.arriving(fd).ready(signal)) ? PollEvents.IN : 0),
  });
  const given: number[] = [];
  t.teardown(() => {
    for (const fd of given) if (kernel.descriptors.includes(fd)) kernel.forget(fd);
    kernel.assertNoLeaks();
  });
  const descriptor = (what: string): number => {
    const fd = kernel.descriptor(what);
    given.push(fd);
    return fd;
  };
  return {
    backend: 'mock',
    open: (options) => new kernel.Ring(options),
    pipe() {
      const [reader, pipe] = [descriptor('a pipe'), new MockPipe()];
      pipes.set(reader, pipe);
      return { reader, put: pipe.put, hangUp: pipe.hangUp };
    },
    async connect() {
      const reader = descriptor('a connection');
      const other = network.connected(reader);
      const { put, hangUp } = (other.peer as typeof other).arriving;
      let text = '';
      const sent = async (sizeBytes: number): Promise<string> => {
        await until(() => {
          text += other.arriving.take(sizeBytes - text.length).toString();
          return text.length >= sizeBytes;
        });
        return text;
      };
      return { reader, put, hangUp, sent };
    },
    path(bytes) {
      const path = `/mock/${files.paths.size}`;
      files.paths.set(path, { bytes: Buffer.from(bytes) });
      return path;
    },
    newPath: (name) => `/mock/${name}`,
    textAt: (path) => files.paths.get(path)?.bytes.toString(),
    pass: (timeMs) => kernel.clock.advance(timeMs),
  };
}

/** Declares a test of both, in which every ring that is opened is closed. */
export function both(
  title: string,
  body: (t: ExecutionContext, world: World, ring: (options?: RingOptions) => Ring) => Promise<void>,
): void {
  for (const make of [kernelWorld, mockWorld]) {
    const backend = make === kernelWorld ? 'kernel' : 'mock';
    test(`${backend}: ${title}`, async (t) => {
      const world = make(t);
      const rings: Ring[] = [];
      const open = (options?: RingOptions): Ring => {
        const ring = world.open(options);
        rings.push(ring);
        return ring;
      };
      try {
        await body(t, world, open);
      } finally {
        for (const ring of rings) await ring.close();
      }
      for (const ring of rings) t.is(ring.inFlight, 0);
    });
  }
}
