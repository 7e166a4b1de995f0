import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  type AnyOperation,
  type BufferLease,
  type Bytes,
  type Operation,
  openat,
  Ring,
  read,
  readv,
  recv,
  send,
  write,
} from 'uring';
import { gc, leakCheck, tmpDir, withRing } from './_helpers.ts';
import { endSocketHelper, numbered, pair, write as writeTo } from './_sockets.ts';
import { settle, soon, until } from './_until.ts';

const MIB = 1 << 20;
const POISON = 0xa5;

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

/** Newer than the oldest Node that the tests run on, and than its types. */
interface NewBuffer extends ArrayBuffer {
  transfer?(sizeBytes?: number): ArrayBuffer;
  resize(sizeBytes: number): void;
}
const ResizableBuffer = ArrayBuffer as unknown as new (
  sizeBytes: number,
  options: { maxByteLength: number },
) => NewBuffer;

/** The tests are compiled without the types of browsers, which WebAssembly's are among. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: { Memory: new (pages: { initial: number; maximum: number }) => WasmMemory };
};

interface Fifo {
  readonly reader: number;
  /** Lets a read that waits complete with these bytes. */
  feed(data: Uint8Array): void;
  /** What is in the pipe. */
  take(): Buffer;
}

/** A pipe: reads from it wait, so that they are in flight for as long as a test needs. */
function fifo(t: ExecutionContext<unknown>): Fifo {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR);
  t.teardown(() => closeSync(reader));
  return {
    reader,
    feed: (data) => void writeSync(reader, data),
    take: () => {
      const buffer = Buffer.alloc(65_536);
      return buffer.subarray(0, readSync(reader, buffer));
    },
  };
}

/** Feeds reads that wait on one pipe, one after the other: which of them gets the bytes is the kernel's affair. */
async function feedEach(
  pipe: Fifo,
  results: readonly Promise<number>[],
  sizeBytes: number,
): Promise<number[]> {
  let finished = 0;
  const count = (): void => {
    finished += 1;
  };
  const counted = results.map((result) => result.finally(count));
  for (let fed = 1; fed <= results.length; fed += 1) {
    pipe.feed(numbered(sizeBytes));
    await until(() => finished === fed);
  }
  return Promise.all(counted);
}

/** Blocks that nobody may write to, of the sizes that a freed one would be given away for. */
function poisoned(sizeBytes: number, count = 64): () => boolean {
  const blocks = Array.from({ length: count }, () => new Uint8Array(sizeBytes).fill(POISON));
  return () => blocks.every((block) => block.every((byte) => byte === POISON));
}

/** The ways in which JavaScript can take memory away while an operation is in flight. */
const WAYS: readonly [way: string, make: () => ArrayBuffer, takeAway: (buffer: NewBuffer) => unknown][] = [
  [
    'transferred by structuredClone',
    () => new ArrayBuffer(4096),
    (buffer) => structuredClone(buffer, { transfer: [buffer] }),
  ],
  [
    // Where there is no transfer (Node 20) a message does the same.
    'moved by transfer, or in a message',
    () => new ArrayBuffer(4096),
    (buffer) => {
      if (buffer.transfer !== undefined) return buffer.transfer();
      const { port1 } = new MessageChannel();
      port1.postMessage(buffer, [buffer]);
      port1.close();
      return undefined;
    },
  ],
  [
    'freed by transfer(0), or cut to nothing',
    () => new ResizableBuffer(4096, { maxByteLength: 4096 }),
    (buffer) => (buffer.transfer === undefined ? buffer.resize(0) : buffer.transfer(0)),
  ],
  ['resized to 0', () => new ResizableBuffer(4096, { maxByteLength: 8192 }), (buffer) => buffer.resize(0)],
  [
    'resized to less than what arrives',
    () => new ResizableBuffer(4096, { maxByteLength: 8192 }),
    (buffer) => buffer.resize(100),
  ],
];

const READS: readonly ((fd: number, buffer: ArrayBuffer) => AnyOperation)[] = [
  (fd, buffer) => read(fd, new Uint8Array(buffer)),
  (fd, buffer) => readv(fd, [new Uint8Array(8), new Uint8Array(buffer, 0, 2048)]),
];

for (const [way, make, takeAway] of WAYS) {
  test.serial(`memory ${way} while a read is in flight is not written to`, async (t) => {
    const pipe = fifo(t);
    await withRing({}, async (ring) => {
      for (const operation of READS) {
        const buffer = make() as NewBuffer;
        const result = ring.exec(operation(pipe.reader, buffer) as Operation<number>);
        await settle();
        const taken = takeAway(buffer);
        const receiver = taken instanceof ArrayBuffer ? new Uint8Array(taken) : undefined;
        receiver?.fill(POISON);
        await gc();
        const intact = poisoned(4096);
        pipe.feed(numbered(2056));
        await t.throwsAsync(soon(result, 'the end of the read'), { code: 'ERR_URING_BUFFER_DETACHED' });
        t.true(intact());
        t.true(receiver?.every((byte) => byte === POISON) ?? true);
      }
      // The ring goes on, with memory that is there.
      pipe.feed(numbered(10));
      const target = Buffer.alloc(10);
      t.is(await ring.exec(read(pipe.reader, target)), 10);
      t.deepEqual(target, numbered(10));
    });
  });
}

