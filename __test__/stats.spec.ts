// What statx answers, beside what node:fs answers about the same files.
import { execFileSync } from 'node:child_process';
import {
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  type BigIntStats as NodeBigIntStats,
  type Stats as NodeStats,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BigIntStats, Stats, StatxAttributes, StatxMask, statx, UringError } from 'uring';
import { FORMS, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import { KINDS, NUMBERS, TIMES } from './_stats.ts';

leakCheck(test);

const NANOSECONDS = ['atimeNs', 'mtimeNs', 'ctimeNs', 'birthtimeNs'] as const;

type Any = Stats | BigIntStats | NodeStats | NodeBigIntStats;

/** Everything that both have, so that two can be compared. */
const shown = (stats: Any) => ({
  ...Object.fromEntries(NUMBERS.map((name) => [name, stats[name]])),
  ...Object.fromEntries(TIMES.map((name) => [name, stats[name].toISOString()])),
  ...Object.fromEntries(KINDS.map((name) => [name, stats[name]()])),
});

const nanoseconds = (stats: Stats | BigIntStats | NodeBigIntStats) => NANOSECONDS.map((name) => stats[name]);

/** Files of every kind there is, by name. */
async function kinds(t: ExecutionContext<unknown>): Promise<ReadonlyMap<string, string>> {
  const dir = tmpDir(t);
  const at = (name: string) => join(dir, name);
  writeFileSync(at('file'), pattern(12_345));
  writeFileSync(at('empty'), '');
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), 2 ** 40 + 1);
  writeFileSync(at('old'), '');
  // Before 1970, where seconds are negative and nanoseconds are not.
  utimesSync(at('old'), -86_400.75, -0.25);
  mkdirSync(at('directory'));
  linkSync(at('file'), at('more'));
  symlinkSync('file', at('link'));
  symlinkSync('nowhere', at('dangling'));
  execFileSync('mkfifo', [at('fifo')]);
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const names = ['file', 'empty', 'sparse', 'old', 'directory', 'more', 'link', 'dangling', 'fifo', 'socket'];
  const others = ['/dev/null', '/dev/zero', '/proc/self/status', '/sys', '/', '/dev/shm'];
  return new Map([
    ...names.map((name) => [name, at(name)] as const),
    ...others.map((path) => [path, path] as const),
  ]);
}

