// Names of files: opening by rules, renaming, linking, removing, making directories.
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import {
  close,
  FixedFile,
  linkat,
  mkdirat,
  type Operation,
  openat2,
  type ResolveRule,
  type Ring,
  read,
  renameat,
  symlinkat,
  UringError,
  unlinkat,
} from 'uring';
import { assertUsable, FORMS, type Form, open, runAs } from './_fixtures.ts';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

type T = ExecutionContext<unknown>;

/** A directory with some files, as a path and as a descriptor. */
function tree(t: T): { at: (name: string) => string; dirFd: number } {
  const dir = tmpDir(t);
  const at = (name: string) => join(dir, name);
  mkdirSync(at('full'));
  writeFileSync(at('full/inner'), 'inner');
  mkdirSync(at('empty'));
  writeFileSync(at('one'), 'one');
  writeFileSync(at('two'), 'two');
  symlinkSync('one', at('link'));
  return { at, dirFd: open(t, dir) };
}

/** It fails as node:fs does: code, errno, both paths, and a message that differs in the name of the call alone. */
async function failsAs(
  t: T,
  [form, ring]: readonly [Form, Ring],
  operation: Operation<void>,
  syscall: string,
  node: () => void,
): Promise<void> {
  const expected = t.throws(node) as NodeJS.ErrnoException & { dest?: string };
  const error = await t.throwsAsync(runAs(form, ring, operation), { instanceOf: UringError });
  t.like(error, { code: expected.code, errno: expected.errno, syscall });
  t.deepEqual([error?.path, error?.dest], [expected.path, expected.dest]);
  t.is(error?.message, expected.message.replace(`, ${expected.syscall} `, `, ${syscall} `));
}

for (const form of FORMS) {
  test(`renameat gives a file another path and replaces what is there (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, renameat(at('one'), at('two'))), undefined);
      t.false(existsSync(at('one')));
      t.is(readFileSync(at('two'), 'utf8'), 'one');
      const nowhere = [at('missing'), at('new')] as const;
      const asNode = () => renameSync(...nowhere);
      await failsAs(t, [form, ring], renameat(...nowhere), 'renameat', asNode);
      const filled = [at('empty'), at('full')] as const;
      await failsAs(t, [form, ring], renameat(...filled), 'renameat', () => renameSync(...filled));
    });
  });

  test(`unlinkat takes files and, told so, directories (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      const gone = runAs(form, ring, unlinkat(at('one')));
      t.is(await gone, undefined);
      t.false(existsSync(at('one')));
      await runAs(form, ring, unlinkat(at('link')));
      await runAs(form, ring, unlinkat(at('empty'), { removeDirectory: true }));
      t.false(existsSync(at('empty')));
      const how = [form, ring] as const;
      await failsAs(t, how, unlinkat(at('one')), 'unlinkat', () => unlinkSync(at('one')));
      const rmdir = (name: string) => () => rmdirSync(at(name));
      const options = { removeDirectory: true };
      await failsAs(t, how, unlinkat(at('full'), options), 'unlinkat', rmdir('full'));
      await failsAs(t, how, unlinkat(at('two'), options), 'unlinkat', rmdir('two'));
      await t.throwsAsync(runAs(form, ring, unlinkat(at('full'))), { code: 'EISDIR' });
    });
  });

  test(`mkdirat makes a directory with its permissions (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, mkdirat(at('made'))), undefined);
      t.true(statSync(at('made')).isDirectory());
      t.is(statSync(at('made')).mode & 0o777, 0o777 & ~process.umask());
      await runAs(form, ring, mkdirat(at('private'), { mode: 0o700 }));
      t.is(statSync(at('private')).mode & 0o777, 0o700);
      const how = [form, ring] as const;
      await failsAs(t, how, mkdirat(at('made')), 'mkdirat', () => mkdirSync(at('made')));
      await failsAs(t, how, mkdirat(at('no/way')), 'mkdirat', () => mkdirSync(at('no/way')));
    });
  });

  test(`symlinkat makes a link that says what it was told (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, symlinkat('not/there', at('made'))), undefined);
      t.is(readlinkSync(at('made')), 'not/there');
      const how = [form, ring] as const;
      const again = () => symlinkSync('x', at('one'));
      await failsAs(t, how, symlinkat('x', at('one')), 'symlinkat', again);
    });
  });

  test(`linkat gives a file one more name (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, linkat(at('one'), at('more'))), undefined);
      t.is(statSync(at('more')).ino, statSync(at('one')).ino);
      const how = [form, ring] as const;
      const taken = [at('one'), at('two')] as const;
      await failsAs(t, how, linkat(...taken), 'linkat', () => linkSync(...taken));
      const missing = [at('missing'), at('new')] as const;
      await failsAs(t, how, linkat(...missing), 'linkat', () => linkSync(...missing));
      await t.throwsAsync(runAs(form, ring, linkat(at('full'), at('new'))), { code: 'EPERM' });
    });
  });

  test(`openat2 opens as openat does where the path keeps to its rules (${form})`, async (t) => {
    const { at, dirFd } = tree(t);
    await withRing({}, async (ring) => {
      const fd = await runAs(form, ring, openat2(at('one')));
      t.is(readFileSync(fd, 'utf8'), 'one');
      closeSync(fd);
      const rules: ResolveRule[] = ['noXdev', 'noMagiclinks', 'noSymlinks', 'beneath'];
      const inside = await runAs(form, ring, openat2('full/inner', { dirFd, resolve: rules }));
      t.is(readFileSync(inside, 'utf8'), 'inner');
      closeSync(inside);
    });
  });

  test(`openat2 makes a file with its permissions (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      const options = { openFlags: 'wx', mode: 0o640 };
      closeSync(await runAs(form, ring, openat2(at('made'), options)));
      t.is(statSync(at('made')).mode & 0o777, 0o640 & ~process.umask());
      const error = await t.throwsAsync(runAs(form, ring, openat2(at('made'), options)), { code: 'EEXIST' });
      t.is(error?.message, `EEXIST: file already exists, openat2 '${at('made')}'`);
    });
  });

  test(`openat2 into slots results in registered files (${form})`, async (t) => {
    const { at } = tree(t);
    await withRing({}, async (ring) => {
      ring.registrar.registerFiles({ slots: 4, kernelSlots: 4 });
      const given = await runAs(form, ring, openat2(at('one'), { direct: 2, resolve: ['noSymlinks'] }));
      const chosen = await runAs(form, ring, openat2(at('two'), { direct: true }));
      t.is(given.slot, 2);
      t.true(chosen instanceof FixedFile && chosen.slot >= 4);
      const buffer = ring.alloc(3);
      t.is(await runAs(form, ring, read(chosen, buffer, { offset: 0 })), 3);
      t.is(buffer.toString(), 'two');
      await runAs(form, ring, close(given));
      await runAs(form, ring, close(chosen));
    });
  });
}