test.serial('WebAssembly memory that grows while a read is in flight is not written to', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const memory = new wasm.Memory({ initial: 1, maximum: 4 });
    const result = ring.exec(read(pipe.reader, new Uint8Array(memory.buffer, 0, 4096)));
    await settle();
    memory.grow(1);
    new Uint8Array(memory.buffer).fill(POISON);
    pipe.feed(numbered(4096));
    await t.throwsAsync(result, { code: 'ERR_URING_BUFFER_DETACHED' });
    t.true(new Uint8Array(memory.buffer).every((byte) => byte === POISON));
    pipe.feed(numbered(100));
    t.is(await ring.exec(read(pipe.reader, new Uint8Array(memory.buffer, 100, 100))), 100);
    t.deepEqual(Buffer.from(memory.buffer, 100, 100), numbered(100));
    t.is(new Uint8Array(memory.buffer)[200], POISON);
  });
});

test.serial('a buffer that nobody holds any more is kept until its operation is over', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const collected: number[] = [];
    const registry = new FinalizationRegistry((index: number) => void collected.push(index));
    const start = (index: number): Promise<number> => {
      const buffer = new Uint8Array(100_000);
      registry.register(buffer, index);
      return ring.exec(read(pipe.reader, buffer));
    };
    const results = Array.from({ length: 8 }, (_, index) => start(index));
    await gc();
    t.deepEqual(collected, []);
    const intact = poisoned(100_000, 16);
    t.deepEqual(await feedEach(pipe, results, 1000), Array(8).fill(1000));
    t.true(intact());
    results.length = 0;
    for (let round = 0; round < 20 && collected.length < 8; round += 1) await gc();
    t.true(collected.length > 0);
  });
});

test.serial(
  'bytes to write are those of the moment of the call, whatever becomes of the buffer',
  async (t) => {
    const pipe = fifo(t);
    await withRing({}, async (ring) => {
      const bytes = new Uint8Array(1000).fill(1);
      const first = ring.exec(write(pipe.reader, bytes));
      bytes.fill(2);
      const second = ring.exec(write(pipe.reader, bytes));
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      t.deepEqual(await Promise.all([first, second]), [1000, 1000]);
      t.deepEqual(pipe.take(), Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(1000, 2)]));
    });
  },
);

test.serial('an operation whose memory is gone when it is run again is refused', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    for (const make of [
      (bytes: Bytes) => read(pipe.reader, bytes),
      (bytes: Bytes) => write(pipe.reader, bytes),
    ]) {
      const bytes = new Uint8Array(100);
      const operation = make(bytes);
      pipe.feed(numbered(100));
      t.is(await ring.exec(operation), 100);
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      await t.throwsAsync(ring.exec(operation), { code: 'ERR_URING_BUFFER_DETACHED' });
      t.is(ring.inFlight, 0);
    }
  });
});

test.serial('an operation whose memory goes while it waits for room is refused', async (t) => {
  const pipe = fifo(t);
  await withRing({ entries: 1, cqEntries: 2 }, async (ring) => {
    const running = [
      ring.exec(read(pipe.reader, Buffer.alloc(8))),
      ring.exec(read(pipe.reader, Buffer.alloc(8))),
    ];
    const bytes = new Uint8Array(100);
    const waiting = ring.exec(read(pipe.reader, bytes));
    t.is(ring.waiting, 1);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    const refused = t.throwsAsync(waiting, { code: 'ERR_URING_BUFFER_DETACHED' });
    t.deepEqual(await feedEach(pipe, running, 8), [8, 8]);
    await refused;
  });
});

test.serial('memory of ring.alloc is kept while in flight, and freed once it is forgotten', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const start = (): Promise<number> => ring.exec(read(pipe.reader, ring.alloc(MIB)));
    const results = [start(), start(), start()];
    await gc();
    t.is(ring.stats().arenas, 3);
    t.deepEqual(await feedEach(pipe, results, 500), [500, 500, 500]);
    results.length = 0;
    for (let round = 0; round < 50 && ring.stats().arenas > 0; round += 1) {
      await gc();
      await ring.exec(openat('/dev/null')).then(closeSync);
    }
    // Staging for the path keeps an arena of its own.
    t.true(ring.stats().arenas <= 1);
  });
});

test.serial('memory of ring.alloc that is taken away in flight stays where the kernel writes', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(MIB);
    const memory = buffer.buffer as NewBuffer;
    const operation = read(pipe.reader, buffer.subarray(4096, 8192));
    const result = ring.exec(operation);
    await settle();
    let moved: ArrayBuffer | undefined;
    // Node 24.15 and later forbid it; structuredClone never moves such memory.
    if (memory.transfer !== undefined) {
      try {
        moved = memory.transfer();
      } catch (error) {
        t.true(error instanceof TypeError);
      }
    }
    await gc();
    const intact = poisoned(MIB, 8);
    pipe.feed(numbered(1000));
    t.is(await result, 1000);
    t.deepEqual(Buffer.from(moved ?? memory, 4096, 1000), numbered(1000));
    t.true(intact());
    if (moved === undefined) return;
    t.is(buffer.length, 0);
    pipe.feed(numbered(10));
    await t.throwsAsync(ring.exec(operation), { code: 'ERR_URING_BUFFER_DETACHED' });
    t.is(await ring.exec(read(pipe.reader, new Uint8Array(moved, 0, 10))), 10);
  });
});

