// Writing whole files.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { AbortError, Ring, readFile, TransferError, writeFile } from 'uring';
import { assertUsable, file, pattern } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { settle, soon } from './_until.ts';

leakCheck(test);

test('strings, bytes and parts become the file, whatever was in it', async (t) => {
  const path = join(tmpDir(t), 'file');
  const large = pattern(9_000_001);
  await withRing({}, async (ring) => {
    const own = ring.alloc(5_000_000);
    own.set(pattern(5_000_000, 7));
    const many = Array.from({ length: 3000 }, (_, at) => pattern(at % 50, at));
    for (const [data, expected] of [
      [large, large],
      ['größer', Buffer.from('größer')],
      ['', Buffer.alloc(0)],
      [new Uint16Array([1, 2]), Buffer.from([1, 0, 2, 0])],
      [own, own],
      [[own, large, Buffer.alloc(0), Buffer.from('end')], Buffer.concat([own, large, Buffer.from('end')])],
      [many, Buffer.concat(many)],
      [[], Buffer.alloc(0)],
    ] as const) {
      await writeFile(ring, path, data as Uint8Array);
      t.true(readFileSync(path).equals(expected));
    }
    await writeFile(ring, Buffer.from(path), 'c3a4', { encoding: 'hex' });
    t.is(await readFile(ring, pathToFileURL(path), { encoding: 'utf8' }), 'ä');
  });
});

test('flags, permissions and fsync are as asked for', async (t) => {
  const dir = tmpDir(t);
  const path = join(dir, 'file');
  await withRing({}, async (ring) => {
    await writeFile(ring, path, 'one', { mode: 0o600, fsync: true });
    t.is(statSync(path).mode & 0o777, 0o600);
    const submitted = ring.stats().submitted;
    await writeFile(ring, path, 'two', { openFlags: 'a', fsync: 'data' });
    t.is(ring.stats().submitted - submitted, 4, 'open, write, fsync, close');
    t.is(readFileSync(path, 'utf8'), 'onetwo');
    await t.throwsAsync(writeFile(ring, path, 'x', { openFlags: 'wx' }), { code: 'EEXIST' });
    t.is(readFileSync(path, 'utf8'), 'onetwo');
    await t.throwsAsync(writeFile(ring, dir, 'x'), { code: 'EISDIR' });
    // What cannot be synchronized says so.
    const error = await t.throwsAsync(writeFile(ring, '/dev/null', 'x', { fsync: true }));
    t.like(error, { code: 'EINVAL', syscall: 'fsync', path: '/dev/null' });
  });
});

test('names that node:fs has for options are refused, and the file is not touched', async (t) => {
  const { path } = file(t, Buffer.from('as it was'));
  await withRing({}, async (ring) => {
    for (const [options, message] of [
      [{ flag: 'a' }, /options\.flag.*openFlags/],
      [{ flush: true }, /options\.flush.*fsync/],
    ] as const)
      await t.throwsAsync(writeFile(ring, path, 'x', options as object), {
        code: 'ERR_INVALID_ARG_VALUE',
        message,
        any: true,
      });
    t.is(readFileSync(path, 'utf8'), 'as it was');
    await writeFile(ring, path, 'x', { flag: undefined } as object);
    t.is(readFileSync(path, 'utf8'), 'x');
  });
});

test.serial('a write that fails says how far it came, and the file is closed', async (t) => {
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds().size;
    const error = await t.throwsAsync(writeFile(ring, '/dev/full', 'some text'), {
      instanceOf: TransferError,
      code: 'ENOSPC',
    });
    t.like(error, { bytes: 0, syscall: 'write', path: '/dev/full', errno: -28 });
    t.is(openFds().size, before);
  });
});

test.serial('stopped at any moment, it leaves nothing open and nothing in flight', async (t) => {
  const dir = tmpDir(t);
  const pipe = join(dir, 'fifo');
  execFileSync('mkfifo', [pipe]);
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds().size;
    const data = pattern(10_000_000);
    let stopped = 0;
    for (let turns = 0; turns < 20; turns += 1) {
      for (const path of [join(dir, 'file'), pipe]) {
        const controller = new AbortController();
        // Read and write, so that opening the pipe does not wait, and writing soon does.
        const options = { openFlags: path === pipe ? 'r+' : 'w', signal: controller.signal, fsync: true };
        const running = writeFile(ring, path, data, options).catch((reason) => reason);
        await settle(turns);
        controller.abort();
        const error = await soon(running, 'the end of what was aborted');
        if (error instanceof AbortError) stopped += 1;
        else t.is(error, undefined);
        t.like(ring, { inFlight: 0, waiting: 0 });
        t.is(openFds().size, before);
      }
    }
    t.true(stopped >= 20, `${stopped} were stopped`);
    const late = writeFile(ring, pipe, data, { openFlags: 'r+', timeoutMs: 300 });
    const error = await t.throwsAsync(late, { instanceOf: TransferError, code: 'ERR_URING_TIMEOUT' });
    t.true(
      error.bytes > 0 && error.bytes < data.length,
      `${error.bytes} bytes, of which the pipe holds some`,
    );
    t.is(openFds().size, before);
  });
});

test.serial('a ring that is closed meanwhile ends it, and the file is closed', async (t) => {
  const path = join(tmpDir(t), 'file');
  const before = openFds().size;
  for (const turns of [0, 1, 2, 3]) {
    const ring = new Ring();
    const running = writeFile(ring, path, pattern(20_000_000)).catch((error) => error.code);
    await settle(turns);
    await ring.close();
    const code = await soon(running, 'the end');
    t.true(['ECANCELED', 'ERR_URING_CLOSED', undefined].includes(code), code);
    t.is(openFds().size, before);
  }
});

test('what is wrong is refused before the file is touched', async (t) => {
  const dir = tmpDir(t);
  const path = join(dir, 'new');
  writeFileSync(join(dir, 'old'), 'kept');
  await withRing({}, async (ring) => {
    const write = (data: unknown, options?: unknown, to: unknown = path): Promise<unknown> =>
      writeFile(ring, to as string, data as string, options as never);
    await t.throwsAsync(write(7), { code: 'ERR_INVALID_ARG_TYPE', message: /"data"/ });
    await t.throwsAsync(write([Buffer.from('x'), 'y']), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /data\[1\]/,
    });
    await t.throwsAsync(write('x', { fsync: 'all' }), { code: 'ERR_INVALID_ARG_VALUE', message: /fsync/ });
    await t.throwsAsync(write('x', { encoding: 'latin9' }), { code: 'ERR_INVALID_ARG_VALUE' });
    await t.throwsAsync(write('x', { openFlags: 'q' }), { code: 'ERR_INVALID_ARG_VALUE' });
    await t.throwsAsync(write('x', { mode: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    await t.throwsAsync(write('x', { timeoutMs: 'soon' }), { code: 'ERR_INVALID_ARG_TYPE' });
    await t.throwsAsync(write('x', {}, 'a\0b'), { code: 'ERR_INVALID_ARG_VALUE' });
    await t.throwsAsync(write('x', { signal: AbortSignal.abort() }, join(dir, 'old')), { code: 'ABORT_ERR' });
    await t.throwsAsync(writeFile({} as Ring, path, 'x'), { code: 'ERR_INVALID_ARG_TYPE', message: /ring/ });
    t.false(existsSync(path));
    t.is(readFileSync(join(dir, 'old'), 'utf8'), 'kept');
  });
});
