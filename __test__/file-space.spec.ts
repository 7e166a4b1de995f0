// The space that files take, advice about files and memory, and syncing ranges.
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  FallocateMode,
  type FileAdvice,
  fadvise,
  fallocate,
  ftruncate,
  type MemoryAdvice,
  madvise,
  pipe,
  Ring,
  read,
  SyncFileRangeFlags,
  syncFileRange,
  write,
} from 'uring';
import { assertUsable, FORMS, fifo, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const { COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, PUNCH_HOLE, UNSHARE_RANGE, WRITE_ZEROES, ZERO_RANGE } =
  FallocateMode;

for (const form of FORMS) {
  test(`fallocate gives a file blocks and a size, beyond 4 GiB too (${form})`, async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, fallocate(fd, 65_536)), undefined);
      t.is(statSync(path).size, 65_536);
      t.true(statSync(path).blocks * 512 >= 65_536);
      await runAs(form, ring, fallocate(fd, 4096, { offset: 2 ** 33, mode: KEEP_SIZE }));
      t.is(statSync(path).size, 65_536);
      t.true(statSync(path).blocks * 512 >= 65_536 + 4096);
      await runAs(form, ring, fallocate(fd, 4096n, { offset: 2n ** 33n }));
      t.is(statSync(path).size, 2 ** 33 + 4096);
    });
  });

  test(`ftruncate makes a file larger and smaller, beyond 4 GiB too (${form})`, async (t) => {
    const { path, fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, ftruncate(fd, 2 ** 34 + 1)), undefined);
      t.is(statSync(path).size, 2 ** 34 + 1);
      await runAs(form, ring, ftruncate(fd, 7n));
      t.deepEqual(readFileSync(path), pattern(100).subarray(0, 7));
    });
  });

  test(`fadvise takes every advice, for ranges of 32 and of 64 bits (${form})`, async (t) => {
    const { fd } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      const all: FileAdvice[] = ['normal', 'random', 'sequential', 'willneed', 'dontneed', 'noreuse'];
      for (const advice of all) {
        t.is(await runAs(form, ring, fadvise(fd, advice)), undefined, advice);
        await runAs(form, ring, fadvise(fd, advice, { offset: 10, lengthBytes: 2 ** 32 - 1 }));
        await runAs(form, ring, fadvise(fd, advice, { offset: 2 ** 33, lengthBytes: 2n ** 33n }));
      }
    });
  });

  test(`madvise takes every advice that leaves memory usable (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const memory = ring.alloc(1 << 20);
      pattern(1 << 20).copy(memory);
      for (const advice of HARMLESS) {
        t.is(await runAs(form, ring, madvise(memory, advice)), undefined, advice);
      }
      t.deepEqual(memory, pattern(1 << 20));
    });
  });

  test(`syncFileRange writes pages out, with each of its flags (${form})`, async (t) => {
    const { fd } = file(t, pattern(10_000));
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, syncFileRange(fd)), undefined);
      for (const syncFlags of [0, ...Object.values(SyncFileRangeFlags)]) {
        await runAs(form, ring, syncFileRange(fd, { offset: 4096, lengthBytes: 100, syncFlags }));
      }
    });
  });
}

const HARMLESS: readonly MemoryAdvice[] = [
  'normal',
  'random',
  'sequential',
  'willneed',
  'mergeable',
  'unmergeable',
  'hugepage',
  'nohugepage',
  'dontdump',
  'dodump',
  'cold',
  'pageout',
  'populateRead',
  'populateWrite',
];

const BLOCK = 4096;

test('fallocate with PUNCH_HOLE takes blocks away and leaves zeros', async (t) => {
  const { path, fd } = file(t, pattern(8 * BLOCK));
  await withRing({}, async (ring) => {
    const before = statSync(path).blocks;
    await ring.exec(fallocate(fd, 2 * BLOCK, { offset: BLOCK, mode: PUNCH_HOLE | KEEP_SIZE }));
    const after = readFileSync(path);
    t.is(after.length, 8 * BLOCK);
    t.true(after.subarray(BLOCK, 3 * BLOCK).every((byte) => byte === 0));
    t.deepEqual(after.subarray(3 * BLOCK), pattern(8 * BLOCK).subarray(3 * BLOCK));
    t.true(statSync(path).blocks < before);
    // Without KEEP_SIZE the kernel has no such thing (vfs_fallocate in fs/open.c).
    await t.throwsAsync(ring.exec(fallocate(fd, BLOCK, { mode: PUNCH_HOLE })), { code: 'ENOTSUP' });
  });
});

test('fallocate with ZERO_RANGE, COLLAPSE_RANGE and INSERT_RANGE changes what the file holds', async (t) => {
  const content = pattern(4 * BLOCK);
  const { path, fd } = file(t, content);
  await withRing({}, async (ring) => {
    await ring.exec(fallocate(fd, BLOCK, { mode: ZERO_RANGE }));
    t.deepEqual(readFileSync(path), Buffer.concat([Buffer.alloc(BLOCK), content.subarray(BLOCK)]));
    await ring.exec(fallocate(fd, BLOCK, { mode: COLLAPSE_RANGE }));
    t.deepEqual(readFileSync(path), content.subarray(BLOCK));
    await ring.exec(fallocate(fd, BLOCK, { offset: BLOCK, mode: INSERT_RANGE }));
    const [first, rest] = [content.subarray(BLOCK, 2 * BLOCK), content.subarray(2 * BLOCK)];
    t.deepEqual(readFileSync(path), Buffer.concat([first, Buffer.alloc(BLOCK), rest]));
    await t.throwsAsync(ring.exec(fallocate(fd, 100, { mode: COLLAPSE_RANGE })), { code: 'EINVAL' });
  });
});

test('fallocate modes that the file system lacks are answered by it', async (t) => {
  // Of all these tmpfs has only holes (mm/shmem.c).
  const dir = mkdtempSync('/dev/shm/uring-test-');
  const fd = openSync(join(dir, 'file'), 'w+');
  t.teardown(() => rmSync(dir, { recursive: true }));
  t.teardown(() => closeSync(fd));
  await withRing({}, async (ring) => {
    for (const mode of [COLLAPSE_RANGE, INSERT_RANGE, ZERO_RANGE, UNSHARE_RANGE, WRITE_ZEROES]) {
      const error = await t.throwsAsync(ring.exec(fallocate(fd, BLOCK, { mode })), { code: 'ENOTSUP' });
      t.like(error, { syscall: 'fallocate' });
    }
  });
});

test('space operations fail as their system calls do', async (t) => {
  const { path } = file(t, pattern(10));
  const readOnly = open(t, path, 'r');
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(fallocate(readOnly, 10)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(fallocate(fd, 10)), { code: 'ESPIPE' });
    await t.throwsAsync(ring.exec(fallocate(1_000_000, 10)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(ftruncate(readOnly, 0)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(ftruncate(fd, 0)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(fadvise(fd, 'random')), { code: 'ESPIPE' });
    await t.throwsAsync(ring.exec(syncFileRange(fd)), { code: 'ESPIPE' });
    t.is(fstatSync(readOnly).size, 10);
    await assertUsable(t, ring);
  });
});

test('fallocate of a range beyond the largest file fails with EFBIG', async (t) => {
  const { fd } = file(t);
  await withRing({}, async (ring) => {
    const error = await t.throwsAsync(ring.exec(fallocate(fd, 1, { offset: 2 ** 53 - 2 })));
    t.like(error, { code: 'EFBIG', syscall: 'fallocate', message: 'EFBIG: file too large, fallocate' });
  });
});

test('madvise does not take pages away that are registered with the kernel', async (t) => {
  await withRing({}, async (ring) => {
    const memory = ring.alloc(8192);
    memory.fill(7);
    for (const advice of ['dontneed', 'free'] as const) {
      await t.throwsAsync(ring.exec(madvise(memory, advice)), {
        code: 'ERR_URING_MEMORY_REGISTERED',
        message: /^madvise was not submitted: its memory is registered with the kernel/,
      });
    }
    t.true(memory.every((byte) => byte === 7));
    await assertUsable(t, ring);
  });
});

test('madvise dontneed empties memory that is not registered, and nothing beside it', async (t) => {
  await withRing({}, async (ring) => {
    const { readFd, writeFd } = await ring.exec(pipe());
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 4096 });
    await ring.exec(write(writeFd, Buffer.alloc(8192, 7)));
    const first = await ring.exec(read(readFd, buffers));
    const second = await ring.exec(read(readFd, buffers));
    t.deepEqual([first?.data.length, second?.data.length], [4096, 4096]);
    await ring.exec(madvise(first?.data as Buffer, 'dontneed'));
    t.true(first?.data.every((byte) => byte === 0));
    t.true(second?.data.every((byte) => byte === 7));
    first?.release();
    second?.release();
    closeSync(readFd);
    closeSync(writeFd);
  });
});

test('madvise refuses memory that is not of this ring, before anything is submitted', async (t) => {
  await withRing({}, async (ring) => {
    const other = new Ring();
    t.teardown(() => other.close());
    const before = ring.stats().submitted;
    const foreign = Buffer.from(new ArrayBuffer(4096));
    for (const memory of [foreign, other.alloc(4096)]) {
      await t.throwsAsync(ring.exec(madvise(memory, 'cold')), {
        code: 'ERR_URING_FOREIGN_MEMORY',
        message: 'the buffer is not memory of this ring: take it from ring.alloc()',
      });
    }
    t.is(ring.stats().submitted, before);
    await assertUsable(t, ring);
  });
});