test.serial('structuredClone does not move memory of ring.alloc', (t) => {
  return withRing({}, (ring) => {
    const buffer = ring.alloc(64).fill('x');
    try {
      structuredClone(buffer.buffer, { transfer: [buffer.buffer as ArrayBuffer] });
    } catch (error) {
      t.is((error as Error).name, 'DataCloneError');
    }
    t.is(buffer.toString(), 'x'.repeat(64));
  });
});

test.serial('memory of ring.alloc outlives its ring', async (t) => {
  const ring = new Ring();
  const buffers = Array.from({ length: 8 }, () => ring.alloc(MIB).fill(POISON));
  const small = ring.alloc(100).fill(POISON);
  await ring.close();
  await gc();
  await withRing({}, async (other) => {
    for (let count = 0; count < 8; count += 1) other.alloc(MIB).fill(0);
    t.true(buffers.every((buffer) => buffer.every((byte) => byte === POISON)));
    t.true(small.every((byte) => byte === POISON));
    // Memory of another ring is ordinary memory: copied, and no less right.
    const pipe = fifo(t);
    pipe.feed(numbered(64));
    t.is(await other.exec(read(pipe.reader, small)), 64);
    t.deepEqual(small.subarray(0, 64), numbered(64));
  });
});

test.serial('leases keep their memory, whoever else is forgotten', async (t) => {
  const leases: BufferLease[] = [];
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    await (async () => {
      const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 1000 });
      await writeTo(peer, numbered(3000));
      for (let count = 0; count < 3; count += 1)
        leases.push((await ring.exec(recv(fd, buffers))) as BufferLease);
      buffers.unregister();
    })();
    await gc();
    for (let count = 0; count < 8; count += 1) ring.alloc(MIB).fill(POISON);
  });
  await gc();
  t.deepEqual(Buffer.concat(leases.map(({ data }) => data)), numbered(3000));
  for (const lease of leases) lease.release();
});

test.serial('memory stays flat over many rounds', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    peer.on('data', (data) => void peer.write(data));
    const round = async (): Promise<void> => {
      for (const sizeBytes of [16, 4096, 100_000, MIB]) {
        const owned = ring.alloc(sizeBytes).fill(1);
        const user = Buffer.alloc(sizeBytes, 2);
        for (const bytes of [owned, user]) {
          let left = await ring.exec(send(fd, bytes));
          while (left > 0) left -= await ring.exec(recv(fd, bytes.subarray(0, Math.min(left, bytes.length))));
        }
      }
      const buffers = ring.registrar.registerBufferRing({ entries: 16, sizeBytes: 1000 });
      await ring.exec(send(fd, Buffer.alloc(10)));
      const lease = await ring.exec(recv(fd, buffers));
      lease?.release();
      await settle(2);
      buffers.unregister();
    };
    const measure = async (): Promise<{ arenas: number; bytes: number; rss: number }> => {
      await gc();
      await round();
      await gc();
      await settle();
      const { arenas, registeredBytes, unregisteredBytes } = ring.stats();
      return { arenas, bytes: registeredBytes + unregisteredBytes, rss: process.memoryUsage.rss() };
    };
    for (let count = 0; count < 30; count += 1) await round();
    const before = await measure();
    for (let count = 0; count < 150; count += 1) await round();
    let after = await measure();
    for (let tries = 0; tries < 10 && after.bytes > before.bytes; tries += 1) after = await measure();
    t.true(after.arenas <= before.arenas + 2, `${before.arenas} arenas became ${after.arenas}`);
    t.true(after.bytes <= before.bytes + 4 * MIB, `${before.bytes} bytes became ${after.bytes}`);
    t.true(after.rss <= before.rss + 128 * MIB, `${before.rss} resident bytes became ${after.rss}`);
  });
});

test.serial('a hundred rings in a row give all of their memory back', async (t) => {
  const round = async (): Promise<void> => {
    const ring = new Ring();
    ring.alloc(8 * MIB).fill(1);
    const file = await ring.exec(openat('/dev/zero'));
    // Even /dev/zero may give less than it is asked for.
    t.true((await ring.exec(read(file, Buffer.alloc(MIB)))) > 0);
    closeSync(file);
    await ring.close();
  };
  for (let count = 0; count < 10; count += 1) await round();
  await gc();
  const before = process.memoryUsage.rss();
  for (let count = 0; count < 100; count += 1) {
    await round();
    if (count % 10 === 9) await gc();
  }
  await gc();
  t.true(process.memoryUsage.rss() <= before + 128 * MIB);
});
