import {
  fstatSync,
  lstatSync,
  mkdirSync,
  type Stats as NodeStats,
  openSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { AT_FDCWD, close, FixedFile, openat, read, type Stats, statx, UringError, write } from 'uring';
import { assertUsable, FORMS, fifo, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { KINDS, NUMBERS, TIMES } from './_stats.ts';

leakCheck(test);

for (const form of FORMS) {
  test(`openat results in a descriptor that node:fs can read, close ends it (${form})`, async (t) => {
    const { path } = file(t, Buffer.from('content'));
    await withRing({}, async (ring) => {
      const fd = await runAs(form, ring, openat(path));
      const buffer = Buffer.alloc(7);
      t.is(readSync(fd, buffer), 7);
      t.is(buffer.toString(), 'content');
      t.is(await runAs(form, ring, close(fd)), undefined);
      t.not(openFds().get(fd), path);
    });
  });

  test(`openat into a slot of the kernel's choice opens a file without a descriptor (${form})`, async (t) => {
    const { path } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      ring.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
      const opened = await runAs(form, ring, openat(path, { direct: true }));
      t.true(opened instanceof FixedFile);
      t.true(opened.slot >= 2 && opened.slot < 4, `slot ${opened.slot} is of the kernel's range`);
      t.is(ring.stats().fileSlots, 1);
      const buffer = ring.alloc(100);
      t.is(await runAs(form, ring, read(opened, buffer, { offset: 0 })), 100);
      t.deepEqual(buffer, pattern(100));
      t.is(await runAs(form, ring, close(opened)), undefined);
      t.is(ring.stats().fileSlots, 0);
      await t.throwsAsync(runAs(form, ring, read(opened, buffer)), { code: 'ERR_URING_STALE_HANDLE' });
    });
  });

  test(`openat into a slot by number fills that slot (${form})`, async (t) => {
    const { path } = file(t, pattern(100));
    await withRing({}, async (ring) => {
      ring.registrar.registerFiles({ slots: 4, kernelSlots: 0 });
      const opened = await runAs(form, ring, openat(path, { direct: 3, openFlags: 'r+' }));
      t.is(opened.slot, 3);
      t.is(await runAs(form, ring, write(opened, Buffer.from('new'), { offset: 0 })), 3);
      t.is(readFileSync(path, 'latin1').slice(0, 3), 'new');
      await runAs(form, ring, close(opened));
      const again = await runAs(form, ring, openat(path, { direct: 3 }));
      t.is(again.slot, 3);
      await runAs(form, ring, close(again));
    });
  });

  test(`openat of a path that does not exist fails as node:fs does (${form})`, async (t) => {
    const path = join(tmpDir(t), 'missing');
    const node = t.throws(() => openSync(path, 'r')) as NodeJS.ErrnoException;
    await withRing({}, async (ring) => {
      const error = await t.throwsAsync(runAs(form, ring, openat(path)), { instanceOf: UringError });
      t.deepEqual([error?.code, error?.errno, error?.path], [node.code, node.errno, node.path]);
      t.is(error?.syscall, 'openat');
      t.is(error?.message, `ENOENT: no such file or directory, openat '${path}'`);
      t.is(node.message, `ENOENT: no such file or directory, open '${path}'`);
      await assertUsable(t, ring);
    });
  });

  test(`close of a descriptor that is not open fails with EBADF (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const message = 'EBADF: bad file descriptor, close';
      await t.throwsAsync(runAs(form, ring, close(1_000_000)), { code: 'EBADF', message });
    });
  });

  test(`statx answers what node:fs answers (${form})`, async (t) => {
    const { path } = file(t, pattern(12_345));
    await withRing({}, async (ring) => {
      sameStats(t, await runAs(form, ring, statx(path)), statSync(path));
    });
  });

  test(`statx of a path that does not exist fails with ENOENT and names it (${form})`, async (t) => {
    const path = join(tmpDir(t), 'missing');
    await withRing({}, async (ring) => {
      const error = await t.throwsAsync(runAs(form, ring, statx(path)), { instanceOf: UringError });
      t.like(error, { code: 'ENOENT', errno: -2, syscall: 'statx', path });
      t.is(error?.message, `ENOENT: no such file or directory, statx '${path}'`);
    });
  });
}

function sameStats(t: Parameters<typeof tmpDir>[0], ours: Stats, node: NodeStats): void {
  for (const field of NUMBERS) t.is(ours[field], node[field], field);
  for (const field of TIMES) t.is(ours[field].getTime(), node[field].getTime(), field);
  for (const kind of KINDS) t.is(ours[kind](), node[kind](), kind);
}

test('statx agrees with node:fs about every kind of file', async (t) => {
  const dir = tmpDir(t);
  mkdirSync(join(dir, 'directory'), { mode: 0o751 });
  writeFileSync(join(dir, 'file'), pattern(5000), { mode: 0o4640 });
  writeFileSync(join(dir, 'empty'), '');
  const paths = [dir, join(dir, 'directory'), join(dir, 'file'), join(dir, 'empty'), '/dev/null', '/usr'];
  await withRing({}, async (ring) => {
    for (const path of paths) sameStats(t, await ring.exec(statx(path)), statSync(path));
    const pipe = fifo(t);
    sameStats(t, await ring.exec(statx('', { dirFd: pipe })), fstatSync(pipe));
  });
});

test('statx follows a symbolic link, unless it shall not', async (t) => {
  const { path } = file(t, pattern(77));
  const link = join(tmpDir(t), 'link');
  symlinkSync(path, link);
  await withRing({}, async (ring) => {
    sameStats(t, await ring.exec(statx(link)), statSync(path));
    sameStats(t, await ring.exec(statx(link, { followSymlink: true })), statSync(path));
    const own = await ring.exec(statx(link, { followSymlink: false }));
    sameStats(t, own, lstatSync(link));
    t.true(own.isSymbolicLink());
  });
});

test('a broken symbolic link is there only for those who do not follow it', async (t) => {
  const link = join(tmpDir(t), 'link');
  symlinkSync('/nowhere/at/all', link);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(statx(link)), { code: 'ENOENT' });
    t.true((await ring.exec(statx(link, { followSymlink: false }))).isSymbolicLink());
  });
});

test('a relative path starts at dirFd, or at the working directory', async (t) => {
  const dir = tmpDir(t);
  writeFileSync(join(dir, 'here'), 'in the directory');
  const dirFd = open(t, dir);
  await withRing({}, async (ring) => {
    t.is((await ring.exec(statx('here', { dirFd }))).size, 16);
    const fd = await ring.exec(openat('here', { dirFd }));
    t.is(readFileSync(fd, 'utf8'), 'in the directory');
    await ring.exec(close(fd));
    await t.throwsAsync(ring.exec(statx('here')), { code: 'ENOENT' });
    const manifest = statSync('package.json');
    t.is((await ring.exec(statx('package.json'))).ino, manifest.ino);
    t.is((await ring.exec(statx('package.json', { dirFd: AT_FDCWD }))).ino, manifest.ino);
    t.is(
      (await ring.exec(statx(join(dir, 'here'), { dirFd: 1_000_000 }))).size,
      16,
      'absolute: dirFd is not used',
    );
  });
});

test('a relative path below something that is no directory fails with ENOTDIR', async (t) => {
  const { path, fd } = file(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(openat('x', { dirFd: fd })), { code: 'ENOTDIR', message: /openat 'x'$/ });
    await t.throwsAsync(ring.exec(openat(`${path}/x`)), { code: 'ENOTDIR' });
    await t.throwsAsync(ring.exec(statx(`${path}/x`)), { code: 'ENOTDIR' });
    await t.throwsAsync(ring.exec(openat('x', { dirFd: 1_000_000 })), { code: 'EBADF' });
  });
});

test('an empty path is the file itself for statx, and no file for openat', async (t) => {
  const { fd } = file(t, pattern(321));
  await withRing({}, async (ring) => {
    sameStats(t, await ring.exec(statx('', { dirFd: fd })), fstatSync(fd));
    t.is((await ring.exec(statx(''))).ino, statSync('.').ino, 'without dirFd it is the working directory');
    await t.throwsAsync(ring.exec(openat('')), { code: 'ENOENT' });
  });
});

test('a mask asks for less, and what was not asked for is not an error', async (t) => {
  const { path } = file(t, pattern(5));
  await withRing({}, async (ring) => {
    const STATX_SIZE = 0x200;
    t.is((await ring.exec(statx(path, { mask: STATX_SIZE }))).size, 5);
    await t.throwsAsync(ring.exec(statx(path, { mask: 0x8000_0000 })), { code: 'EINVAL' });
  });
});

test("openat with 'wx' creates a file once, and fails with EEXIST the second time", async (t) => {
  const path = join(tmpDir(t), 'new');
  await withRing({}, async (ring) => {
    await ring.exec(close(await ring.exec(openat(path, { openFlags: 'wx', mode: 0o640 }))));
    t.is(statSync(path).mode & 0o777, 0o640 & ~process.umask());
    const error = await t.throwsAsync(ring.exec(openat(path, { openFlags: 'wx' })), {
      instanceOf: UringError,
    });
    t.like(error, { code: 'EEXIST', errno: -17, syscall: 'openat', path });
  });
});

test('openat of a directory for writing fails with EISDIR', async (t) => {
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(openat(tmpDir(t), { openFlags: 'r+' })), { code: 'EISDIR' });
  });
});

/** Every string that fs.open documents: each opens what it opens there, or fails as it fails there. */
for (const flags of 'r rs sr r+ rs+ sr+ w wx xw w+ wx+ xw+ a ax xa as sa a+ ax+ xa+ as+ sa+'.split(' ')) {
  test(`openFlags '${flags}' does what it does in node:fs`, async (t) => {
    const outcome = async (openIt: (path: string) => Promise<number>, existing: boolean) => {
      const path = join(tmpDir(t), 'file');
      if (existing) writeFileSync(path, 'before');
      let fd: number;
      try {
        fd = await openIt(path);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
      const status = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/^flags:\s+(\d+)$/m)?.[1];
      try {
        writeSync(fd, 'X');
      } catch (error) {
        t.is((error as NodeJS.ErrnoException).code, 'EBADF', 'open for reading only');
      }
      await withRing({}, (ring) => ring.exec(close(fd)));
      return { status, content: readFileSync(path, 'utf8') };
    };
    await withRing({}, async (ring) => {
      for (const existing of [true, false]) {
        const ours = await outcome((path) => ring.exec(openat(path, { openFlags: flags })), existing);
        const node = await outcome(async (path) => openSync(path, flags), existing);
        t.deepEqual(ours, node);
      }
    });
  });
}

test('a path may be a string, a Buffer, a Uint8Array or a file URL, with any characters', async (t) => {
  const path = join(tmpDir(t), 'grüße 😀 #%41?');
  writeFileSync(path, 'found');
  await withRing({}, async (ring) => {
    const forms = [path, Buffer.from(path), new Uint8Array(Buffer.from(path)), pathToFileURL(path)];
    for (const form of forms) t.is((await ring.exec(statx(form))).size, 5);
  });
});

test('a path of bytes that are no UTF-8 is taken as it is', async (t) => {
  const path = Buffer.concat([Buffer.from(tmpDir(t)), Buffer.from([0x2f, 0xff, 0xfe])]);
  writeFileSync(path, 'bytes');
  await withRing({}, async (ring) => {
    t.is((await ring.exec(statx(path))).size, 5);
  });
});

test('a path of 4095 bytes reaches the kernel, which refuses a name that is too long', async (t) => {
  await withRing({}, async (ring) => {
    const repeated = `/${'./'.repeat(2047)}`;
    t.is(repeated.length, 4095);
    t.true((await ring.exec(statx(repeated))).isDirectory());
    await t.throwsAsync(ring.exec(statx(`/${'x'.repeat(300)}`)), { code: 'ENAMETOOLONG' });
  });
});

test('a descriptor of openat is not inherited by programs that are started', async (t) => {
  const { path } = file(t);
  await withRing({}, async (ring) => {
    const fd = await ring.exec(openat(path));
    const O_CLOEXEC = 0o2000000;
    const flags = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/^flags:\s+(\d+)$/m)?.[1];
    t.is(Number.parseInt(flags ?? '0', 8) & O_CLOEXEC, O_CLOEXEC);
    await ring.exec(close(fd));
  });
});

test('many files are opened, asked about and closed at a time', async (t) => {
  const dir = tmpDir(t);
  const paths = Array.from({ length: 100 }, (_, at) => join(dir, String(at)));
  for (const [at, path] of paths.entries()) writeFileSync(path, pattern(at));
  await withRing({ entries: 8 }, async (ring) => {
    const fds = await Promise.all(paths.map((path) => ring.exec(openat(path))));
    t.is(new Set(fds).size, 100);
    const stats = await Promise.all(fds.map((dirFd) => ring.exec(statx('', { dirFd }))));
    t.deepEqual(
      stats.map(({ size }) => size),
      paths.map((_, at) => at),
    );
    await Promise.all(fds.map((fd) => ring.exec(close(fd))));
    const left = [...openFds().values()].filter((target) => target.startsWith(dir));
    t.deepEqual(left, []);
  });
});