test('each rule of openat2 refuses what it is for', async (t) => {
  const { dirFd } = tree(t);
  const refused: readonly [path: string, rule: ResolveRule, code: string][] = [
    ['../etc', 'beneath', 'EXDEV'],
    ['/etc', 'beneath', 'EXDEV'],
    ['link', 'noSymlinks', 'ELOOP'],
    ['/proc/self/exe', 'noMagiclinks', 'ELOOP'],
    ['/proc/self/stat', 'noXdev', 'EXDEV'],
    ['/etc/hostname', 'inRoot', 'ENOENT'],
  ];
  await withRing({}, async (ring) => {
    for (const [path, rule, code] of refused) {
      const options = { dirFd, resolve: [rule] };
      await t.throwsAsync(ring.exec(openat2(path, options)), { code }, `${path} ${rule}`);
    }
    for (const path of ['link', '/one', '../../one']) {
      const fd = await ring.exec(openat2(path, { dirFd, resolve: ['inRoot'] }));
      t.is(readFileSync(fd, 'utf8'), 'one', path);
      closeSync(fd);
    }
    // What is in the cache needs no waiting.
    closeSync(await ring.exec(openat2('one', { dirFd, resolve: ['cached'] })));
    await t.throwsAsync(ring.exec(openat2('new', { dirFd, openFlags: 'w', resolve: ['cached'] })), {
      code: 'EAGAIN',
    });
  });
});

test('openat2 refuses flags that mean nothing, which openat ignores', async (t) => {
  const { at } = tree(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(openat2(at('one'), { openFlags: 0x4000_0000 })), { code: 'EINVAL' });
  });
});

