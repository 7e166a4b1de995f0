// Every queue at its limit, one past it, and at one.

import { writeSync } from 'node:fs';
import test from 'ava';
import { nop, Ring, read, timeout, UringError } from 'uring';
import { assertUsable, FORMS, fifo, reap, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const TINY = { entries: 1, cqEntries: 4 };
const MANY = 10_000;
const PENDING_MAX = 65_536;

test('10,000 promises on one entry and four completions: each gets its own result', async (t) => {
  t.timeout(180_000);
  await withRing(TINY, async (ring) => {
    const results = await Promise.all(
      Array.from({ length: MANY }, (_, at) => ring.exec(nop({ result: at }))),
    );
    t.true(results.every((result, at) => result === at));
    t.is(results.length, MANY);
    t.like(ring.stats(), { submitted: MANY, completed: MANY });
    t.like(ring, { inFlight: 0, waiting: 0, sqReady: 0, cqReady: 0 });
  });
});

test('10,000 callbacks on one entry and four completions: each is called once, in order', async (t) => {
  t.timeout(180_000);
  await withRing(TINY, async (ring) => {
    const seen: unknown[] = [];
    await new Promise<void>((resolve) => {
      for (let at = 0; at < MANY; at += 1) {
        ring.start(
          nop({ result: at }),
          (error, result, { userData }) => {
            if (error === null && result === userData) seen.push(userData);
            if (result === MANY - 1) resolve();
          },
          at,
        );
      }
    });
    t.deepEqual(
      seen,
      Array.from({ length: MANY }, (_, at) => at),
    );
    t.is(ring.inFlight, 0);
  });
});

test('10,000 operations by hand on one entry and four completions: none is lost', async (t) => {
  await withRing(TINY, (ring) => {
    const seen = new Uint8Array(MANY);
    const count = () =>
      ring.forEachCompletion(({ userData, res }) => {
        if (userData === res) seen[res] = (seen[res] as number) + 1;
      });
    for (let at = 0; at < MANY; at += 1) {
      while (!ring.prep(nop({ result: at }), at)) ring.submit();
      // Read only now and then, so that the completion queue is full most of the time.
      if (at % 100 === 99) {
        ring.submit();
        count();
      }
    }
    ring.submit();
    while (ring.inFlight > 0) {
      waitFor(ring, 1);
      count();
    }
    t.true(seen.every((times) => times === 1));
    t.false(ring.overflowed);
  });
});

test('operations that wait in the kernel come back one by one through four completions', async (t) => {
  t.timeout(180_000);
  const pipe = fifo(t);
  await withRing(TINY, async (ring) => {
    const bytes = Array.from({ length: 500 }, () => Buffer.alloc(1));
    const done = bytes.map((buffer) => ring.exec(read(pipe, buffer)));
    writeSync(pipe, Buffer.from(Array.from({ length: 500 }, (_, at) => at % 256)));
    t.deepEqual(await Promise.all(done), Array(500).fill(1));
    const sum = bytes.reduce((total, buffer) => total + (buffer[0] as number), 0);
    t.is(
      sum,
      Array.from({ length: 500 }, (_, at) => at % 256).reduce((total, byte) => total + byte),
    );
  });
});

for (const entries of [1, 32_768]) {
  test(`a ring of ${entries} entries takes that many operations and no more`, async (t) => {
    await withRing({ entries }, async (ring) => {
      for (let at = 0; at < entries; at += 1)
        if (!ring.prep(nop({ result: at }))) t.fail(`${at} found no room`);
      t.false(ring.prep(nop()));
      t.is(ring.submit(), entries);
      let [count, sum] = [0, 0];
      while (ring.inFlight > 0) {
        waitFor(ring, 1);
        count += ring.forEachCompletion(({ res }) => {
          sum += res;
        });
      }
      t.deepEqual([count, sum], [entries, (entries * (entries - 1)) / 2]);
      await assertUsable(t, ring);
    });
  });
}

test('the completion queue has 65,536 places at most, and at least as many as there are entries', async (t) => {
  await withRing({ entries: 1, cqEntries: 65_536 }, async (ring) => {
    t.is(ring.cqEntries, 65_536);
    const results = await Promise.all(Array.from({ length: 65_536 }, () => ring.exec(nop())));
    t.is(results.length, 65_536);
  });
  await withRing({ entries: 32_768, cqEntries: 32_768 }, (ring) => assertUsable(t, ring));
  await withRing({ entries: 1, cqEntries: 1 }, (ring) => assertUsable(t, ring));
  for (const options of [
    { entries: 8, cqEntries: 4 },
    { entries: 1, cqEntries: 131_072 },
    { entries: 65_536 },
  ]) {
    t.throws(() => new Ring(options), { code: 'ERR_OUT_OF_RANGE' });
  }
});

test('twelve completions for four places overflow, and all come back', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    for (let at = 0; at < 12; at += 1) {
      // All expire while nobody looks, so that they complete at once.
      t.true(ring.prep(timeout(1), at));
      if (ring.sqSpaceLeft === 0) ring.submit();
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    const seen: unknown[] = [];
    while (ring.inFlight > 0) {
      waitFor(ring, 1);
      for (const { userData } of reap(ring)) seen.push(userData);
    }
    t.deepEqual(
      seen.sort((a, b) => Number(a) - Number(b)),
      Array.from({ length: 12 }, (_, at) => at),
    );
    t.true(ring.stats().overflows >= 1);
    t.false(ring.overflowed);
    await assertUsable(t, ring);
  });
});

