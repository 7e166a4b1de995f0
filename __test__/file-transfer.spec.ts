// Reading and writing beyond plain buffers: buffer rings, one registered arena, flags, priorities, write streams.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  type BufferLease,
  ioprio,
  type Pipe,
  pipe,
  Ring,
  RwFlags,
  read,
  readMultishot,
  readvFixed,
  type UringError,
  write,
  writev,
  writevFixed,
} from 'uring';
import { assertUsable, FORMS, fifo, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import { settle, soon, until } from './_until.ts';

leakCheck(test);

const EBADFD_TEXT = 'EBADFD: file descriptor in bad state, readMultishot';

function closePipe({ readFd, writeFd }: Pipe): void {
  closeSync(readFd);
  closeSync(writeFd);
}

for (const form of FORMS) {
  test(`read takes a buffer from a ring and lends it (${form})`, async (t) => {
    const { fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 64 });
      const lease = (await runAs(form, ring, read(fd, buffers, { offset: 10 }))) as BufferLease;
      t.deepEqual(lease.data, pattern(100).subarray(10, 74));
      t.is(buffers.lent, 1);
      const rest = (await runAs(form, ring, read(fd, buffers, { offset: 90 }))) as BufferLease;
      t.deepEqual(rest.data, pattern(100).subarray(90));
      lease.release();
      rest.release();
    });
  });

  test(`read with a buffer ring results in null at the end of the file, and keeps no buffer (${form})`, async (t) => {
    const { fd } = file(t, pattern(10));
    await withRing({}, async (ring) => {
      const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 64 });
      for (let round = 0; round < 3; round += 1) {
        t.is(await runAs(form, ring, read(fd, buffers, { offset: 10 })), null);
      }
      ring.submit();
      t.is(buffers.lent, 0);
    });
  });

  test(`read with a buffer ring fails with ENOBUFS when every buffer is lent (${form})`, async (t) => {
    const { fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
      const lease = await runAs(form, ring, read(fd, buffers, { offset: 0 }));
      await t.throwsAsync(runAs(form, ring, read(fd, buffers, { offset: 0 })), { code: 'ENOBUFS' });
      lease?.release();
      const again = await runAs(form, ring, read(fd, buffers, { offset: 0 }));
      t.is(again?.data.length, 8);
      again?.release();
    });
  });

  test(`readvFixed and writevFixed move bytes between a file and one registered arena (${form})`, async (t) => {
    const { path, fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      const memory = ring.alloc(4096);
      const parts = [memory.subarray(0, 30), memory.subarray(1000, 1050)];
      t.is(await runAs(form, ring, readvFixed(fd, parts, { offset: 5 })), 80);
      t.deepEqual(Buffer.concat(parts), pattern(100).subarray(5, 85));
      t.is(await runAs(form, ring, writevFixed(fd, [...parts].reverse(), { offset: 0 })), 80);
      const expected = [...parts].reverse();
      t.deepEqual(readFileSync(path).subarray(0, 80), Buffer.concat(expected));
    });
  });

  test(`readvFixed refuses memory that is not of one registered arena (${form})`, async (t) => {
    const { fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      const code = 'ERR_URING_NOT_REGISTERED';
      const own = ring.alloc(64);
      const foreign = Buffer.alloc(8);
      // Above 256 KiB each has an arena of its own.
      const several = [ring.alloc(1 << 18).subarray(0, 8), ring.alloc(1 << 18).subarray(0, 8)];
      await t.throwsAsync(async () => runAs(form, ring, readvFixed(fd, [own, foreign])), {
        code,
        message: /not registered memory: .* or use readv and writev/,
      });
      await t.throwsAsync(async () => runAs(form, ring, writevFixed(fd, several)), {
        code,
        message: /several arenas: cut them from one ring.alloc\(\)/,
      });
      await assertUsable(t, ring);
    });
  });
}

