// Reading files where there is little room, and what is whose.
import { AsyncLocalStorage } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  AbortError,
  forEachFile,
  nop,
  Ring,
  read,
  readFile,
  readFiles,
  readFilesInOrder,
  statFiles,
} from 'uring';
import { assertContents, filesOf, values } from './_files.ts';
import { fifo, pattern } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { settle, soon } from './_until.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);

const files = (t: T, count: number): { paths: string[]; contents: Buffer[] } =>
  filesOf(
    t,
    Array.from({ length: count }, (_, at) => (at * 37) % 700),
  );

for (const size of [{ entries: 1 }, { entries: 1, cqEntries: 1 }, { entries: 2, cqEntries: 2 }]) {
  for (const direct of [false, true]) {
    const into = direct ? 'slots' : 'descriptors';
    test.serial(`a ring of ${JSON.stringify(size)} reads files (${into})`, async (t) => {
      const { paths, contents } = files(t, 20);
      const large = join(tmpDir(t), 'large');
      writeFileSync(large, pattern(300_000));
      await withRing(size, async (ring) => {
        if (direct) ring.registrar.registerFiles({ slots: 1, kernelSlots: 4 });
        await ring.exec(nop());
        const before = openFds().size;
        for (const path of [paths[3] as string, large]) {
          const bytes = await soon(readFile(ring, path, { direct }), 'a file');
          t.true(bytes.equals(path === large ? pattern(300_000) : (contents[3] as Buffer)));
        }
        assertContents(t, await soon(readFiles(ring, paths, { direct }), 'the files'), contents);
        t.like(ring, { inFlight: 0, waiting: 0 });
        t.is(ring.stats().fileSlots, 0);
        t.is(openFds().size, before);
      });
    });
  }
}

test('files wait when too many other operations wait already, and none of them fails', async (t) => {
  const { paths, contents } = files(t, 60);
  await withRing({ entries: 8, cqEntries: 16, waitingMax: 16 }, async (ring) => {
    for (const start of [
      async () => assertContents(t, await readFiles(ring, paths), contents),
      async () => {
        const results = await statFiles(ring, paths);
        t.deepEqual(
          results.map((one) => (one.status === 'fulfilled' ? one.value.size : one.reason.code)),
          contents.map(({ length }) => length),
        );
      },
    ]) {
      const { queueFull } = ring.stats();
      let isOver = false;
      const reading = start().finally(() => {
        isOver = true;
      });
      let others: Promise<unknown>[] = [];
      for (let turns = 0; turns < 50 && !isOver; turns += 1) {
        others = Array.from({ length: 40 }, () => ring.exec(nop()).catch(() => {}));
        await turn();
      }
      await soon(reading, 'the files');
      await Promise.all(others);
      t.true(ring.stats().queueFull > queueFull, 'it was full');
    }
    t.like(ring, { inFlight: 0, waiting: 0 });
  });
});

test.serial(
  'what waits on a ring that is full is stopped there, by a signal and by closing the ring',
  async (t) => {
    const { paths } = files(t, 20);
    const fd = fifo(t);
    const ring = new Ring({ entries: 4, cqEntries: 8, waitingMax: 1 });
    const blocked: Promise<unknown>[] = [];
    while (ring.waiting < 1) blocked.push(ring.exec(read(fd, Buffer.alloc(1))).catch(() => {}));
    const controller = new AbortController();
    const { signal } = controller;
    const stopped = [readFiles(ring, paths, { signal }), statFiles(ring, paths, { signal })];
    const late = [readFiles(ring, paths), statFiles(ring, paths)];
    await settle();
    controller.abort();
    const ends = await soon(Promise.allSettled(stopped), 'the end');
    const closed = ring.close();
    const results = await soon(Promise.all<readonly PromiseSettledResult<unknown>[]>(late), 'the end');
    await Promise.all([closed, ...blocked]);
    for (const end of ends) t.true(end.status === 'rejected' && end.reason instanceof AbortError);
    for (const one of results) t.deepEqual([...new Set(values(one))], ['ERR_URING_CLOSED']);
  },
);

test('results of small files are not transferred away with each other', async (t) => {
  const { paths, contents } = files(t, 40);
  await withRing({}, async (ring) => {
    const results = await readFiles(ring, paths);
    const [, one] = results;
    if (one?.status !== 'fulfilled') return t.fail('it was not read');
    const memory = one.value.buffer as ArrayBuffer;
    try {
      structuredClone(memory, { transfer: [memory] });
    } catch (refused) {
      t.is((refused as Error).name, 'DataCloneError');
    }
    assertContents(t, results, contents);
  });
});

test('for each: callbacks have the AsyncLocalStorage context of their call, whoever else reads', async (t) => {
  const { paths } = files(t, 10);
  const storage = new AsyncLocalStorage<string>();
  const asked = [...paths, `${paths[0]}-missing`];
  await withRing({}, async (ring) => {
    // The ring was first used elsewhere.
    await readFile(ring, '/etc/hostname');
    const seen: unknown[] = [];
    const reading = (name: string): Promise<void> =>
      storage.run(name, () => forEachFile(ring, asked, () => seen.push([name, storage.getStore()])));
    await Promise.all(['one', 'two'].map(reading));
    t.is(seen.length, 22);
    for (const [name, store] of seen as [string, unknown][]) t.is(store, name);
  });
});

test('in order: a signal that is aborted before the first result is asked for lets nothing start', async (t) => {
  const { paths } = files(t, 3);
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const reason = new Error('not needed');
    const results = readFilesInOrder(ring, paths, { signal: controller.signal });
    const { submitted } = ring.stats();
    controller.abort(reason);
    const error = await t.throwsAsync(soon(results.next(), 'an error'), { instanceOf: AbortError });
    t.is(error.cause, reason);
    t.is(ring.stats().submitted, submitted);
    t.true((await results.next()).done);
  });
});

test.serial('in order: return() ends the reading while a result is being waited for', async (t) => {
  const { paths } = files(t, 3);
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  await withRing({}, async (ring) => {
    await ring.exec(nop());
    const before = openFds().size;
    const results = readFilesInOrder(ring, [paths[0] as string, path, ...paths]);
    t.is((await results.next()).value?.status, 'fulfilled');
    const waiting = results.next();
    await settle();
    const ended = { done: true, value: undefined };
    t.deepEqual(await soon(results.return(), 'the end'), ended);
    t.deepEqual(await soon(waiting, 'the end of what waited'), ended);
    t.like(ring, { inFlight: 0, waiting: 0 });
    t.is(openFds().size, before);
    const unused = readFilesInOrder(ring, paths);
    t.deepEqual([await unused.return(), await unused.next()], [ended, ended]);
  });
});
