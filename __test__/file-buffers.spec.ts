// Every kind of memory as the argument of reads and writes: what arrives, and that nothing else is touched.
import { readFileSync } from 'node:fs';
import test from 'ava';
import { type Bytes, type Ring, read, readFixed, readv, write, writeFixed, writev } from 'uring';
import { assertUsable, file, pattern } from './_fixtures.ts';
import { leakCheck, skipUnless, withRing } from './_helpers.ts';

leakCheck(test);

const FILE_BYTES = 4096;
const content = pattern(FILE_BYTES, 3);

interface Kind {
  /** 64 bytes of memory, and a view of everything around it. */
  make(ring: Ring): { buffer: Bytes; all: Uint8Array; start: number };
}

type Resizable = ArrayBuffer & { resize(sizeBytes: number): void };
type ResizableConstructor = new (sizeBytes: number, options: { maxByteLength: number }) => Resizable;
type Growable = new (sizeBytes: number, options: { maxByteLength: number }) => SharedArrayBuffer;
type Wasm = {
  Memory: new (options: { initial: number }) => { buffer: ArrayBuffer; grow(pages: number): number };
};

const canResize = 'resize' in ArrayBuffer.prototype;
const canGrow = 'grow' in SharedArrayBuffer.prototype;
const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: Wasm };

function resizable(sizeBytes: number, maxByteLength: number): Resizable {
  return new (ArrayBuffer as unknown as ResizableConstructor)(sizeBytes, { maxByteLength });
}

function over(memory: ArrayBufferLike, buffer: Bytes, start: number) {
  return { buffer, all: new Uint8Array(memory), start };
}

const kinds: Record<string, Kind> = {
  'a Buffer inside a larger one': {
    make: () => {
      const memory = new ArrayBuffer(200);
      return over(memory, Buffer.from(memory, 13, 64), 13);
    },
  },
  'a Uint8Array with a byteOffset': {
    make: () => {
      const memory = new ArrayBuffer(200);
      return over(memory, new Uint8Array(memory, 77, 64), 77);
    },
  },
  'a Float64Array with a byteOffset': {
    make: () => {
      const memory = new ArrayBuffer(200);
      return over(memory, new Float64Array(memory, 8, 8), 8);
    },
  },
  'a BigInt64Array': {
    make: () => {
      const memory = new ArrayBuffer(64);
      return over(memory, new BigInt64Array(memory), 0);
    },
  },
  'a DataView with a byteOffset': {
    make: () => {
      const memory = new ArrayBuffer(200);
      return over(memory, new DataView(memory, 101, 64), 101);
    },
  },
  'an ArrayBuffer': {
    make: () => {
      const memory = new ArrayBuffer(64);
      return over(memory, memory, 0);
    },
  },
  'a SharedArrayBuffer': {
    make: () => {
      const memory = new SharedArrayBuffer(64);
      return over(memory, memory, 0);
    },
  },
  'a view of a SharedArrayBuffer': {
    make: () => {
      const memory = new SharedArrayBuffer(200);
      return over(memory, new Uint8Array(memory, 99, 64), 99);
    },
  },
  'a view of WebAssembly memory': {
    make: () => {
      const { buffer } = new wasm.Memory({ initial: 1 });
      return over(buffer, new Uint8Array(buffer, 1000, 64), 1000);
    },
  },
  'memory of ring.alloc': {
    make: (ring) => {
      const all = ring.alloc(200);
      return { buffer: all.subarray(50, 114), all, start: 50 };
    },
  },
  'a DataView of memory of ring.alloc': {
    make: (ring) => {
      const all = ring.alloc(200);
      return { buffer: new DataView(all.buffer, all.byteOffset + 9, 64), all, start: 9 };
    },
  },
};

const newer: Record<string, [available: boolean, Kind]> = {
  'a resizable ArrayBuffer': [
    canResize,
    {
      make: () => {
        const memory = resizable(64, 4096);
        return over(memory, memory, 0);
      },
    },
  ],
  'a view of a resizable ArrayBuffer': [
    canResize,
    {
      make: () => {
        const memory = resizable(200, 4096);
        return over(memory, new Uint8Array(memory, 31, 64), 31);
      },
    },
  ],
  'a growable SharedArrayBuffer': [
    canGrow,
    {
      make: () => {
        const memory = new (SharedArrayBuffer as unknown as Growable)(64, { maxByteLength: 4096 });
        return over(memory, memory, 0);
      },
    },
  ],
};

function surroundings(all: Uint8Array, start: number): Uint8Array[] {
  return [all.slice(0, start), all.slice(start + 64)];
}

function declare(title: string, available: boolean, { make }: Kind): void {
  const check = skipUnless(available, 'a newer Node');
  check(`${title} takes exactly the bytes of a read and of a readv`, async (t) => {
    const { fd } = file(t, content);
    await withRing({}, async (ring) => {
      for (const operation of [
        (buffer: Bytes) => read(fd, buffer, { offset: 500 }),
        (buffer: Bytes) => readv(fd, [buffer], { offset: 500 }),
      ]) {
        const { buffer, all, start } = make(ring);
        all.fill(0xee);
        t.is(await ring.exec(operation(buffer)), 64);
        t.deepEqual(Buffer.from(all.slice(start, start + 64)), content.subarray(500, 564));
        for (const around of surroundings(all, start)) t.true(around.every((byte) => byte === 0xee));
      }
    });
  });

  check(`${title} gives exactly its bytes to a write and to a writev`, async (t) => {
    const { fd, path } = file(t, content);
    await withRing({}, async (ring) => {
      for (const operation of [
        (buffer: Bytes) => write(fd, buffer, { offset: 600 }),
        (buffer: Bytes) => writev(fd, [buffer], { offset: 600 }),
      ]) {
        const { buffer, all, start } = make(ring);
        all.set(pattern(all.length, 8));
        t.is(await ring.exec(operation(buffer)), 64);
        const expected = Buffer.from(content);
        expected.set(pattern(all.length, 8).subarray(start, start + 64), 600);
        t.deepEqual(readFileSync(path), expected);
      }
    });
  });
}