for (const form of FORMS.filter((form) => form !== 'manual')) {
  test(`one operation more than may wait is ERR_URING_QUEUE_FULL, and the ring goes on (${form})`, async (t) => {
    t.timeout(180_000);
    await withRing(TINY, async (ring) => {
      let settled = 0;
      const start = (): Promise<unknown> =>
        form === 'promise'
          ? ring.exec(nop()).then(() => {
              settled += 1;
            })
          : new Promise<void>((resolve) =>
              ring.start(nop(), () => {
                settled += 1;
                resolve();
              }),
            );
      const started: Promise<unknown>[] = [];
      while (ring.waiting < PENDING_MAX) started.push(start());
      await Promise.resolve();
      const full = {
        instanceOf: UringError,
        code: 'ERR_URING_QUEUE_FULL',
        message:
          /^65536 operations are waiting already: start fewer at a time, or open the ring with a larger/,
      };
      if (form === 'promise') await t.throwsAsync(ring.exec(nop()), full);
      else t.throws(() => ring.start(nop(), () => t.fail('was refused')), full);
      await Promise.all(started);
      t.is(settled, started.length);
      t.true(started.length > PENDING_MAX);
      t.like(ring, { waiting: 0, inFlight: 0 });
      await assertUsable(t, ring);
    });
  });
}

test('what still waits when the ring is closed is cancelled', async (t) => {
  t.timeout(180_000);
  const ring = new Ring(TINY);
  const outcomes = Array.from({ length: 1000 }, () =>
    ring.exec(timeout(3_600_000)).then(
      () => 'done',
      (error: UringError) => error.code,
    ),
  );
  t.true(ring.waiting > 900);
  await ring.close();
  t.deepEqual(await Promise.all(outcomes), Array(1000).fill('ECANCELED'));
  t.like(ring, { waiting: 0, inFlight: 0 });
});

for (const entries of [1, 2, 64]) {
  test(`a chain is as long as a queue of ${entries} entries, and one more is an error`, async (t) => {
    await withRing({ entries, cqEntries: 128 }, async (ring) => {
      const chain = Array.from({ length: entries }, (_, at) => nop({ result: at }));
      t.true(ring.prepChain(chain, { userData: chain }));
      t.false(ring.prepChain([nop()]), 'the queue is full');
      waitFor(ring, entries);
      t.deepEqual(
        reap(ring).map(({ userData }) => userData),
        chain,
      );
      t.throws(() => ring.prepChain([...chain, nop()]), {
        instanceOf: RangeError,
        code: 'ERR_OUT_OF_RANGE',
        message: new RegExp(`"operations.length".* >= 1 and <= ${entries} .*Received ${entries + 1}`),
      });
      await assertUsable(t, ring);
    });
  });
}

test('a chain made with prep that outgrows the queue is told, and leaves the ring usable', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    for (let at = 0; at < 4; at += 1) t.true(ring.prep(nop(), at, 4));
    t.false(ring.prep(nop(), 4));
    t.is(ring.submit(), 4);
    waitFor(ring, 4);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      [0, 1, 2, 3],
      'the link of the last has nothing to link to',
    );
    await assertUsable(t, ring);
  });
});
