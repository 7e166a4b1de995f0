// Reading whole files: one, or thousands.
import { execFileSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import {
  AbortError,
  forEachFile,
  Ring,
  readFile,
  readFiles,
  readFilesInOrder,
  timeout,
  type UringError,
} from 'uring';
import { assertContents, filesOf, values } from './_files.ts';
import { assertUsable, pattern } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { runModule, WELL } from './_process.ts';
import { settle, soon, until } from './_until.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);

/** Around every border: of a slab, of what is read at once, of what is read on. */
const SIZES = [0, 1, 63, 64, 65, 4096, 16_383, 16_384, 16_385, 16_448, 16_449, 65_536, 1_048_576, 9_500_003];

function smallFiles(t: T, count: number): { dir: string; paths: string[]; contents: Buffer[] } {
  return filesOf(
    t,
    Array.from({ length: count }, (_, at) => (at * 37) % 3000),
  );
}

/** A named pipe that nobody has open. */
function pipeAt(t: T): string {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}

/** Nothing of the files is left, in the ring or in the process. */
function assertNothingLeft(t: T, ring: Ring, before: ReadonlyMap<number, string>): void {
  t.like(ring, { inFlight: 0, waiting: 0 });
  t.is(ring.stats().fileSlots, 0);
  t.is(openFds().size, before.size);
}

for (const direct of [false, true]) {
  const into = direct ? 'slots' : 'descriptors';
  const withTable = (use: (ring: Ring) => Promise<void>): Promise<void> =>
    withRing({}, (ring) => {
      if (direct) ring.registrar.registerFiles({ slots: 1, kernelSlots: 64 });
      return use(ring);
    });

  test.serial(`files of any size are read as node:fs reads them (${into})`, async (t) => {
    const { paths, contents } = filesOf(t, SIZES);
    await withTable(async (ring) => {
      await assertUsable(t, ring);
      const before = openFds();
      for (const expectedBytes of [1, 16_384, 65_536]) {
        for (const shortIsEnd of [false, true]) {
          const results = await readFiles(ring, paths, { direct, expectedBytes, shortIsEnd });
          assertContents(t, results, contents);
        }
        for (const [at, path] of paths.entries())
          t.true(
            (await readFile(ring, path, { direct, expectedBytes })).equals(contents[at] as Buffer),
            path,
          );
      }
      assertNothingLeft(t, ring, before);
    });
  });

  test.serial(`thousands of files come in order, and one that fails fails alone (${into})`, async (t) => {
    const { dir, paths, contents } = smallFiles(t, 3000);
    const asked = paths.map((path, at) => (at % 100 === 7 ? `${path}-missing` : at % 100 === 8 ? dir : path));
    await withTable(async (ring) => {
      await assertUsable(t, ring);
      const before = openFds();
      const results = await readFiles(ring, asked, { direct });
      t.is(results.length, 3000);
      for (const [at, result] of results.entries()) {
        const path = asked[at];
        if (result.status === 'fulfilled') t.true(result.value.equals(contents[at] as Buffer), path);
        else if (at % 100 === 7)
          t.like(result.reason, { code: 'ENOENT', errno: -2, syscall: 'openat', path });
        else t.like(result.reason, { code: 'EISDIR', syscall: 'read', path });
      }
      t.is(results.filter(({ status }) => status === 'rejected').length, 60);
      assertNothingLeft(t, ring, before);
    });
  });

  test.serial(`aborted at any moment, nothing is left open and nothing in flight (${into})`, async (t) => {
    const { paths } = smallFiles(t, 200);
    const large = filesOf(t, [200_000]).paths[0] as string;
    const blocked = pipeAt(t);
    await withTable(async (ring) => {
      await readFile(ring, large, { direct });
      const before = openFds();
      let stopped = 0;
      for (let turns = 0; turns < 60; turns += 1) {
        const controller = new AbortController();
        const asked = turns % 2 === 0 ? [...paths, large] : [blocked, ...paths, large];
        const reading = readFiles(ring, asked, { direct, concurrency: 8, signal: controller.signal });
        await settle(turns % 20);
        controller.abort(new Error('enough'));
        const error = await soon(
          reading.then(
            () => undefined,
            (reason) => reason,
          ),
          'the end of what was aborted',
        );
        if (error !== undefined) {
          stopped += 1;
          t.true(error instanceof AbortError);
          t.like(error, { code: 'ABORT_ERR', cause: { message: 'enough' } });
          t.is(error.result.length, asked.length);
        }
        assertNothingLeft(t, ring, before);
      }
      t.true(stopped >= 30, `${stopped} were stopped`);
      await assertUsable(t, ring);
    });
  });
}

test('what was read before it was aborted is in the error', async (t) => {
  const { paths, contents } = smallFiles(t, 4);
  const blocked = pipeAt(t);
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const reading = readFiles(ring, [...paths, blocked], { signal: controller.signal });
    const before = ring.stats().completed;
    await until(() => ring.inFlight === 2 && ring.stats().completed > before + 8);
    controller.abort();
    const error = await t.throwsAsync(reading, { instanceOf: AbortError });
    const results = error.result as (PromiseSettledResult<Buffer> | undefined)[];
    t.deepEqual(values(results.slice(0, 4) as PromiseSettledResult<Buffer>[]), contents);
    t.is(results[4], undefined);
    await t.throwsAsync(readFiles(ring, paths, { signal: controller.signal }), { code: 'ABORT_ERR' });
    await t.throwsAsync(readFile(ring, blocked, { signal: AbortSignal.timeout(5) }), { code: 'ABORT_ERR' });
  });
});