test('readMultishot yields what is written to a pipe until the pipe ends', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
    const { readFd, writeFd } = await ring.exec(pipe());
    const stream = ring.multishot(readMultishot(readFd, buffers));
    const words: string[] = [];
    for (const word of ['one', 'two', 'three', 'four', 'five', 'six']) {
      await ring.exec(write(writeFd, Buffer.from(word)));
      const { value } = await soon(stream.next(), word);
      words.push(String(value?.data));
      value?.release();
    }
    t.deepEqual(words, ['one', 'two', 'three', 'four', 'five', 'six']);
    closeSync(writeFd);
    t.deepEqual(await soon(stream.next(), 'the end'), { done: true, value: undefined });
    ring.submit();
    t.is(buffers.lent, 0);
    closeSync(readFd);
  });
});

test('readMultishot waits while every buffer is lent, and goes on when one comes back', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 4 });
    const ends = await ring.exec(pipe());
    const stream = ring.multishot(readMultishot(ends.readFd, buffers));
    await ring.exec(write(ends.writeFd, Buffer.from('12345678')));
    const first = (await soon(stream.next(), 'the first half')).value;
    const second = stream.next();
    await until(() => ring.inFlight === 0);
    first?.release();
    const { value } = await soon(second, 'the second half');
    t.is(String(value?.data), '5678');
    value?.release();
    await stream.return();
    closePipe(ends);
  });
});

test('readMultishot from a registered file and by callback has more completions to come', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles();
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
    const { readFd, writeFd } = await ring.exec(pipe({ direct: true }));
    const seen: [string, boolean][] = [];
    const operation = readMultishot(readFd, buffers);
    ring.start(operation, (error, lease, completion) => {
      if (error !== null) return void seen.push([error.code, completion.hasMore]);
      seen.push([String(lease?.data), completion.hasMore]);
      lease?.release();
    });
    await ring.exec(write(writeFd, Buffer.from('a')));
    await until(() => seen.length === 1);
    await ring.exec(write(writeFd, Buffer.from('b')));
    await until(() => seen.length === 2);
    t.deepEqual(seen, [
      ['a', true],
      ['b', true],
    ]);
  });
});

test('readMultishot that waits ends with its ring, and so does a read that waits for a buffer', async (t) => {
  const fd = fifo(t);
  const ring = new Ring();
  const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 16 });
  const ends = [ring.multishot(readMultishot(fd, buffers)).next(), ring.exec(read(fd, buffers))];
  const codes = ends.map((promise) => promise.catch((error: UringError) => error.code));
  await settle();
  await soon(ring.close(), 'the end of the ring');
  t.deepEqual(await Promise.all(codes), ['ECANCELED', 'ECANCELED']);
});

test('readMultishot of a regular file fails with EBADFD', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 16 });
    const stream = ring.multishot(readMultishot(fd, buffers));
    await t.throwsAsync(stream.next(), { code: 'EBADFD', message: EBADFD_TEXT });
    await assertUsable(t, ring);
  });
});

test('readMultishot of a closed descriptor fails with EBADF', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 16 });
    await t.throwsAsync(ring.multishot(readMultishot(1_000_000, buffers)).next(), { code: 'EBADF' });
  });
});

test('RwFlags.APPEND writes at the end, wherever the offset is', async (t) => {
  const { path, fd } = file(t, Buffer.from('head'));
  await withRing({}, async (ring) => {
    const options = { offset: 0, rwFlags: RwFlags.APPEND };
    t.is(await ring.exec(write(fd, Buffer.from('tail'), options)), 4);
    t.is(readFileSync(path, 'utf8'), 'headtail');
  });
});

test('RwFlags.NOAPPEND writes at the offset although the file is open for appending', async (t) => {
  const { path } = file(t, Buffer.from('head'));
  const fd = open(t, path, constants.O_WRONLY | constants.O_APPEND);
  await withRing({}, async (ring) => {
    const bytes = Buffer.from('H');
    t.is(await ring.exec(write(fd, bytes, { offset: 0 })), 1);
    t.is(readFileSync(path, 'utf8'), 'headH');
    t.is(await ring.exec(write(fd, bytes, { offset: 0, rwFlags: RwFlags.NOAPPEND })), 1);
    t.is(readFileSync(path, 'utf8'), 'HeadH');
  });
});

