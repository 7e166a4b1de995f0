import { constants, ftruncateSync, readFileSync, readSync, writeSync } from 'node:fs';
import test from 'ava';
import {
  CURRENT_POSITION,
  fsync,
  nop,
  type Ring,
  read,
  readFixed,
  readv,
  UringError,
  write,
  writeFixed,
  writev,
} from 'uring';
import { type AnySingle, assertUsable, FORMS, fifo, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, skipUnless, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

const SIZE = 10_000;

for (const form of FORMS) {
  test(`nop answers 0, or what is injected (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, nop()), 0);
      t.is(await runAs(form, ring, nop({ result: 77 })), 77);
      t.is(await runAs(form, ring, nop({ result: 0x7fff_ffff })), 0x7fff_ffff);
    });
  });

  test(`read fills a buffer with what node:fs reads there (${form})`, async (t) => {
    const { fd, path } = file(t, pattern(SIZE));
    await withRing({}, async (ring) => {
      const buffer = ring.alloc(3000);
      t.is(await runAs(form, ring, read(fd, buffer, { offset: 1234 })), 3000);
      t.deepEqual(buffer, readFileSync(path).subarray(1234, 4234));
    });
  });

  test(`write puts the bytes where node:fs finds them (${form})`, async (t) => {
    const { fd, path } = file(t, Buffer.alloc(SIZE));
    await withRing({}, async (ring) => {
      const bytes = ring.alloc(3000);
      pattern(3000).copy(bytes);
      t.is(await runAs(form, ring, write(fd, bytes, { offset: 4321 })), 3000);
      const expected = Buffer.alloc(SIZE);
      pattern(3000).copy(expected, 4321);
      t.deepEqual(readFileSync(path), expected);
    });
  });

  test(`readv fills the buffers one after the other, whoever owns them (${form})`, async (t) => {
    const { fd, path } = file(t, pattern(SIZE));
    await withRing({}, async (ring) => {
      const buffers = [ring.alloc(100), Buffer.alloc(1), new Uint8Array(2000), ring.alloc(4096)];
      t.is(await runAs(form, ring, readv(fd, buffers, { offset: 7 })), 6197);
      t.deepEqual(Buffer.concat(buffers), readFileSync(path).subarray(7, 6204));
    });
  });

  test(`writev writes the buffers one after the other, whoever owns them (${form})`, async (t) => {
    const { fd, path } = file(t);
    await withRing({}, async (ring) => {
      const own = ring.alloc(100);
      pattern(100, 2).copy(own);
      const buffers = [pattern(10, 1), own, pattern(5000, 3)];
      t.is(await runAs(form, ring, writev(fd, buffers, { offset: 0 })), 5110);
      t.deepEqual(readFileSync(path), Buffer.concat(buffers));
    });
  });

  test(`writeFixed and readFixed move registered memory (${form})`, async (t) => {
    const { fd, path } = file(t);
    await withRing({}, async (ring) => {
      const bytes = ring.alloc(8192);
      pattern(8192, 5).copy(bytes);
      t.is(await runAs(form, ring, writeFixed(fd, bytes, { offset: 0 })), 8192);
      t.deepEqual(readFileSync(path), pattern(8192, 5));
      const back = ring.alloc(8192);
      t.is(await runAs(form, ring, readFixed(fd, back, { offset: 0 })), 8192);
      t.deepEqual(back, pattern(8192, 5));
    });
  });

  test(`fsync results in nothing, of all or of a range of the file (${form})`, async (t) => {
    const { fd } = file(t, pattern(SIZE));
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, fsync(fd)), undefined);
      t.is(await runAs(form, ring, fsync(fd, { dataOnly: true })), undefined);
      t.is(await runAs(form, ring, fsync(fd, { offset: 4096n, lengthBytes: 4096 })), undefined);
    });
  });

  test(`operations on a descriptor that is not open fail with EBADF, as node:fs does (${form})`, async (t) => {
    const bad = 1_000_000;
    const node = t.throws(() => readSync(bad, Buffer.alloc(1)), { code: 'EBADF' }) as NodeJS.ErrnoException;
    await withRing({}, async (ring) => {
      const memory = ring.alloc(64);
      const operations: [string, AnySingle][] = [
        ['read', read(bad, memory)],
        ['write', write(bad, memory)],
        ['readv', readv(bad, [memory])],
        ['writev', writev(bad, [memory])],
        ['fsync', fsync(bad)],
      ];
      for (const [syscall, operation] of operations) {
        const error = await t.throwsAsync(runAs(form, ring, operation), {
          instanceOf: UringError,
          code: 'EBADF',
          message: `EBADF: bad file descriptor, ${syscall}`,
        });
        t.is(error?.errno, node.errno);
        t.is(error?.syscall, syscall);
        t.false(error !== undefined && 'path' in error);
      }
      await assertUsable(t, ring);
    });
  });
}

test('readFixed and writeFixed on a descriptor that is not open fail with EBADF under their own names', async (t) => {
  await withRing({}, async (ring) => {
    const message = /^EBADF: bad file descriptor, (read|write)Fixed$/;
    await t.throwsAsync(ring.exec(readFixed(1_000_000, ring.alloc(64))), { code: 'EBADF', message });
    await t.throwsAsync(ring.exec(writeFixed(1_000_000, ring.alloc(64))), { code: 'EBADF', message });
  });
});

test('read of a directory fails with EISDIR', async (t) => {
  const fd = open(t, tmpDir(t));
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(read(fd, Buffer.alloc(10))), {
      code: 'EISDIR',
      message: /directory, read$/,
    });
    await t.throwsAsync(ring.exec(readv(fd, [Buffer.alloc(10)])), { code: 'EISDIR' });
  });
});

test('a descriptor that is open the other way fails with EBADF', async (t) => {
  const { path } = file(t, pattern(10));
  const [reader, writer] = [open(t, path, 'r'), open(t, path, 'a')];
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(write(reader, Buffer.from('x'))), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(read(writer, Buffer.alloc(1))), { code: 'EBADF' });
    t.deepEqual(readFileSync(path), pattern(10));
  });
});

test('a pipe has no positions: bytes come in their order, whatever the offset', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    t.is(await ring.exec(write(fd, Buffer.from('abc'))), 3);
    t.is(await ring.exec(write(fd, Buffer.from('def'), { offset: 1 })), 3);
    const buffer = Buffer.alloc(10);
    t.is(await ring.exec(read(fd, buffer)), 6);
    t.is(buffer.toString('latin1', 0, 6), 'abcdef');
  });
});

test('fsync of a pipe fails with EINVAL', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(fsync(fd)), { code: 'EINVAL', message: 'EINVAL: invalid argument, fsync' });
  });
});

test('any errno of the kernel becomes an error with its name, number and meaning', async (t) => {
  await withRing({}, async (ring) => {
    const cases: [number, string, string][] = [
      [-2, 'ENOENT', 'ENOENT: no such file or directory, nop'],
      [-5, 'EIO', 'EIO: i/o error, nop'],
      [-28, 'ENOSPC', 'ENOSPC: no space left on device, nop'],
      [-62, 'ETIME', 'ETIME: timer expired, nop'],
      [-116, 'ESTALE', 'ESTALE: stale file handle, nop'],
      [-122, 'EDQUOT', 'EDQUOT: disk quota exceeded, nop'],
      [-133, 'EHWPOISON', 'EHWPOISON: memory page has hardware error, nop'],
      [-4000, 'E4000', 'E4000: unknown error 4000, nop'],
    ];
    for (const [result, code, message] of cases) {
      const error = await t.throwsAsync(ring.exec(nop({ result })), {
        instanceOf: UringError,
        code,
        message,
      });
      t.is(error?.errno, result);
      t.is(error?.name, 'UringError');
    }
  });
});

test('without an offset the position of the file is used and moved; with one it is not', async (t) => {
  const { fd } = file(t, Buffer.from('0123456789'));
  const text = async (ring: Ring, length: number, options?: { offset: number | bigint }) => {
    const buffer = Buffer.alloc(length);
    const bytes = await ring.exec(read(fd, buffer, options));
    return buffer.toString('latin1', 0, bytes);
  };
  await withRing({}, async (ring) => {
    t.is(await text(ring, 3), '012');
    t.is(await text(ring, 2, { offset: 7 }), '78');
    t.is(await text(ring, 2, { offset: 0 }), '01');
    t.is(await text(ring, 2, { offset: CURRENT_POSITION }), '34');
    t.is(await text(ring, 1, { offset: -1n }), '5');
    const next = Buffer.alloc(1);
    t.is(readSync(fd, next), 1);
    t.is(next.toString(), '6', 'node:fs goes on where the ring stopped');
    t.is(await ring.exec(write(fd, Buffer.from('X'))), 1);
    t.is(await text(ring, 10, { offset: 0 }), '0123456X89');
  });
});

test('a read at the end of the file is short, one behind it answers 0', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    for (const make of [() => ring.alloc(64), () => Buffer.alloc(64)]) {
      const buffer = make().fill(0xee);
      t.is(await ring.exec(read(fd, buffer, { offset: 90 })), 10);
      t.deepEqual(buffer.subarray(0, 10), pattern(100).subarray(90));
      t.true(
        buffer.subarray(10).every((byte) => byte === 0xee),
        'what was not read stays as it was',
      );
      t.is(await ring.exec(read(fd, buffer, { offset: 100 })), 0);
      t.is(await ring.exec(read(fd, buffer, { offset: 5000 })), 0);
    }
    const parts = [Buffer.alloc(4, 0xee), ring.alloc(4).fill(0xee), Buffer.alloc(4, 0xee)];
    t.is(await ring.exec(readv(fd, parts, { offset: 94 })), 6);
    const expected = Buffer.concat([pattern(100).subarray(94), Buffer.alloc(6, 0xee)]);
    t.deepEqual(Buffer.concat(parts), expected);
  });
});

for (const offset of [2 ** 32 - 3, 2 ** 32, 2 ** 33 + 5, 12_345_678_901n, 2 ** 43 + 1]) {
  test(`offset ${offset} of a sparse file is that offset, and nothing is cut to 32 bits`, async (t) => {
    const { fd } = file(t, Buffer.from('start'));
    ftruncateSync(fd, Number(offset));
    await withRing({}, async (ring) => {
      t.is(await ring.exec(write(fd, Buffer.from('far away'), { offset })), 8);
      const buffer = Buffer.alloc(8);
      t.is(readSync(fd, buffer, 0, 8, Number(offset)), 8);
      t.is(buffer.toString(), 'far away');
      t.is(await ring.exec(read(fd, buffer.fill(0), { offset: Number(offset) + 4 })), 4);
      t.is(buffer.toString('latin1', 0, 4), 'away');
      t.is(await ring.exec(read(fd, buffer, { offset: 0 })), 8);
      t.is(buffer.toString('latin1'), 'start\0\0\0');
    });
  });
}

test('the offset of an operation may be changed between runs', async (t) => {
  const { fd } = file(t, Buffer.from('abcdefgh'));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(1);
    const operation = read(fd, buffer, { offset: 0 });
    let text = '';
    for (const offset of [7, 0, 3]) {
      operation.offset = offset;
      t.is(await ring.exec(operation), 1);
      text += buffer.toString();
    }
    t.is(text, 'had');
  });
});

test('one operation can be started many times at once', async (t) => {
  const { fd, path } = file(t);
  const appender = open(t, path, 'a');
  await withRing({ entries: 4 }, async (ring) => {
    const operation = write(appender, Buffer.from('ab'));
    const results = await Promise.all(Array.from({ length: 50 }, () => ring.exec(operation)));
    t.deepEqual(results, Array(50).fill(2));
    t.is(readFileSync(fd, 'latin1'), 'ab'.repeat(50));
  });
});

test('what is written is the buffer at the time of the call, for buffers that are copied', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    const bytes = Buffer.from('before');
    const done = ring.exec(write(fd, bytes, { offset: 0 }));
    bytes.write('after!');
    await done;
    t.is(readFileSync(path, 'utf8'), 'before');
  });
});

test('rwFlags reach the kernel: RWF_APPEND writes at the end whatever the offset', async (t) => {
  const { fd, path } = file(t, Buffer.from('head'));
  await withRing({}, async (ring) => {
    t.is(await ring.exec(write(fd, Buffer.from('tail'), { offset: 0, rwFlags: 0x10 })), 4);
    t.is(readFileSync(path, 'utf8'), 'headtail');
    await t.throwsAsync(ring.exec(read(fd, Buffer.alloc(1), { offset: 0, rwFlags: 0x8000_0000 })), {
      code: 'ENOTSUP', // as Node calls errno 95
    });
  });
});

test('ioprio reaches the kernel, which refuses a class that does not exist', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const bestEffort = (2 << 13) | 4;
    t.is(await ring.exec(read(fd, ring.alloc(10), { offset: 0, ioprio: bestEffort })), 10);
    await t.throwsAsync(ring.exec(read(fd, ring.alloc(10), { offset: 0, ioprio: 7 << 13 })), {
      code: 'EINVAL',
    });
  });
});

test('vectors of 1 and of 1024 buffers are written and read back', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    for (const count of [1, 1024]) {
      ftruncateSync(fd);
      const parts = Array.from({ length: count }, (_, at) => pattern(3, at + 1));
      t.is(await ring.exec(writev(fd, parts, { offset: 0 })), count * 3);
      t.deepEqual(readFileSync(path), Buffer.concat(parts));
      const back = parts.map((part, at) => (at % 2 === 0 ? ring.alloc(part.length) : Buffer.alloc(3)));
      t.is(await ring.exec(readv(fd, back, { offset: 0 })), count * 3);
      t.deepEqual(Buffer.concat(back), Buffer.concat(parts));
    }
  });
});

function directIoIsChecked(): boolean {
  try {
    const path = new URL(import.meta.url).pathname;
    const flags = constants.O_RDONLY | constants.O_DIRECT;
    return readFileSync(path, { flag: flags as unknown as string }) === undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EINVAL';
  }
}

const whenDirect = skipUnless(directIoIsChecked(), 'a file system that checks the alignment of O_DIRECT');

whenDirect('O_DIRECT reads aligned ring memory, and fails with EINVAL where it is not aligned', async (t) => {
  const { path } = file(t, pattern(16_384));
  const fd = open(t, path, constants.O_RDONLY | constants.O_DIRECT);
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(8192);
    t.is(await ring.exec(read(fd, buffer, { offset: 4096 })), 8192);
    t.deepEqual(buffer, pattern(16_384).subarray(4096, 12_288));
    const einval = { code: 'EINVAL', message: 'EINVAL: invalid argument, read' };
    await t.throwsAsync(ring.exec(read(fd, buffer, { offset: 100 })), einval);
    await t.throwsAsync(ring.exec(read(fd, buffer.subarray(0, 100), { offset: 0 })), einval);
    await t.throwsAsync(ring.exec(read(fd, buffer.subarray(1, 4097), { offset: 0 })), einval);
    await assertUsable(t, ring);
  });
});

whenDirect('O_DIRECT takes a user buffer too: its copy is aligned', async (t) => {
  const { path } = file(t, pattern(16_384));
  const fd = open(t, path, constants.O_RDWR | constants.O_DIRECT);
  await withRing({}, async (ring) => {
    const odd = Buffer.alloc(4097).subarray(1);
    t.is(await ring.exec(read(fd, odd, { offset: 8192 })), 4096);
    t.deepEqual(odd, pattern(16_384).subarray(8192, 12_288));
    t.is(await ring.exec(write(fd, pattern(4096, 9), { offset: 0 })), 4096);
    t.deepEqual(readFileSync(path).subarray(0, 4096), pattern(4096, 9));
  });
});

test('what node:fs wrote between two reads is seen by the second', async (t) => {
  const { fd } = file(t, Buffer.from('one'));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(3);
    await ring.exec(read(fd, buffer, { offset: 0 }));
    t.is(buffer.toString(), 'one');
    writeSync(fd, 'two', 0);
    await ring.exec(read(fd, buffer, { offset: 0 }));
    t.is(buffer.toString(), 'two');
  });
});