for (const [title, kind] of Object.entries(kinds)) declare(title, true, kind);
for (const [title, [available, kind]] of Object.entries(newer)) declare(title, available, kind);

test('memory of every kind can stand in one readv and one writev', async (t) => {
  const { fd, path } = file(t, content);
  await withRing({}, async (ring) => {
    const made = Object.values(kinds).map(({ make }) => make(ring));
    const buffers = made.map(({ buffer }) => buffer);
    const bytes = () =>
      Buffer.concat(made.map(({ all, start }) => Buffer.from(all.slice(start, start + 64))));
    t.is(await ring.exec(readv(fd, buffers, { offset: 1 })), buffers.length * 64);
    t.deepEqual(bytes(), content.subarray(1, 1 + buffers.length * 64));
    t.is(await ring.exec(writev(fd, buffers, { offset: 2000 })), buffers.length * 64);
    t.deepEqual(readFileSync(path).subarray(2000, 2000 + buffers.length * 64), bytes());
  });
});

test('one buffer twice in a readv ends with what was read last', async (t) => {
  const { fd } = file(t, content);
  await withRing({}, async (ring) => {
    for (const buffer of [ring.alloc(10), Buffer.alloc(10)]) {
      t.is(await ring.exec(readv(fd, [buffer, buffer], { offset: 0 })), 20);
      t.deepEqual(Buffer.from(buffer), content.subarray(10, 20));
    }
  });
});

test('one buffer may be read into by many operations at a time', async (t) => {
  const { fd } = file(t, content);
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(640);
    const reads = Array.from({ length: 10 }, (_, at) =>
      ring.exec(read(fd, buffer.subarray(at * 64, at * 64 + 64), { offset: at * 64 })),
    );
    t.deepEqual(await Promise.all(reads), Array(10).fill(64));
    t.deepEqual(buffer, content.subarray(0, 640));
  });
});

for (const sizeBytes of [1, 63, 64, 65, 4095, 4097, 65_536, 65_537, 1 << 20, (1 << 20) + 1]) {
  test(`${sizeBytes} bytes go out and come back the same, copied and from ring memory`, async (t) => {
    const bytes = pattern(sizeBytes, sizeBytes);
    const { fd, path } = file(t);
    await withRing({}, async (ring) => {
      t.is(await ring.exec(write(fd, bytes, { offset: 0 })), sizeBytes);
      t.true(readFileSync(path).equals(bytes));
      for (const back of [ring.alloc(sizeBytes), Buffer.alloc(sizeBytes)]) {
        t.is(await ring.exec(read(fd, back, { offset: 0 })), sizeBytes);
        t.true(back.equals(bytes));
      }
    });
  });
}

test('memory of another ring is copied, and arrives all the same', async (t) => {
  const { fd, path } = file(t, content);
  await withRing({}, async (ring) => {
    await withRing({}, async (other) => {
      const foreign = other.alloc(64);
      t.is(await ring.exec(read(fd, foreign, { offset: 9 })), 64);
      t.deepEqual(foreign, content.subarray(9, 73));
      t.is(await ring.exec(writev(fd, [foreign, ring.alloc(1)], { offset: 0 })), 65);
      t.deepEqual(readFileSync(path).subarray(0, 64), content.subarray(9, 73));
      await assertUsable(t, ring);
    });
  });
});

test('readFixed and writeFixed take memory of this ring and no other', async (t) => {
  const { fd, path } = file(t, content);
  await withRing({}, async (ring) => {
    await withRing({}, async (other) => {
      const message = /take it from ring\.alloc\(\) of this ring, or use read and write/;
      for (const buffer of [Buffer.alloc(64), new SharedArrayBuffer(64), other.alloc(64)]) {
        const expected = { code: 'ERR_URING_NOT_REGISTERED', message };
        await t.throwsAsync(ring.exec(readFixed(fd, buffer, { offset: 0 })), expected);
        await t.throwsAsync(ring.exec(writeFixed(fd, buffer, { offset: 0 })), expected);
        t.throws(() => ring.prep(readFixed(fd, buffer, { offset: 0 })), expected);
        t.is(ring.sqReady, 0);
      }
      t.is(ring.inFlight, 0);
      await assertUsable(t, ring);
    });
    t.deepEqual(readFileSync(path), content);
  });
});

test('ring.alloc gives zeroed memory that no two calls share', async (t) => {
  await withRing({}, (ring) => {
    const buffers = [1, 64, 100, 512, 4096, 300_000].map((sizeBytes) => ring.alloc(sizeBytes));
    for (const buffer of buffers) t.true(buffer.every((byte) => byte === 0));
    for (const [at, buffer] of buffers.entries()) buffer.fill(at + 1);
    for (const [at, buffer] of buffers.entries()) t.true(buffer.every((byte) => byte === at + 1));
  });
});