test('RwFlags.NOWAIT answers EAGAIN where a read would wait', async (t) => {
  await withRing({}, async (ring) => {
    const ends = await ring.exec(pipe());
    const reading = read(ends.readFd, ring.alloc(8), { rwFlags: RwFlags.NOWAIT });
    await t.throwsAsync(ring.exec(reading), { code: 'EAGAIN' });
    closePipe(ends);
  });
});

test('RwFlags.DSYNC, SYNC and DONTCACHE write as usual, and a bit that means nothing is refused', async (t) => {
  const { path, fd } = file(t);
  await withRing({}, async (ring) => {
    for (const [at, rwFlags] of [RwFlags.DSYNC, RwFlags.SYNC, RwFlags.DONTCACHE].entries()) {
      t.is(await ring.exec(write(fd, Buffer.from([65 + at]), { offset: at, rwFlags })), 1);
    }
    t.is(readFileSync(path, 'utf8'), 'ABC');
    const nonsense = write(fd, Buffer.from('x'), { rwFlags: 1 << 20 });
    await t.throwsAsync(ring.exec(nonsense), { code: 'ENOTSUP' });
    // Polling for completions is for rings and files that are made for it.
    const polled = read(fd, ring.alloc(8), { offset: 0, rwFlags: RwFlags.HIPRI });
    await t.throwsAsync(ring.exec(polled), { code: 'EINVAL' });
  });
});

test('RwFlags.ATOMIC is refused where the file system cannot promise it', async (t) => {
  const fd = openSync('/dev/null', 'w');
  t.teardown(() => closeSync(fd));
  await withRing({}, async (ring) => {
    const atomic = write(fd, Buffer.alloc(512), { offset: 0, rwFlags: RwFlags.ATOMIC });
    await t.throwsAsync(ring.exec(atomic), { code: 'ENOTSUP' });
  });
});

test('ioprio makes the numbers of ioprio_set(2), and the kernel takes them', async (t) => {
  t.is(ioprio({ class: 'realtime', level: 0 }), 0x2000);
  t.is(ioprio({ class: 'bestEffort' }), 0x4004);
  t.is(ioprio({ class: 'bestEffort', level: 7 }), 0x4007);
  t.is(ioprio({ class: 'idle' }), 0x6000);
  const { fd } = file(t, pattern(8));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(8);
    for (const priority of [{ class: 'idle' }, { class: 'bestEffort', level: 0 }] as const) {
      t.is(await ring.exec(read(fd, buffer, { offset: 0, ioprio: ioprio(priority) })), 8);
    }
    // Class 7 does not exist (ioprio_check_cap in block/ioprio.c).
    await t.throwsAsync(ring.exec(read(fd, buffer, { ioprio: 7 << 13 })), { code: 'EINVAL' });
  });
});

/** Writes in every way that takes a stream. */
async function writeInStream(ring: Ring, fd: number, writeStream: number): Promise<number> {
  const bytes = ring.alloc(4);
  bytes.write('data');
  const one = await ring.exec(write(fd, bytes, { offset: 0, writeStream }));
  const list = await ring.exec(writev(fd, [Buffer.from('data')], { offset: 4, writeStream }));
  return one + list + (await ring.exec(writevFixed(fd, [bytes], { offset: 8, writeStream })));
}

test('a write stream changes nothing for a file system that has none', async (t) => {
  const path = join(tmpDir(t), 'file');
  const fd = openSync(path, 'w');
  t.teardown(() => closeSync(fd));
  await withRing({}, async (ring) => {
    t.is(await writeInStream(ring, fd, 1), 12);
    t.is(readFileSync(path, 'utf8'), 'datadatadata');
    t.is(fstatSync(fd).size, 12);
  });
});