test.serial('a deadline stops a read that waits, whether there is somebody who writes or not', async (t) => {
  const path = pipeAt(t);
  await withRing({}, async (ring) => {
    const error = await t.throwsAsync(readFile(ring, path, { timeoutMs: 10 }), { code: 'ERR_URING_TIMEOUT' });
    t.like(error, { syscall: 'readFile' });
    const writer = createWriteStream(path);
    const reading = readFile(ring, path, { timeoutMs: 100 });
    writer.write('a beginning');
    await t.throwsAsync(reading, { code: 'ERR_URING_TIMEOUT' });
    await new Promise((resolve) => writer.once('error', () => {}).end(resolve));
    t.is(ring.inFlight, 0);
    t.deepEqual(values(await readFiles(ring, ['/nowhere'], { timeoutMs: 3_600_000 })), ['ENOENT']);
  });
});

test('a file whose size is not known, or is wrong, is read to its end', async (t) => {
  await withRing({}, async (ring) => {
    // /proc says 0 bytes, /sys says 4096.
    for (const path of [
      '/proc/filesystems',
      '/proc/devices',
      '/proc/kallsyms',
      '/sys/kernel/mm/transparent_hugepage/enabled',
    ]) {
      if (!existsSync(path)) continue;
      const expected = readFileSync(path);
      for (const expectedBytes of [1, 100, 16_384])
        t.true(
          (await readFile(ring, path, { expectedBytes })).equals(expected),
          `${path} by ${expectedBytes}`,
        );
    }
    t.true((await readFile(ring, '/proc/self/status', { encoding: 'utf8' })).includes('VmRSS'));
  });
});

test('a pipe is read until the last writer has closed it, however its bytes arrive', async (t) => {
  const path = pipeAt(t);
  await withRing({}, async (ring) => {
    const reading = readFile(ring, path);
    const writer = createWriteStream(path);
    const all = pattern(300_000);
    let written = 0;
    for (const size of [1, 10, 63, 64, 65, 5000, 100_000, 194_797]) {
      writer.write(all.subarray(written, written + size));
      written += size;
      await settle(3);
    }
    t.is(written, all.length);
    writer.end();
    t.true((await soon(reading, 'the end of the pipe')).equals(all));
  });
});

test('a file larger than 2 GiB is refused, as node:fs does', async (t) => {
  const { paths } = filesOf(t, [1]);
  const path = paths[0] as string;
  truncateSync(path, 2 ** 31);
  await withRing({}, async (ring) => {
    await t.throwsAsync(readFile(ring, path), { instanceOf: RangeError, code: 'ERR_FS_FILE_TOO_LARGE' });
    t.is(ring.inFlight, 0);
  });
});

test('an encoding gives strings, also of what falls on a border', async (t) => {
  const dir = tmpDir(t);
  const path = join(dir, 'ä');
  // Each of these has two bytes, so one of them is read in two pieces.
  writeFileSync(path, `x${'ä'.repeat(20_000)}`);
  await withRing({}, async (ring) => {
    for (const asked of [path, Buffer.from(path), pathToFileURL(path)]) {
      t.is(await readFile(ring, asked, { encoding: 'utf8' }), readFileSync(path, 'utf8'));
      t.deepEqual(values(await readFiles(ring, [asked], { encoding: 'hex' })), [readFileSync(path, 'hex')]);
      t.true((await readFile(ring, asked, { encoding: null })).equals(readFileSync(path)));
    }
  });
});

