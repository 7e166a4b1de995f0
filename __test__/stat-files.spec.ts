// What the file system knows about many files.
import { lstatSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { AbortError, BigIntStats, Stats, StatxMask, statFiles } from 'uring';
import { open, pattern } from './_fixtures.ts';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import { NUMBERS } from './_stats.ts';
import { settle, soon } from './_until.ts';

leakCheck(test);

function filesIn(t: ExecutionContext<unknown>, count: number): { dir: string; paths: string[] } {
  const dir = tmpDir(t);
  const paths = Array.from({ length: count }, (_, at) => join(dir, `${at}`));
  for (const [at, path] of paths.entries()) writeFileSync(path, pattern(at % 700));
  return { dir, paths };
}

test('thousands of files are asked for in order, and one that fails fails alone', async (t) => {
  const { dir, paths } = filesIn(t, 2000);
  const asked = paths.map((path, at) => (at % 100 === 7 ? `${path}-missing` : path));
  asked[9] = dir;
  await withRing({}, async (ring) => {
    const results = await statFiles(ring, asked);
    t.is(results.length, 2000);
    for (const [at, one] of results.entries()) {
      if (one.status === 'fulfilled') {
        const expected = statSync(asked[at] as string);
        for (const name of NUMBERS) t.is(one.value[name], expected[name], `${name} of ${at}`);
        t.true(one.value instanceof Stats);
      } else {
        t.like(one.reason, { code: 'ENOENT', errno: -2, syscall: 'statx', path: asked[at] });
        t.is(at % 100, 7);
      }
    }
    t.is(results.filter(({ status }) => status === 'rejected').length, 20);
    t.like(ring, { inFlight: 0, waiting: 0 });
    t.deepEqual(await statFiles(ring, []), []);
  });
});

test('links, directories, fields and bigints are as for statx', async (t) => {
  const { dir, paths } = filesIn(t, 3);
  const link = join(dir, 'link');
  symlinkSync(paths[2] as string, link);
  const dirFd = open(t, dir);
  await withRing({}, async (ring) => {
    const sizeOf = async (...args: [string[], object?]): Promise<unknown> => {
      const [one] = await statFiles(ring, ...args);
      return one?.status === 'fulfilled' ? one.value.size : one?.reason.code;
    };
    t.is(await sizeOf([link]), 2);
    t.is(await sizeOf([link], { followSymlink: false }), lstatSync(link).size);
    t.is(await sizeOf([basename(paths[2] as string)], { dirFd }), 2);
    t.is(await sizeOf([''], { dirFd }), 'ENOENT');
    const [one] = await statFiles(ring, [paths[2] as string], { bigint: true, mask: StatxMask.SIZE });
    t.true(one?.status === 'fulfilled' && one.value instanceof BigIntStats && one.value.size === 2n);
  });
});

test('aborted or late, nothing is in flight, and what is known is in the error', async (t) => {
  const { paths } = filesIn(t, 1000);
  await withRing({}, async (ring) => {
    let stopped = 0;
    for (let turns = 0; turns < 20; turns += 1) {
      const controller = new AbortController();
      const asking = statFiles(ring, paths, { concurrency: 4, signal: controller.signal });
      const ended = asking.then(
        () => undefined,
        (error) => error,
      );
      await settle(turns);
      controller.abort();
      const error = await soon(ended, 'the end of what was aborted');
      t.like(ring, { inFlight: 0, waiting: 0 });
      if (error === undefined) continue;
      stopped += 1;
      t.true(error instanceof AbortError);
      t.true(error.result.includes(undefined));
    }
    t.true(stopped > 0);
    await t.throwsAsync(statFiles(ring, paths, { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    await t.throwsAsync(statFiles(ring, Array(200_000).fill(paths[0]), { timeoutMs: 1, concurrency: 1 }), {
      code: 'ERR_URING_TIMEOUT',
    });
    t.like(ring, { inFlight: 0, waiting: 0 });
  });
});

test('what is wrong is refused before any file is asked for', async (t) => {
  await withRing({}, async (ring) => {
    const ask = (paths: unknown, options?: unknown): Promise<unknown> =>
      statFiles(ring, paths as string[], options as never);
    await t.throwsAsync(ask('x'), { code: 'ERR_INVALID_ARG_TYPE', message: /"paths"/ });
    await t.throwsAsync(ask(['x', 1]), { code: 'ERR_INVALID_ARG_TYPE', message: /"paths\[1\]"/ });
    await t.throwsAsync(ask(['x'], { mask: -1 }), { code: 'ERR_OUT_OF_RANGE', message: /mask/ });
    await t.throwsAsync(ask(['x'], { bigint: 1 }), { code: 'ERR_INVALID_ARG_TYPE', message: /bigint/ });
    await t.throwsAsync(ask(['x'], { concurrency: 1.5 }), {
      code: 'ERR_OUT_OF_RANGE',
      message: /concurrency/,
    });
    await t.throwsAsync(statFiles(null as never, []), { code: 'ERR_INVALID_ARG_TYPE', message: /"ring"/ });
    t.is(ring.stats().submitted, 0);
  });
});
