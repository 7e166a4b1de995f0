// The kernel and the mock, each with the same world around it: what a test says of one has to be true of the other.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Ring } from 'uring';
import { type MockKernel, type MockOperation, mock } from 'uring/mock';
import { connection, file, received, twoEnds } from '../_fixtures.ts';
import { until } from '../_until.ts';

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
  /** Lets time pass, at least so much. */
  pass(timeMs: number): Promise<void>;
}

function kernelWorld(t: ExecutionContext): World {
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
    pass: async (timeMs) => void (await sleep(timeMs)),
  };
}

/** A pipe in memory. */
class MockPipe implements Pipe {
  readonly reader: number;
  #bytes = Buffer.alloc(0);
  #isOver = false;
  readonly #waiting = new Set<() => void>();

  constructor(reader: number) {
    this.reader = reader;
  }

  readonly put = (bytes: string): void => {
    this.#bytes = Buffer.concat([this.#bytes, Buffer.from(bytes)]);
    this.#wake();
  };

  readonly hangUp = (): void => {
    this.#isOver = true;
    this.#wake();
  };

  #wake(): void {
    for (const wake of [...this.#waiting]) {
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** What an operation reads, when there is something. */
  async read(room: number, signal: AbortSignal): Promise<Buffer | undefined> {
    while (this.#bytes.byteLength === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
      // What nobody waits for any more is not lost.
      if (signal.aborted) return undefined;
    }
    return this.take(room);
  }

  get isReady(): boolean {
    return this.#bytes.byteLength > 0 || this.#isOver;
  }

  take(room: number): Buffer {
    const taken = this.#bytes.subarray(0, room);
    this.#bytes = this.#bytes.subarray(taken.byteLength);
    return taken;
  }
}

/** Files by their paths, and open ones by descriptor. */
class MockFiles {
  readonly paths = new Map<string, Buffer>();
  readonly open = new Map<number, Buffer>();

  openat({ path, newFd }: MockOperation): 'ENOENT' | undefined {
    const bytes = this.paths.get(path);
    if (bytes === undefined) return 'ENOENT';
    this.open.set(newFd, bytes);
    return undefined;
  }

  write({ fd, data, offset }: MockOperation): number {
    const bytes = this.open.get(fd) as Buffer;
    bytes.set(data, offset);
    return data.byteLength;
  }
}

function mockWorld(t: ExecutionContext): World {
  const pipes = new Map<number, MockPipe>();
  const files = new MockFiles();
  const sent = new Map<number, string>();
  async function* arriving({ fd, room, signal }: MockOperation): AsyncGenerator<Buffer | undefined> {
    while (!signal.aborted) yield await (pipes.get(fd) as MockPipe).read(room, signal);
  }
  const kernel: MockKernel = mock({
    openat: (operation) => files.openat(operation),
    write: (operation) => files.write(operation),
    read({ fd, room, offset, signal }) {
      const pipe = pipes.get(fd);
      if (pipe === undefined) return files.open.get(fd)?.subarray(offset, offset + room) ?? 'EBADF';
      return pipe.isReady ? pipe.take(room) : pipe.read(room, signal);
    },
    readMultishot: arriving,
    recv: (operation) => {
      const pipe = pipes.get(operation.fd) as MockPipe;
      if (operation.multishot) return arriving(operation);
      return pipe.isReady ? pipe.take(operation.room) : pipe.read(operation.room, operation.signal);
    },
    send({ fd, data }) {
      sent.set(fd, `${sent.get(fd) ?? ''}${data}`);
    },
    fsync: 0,
  });
  t.teardown(() => {
    for (const fd of pipes.keys()) if (kernel.descriptors.includes(fd)) kernel.forget(fd);
    kernel.assertNoLeaks();
  });
  return {
    backend: 'mock',
    open: (options) => new kernel.Ring(options),
    pipe() {
      const pipe = new MockPipe(kernel.descriptor('a pipe'));
      pipes.set(pipe.reader, pipe);
      return pipe;
    },
    async connect() {
      const pipe = new MockPipe(kernel.descriptor('a connection'));
      pipes.set(pipe.reader, pipe);
      const { reader, put, hangUp } = pipe;
      const sentTo = async (sizeBytes: number): Promise<string> => {
        await until(() => (sent.get(reader)?.length ?? 0) >= sizeBytes);
        return sent.get(reader) ?? '';
      };
      return { reader, put, hangUp, sent: sentTo };
    },
    path(bytes) {
      const path = `/mock/${files.paths.size}`;
      files.paths.set(path, Buffer.from(bytes));
      return path;
    },
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