test('buffers of small files are not each other’s', async (t) => {
  const { paths, contents } = smallFiles(t, 300);
  await withRing({}, async (ring) => {
    const first = await readFiles(ring, paths);
    for (const one of first) if (one.status === 'fulfilled') one.value.fill(0);
    assertContents(t, await readFiles(ring, paths), contents);
    t.true(first.every((one) => one.status === 'fulfilled' && one.value.every((byte) => byte === 0)));
  });
});

test.serial('where no slot is free descriptors serve, and the slots of others stay theirs', async (t) => {
  const { paths, contents } = smallFiles(t, 200);
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 1 });
    const { fd } = process.stdout as unknown as { fd: number };
    const mine = files.alloc(fd);
    await assertUsable(t, ring);
    const before = openFds();
    assertContents(t, await readFiles(ring, paths, { direct: true, concurrency: 32 }), contents);
    t.is(ring.stats().fileSlots, 1);
    t.is(openFds().size, before.size);
    files.clear(mine);
    files.unregister();
    assertContents(t, await readFiles(ring, paths, { direct: true }), contents);
  });
});

/** Runs a module where only so many descriptors are left, with `paths` and `some` (a count of files that were read). */
function withDescriptors(
  left: number,
  paths: readonly string[],
  source: string,
): ReturnType<typeof runModule> {
  const text = `
    import { closeSync, openSync } from 'node:fs';
    import { Ring, readFiles } from 'uring';
    const ring = new Ring();
    const paths = JSON.parse(process.env.PATHS);
    const codes = (results) => results.map((one) => (one.status === 'fulfilled' ? 'read' : one.reason.code));
    const count = (results, code) => codes(results).filter((one) => one === code).length;
    await readFiles(ring, paths.slice(0, 1));
    const taken = [];
    try {
      for (;;) taken.push(openSync('/dev/null'));
    } catch (error) {
      console.log(error.code);
    }
    for (const fd of taken.splice(0, ${left})) closeSync(fd);
    ${source}
    await ring.close();
  `;
  return runModule(text, { env: { PATHS: JSON.stringify(paths) } });
}

test('with no descriptor to be had, files fail, and with few they wait for each other', async (t) => {
  const { paths } = smallFiles(t, 500);
  const ended = await withDescriptors(
    0,
    paths,
    `
    console.log(count(await readFiles(ring, paths.slice(0, 300)), 'EMFILE'));
    for (const fd of taken.splice(0, 3)) closeSync(fd);
    console.log(count(await readFiles(ring, paths), 'read'));
  `,
  );
  t.like(ended, { ...WELL, stdout: 'EMFILE\n300\n500\n' });
});

test('with one descriptor to be had, readings that run at the same time wait for each other', async (t) => {
  const { paths } = smallFiles(t, 200);
  const ended = await withDescriptors(
    1,
    paths,
    `
    const readings = [readFiles(ring, paths), readFiles(ring, paths.slice(0, 1)), readFiles(ring, paths, { concurrency: 2 })];
    for (const results of await Promise.all(readings)) console.log(count(results, 'read'));
  `,
  );
  t.like(ended, { ...WELL, stdout: 'EMFILE\n200\n1\n200\n' });
});

test('nobody waits for ever for a descriptor that another one turned out not to need', async (t) => {
  const { paths } = smallFiles(t, 2);
  const [first, last] = paths as [string, string];
  const ended = await withDescriptors(
    1,
    [first, `${first}.missing`, `${first}.gone`, last],
    `
    console.log(codes(await readFiles(ring, paths)).join(' '));
    const controller = new AbortController();
    const aborted = readFiles(ring, paths, { signal: controller.signal });
    const others = readFiles(ring, paths);
    controller.abort();
    console.log((await aborted.catch(({ code }) => code)), codes(await others).join(' '));
  `,
  );
  const each = 'read ENOENT ENOENT read';
  t.like(ended, { ...WELL, stdout: `EMFILE\n${each}\nABORT_ERR ${each}\n` });
});

