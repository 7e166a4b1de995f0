// Cancelling before, during and after completion; timers; links and drain.
import { writeSync } from 'node:fs';
import test from 'ava';
import {
  asyncCancel,
  nop,
  type Operation,
  openat,
  type Ring,
  read,
  SqeFlags,
  timeout,
  timeoutMultishot,
} from 'uring';
import { assertUsable, endedAs, FORMS, fifo, file, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

/** Starts an operation and answers how it ended: its result or the code of its error. */
function outcome(
  ring: Ring,
  operation: Operation<unknown> | Operation<number> | Operation<void>,
): Promise<unknown> {
  return ring.exec(operation as Operation<unknown>).catch((error: NodeJS.ErrnoException) => error.code);
}

/** A turn of the event loop, after which what was started is with the kernel. */
const submitted = async (ring: Ring): Promise<void> => {
  await ring.exec(nop());
};

test('cancel before submission: an operation prepared in the same batch is stopped', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const operation = read(pipe, ring.alloc(1));
    t.true(ring.prep(operation, 'read'));
    t.true(ring.prep(asyncCancel(operation), 'cancel'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['read', 'ECANCELED'],
      ['cancel', 0],
    ]);
    const hour = timeout(HOUR_MS);
    t.deepEqual(await Promise.all([outcome(ring, hour), ring.exec(asyncCancel(hour))]), ['ECANCELED', 0]);
  });
});

test('cancel before the target itself finds nothing, and the target runs', async (t) => {
  await withRing({}, (ring) => {
    const operation = nop({ result: 5 });
    t.true(ring.prep(asyncCancel(operation), 'cancel'));
    t.true(ring.prep(operation, 'nop'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['cancel', 'ENOENT'],
      ['nop', 5],
    ]);
  });
});

