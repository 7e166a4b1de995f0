// Futexes, on memory of one ring and on memory that threads share.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import {
  asyncCancel,
  type FutexWords,
  futexWait,
  futexWaitv,
  futexWake,
  type Ring,
  SharedMemory,
} from 'uring';
import { type AnySingle, assertUsable, FORMS, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { gc, leakCheck, withRing } from './_helpers.ts';
import { fixture } from './_process.ts';
import { soon } from './_until.ts';

leakCheck(test);

const two = (use: (one: Ring, other: Ring) => Promise<void>): Promise<void> =>
  withRing({ entries: 16 }, (one) => withRing({ entries: 16 }, (other) => use(one, other)));

for (const form of FORMS) {
  test(`a waiter is woken by another ring that has the memory (${form})`, async (t) => {
    await two(async (one, other) => {
      const { words, token } = one.allocShared(64);
      const shared = other.openShared(token);
      const woken = one.exec(futexWait(words, 15, 0));
      one.submit();
      Atomics.store(shared.words, 15, 7);
      t.is(await runAs(form, other, futexWake(shared.words, 15, 1)), 1);
      t.is(await woken, 'ok');
      t.is(Atomics.load(words, 15), 7);
    });
  });

  test(`a word with another value is not waited for (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const { words } = ring.allocShared(8);
      words.set([-1, 5]);
      t.is(await runAs(form, ring, futexWait(words, 0, 0)), 'not-equal');
      t.is(await runAs(form, ring, futexWait(words, 1, -1)), 'not-equal');
      t.is(await runAs(form, ring, futexWaitv([{ words, index: 1, expected: 4 }])), 'not-equal');
      t.is(ring.inFlight, 0);
    });
  });
}

test('a value is compared with or without its sign', async (t) => {
  await withRing({}, async (ring) => {
    const { words } = ring.allocShared(4);
    words[0] = -2;
    const unsigned = new Uint32Array(words.buffer, words.byteOffset, 1);
    for (const [view, expected] of [
      [words, -2],
      [unsigned, 2 ** 32 - 2],
    ] as [FutexWords, number][]) {
      const woken = ring.exec(futexWait(view, 0, expected));
      ring.submit();
      t.is(await ring.exec(futexWake(view, 0)), 1);
      t.is(await woken, 'ok');
    }
  });
});

test('as many are woken as are asked for, and those first that have waited longest', async (t) => {
  await withRing({}, async (ring) => {
    const { words } = ring.allocShared(4);
    for (const name of ['a', 'b', 'c']) ring.prep(futexWait(words, 0, 0), name);
    ring.submit();
    t.is(await ring.exec(futexWake(words, 0, 0)), 0);
    t.is(await ring.exec(futexWake(words, 0, 2)), 2);
    waitFor(ring, 2);
    t.deepEqual(
      reap(ring)
        .map(({ userData }) => userData)
        .sort(),
      ['a', 'b'],
    );
    t.is(await ring.exec(futexWake(words, 0)), 1);
    waitFor(ring, 1);
    t.is(reap(ring).length, 1);
    t.is(await ring.exec(futexWake(words, 0)), 0);
  });
});

test('a mask reaches those that have a bit in common with it', async (t) => {
  await withRing({}, async (ring) => {
    const { words } = ring.allocShared(4);
    const [low, high] = [1, 2 ** 31].map((mask) => ring.exec(futexWait(words, 0, 0, { mask })));
    ring.submit();
    t.is(await ring.exec(futexWake(words, 0, 9, { mask: 2 })), 0);
    t.is(await ring.exec(futexWake(words, 0, 9, { mask: 2 ** 31 + 2 })), 1);
    t.is(await high, 'ok');
    t.is(await ring.exec(futexWake(words, 0)), 1);
    t.is(await low, 'ok');
  });
});

test('private and shared futexes are woken by their own kind', async (t) => {
  await withRing({}, async (ring) => {
    const { words } = ring.allocShared(8);
    const woken = ring.exec(futexWait(words, 1, 0, { private: false }));
    ring.submit();
    t.is(await ring.exec(futexWake(words, 1, 1, { private: false })), 1);
    t.is(await woken, 'ok');
  });
});

test('futexWaitv says which word was woken', async (t) => {
  await two(async (one, other) => {
    const { words, token } = one.allocShared(1024);
    const there = other.openShared(token).words;
    const waiters = Array.from({ length: 128 }, (_, index) => ({ words, index, expected: 0 }));
    for (const index of [0, 77, 127]) {
      const woken = one.exec(futexWaitv(waiters));
      one.submit();
      t.is(await other.exec(futexWake(there, index)), 1);
      t.is(await woken, index);
    }
    t.is(await other.exec(futexWake(there, 5)), 0, 'nobody is left behind');
  });
});

test('waiters are cancelled, and by the end of their ring', async (t) => {
  await withRing({}, async (ring) => {
    const { words } = ring.allocShared(8);
    const ended: Promise<unknown>[] = [];
    const waits: AnySingle[] = [futexWait(words, 0, 0), futexWaitv([{ words, index: 1, expected: 0 }])];
    for (const wait of waits) {
      const code = (error: NodeJS.ErrnoException): unknown => error.code;
      ended.push(ring.exec(wait).catch(code));
      ring.submit();
      // Of these the kernel counts even a single one (io_cancel_remove in io_uring/cancel.c).
      t.is(await ring.exec(asyncCancel(wait)), 1);
      ended.push(ring.exec(wait).catch(code));
    }
    await assertUsable(t, ring);
    await ring.close();
    t.deepEqual(await Promise.all(ended), Array(4).fill('ECANCELED'));
  });
});

test('memory of ring.alloc() has futexes for this ring, any other memory has none', async (t) => {
  await two(async (one, other) => {
    const buffer = one.alloc(64);
    const words = new Int32Array(buffer.buffer, buffer.byteOffset, 16);
    const woken = one.exec(futexWait(words, 3, 0));
    one.submit();
    t.is(await one.exec(futexWake(words, 3)), 1);
    t.is(await woken, 'ok');
    const refused = { code: 'ERR_INVALID_ARG_VALUE', message: /is not memory of this ring/ };
    await t.throwsAsync(other.exec(futexWait(words, 3, 0)), refused);
    await t.throwsAsync(one.exec(futexWait(new Int32Array(4), 0, 0)), refused);
    await t.throwsAsync(one.exec(futexWake(new Int32Array(new SharedArrayBuffer(4)), 0)), refused);
    await t.throwsAsync(one.exec(futexWaitv([{ words: new Int32Array(1), index: 0, expected: 0 }])), refused);
    t.is(one.inFlight, 0);
  });
});

test('shared memory is the same bytes wherever it is opened, and has the size that was asked for', async (t) => {
  await two(async (one, other) => {
    const mine = one.allocShared(5003);
    t.true(mine instanceof SharedMemory);
    t.is(mine.buffer.length, 5003);
    t.is(mine.words.length, 1250);
    t.true(Number.isSafeInteger(mine.token) && mine.token > 0);
    const theirs = other.openShared(mine.token);
    t.is(theirs.token, mine.token);
    t.is(theirs.buffer.length, 5003);
    mine.buffer.set(pattern(5003));
    t.deepEqual(theirs.buffer, pattern(5003));
    theirs.words[0] = 0x0403_0201;
    t.deepEqual([...mine.buffer.subarray(0, 4)], [1, 2, 3, 4]);
  });
});

test('a token that nobody told, or whose memory is gone, finds nothing', async (t) => {
  await two(async (one, other) => {
    const gone = { code: 'ERR_URING_STALE_HANDLE', message: /no ring of this process has shared memory/ };
    t.throws(() => one.openShared(12_345), gone);
    const forget = (): number => {
      const { token } = one.allocShared(4096);
      t.is(other.openShared(token).buffer.length, 4096);
      return token;
    };
    const token = forget();
    await gc();
    t.throws(() => other.openShared(token), gone);
    t.throws(() => one.openShared(token), gone);
  });
});

test('shared memory outlives the ring that made it, while another has it', async (t) => {
  await withRing({ entries: 8 }, async (ring) => {
    const kept: SharedMemory[] = [];
    await withRing({ entries: 8 }, (first) => {
      const made = first.allocShared(4);
      made.words[0] = 99;
      kept.push(ring.openShared(made.token));
    });
    await gc();
    const [memory] = kept;
    t.is(memory?.words[0], 99);
    t.is(ring.openShared(memory?.token ?? 0).words[0], 99);
  });
});

// That Atomics are atomic on memory which is no SharedArrayBuffer is V8's promise for one thread only; this is the
// proof for several.
test('two threads count under a lock of futexes, and with Atomics, without losing one', async (t) => {
  await withRing({ entries: 8 }, async (ring) => {
    const { words, token } = ring.allocShared(64);
    const rounds = 500;
    const workers = [1, 2].map(() => {
      const workerData = { token, rounds };
      return new Worker(fixture('futex-worker.mjs'), { workerData, execArgv: [] });
    });
    for (const worker of workers) t.teardown(() => worker.terminate());
    await soon(Promise.all(workers.map((worker) => once(worker, 'exit'))), 'both workers are done');
    t.is(Atomics.load(words, 0), 0, 'the lock is free');
    t.is(Atomics.load(words, 1), 2 * rounds);
    t.is(Atomics.load(words, 2), 2 * rounds * 1000);
  });
});