test.serial('a ring that is closed in the middle ends the reading, and leaves nothing open', async (t) => {
  const { paths } = smallFiles(t, 1000);
  const blocked = pipeAt(t);
  const before = openFds();
  for (const turns of [0, 1, 2, 5, 9]) {
    const ring = new Ring();
    const reading = readFiles(ring, [blocked, ...paths], { concurrency: 16 });
    await settle(turns);
    await ring.close();
    const results = await soon(reading, 'the end of a closed ring’s files');
    const codes = new Set(results.map((one) => (one.status === 'fulfilled' ? 'read' : one.reason.code)));
    // The pipe that nobody writes to is cancelled, and what was not begun by then is refused.
    t.true(codes.has('ECANCELED'));
    if (turns === 0) t.true(codes.has('ERR_URING_CLOSED'));
    for (const code of codes) t.true(['read', 'ECANCELED', 'EINTR', 'ERR_URING_CLOSED'].includes(code), code);
    await until(() => openFds().size === before.size);
  }
});

test('the smallest ring does, beside operations of others', async (t) => {
  const { paths, contents } = smallFiles(t, 100);
  await withRing({ entries: 2, cqEntries: 4 }, async (ring) => {
    const others = Array.from({ length: 30 }, () => ring.exec(timeout(1)));
    assertContents(t, await readFiles(ring, paths), contents);
    await Promise.all(others);
    t.like(ring, { inFlight: 0, waiting: 0 });
  });
});

test('a ring whose chains would be cut apart reads without them', async (t) => {
  const { paths, contents } = filesOf(t, [0, 10, 5000, 16_384, 16_449, 100_000]);
  await withRing({ sqpoll: { idleMs: 50 } }, async (first) => {
    await withRing({ sqpoll: { idleMs: 50 }, attachTo: first }, async (ring) => {
      assertContents(t, await readFiles(ring, paths), contents);
      assertContents(t, await readFiles(ring, paths, { shortIsEnd: true, expectedBytes: 100 }), contents);
      t.true((await readFile(ring, '/proc/filesystems', { expectedBytes: 10 })).length > 10);
    });
  });
});

test('many single reads at a time are each their own', async (t) => {
  const { paths, contents } = smallFiles(t, 300);
  await withRing({}, async (ring) => {
    t.deepEqual(await Promise.all(paths.map((path) => readFile(ring, path))), contents);
  });
});

test('in order: each result comes in its turn, and no more is read ahead than was said', async (t) => {
  const { dir, paths, contents } = smallFiles(t, 500);
  await withRing({}, async (ring) => {
    const asked = paths.with === undefined ? [...paths] : paths.slice();
    asked[5] = join(dir, 'missing');
    let at = 0;
    let most = 0;
    for await (const one of readFilesInOrder(ring, asked, { concurrency: 4 })) {
      if (at === 5) t.like(one, { status: 'rejected', reason: { code: 'ENOENT' } });
      else t.deepEqual(values([one]), [contents[at]]);
      await settle(2);
      // Four operations for a file at most.
      most = Math.max(most, ring.stats().submitted - 4 * (at + 1));
      at += 1;
    }
    t.is(at, 500);
    t.true(most <= 4 * 8, `${most} operations ahead`);
    for await (const _ of readFilesInOrder(ring, [])) t.fail('there is nothing to read');
  });
});

test.serial('in order: leaving the loop ends the reading, as does a signal', async (t) => {
  const { paths } = smallFiles(t, 500);
  const blocked = pipeAt(t);
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds();
    const asked = [...paths.slice(0, 20), blocked, ...paths.slice(20)];
    for await (const one of readFilesInOrder(ring, asked)) {
      t.is(one.status, 'fulfilled');
      break;
    }
    assertNothingLeft(t, ring, before);
    const controller = new AbortController();
    let count = 0;
    const read = async (): Promise<void> => {
      for await (const _ of readFilesInOrder(ring, asked, { signal: controller.signal })) {
        count += 1;
        if (count === 20) setImmediate(() => controller.abort());
      }
    };
    await t.throwsAsync(soon(read(), 'the end of the loop'), { instanceOf: AbortError });
    t.is(count, 20);
    assertNothingLeft(t, ring, before);
  });
});