for (const form of FORMS) {
  test(`cancel during: a read that waits and a timer that runs are stopped (${form})`, async (t) => {
    const pipe = fifo(t);
    await withRing({}, async (ring) => {
      for (const operation of [read(pipe, ring.alloc(1)), read(pipe, Buffer.alloc(1)), timeout(HOUR_MS)]) {
        const ended = outcome(ring, operation);
        await submitted(ring);
        t.is(await runAs(form, ring, asyncCancel(operation)), 0);
        t.is(await ended, 'ECANCELED');
      }
      t.is(ring.inFlight, 0);
      await assertUsable(t, ring);
    });
  });

  test(`cancel after: an operation that has completed is not found (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const operation = nop();
      await ring.exec(operation);
      await t.throwsAsync(runAs(form, ring, asyncCancel(operation)), {
        code: 'ENOENT',
        message: 'ENOENT: no such file or directory, asyncCancel',
      });
      await assertUsable(t, ring);
    });
  });
}

test('a cancelled read takes no bytes: the next one gets them', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const buffer = Buffer.alloc(4, 0xee);
    const operation = read(pipe, buffer);
    const ended = outcome(ring, operation);
    await submitted(ring);
    await ring.exec(asyncCancel(operation));
    writeSync(pipe, 'data');
    t.is(await ended, 'ECANCELED');
    t.deepEqual(buffer, Buffer.alloc(4, 0xee));
    t.is(await ring.exec(read(pipe, buffer)), 4);
    t.is(buffer.toString(), 'data');
  });
});

test('an index that is used again does not make a cancel hit the wrong operation', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const gone = nop();
    for (let round = 0; round < 100; round += 1) await ring.exec(gone);
    const other = read(pipe, ring.alloc(1));
    const ended = ring.exec(other);
    await submitted(ring);
    await t.throwsAsync(ring.exec(asyncCancel(gone)), { code: 'ENOENT' });
    writeSync(pipe, 'x');
    t.is(await ended, 1);
  });
});

test('of an operation that was started twice, the one started first is stopped', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    const operation = read(pipe, ring.alloc(1));
    t.true(ring.prep(operation, 'first'));
    t.true(ring.prep(operation, 'second'));
    t.true(ring.prep(asyncCancel(operation), 'cancel'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['first', 'ECANCELED'],
      ['cancel', 0],
    ]);
    t.true(ring.prep(asyncCancel(operation), 'cancel'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['second', 'ECANCELED'],
      ['cancel', 0],
    ]);
  });
});

test('the one started first is stopped also when indexes were used before', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    // Three indexes are given back, so that the next operations take them in another order than their own.
    for (let at = 0; at < 3; at += 1) ring.prep(nop());
    waitFor(ring, 3);
    reap(ring);
    const operation = read(pipe, ring.alloc(1));
    for (const userData of ['first', 'second', 'third']) t.true(ring.prep(operation, userData));
    t.true(ring.prep(asyncCancel(operation), 'cancel'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['first', 'ECANCELED'],
      ['cancel', 0],
    ]);
  });
});

test('cancel by userData compares identity, and takes any value', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    const keys = [{ name: 'same' }, { name: 'same' }, 'text', 7, Number.NaN, Symbol('s')];
    for (const key of keys) t.true(ring.prep(read(pipe, ring.alloc(1)), key));
    ring.submit();
    for (const key of [...keys].reverse()) {
      t.true(ring.prep(asyncCancel({ userData: key }), 'cancel'));
      waitFor(ring, 2);
      endedAs(t, reap(ring), [
        [key, 'ECANCELED'],
        ['cancel', 0],
      ]);
    }
    t.true(ring.prep(asyncCancel({ userData: { name: 'same' } }), 'cancel'));
    waitFor(ring, 1);
    endedAs(t, reap(ring), [['cancel', 'ENOENT']]);
  });
});

test('cancel by descriptor stops one operation, or with `all` every one on it and no other', async (t) => {
  const [pipe, other] = [fifo(t), fifo(t)];
  await withRing({}, async (ring) => {
    const reads = [1, 2, 3].map(() => outcome(ring, read(pipe, ring.alloc(1))));
    const untouched = ring.exec(read(other, ring.alloc(1)));
    await submitted(ring);
    t.is(await ring.exec(asyncCancel({ fd: pipe })), 0);
    t.is(await Promise.race(reads), 'ECANCELED');
    t.is(ring.inFlight, 3);
    t.is(await ring.exec(asyncCancel({ fd: pipe, all: true })), 2);
    t.deepEqual(await Promise.all(reads), Array(3).fill('ECANCELED'));
    t.is(await ring.exec(asyncCancel({ fd: pipe, all: true })), 0, 'nothing is left');
    await t.throwsAsync(ring.exec(asyncCancel({ fd: pipe })), { code: 'ENOENT' });
    writeSync(other, 'x');
    t.is(await untouched, 1);
  });
});

test('cancel by registered file stops what runs on that slot', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const slot = ring.registrar.registerFiles().alloc(pipe);
    const reads = [outcome(ring, read(slot, ring.alloc(1))), outcome(ring, read(slot, ring.alloc(1)))];
    await submitted(ring);
    t.is(await ring.exec(asyncCancel({ fd: slot, all: true })), 2);
    t.deepEqual(await Promise.all(reads), ['ECANCELED', 'ECANCELED']);
    await t.throwsAsync(ring.exec(asyncCancel({ fd: slot })), { code: 'ENOENT' });
  });
});

test('cancel of anything stops reads and timers alike, and says how many', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    t.is(await ring.exec(asyncCancel({ any: true })), 0);
    const ended = [
      outcome(ring, read(pipe, ring.alloc(1))),
      outcome(ring, timeout(HOUR_MS)),
      outcome(ring, timeout(HOUR_MS, { count: 1000 })),
    ];
    await submitted(ring);
    t.is(await ring.exec(asyncCancel({ any: true })), 3);
    t.deepEqual(await Promise.all(ended), Array(3).fill('ECANCELED'));
    await assertUsable(t, ring);
  });
});

test('a cancel goes ahead of operations that wait for room', async (t) => {
  t.timeout(120_000);
  const pipe = fifo(t);
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    const reads = Array.from({ length: 4 }, () => read(pipe, ring.alloc(1)));
    const ended = reads.map((operation) => outcome(ring, operation));
    const waiting = ring.exec(nop({ result: 8 }));
    t.is(ring.waiting, 1);
    t.is(await ring.exec(asyncCancel(reads[2] as Operation<number>)), 0);
    t.is(await ended[2], 'ECANCELED');
    t.is(await waiting, 8);
    t.is(await ring.exec(asyncCancel({ any: true })), 3);
    await Promise.all(ended);
  });
});

test('an operation that still waits for room can be cancelled', async (t) => {
  t.timeout(120_000);
  const pipe = fifo(t);
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    const blockers = Array.from({ length: 4 }, () => outcome(ring, read(pipe, ring.alloc(1))));
    const operation = read(pipe, ring.alloc(1));
    const ended = outcome(ring, operation);
    t.is(ring.waiting, 1);
    const cancelled = await outcome(ring, asyncCancel(operation));
    await ring.exec(asyncCancel({ any: true }));
    t.deepEqual(await Promise.all(blockers), Array(4).fill('ECANCELED'));
    // Let nothing be left in flight, whatever the answer was.
    writeSync(pipe, 'x');
    t.deepEqual([cancelled, await ended], [0, 'ECANCELED']);
  });
});

test('a timer ends without an error when its time is up, whichever way it is run', async (t) => {
  await withRing({}, async (ring) => {
    for (const form of FORMS) t.is(await runAs(form, ring, timeout(1)), undefined);
    for (const timeoutMs of [0, 0.001, 1.5]) t.is(await ring.exec(timeout(timeoutMs)), undefined);
    ring.prep(timeout(1), 'timer');
    waitFor(ring, 1);
    t.like(reap(ring)[0], { userData: 'timer', res: -62, ok: true, error: null, result: undefined });
  });
});

test('of two timers the shorter ends first, and neither ends early', async (t) => {
  await withRing({}, async (ring) => {
    const order: string[] = [];
    const started = performance.now();
    await Promise.all([
      ring.exec(timeout(60)).then(() => order.push('long')),
      ring.exec(timeout(20)).then(() => order.push('short')),
    ]);
    t.deepEqual(order, ['short', 'long']);
    t.true(performance.now() - started >= 59);
  });
});

test('a timer with a count ends when that many operations have completed', async (t) => {
  await withRing({}, async (ring) => {
    let ended = false;
    const timer = ring.exec(timeout(HOUR_MS, { count: 3 })).then(() => {
      ended = true;
    });
    await ring.exec(nop());
    await ring.exec(nop());
    t.false(ended);
    await ring.exec(nop());
    await timer;
    t.true(ended);
    ring.prep(timeout(HOUR_MS, { count: 1 }), 'timer');
    ring.prep(nop(), 'nop');
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['nop', 0],
      ['timer', 0],
    ]);
  });
});

test('a multishot timer expires as often as it is told, and then is over', async (t) => {
  t.timeout(120_000);
  await withRing({}, async (ring) => {
    let ticks = 0;
    for await (const tick of ring.multishot(timeoutMultishot(1, { repeat: 5 }))) {
      t.is(tick, undefined);
      ticks += 1;
    }
    t.is(ticks, 5);
    t.is(ring.inFlight, 0);
  });
});

test('a multishot timer says with every expiration but the last that more follow', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(timeoutMultishot(1, { repeat: 3 }), 'timer');
    const seen: boolean[] = [];
    while (ring.inFlight > 0) {
      waitFor(ring, 1);
      for (const completion of reap(ring)) {
        t.like(completion, { userData: 'timer', res: -62, ok: true });
        seen.push(completion.hasMore);
      }
    }
    t.deepEqual(seen, [true, true, false]);
  });
});

test('leaving an endless multishot timer stops it', async (t) => {
  t.timeout(120_000);
  await withRing({}, async (ring) => {
    let ticks = 0;
    for await (const _ of ring.multishot(timeoutMultishot(1))) {
      ticks += 1;
      if (ticks === 3) break;
    }
    t.is(ticks, 3);
    t.is(ring.inFlight, 0);
    await assertUsable(t, ring);
  });
});

test('a timer bounds a wait next to a read that waits', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    ring.prep(read(pipe, ring.alloc(1)), 'read');
    ring.prep(timeout(5), 'timer');
    t.is(ring.submitAndWait(1), 2);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      ['timer'],
    );
    t.is(ring.inFlight, 1);
    writeSync(pipe, 'x');
    waitFor(ring, 1);
    t.is(reap(ring)[0]?.userData, 'read');
  });
});

test('a short read breaks a soft link', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, (ring) => {
    for (const buffer of [ring.alloc(64), Buffer.alloc(64)]) {
      t.true(ring.prepChain([read(fd, buffer, { offset: 0 }), nop(), nop()], { userData: ['read', 1, 2] }));
      waitFor(ring, 3);
      endedAs(t, reap(ring), [
        ['read', 10],
        [1, 'ECANCELED'],
        [2, 'ECANCELED'],
      ]);
      t.deepEqual(Buffer.from(buffer.subarray(0, 10)), pattern(10), 'the bytes that were read are there');
    }
  });
});

test('a short read does not break a hard link', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, (ring) => {
    const chain = [read(fd, ring.alloc(64), { offset: 0 }), nop(), nop()];
    t.true(ring.prepChain(chain, { hard: true, userData: ['read', 1, 2] }));
    waitFor(ring, 3);
    endedAs(t, reap(ring), [
      ['read', 10],
      [1, 0],
      [2, 0],
    ]);
  });
});

test('a link that failed cancels an openat, which then opens nothing', async (t) => {
  await withRing({}, async (ring) => {
    t.true(ring.prepChain([nop({ result: -5 }), openat('/dev/null')]));
    waitFor(ring, 2);
    const [, opened] = reap(ring);
    t.like(opened?.error, { code: 'ECANCELED', syscall: 'openat', path: '/dev/null' });
  });
});

test('cancelling the head of a chain cancels the chain', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    const head = read(pipe, ring.alloc(1));
    t.true(ring.prepChain([head, nop()], { userData: ['head', 'tail'] }));
    t.true(ring.prep(asyncCancel(head), 'cancel'));
    waitFor(ring, 3);
    endedAs(t, reap(ring), [
      ['head', 'ECANCELED'],
      ['tail', 'ECANCELED'],
      ['cancel', 0],
    ]);
  });
});

test('DRAIN keeps its order among operations that take different times', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(timeout(10), 'slow');
    ring.prep(nop(), 'fast');
    ring.prep(nop(), 'drained', SqeFlags.DRAIN);
    ring.prep(nop(), 'after');
    waitFor(ring, 4);
    const order = reap(ring).map(({ userData }) => userData);
    t.deepEqual(order, ['fast', 'slow', 'drained', 'after']);
  });
});