test('renameat with noReplace, exchange and whiteout does as its flags say', async (t) => {
  const { at } = tree(t);
  await withRing({}, async (ring) => {
    const exists = ring.exec(renameat(at('one'), at('two'), { noReplace: true }));
    const error = await t.throwsAsync(exists, { code: 'EEXIST', instanceOf: UringError });
    t.deepEqual([error?.path, error?.dest], [at('one'), at('two')]);
    await ring.exec(renameat(at('one'), at('two'), { exchange: true }));
    t.is(readFileSync(at('one'), 'utf8'), 'two');
    t.is(readFileSync(at('two'), 'utf8'), 'one');
    await t.throwsAsync(ring.exec(renameat(at('one'), at('new'), { exchange: true })), { code: 'ENOENT' });
    await ring.exec(renameat(at('one'), at('new'), { noReplace: true }));
    t.is(readFileSync(at('new'), 'utf8'), 'two');
  });
});

test('relative paths start from the directories given, old and new', async (t) => {
  const { at, dirFd } = tree(t);
  const full = open(t, at('full'));
  await withRing({}, async (ring) => {
    await ring.exec(renameat('inner', 'outer', { oldDirFd: full, newDirFd: dirFd }));
    t.is(readFileSync(at('outer'), 'utf8'), 'inner');
    await ring.exec(linkat('one', 'again', { oldDirFd: dirFd, newDirFd: full }));
    await ring.exec(symlinkat('../one', 'back', { dirFd: full }));
    t.is(readFileSync(at('full/back'), 'utf8'), 'one');
    await ring.exec(mkdirat('deeper', { dirFd: full }));
    await ring.exec(unlinkat('deeper', { dirFd: full, removeDirectory: true }));
    await ring.exec(unlinkat('again', { dirFd: full }));
    t.false(existsSync(at('full/again')));
    const notADirectory = open(t, at('one'));
    await t.throwsAsync(ring.exec(mkdirat('x', { dirFd: notADirectory })), { code: 'ENOTDIR' });
    await t.throwsAsync(ring.exec(unlinkat('x', { dirFd: 1_000_000 })), { code: 'EBADF' });
    await assertUsable(t, ring);
  });
});

test('linkat links to a symbolic link itself, or told so to what it names', async (t) => {
  const { at } = tree(t);
  await withRing({}, async (ring) => {
    await ring.exec(linkat(at('link'), at('itself')));
    t.true(lstatSync(at('itself')).isSymbolicLink());
    await ring.exec(linkat(at('link'), at('followed'), { followSymlink: true }));
    t.is(lstatSync(at('followed')).ino, statSync(at('one')).ino);
  });
});

test('linkat with an empty path gives an open file a name', async (t) => {
  const { at } = tree(t);
  const fd = open(t, at('one'));
  unlinkSync(at('two'));
  await withRing({}, async (ring) => {
    await ring.exec(linkat('', at('two'), { oldDirFd: fd }));
    t.is(statSync(at('two')).ino, statSync(at('one')).ino);
    await t.throwsAsync(ring.exec(linkat('', at('more'), { oldDirFd: 1_000_000 })), { code: 'EBADF' });
  });
});

test('paths are strings, bytes and URLs, for each of two', async (t) => {
  const { at } = tree(t);
  await withRing({}, async (ring) => {
    await ring.exec(renameat(Buffer.from(at('one')), pathToFileURL(at('né'))));
    await ring.exec(linkat(pathToFileURL(at('né')), Buffer.from(at('three'))));
    t.is(readFileSync(at('three'), 'utf8'), 'one');
    const error = await t.throwsAsync(ring.exec(renameat(Buffer.from('/no/é'), '/no/f')), {
      instanceOf: UringError,
    });
    t.is(error?.message, "ENOENT: no such file or directory, renameat '/no/é' -> '/no/f'");
  });
});

test('an operation on two paths that was refused with its chain names both', async (t) => {
  await withRing({}, async (ring) => {
    ring.prepChain([openat2('/no/where'), renameat('/no/a', '/no/b')]);
    ring.submitAndWait(2, { timeoutMs: 20_000 });
    const codes = [...ring.completions()].map(({ error }) => [error?.code, error?.path, error?.dest]);
    t.deepEqual(codes, [
      ['ENOENT', '/no/where', undefined],
      ['ECANCELED', '/no/a', '/no/b'],
    ]);
  });
});