test.serial('for each: files are shown as they come, and what the callback throws ends it', async (t) => {
  const { dir, paths, contents } = filesOf(t, [0, 10, 5000, 16_384, 16_449, 100_000, 5_000_000]);
  const asked = [...paths, join(dir, 'missing'), dir];
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds();
    const seen = new Map<number, Buffer | string>();
    await forEachFile(ring, asked, (error, bytes, at) => {
      t.false(seen.has(at));
      seen.set(at, error === null ? Buffer.from(bytes) : (error as UringError).code);
      if (error !== null) t.is(bytes.length, 0);
    });
    t.is(seen.size, asked.length);
    for (const [at, content] of contents.entries())
      t.true(content.equals(seen.get(at) as Buffer), `file ${at}`);
    t.deepEqual([seen.get(7), seen.get(8)], ['ENOENT', 'EISDIR']);
    assertNothingLeft(t, ring, before);
    let calls = 0;
    const broken = forEachFile(ring, Array(1000).fill(paths[1]), () => {
      calls += 1;
      if (calls === 300) throw new Error('enough');
    });
    await t.throwsAsync(broken, { message: 'enough' });
    t.is(calls, 300);
    assertNothingLeft(t, ring, before);
    await t.throwsAsync(forEachFile(ring, paths, 7 as never), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /callback/,
    });
  });
});

test('memory that was shown in a callback, and transferred from there, is not used again', async (t) => {
  const { paths, contents } = smallFiles(t, 50);
  await withRing({}, async (ring) => {
    await forEachFile(ring, paths.slice(0, 1), (_error, bytes) => {
      try {
        structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
      } catch (refused) {
        // Node 22 does not let go of it, which is as good.
        t.is((refused as Error).name, 'DataCloneError');
      }
    });
    assertContents(t, await readFiles(ring, paths), contents);
  });
});

test('what is wrong is refused before anything is read', async (t) => {
  const dir = tmpDir(t);
  mkdirSync(join(dir, 'sub'));
  await withRing({}, async (ring) => {
    const submitted = ring.stats().submitted;
    const one = (path: unknown, options?: unknown): Promise<unknown> =>
      readFile(ring, path as string, options as never);
    const many = (paths: unknown, options?: unknown): Promise<unknown> =>
      readFiles(ring, paths as string[], options as never);
    const type = { code: 'ERR_INVALID_ARG_TYPE' };
    const value = { code: 'ERR_INVALID_ARG_VALUE' };
    const range = { code: 'ERR_OUT_OF_RANGE' };
    await t.throwsAsync(readFile({} as Ring, 'x'), { ...type, message: /"ring"/ });
    await t.throwsAsync(one(7), { ...type, message: /"path"/ });
    await t.throwsAsync(one('a\0b'), { ...value, message: /null bytes/ });
    await t.throwsAsync(one('a'.repeat(4096)), { ...value, message: /longer than 4095/ });
    await t.throwsAsync(one('ä'.repeat(2048)), { ...value, message: /longer than 4095/ });
    await t.throwsAsync(many('x'), { ...type, message: /"paths"/ });
    await t.throwsAsync(many(Buffer.from('x')), { ...type, message: /"paths"/ });
    await t.throwsAsync(many(['/etc/hostname', 'b', 3]), { ...type, message: /"paths\[2\]"/ });
    await t.throwsAsync(many(['/etc/hostname', 'b\0']), { ...value, message: /"paths\[1\]"/ });
    await t.throwsAsync(many([], { concurrency: 0 }), { ...range, message: /concurrency/ });
    await t.throwsAsync(many([], { concurrency: 4097 }), { ...range, message: /concurrency/ });
    await t.throwsAsync(one('x', { expectedBytes: 0 }), { ...range, message: /expectedBytes/ });
    await t.throwsAsync(one('x', { expectedBytes: 65_537 }), { ...range, message: /expectedBytes/ });
    await t.throwsAsync(one('x', { encoding: 'latin9' }), { ...value, message: /encoding/ });
    await t.throwsAsync(one('x', { shortIsEnd: 1 }), { ...type, message: /shortIsEnd/ });
    await t.throwsAsync(one('x', { direct: 1 }), { ...type, message: /direct/ });
    await t.throwsAsync(one('x', { signal: {} }), { ...type, message: /signal/ });
    await t.throwsAsync(one('x', { timeoutMs: -1 }), { ...range, message: /timeoutMs/ });
    await t.throwsAsync(one('x', 'utf8'), { ...type, message: /options/ });
    t.is(ring.stats().submitted, submitted);
    t.deepEqual(await readFiles(ring, []), []);
    await ring.close();
    await t.throwsAsync(one('x'), { code: 'ERR_URING_CLOSED' });
  });
});
