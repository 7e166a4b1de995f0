// Extended attributes, on the file system of the temporary directory.
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { fgetxattr, fsetxattr, getxattr, Ring, setxattr, UringError } from 'uring';
import { assertUsable, FORMS, file, open, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, skipUnless, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

/** Whether files here can have attributes of the user's; asked by hand, because tests are declared at once. */
function hasAttributes(): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'uring-test-'));
  const ring = new Ring();
  if (!ring.operations.includes('setxattr')) {
    void ring.close();
    return true; // that is for the tests to say
  }
  ring.prep(setxattr(dir, 'user.uring', Buffer.from('1')));
  waitFor(ring, 1);
  const [completion] = reap(ring);
  void ring.close();
  rmSync(dir, { recursive: true });
  return completion?.error?.code !== 'ENOTSUP';
}

const attributeTest = skipUnless(hasAttributes(), `attributes on the file system of ${tmpdir()}`);

for (const form of FORMS) {
  attributeTest(`setxattr gives a path an attribute that getxattr reads, exactly (${form})`, async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      const value = pattern(1000);
      t.is(await runAs(form, ring, setxattr(path, 'user.one', value)), undefined);
      t.deepEqual(await runAs(form, ring, getxattr(path, 'user.one')), value);
      t.deepEqual(await runAs(form, ring, fgetxattr(fd, 'user.one', { sizeBytes: 1000 })), value);
      t.is(await runAs(form, ring, getxattr(path, 'user.one', { sizeOnly: true })), 1000);
      t.is(await runAs(form, ring, fgetxattr(fd, 'user.one', { sizeOnly: true })), 1000);
      await runAs(form, ring, setxattr(path, 'user.one', Buffer.from('short')));
      t.is(String(await runAs(form, ring, getxattr(path, 'user.one'))), 'short');
    });
  });

  attributeTest(`fsetxattr does the same for descriptors and registered files (${form})`, async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      const fixed = ring.registrar.registerFiles().alloc(fd);
      t.is(await runAs(form, ring, fsetxattr(fd, 'user.one', Buffer.from('1'))), undefined);
      await runAs(form, ring, fsetxattr(fixed, Buffer.from('user.two'), Buffer.from('22')));
      t.is(String(await runAs(form, ring, getxattr(path, 'user.one'))), '1');
      t.is(String(await runAs(form, ring, fgetxattr(fixed, 'user.two'))), '22');
    });
  });

  attributeTest(`an attribute can be empty (${form})`, async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      await runAs(form, ring, setxattr(path, 'user.nothing', new Uint8Array(0)));
      t.deepEqual(await runAs(form, ring, getxattr(path, 'user.nothing')), Buffer.alloc(0));
      t.is(await runAs(form, ring, fgetxattr(fd, 'user.nothing', { sizeOnly: true })), 0);
    });
  });

  attributeTest(`an attribute that is not there fails with ENODATA and the path (${form})`, async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      const error = await t.throwsAsync(runAs(form, ring, getxattr(path, 'user.none')), {
        instanceOf: UringError,
      });
      t.like(error, { code: 'ENODATA', syscall: 'getxattr', path });
      t.is(error?.message, `ENODATA: no data available, getxattr '${path}'`);
      const other = await t.throwsAsync(runAs(form, ring, fgetxattr(fd, 'user.none')), {
        instanceOf: UringError,
      });
      t.like(other, { code: 'ENODATA', syscall: 'fgetxattr', path: undefined });
    });
  });
}

attributeTest('create and replace insist on what was there before', async (t) => {
  const { path, fd } = file(t);
  await withRing({}, async (ring) => {
    const [first, second] = [Buffer.from('first'), Buffer.from('second')];
    await t.throwsAsync(ring.exec(setxattr(path, 'user.a', first, { replace: true })), { code: 'ENODATA' });
    await ring.exec(setxattr(path, 'user.a', first, { create: true }));
    await t.throwsAsync(ring.exec(fsetxattr(fd, 'user.a', second, { create: true })), { code: 'EEXIST' });
    t.is(String(await ring.exec(getxattr(path, 'user.a'))), 'first');
    await ring.exec(fsetxattr(fd, 'user.a', second, { replace: true, create: false }));
    t.is(String(await ring.exec(getxattr(path, 'user.a'))), 'second');
  });
});

