// Composites of files, on the kernel and on the mock.
import test from 'ava';
import {
  close,
  forEachFile,
  openat,
  pipe,
  read,
  readFile,
  readFiles,
  readFilesInOrder,
  readFully,
  renameat,
  statFiles,
  unlinkat,
  write,
  writeAll,
  writeFile,
} from 'uring';
import { leakCheck } from '../_helpers.ts';
import { both } from './_backends.ts';

leakCheck(test);

const LARGE = 'abcdefghij'.repeat(30_000);

/** What became of each, in a word. */
const told = (results: readonly PromiseSettledResult<{ toString(): string }>[]): (string | number)[] =>
  results.map((one) =>
    one.status === 'rejected' ? `${one.reason.code} ${one.reason.path}` : one.value.toString(),
  );

both('a file is written whole, read whole, renamed and removed', async (t, world, open) => {
  const ring = open();
  const path = world.newPath('file');
  for (const text of ['hello', '', LARGE, 'short']) {
    await writeFile(ring, path, text, { fsync: text === 'hello' });
    t.is(world.textAt(path), text);
    t.is(await readFile(ring, path, { encoding: 'utf8' }), text);
  }
  const other = world.newPath('other');
  await ring.exec(renameat(path, other));
  t.is(world.textAt(path), undefined);
  t.is((await readFile(ring, other)).toString(), 'short');
  await ring.exec(unlinkat(other));
  const gone = await t.throwsAsync(readFile(ring, other));
  t.like(gone, {
    code: 'ENOENT',
    path: other,
    message: `ENOENT: no such file or directory, openat '${other}'`,
  });
  t.is(ring.inFlight, 0);
});

both('of many files each has its result, whichever way they are read', async (t, world, open) => {
  const ring = open();
  const texts = ['one', '', LARGE, ...Array.from({ length: 200 }, (_, at) => `${at}`.repeat(at))];
  const missing = world.newPath('missing');
  const paths = [...texts.map((text) => world.path(text)), missing];
  const expected = [...texts, `ENOENT ${missing}`];
  t.deepEqual(told(await readFiles(ring, paths, { encoding: 'utf8' })), expected);
  const inOrder: PromiseSettledResult<Buffer>[] = [];
  for await (const result of readFilesInOrder(ring, paths)) inOrder.push(result);
  t.deepEqual(told(inOrder), expected);
  const seen: (string | undefined)[] = [];
  await forEachFile(ring, paths, (error, bytes, at) => {
    const { code, path } = (error ?? {}) as { code?: string; path?: string };
    seen[at] = error === null ? bytes.toString() : `${code} ${path}`;
  });
  t.deepEqual(seen, expected);
  const sizes = await statFiles(ring, paths);
  t.deepEqual(
    sizes.map((one) => (one.status === 'fulfilled' ? one.value.size : one.reason.code)),
    [...texts.map(({ length }) => length), 'ENOENT'],
  );
  t.is(ring.inFlight, 0);
});

both('files are read on rings of every size, and into slots', async (t, world, open) => {
  const paths = ['a', 'bb', LARGE].map((text) => world.path(text));
  for (const entries of [1, 2, 8]) {
    const ring = open({ entries });
    ring.registrar.registerFiles({ slots: 0, kernelSlots: 2 });
    for (const direct of [false, true]) {
      const results = await readFiles(ring, paths, { direct, encoding: 'utf8' });
      t.deepEqual(told(results), ['a', 'bb', LARGE], `${entries} entries`);
    }
    t.is(ring.stats().fileSlots, 0);
  }
});

both('all bytes are moved, at a place or where the file stands', async (t, world, open) => {
  const ring = open();
  const path = world.path('0123456789');
  const fd = await ring.exec(openat(path, { openFlags: 'r+' }));
  const buffer = Buffer.alloc(4);
  t.is(await readFully(ring, fd, buffer, { offset: 5 }), 4);
  t.is(buffer.toString(), '5678');
  const seen: string[] = [];
  for (let bytes = 1; bytes > 0; ) {
    bytes = await ring.exec(read(fd, buffer));
    seen.push(buffer.toString('utf8', 0, bytes));
  }
  t.deepEqual(seen, ['0123', '4567', '89', ''], 'without an offset it goes on');
  await writeAll(ring, fd, [Buffer.from('ab'), Buffer.from('cd')], { offset: 8 });
  t.is(world.textAt(path), '01234567abcd');
  t.is(await readFully(ring, fd, Buffer.alloc(100), { offset: 10 }), 2);
  await writeAll(ring, fd, Buffer.from('!'));
  t.is(world.textAt(path), '01234567ab!d', 'where it stands');
  await ring.exec(close(fd));
});

both('what is written to a pipe is read from it', async (t, _world, open) => {
  const ring = open();
  const { readFd, writeFd } = await ring.exec(pipe());
  t.is(await ring.exec(write(writeFd, Buffer.from('abc'))), 3);
  const buffer = Buffer.alloc(8);
  t.is(await ring.exec(read(readFd, buffer)), 3);
  t.is(buffer.toString('utf8', 0, 3), 'abc');
  for (const fd of [readFd, writeFd]) await ring.exec(close(fd));
});

both('what is aborted before it starts does nothing', async (t, world, open) => {
  const ring = open();
  const signal = AbortSignal.abort(new Error('no'));
  const path = world.newPath('never');
  const aborted = { code: 'ABORT_ERR' };
  await t.throwsAsync(readFile(ring, path, { signal }), aborted);
  await t.throwsAsync(writeFile(ring, path, 'x', { signal }), aborted);
  await t.throwsAsync(readFiles(ring, [path], { signal }), aborted);
  await t.throwsAsync(statFiles(ring, [path], { signal }), aborted);
  t.is(world.textAt(path), undefined);
  t.is(ring.inFlight, 0);
});