for (const form of FORMS) {
  test(`statx answers what node:fs answers, for every kind of file and in both forms (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      for (const [name, path] of await kinds(t)) {
        const options = { followSymlink: false };
        const stats = await runAs(form, ring, statx(path, options));
        t.true(stats instanceof Stats);
        t.deepEqual(shown(stats), shown(lstatSync(path)), name);
        const exact = await runAs(form, ring, statx(path, { ...options, bigint: true }));
        const expected = lstatSync(path, { bigint: true });
        t.true(exact instanceof BigIntStats);
        t.deepEqual(shown(exact), shown(expected), name);
        t.deepEqual(nanoseconds(exact), nanoseconds(expected), name);
        t.deepEqual(nanoseconds(stats), nanoseconds(expected), name);
      }
    });
  });

  test(`statx of a descriptor is of that file, whatever its name is now (${form})`, async (t) => {
    const { path, fd } = file(t, pattern(77));
    await withRing({}, async (ring) => {
      t.deepEqual(shown(await runAs(form, ring, statx(fd))), shown(fstatSync(fd)));
      t.deepEqual(shown(await runAs(form, ring, statx(path))), shown(fstatSync(fd)));
      const exact = await runAs(form, ring, statx(fd, { bigint: true }));
      t.is(exact.size, 77n);
      const error = await t.throwsAsync(runAs(form, ring, statx(1_000_000)), { instanceOf: UringError });
      t.like(error, { code: 'EBADF', syscall: 'statx', path: undefined });
      t.is(error?.message, 'EBADF: bad file descriptor, statx');
    });
  });
}

test('a Stats keeps its answer when the memory is used for the next one', async (t) => {
  const { path } = file(t, pattern(5));
  await withRing({}, async (ring) => {
    const first = await ring.exec(statx(path));
    const [mtimeNs, mask] = [first.mtimeNs, first.statx.mask];
    for (const other of ['/', '/dev/null', '/proc']) await ring.exec(statx(other));
    t.deepEqual([first.mtimeNs, first.statx.mask, first.size], [mtimeNs, mask, 5]);
  });
});

test('what only statx has is there when it is asked for', async (t) => {
  const { path } = file(t, pattern(5));
  const all = Object.values(StatxMask).reduce<number>((mask, bit) => mask | bit, 0);
  await withRing({}, async (ring) => {
    const { statx: fields } = await ring.exec(statx(path, { mask: all }));
    t.is(fields.mask & StatxMask.BASIC_STATS, StatxMask.BASIC_STATS);
    t.true((fields.mountId as bigint) > 0n);
    t.is(typeof fields.dioMemoryAlignBytes, 'number');
    t.is(typeof fields.dioOffsetAlignBytes, 'number');
    t.is(fields.attributes & StatxAttributes.IMMUTABLE, 0);
    t.is(fields.attributesMask & StatxAttributes.IMMUTABLE, StatxAttributes.IMMUTABLE);
    // Whether there is one of these is the file system's affair, and says so in its mask.
    const hasAtomic = (fields.mask & StatxMask.WRITE_ATOMIC) !== 0;
    for (const name of ['atomicWriteMinBytes', 'atomicWriteMaxBytes', 'atomicWriteSegmentsMax'] as const) {
      t.is(fields[name] !== undefined, hasAtomic, name);
    }
    t.is(fields.atomicWriteOptimalMaxBytes !== undefined, hasAtomic);
    t.is(fields.subvolume !== undefined, (fields.mask & StatxMask.SUBVOL) !== 0);
    t.is(fields.dioReadOffsetAlignBytes !== undefined, (fields.mask & StatxMask.DIO_READ_ALIGN) !== 0);
  });
});

test('what only statx has is undefined when it is not asked for', async (t) => {
  await withRing({}, async (ring) => {
    const { statx: fields } = await ring.exec(statx('/dev/null', { mask: StatxMask.TYPE }));
    t.is(fields.dioMemoryAlignBytes, undefined);
    t.is(fields.dioOffsetAlignBytes, undefined);
    t.is(fields.subvolume, undefined);
    t.is(fields.atomicWriteMinBytes, undefined);
  });
});

test('MNT_ID_UNIQUE gives a number that MNT_ID does not, and the root of a mount says so', async (t) => {
  await withRing({}, async (ring) => {
    const old = await ring.exec(statx('/proc', { mask: StatxMask.MNT_ID }));
    const unique = await ring.exec(statx('/proc', { mask: StatxMask.MNT_ID_UNIQUE }));
    t.not(old.statx.mountId, unique.statx.mountId);
    t.is(old.statx.attributes & StatxAttributes.MOUNT_ROOT, StatxAttributes.MOUNT_ROOT);
    const below = await ring.exec(statx('/proc/self', { mask: StatxMask.MNT_ID }));
    t.is(below.statx.mountId, old.statx.mountId);
    t.is(below.statx.attributes & StatxAttributes.MOUNT_ROOT, 0);
  });
});

test('statx follows a link at the end of the path unless it is told not to', async (t) => {
  const dir = tmpDir(t);
  writeFileSync(join(dir, 'file'), 'text');
  symlinkSync('file', join(dir, 'link'));
  const dirFd = open(t, dir);
  await withRing({}, async (ring) => {
    t.is((await ring.exec(statx('link', { dirFd }))).size, 4);
    t.true((await ring.exec(statx('link', { dirFd, followSymlink: false }))).isSymbolicLink());
    t.true((await ring.exec(statx('', { dirFd }))).isDirectory());
  });
});