attributeTest(
  'a value that is longer than the room for it fails with ERANGE, and nothing is cut',
  async (t) => {
    const { path, fd } = file(t);
    await withRing({}, async (ring) => {
      await ring.exec(setxattr(path, 'user.a', pattern(100)));
      await t.throwsAsync(ring.exec(getxattr(path, 'user.a', { sizeBytes: 99 })), { code: 'ERANGE' });
      await t.throwsAsync(ring.exec(fgetxattr(fd, 'user.a', { sizeBytes: 1 })), { code: 'ERANGE' });
      t.deepEqual(await ring.exec(getxattr(path, 'user.a', { sizeBytes: 100 })), pattern(100));
    });
  },
);

attributeTest('values come from any memory, of the ring too', async (t) => {
  const { path } = file(t);
  await withRing({}, async (ring) => {
    const own = ring.alloc(16);
    own.write('memory of a ring');
    const shared = new Uint8Array(new SharedArrayBuffer(6));
    shared.set(Buffer.from('shared'));
    for (const value of [own, shared, new Float64Array([1.5, 2.5])]) {
      await ring.exec(setxattr(path, 'user.a', value));
      const expected = Buffer.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
      t.deepEqual(await ring.exec(getxattr(path, 'user.a')), expected);
    }
  });
});

attributeTest('many attributes at a time keep to their own', async (t) => {
  const { path } = file(t);
  await withRing({ entries: 8 }, async (ring) => {
    const names = Array.from({ length: 40 }, (_, at) => `user.name${at}`);
    await Promise.all(names.map((name) => ring.exec(setxattr(path, name, Buffer.from(`value of ${name}`)))));
    const values = await Promise.all(names.map((name) => ring.exec(getxattr(path, name))));
    t.deepEqual(
      values.map(String),
      names.map((name) => `value of ${name}`),
    );
  });
});

attributeTest('a symbolic link is followed, and a namespace that nobody knows refused', async (t) => {
  const { path } = file(t);
  const link = join(tmpDir(t), 'link');
  symlinkSync(path, link);
  await withRing({}, async (ring) => {
    await ring.exec(setxattr(link, 'user.a', Buffer.from('1')));
    t.is(String(await ring.exec(getxattr(path, 'user.a'))), '1');
    await t.throwsAsync(ring.exec(setxattr(path, 'unknown.a', Buffer.from('1'))), { code: 'ENOTSUP' });
    await t.throwsAsync(ring.exec(setxattr(path, 'user.large', Buffer.alloc(65_536))), { code: 'ENOSPC' });
    await assertUsable(t, ring);
  });
});

test('attributes of what is not there, not open, or has none fail as their system calls do', async (t) => {
  const nothing = open(t, '/dev/null', 'r+');
  await withRing({}, async (ring) => {
    const value = Buffer.from('1');
    const error = await t.throwsAsync(ring.exec(setxattr('/no/where', 'user.a', value)), {
      instanceOf: UringError,
    });
    t.like(error, { code: 'ENOENT', syscall: 'setxattr', path: '/no/where' });
    await t.throwsAsync(ring.exec(getxattr('/no/where', 'user.a')), { code: 'ENOENT' });
    await t.throwsAsync(ring.exec(fsetxattr(1_000_000, 'user.a', value)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(fgetxattr(1_000_000, 'user.a')), { code: 'EBADF' });
    // Only files and directories have attributes of the user's (fs/xattr.c, xattr_permission).
    await t.throwsAsync(ring.exec(fsetxattr(nothing, 'user.a', value)), { code: 'EPERM' });
    await t.throwsAsync(ring.exec(fgetxattr(nothing, 'user.a')), { code: 'ENODATA' });
  });
});
