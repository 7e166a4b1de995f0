import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { asyncCancel, nop, openat, Ring, timeout } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { fixture, runModule, WELL } from './_process.ts';
import { settle, soon } from './_until.ts';

const HOUR_MS = 3_600_000;

leakCheck(test);

/** Runs a worker to its end and answers what it posted. */
function runWorker(workerData: unknown): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const posted: unknown[] = [];
    const worker = new Worker(fixture('ring-worker.mjs'), { workerData, execArgv: [] });
    worker.on('message', (message) => posted.push(message));
    worker.once('error', reject);
    worker.once('exit', (code) => (code === 0 ? resolve(posted) : reject(new Error(`worker exit ${code}`))));
  });
}

test.serial('operations of one turn are submitted together', async (t) => {
  await withRing({ entries: 256 }, async (ring) => {
    await ring.exec(nop());
    for (const count of [1, 10, 256]) {
      const { enters, submitted } = ring.stats();
      await Promise.all(Array.from({ length: count }, () => ring.exec(nop())));
      t.is(ring.stats().submitted - submitted, count);
      t.true(ring.stats().enters - enters <= 2, `${ring.stats().enters - enters} system calls for ${count}`);
    }
  });
});

test.serial('nothing is submitted before the turn ends', async (t) => {
  await withRing({}, async (ring) => {
    await ring.exec(nop());
    const { enters, submitted } = ring.stats();
    const done = Promise.all([ring.exec(nop()), Promise.resolve().then(() => ring.exec(nop()))]);
    await Promise.resolve();
    t.like(ring.stats(), { enters, submitted });
    t.is(ring.sqReady, 2);
    await done;
    t.is(ring.sqReady, 0);
  });
});

test('a process lives as long as its operations are in flight, and ends without closing the ring', async (t) => {
  const ended = await runModule(`
    import { Ring, nop, timeout } from 'uring';
    const ring = new Ring();
    ring.start(timeout(50), () => {
      console.log('expired');
      ring.exec(nop()).then(() => console.log('and more'));
    });
    process.on('exit', () => console.log('end'));
  `);
  t.like(ended, { ...WELL, stdout: 'expired\nand more\nend\n' });
});

test('a ring that is idle, unused, or used by hand keeps no process alive', async (t) => {
  const ended = await runModule(`
    import { Ring, nop, timeout } from 'uring';
    const [unused, byHand, used] = [new Ring(), new Ring(), new Ring()];
    byHand.prep(timeout(3_600_000));
    byHand.submit();
    await used.exec(nop());
    console.log(used.inFlight);
    // Still held: what is forgotten may be collected, which has its own test.
    globalThis.rings = [unused, byHand, used];
  `);
  t.like(ended, { ...WELL, stdout: '0\n' });
});

test('a closed ring keeps no process alive', async (t) => {
  const ended = await runModule(`
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    const result = ring.exec(timeout(3_600_000)).catch((error) => error.code);
    await ring.close();
    console.log(await result);
  `);
  t.like(ended, { ...WELL, stdout: 'ECANCELED\n' });
});

test('an exception in a callback is an uncaughtException, and the rest of the batch is delivered', async (t) => {
  const ended = await runModule(`
    import { Ring, nop } from 'uring';
    const ring = new Ring();
    const seen = [], caught = [];
    process.on('uncaughtException', (error) => caught.push(error.message));
    for (let index = 0; index < 10; index += 1) {
      ring.start(nop(), (error, result, completion) => {
        seen.push(completion.userData);
        if (index === 2 || index === 5 || index === 9) throw new Error('thrown ' + index);
      }, index);
    }
    const last = await ring.exec(nop());
    await ring.close();
    console.log(seen.join(), caught.join(), last, ring.inFlight);
  `);
  t.like(ended, { ...WELL, stdout: '0,1,2,3,4,5,6,7,8,9 thrown 2,thrown 5,thrown 9 0 0\n' });
});

test('an exception in a callback ends the process if nobody takes it', async (t) => {
  const ended = await runModule(`
    import { Ring, nop } from 'uring';
    new Ring().start(nop(), () => { throw new RangeError('from the callback'); });
  `);
  t.like(ended, { code: 1, signal: null, timedOut: false });
  t.regex(ended.stderr, /RangeError: from the callback/);
});

test('a rejection that nobody handles is like any other', async (t) => {
  const ended = await runModule(`
    import { Ring, openat } from 'uring';
    new Ring().exec(openat('/nowhere/at/all'));
  `);
  t.like(ended, { code: 1, signal: null, timedOut: false });
  t.regex(ended.stderr, /ENOENT: no such file or directory, openat '\/nowhere\/at\/all'/);
  const observed = await runModule(`
    import { Ring, openat } from 'uring';
    process.on('unhandledRejection', (error) => console.log(error.code));
    new Ring().exec(openat('/nowhere/at/all'));
  `);
  t.like(observed, { ...WELL, stdout: 'ENOENT\n' });
});

test('an awaited operation can fail, and those beside it succeed', async (t) => {
  await withRing({}, async (ring) => {
    const results = await Promise.allSettled([
      ring.exec(nop()),
      ring.exec(openat('/nowhere/at/all')),
      ring.exec(nop()),
    ]);
    t.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });
});

test('top-level await and exit codes are as usual', async (t) => {
  const ended = await runModule(`
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    await ring.exec(timeout(10));
    process.exitCode = 7;
  `);
  t.like(ended, { ...WELL, code: 7 });
  const exited = await runModule(`
    import { Ring, nop, timeout } from 'uring';
    const ring = new Ring();
    ring.start(timeout(3_600_000), () => console.log('never'));
    ring.start(nop(), () => process.exit(3));
  `);
  t.like(exited, { ...WELL, code: 3, stdout: '' });
});

test('a callback may start more, as often as it likes', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    let done = 0;
    await new Promise<void>((resolve) => {
      const again = (): void => {
        done += 1;
        if (done === 50_000) resolve();
        else if (done <= 50_000 - 3) ring.start(nop(), again);
      };
      for (let depth = 0; depth < 3; depth += 1) ring.start(nop(), again);
    });
    t.is(done, 50_000);
  });
});

test('what is started beyond the limit waits, in order, and is run', async (t) => {
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    const order: number[] = [];
    const all = Array.from({ length: 5000 }, (_, index) =>
      ring.exec(nop()).then(() => void order.push(index)),
    );
    t.true(ring.inFlight <= 4);
    t.true(ring.waiting >= 4996);
    await Promise.all(all);
    t.deepEqual(
      order,
      Array.from({ length: 5000 }, (_, index) => index),
    );
    t.is(ring.waiting, 0);
  });
});

test('an operation that waits for room can be cancelled', async (t) => {
  // Seen: ENOENT, and the operation ran later all the same.
  await withRing({ entries: 2, cqEntries: 2 }, async (ring) => {
    const running = [timeout(HOUR_MS), timeout(HOUR_MS)];
    const waiting = timeout(HOUR_MS);
    const results = [...running, waiting].map((operation) => ring.exec(operation).catch(({ code }) => code));
    t.is(ring.waiting, 1);
    t.is(await soon(ring.exec(asyncCancel(waiting)), 'the answer'), 0);
    t.is(await soon(results[2] as Promise<unknown>, 'the operation'), 'ECANCELED');
    t.is(ring.waiting, 0);
    t.is(ring.inFlight, 2);
  });
});

/** Completions that one turn of the loop delivers at most, in its two phases (ROUNDS_MAX and COMPLETIONS_MAX, event_loop.rs). */
const TURN_MAX = 2 * (1024 + 128);

test.serial(
  'a busy ring starves no timers and immediates: a turn of the loop delivers a bounded number',
  async (t) => {
    await withRing({}, async (ring) => {
      const counts = { timers: 0, immediates: 0, operations: 0 };
      let busy = true;
      const again = (): void => {
        counts.operations += 1;
        if (busy) ring.start(nop(), again);
      };
      for (let depth = 0; depth < 128; depth += 1) ring.start(nop(), again);
      const timer = setInterval(() => {
        counts.timers += 1;
      }, 1);
      let most = 0;
      while (counts.immediates < 200 || counts.timers < 5) {
        const before = counts.operations;
        await turn();
        most = Math.max(most, counts.operations - before);
        counts.immediates += 1;
        t.true(counts.immediates < 100_000, 'the timers never came');
      }
      clearInterval(timer);
      busy = false;
      // So that it was the ring that kept the loop busy: more than one operation for each of its turns.
      t.true(counts.operations > counts.immediates);
      t.true(most <= TURN_MAX, `${most} operations in one turn`);
    });
  },
);

test.serial('a ring is not starved by a busy loop: each turn submits and delivers', async (t) => {
  await withRing({}, async (ring) => {
    let operations = 0;
    let busy = true;
    const again = (): void => {
      operations += 1;
      if (busy) ring.start(nop(), again);
    };
    again();
    // Immediates and timers that come again at once, and promises in between: the loop never waits.
    const timer = setInterval(() => {}, 1);
    const keepBusy = (): void => {
      if (busy) setImmediate(keepBusy);
    };
    for (let count = 0; count < 10; count += 1) keepBusy();
    for (let turns = 0; turns < 1000; turns += 1) await turn();
    clearInterval(timer);
    busy = false;
    t.true(operations >= 1000, `${operations} operations one after the other in 1000 turns`);
  });
});

test('the context of an AsyncLocalStorage survives an await', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const storage = new AsyncLocalStorage<number>();
    const request = (id: number): Promise<void> =>
      storage.run(id, async () => {
        await ring.exec(nop());
        t.is(storage.getStore(), id);
        await t.throwsAsync(ring.exec(openat('/nowhere/at/all')), { code: 'ENOENT' });
        t.is(storage.getStore(), id);
      });
    await Promise.all(Array.from({ length: 50 }, (_, id) => request(id)));
    t.is(storage.getStore(), undefined);
  });
});

test('rings on one loop work side by side', async (t) => {
  // Seen: what a callback of one ring started on another, whose turn was over, was not submitted, and the loop slept.
  await withRing({ entries: 8 }, async (one) => {
    await withRing({ entries: 16, taskrun: 'coop' }, async (other) => {
      const counts = [0, 0];
      const work = async (ring: Ring, index: number, next: Ring): Promise<void> => {
        for (let round = 0; round < 500; round += 1) {
          await ring.exec(nop());
          await next.exec(nop());
          counts[index]! += 1;
        }
      };
      await soon(Promise.all([work(one, 0, other), work(other, 1, one)]), 'the end of the work');
      t.deepEqual(counts, [500, 500]);
      await other.close();
      t.is(await one.exec(nop()), 0);
    });
  });
});

test('operations are awaited within what follows operations', async (t) => {
  await withRing({}, async (ring) => {
    const depth = async (left: number): Promise<number> =>
      left === 0 ? ring.exec(nop()) : (await ring.exec(nop())) + 1 + (await depth(left - 1));
    t.deepEqual(await Promise.all([depth(100), depth(50), depth(0)]), [100, 50, 0]);
  });
});

test('completions of operations prepared by hand are kept while others are delivered', async (t) => {
  await withRing({}, async (ring) => {
    for (let index = 0; index < 5; index += 1) ring.prep(nop(), index);
    await ring.exec(nop());
    await ring.exec(nop());
    t.is(ring.cqReady, 5);
    t.deepEqual(
      [...ring.completions()].map(({ userData }) => userData),
      [0, 1, 2, 3, 4],
    );
  });
});

test('a ring works in a worker', async (t) => {
  t.deepEqual(await runWorker({ action: 'work' }), [{ results: 0, closed: true }]);
});

test('a worker ends although its ring is open, with or without operations behind it', async (t) => {
  t.deepEqual(await runWorker({ action: 'leave open' }), ['done']);
  t.deepEqual(await runWorker({ action: 'exit in flight' }), ['started']);
});

test.serial('many workers in a row, and several at a time, each have a ring', async (t) => {
  for (let round = 0; round < 10; round += 1) {
    const actions = ['work', 'leave open', 'work', 'exit in flight'];
    const posted = await Promise.all(actions.map((action) => runWorker({ action })));
    t.deepEqual(posted, [
      [{ results: 0, closed: true }],
      ['done'],
      [{ results: 0, closed: true }],
      ['started'],
    ]);
  }
});

test('a forgotten ring is collected, with a warning', async (t) => {
  const ended = await runModule(
    `
    import { readdirSync, readlinkSync } from 'node:fs';
    import { setImmediate as turn } from 'node:timers/promises';
    import { Ring, nop } from 'uring';
    const rings = () => readdirSync('/proc/self/fd').filter((fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd) === 'anon_inode:[io_uring]'; } catch { return false; }
    }).length;
    const before = rings();
    const warnings = [];
    process.on('warning', ({ name, message }) => warnings.push(name + ': ' + message));
    await (async () => {
      const kept = [new Ring(), new Ring(), new Ring()];
      kept[0].alloc(4096);
      await kept[1].exec(nop());
      kept[2].prep(nop());
      kept[2].submit();
    })();
    for (let round = 0; round < 200 && rings() > before; round += 1) { gc(); await turn(); }
    await turn();
    const closed = new Ring();
    await closed.close();
    console.log(rings() - before, warnings.length, [...new Set(warnings)].join());
  `,
    { nodeArguments: ['--expose-gc', '--no-warnings'] },
  );
  const warning = 'UringWarning: A Ring was garbage collected without being closed: call ring.close()';
  t.like(ended, { ...WELL, stdout: `0 3 ${warning}\n` });
});

test('a ring that nobody holds finishes what is in flight', async (t) => {
  const ended = await runModule(
    `
    import { setImmediate as turn } from 'node:timers/promises';
    import { Ring, timeout } from 'uring';
    const expired = (() => new Ring().exec(timeout(200)))().then(() => console.log('expired'));
    for (let round = 0; round < 20; round += 1) { gc(); await turn(); }
    await expired;
  `,
    { nodeArguments: ['--expose-gc', '--no-warnings'] },
  );
  t.like(ended, { ...WELL, stdout: 'expired\n' });
});

test('close may be called twice, at once, and when it is over', async (t) => {
  const ring = new Ring();
  const hour = t.throwsAsync(ring.exec(timeout(HOUR_MS)), { code: 'ECANCELED' });
  const closing = ring.close();
  t.is(ring.close(), closing);
  t.true(ring.closed);
  await Promise.all([closing, ring.close(), ring[Symbol.asyncDispose](), hour]);
  t.is(ring.close(), closing);
  t.is(ring.inFlight, 0);
});

test('close of a ring that was never used, and of one that was used by hand only', async (t) => {
  await new Ring().close();
  const ring = new Ring();
  ring.prep(timeout(HOUR_MS), 'in flight');
  ring.submit();
  ring.prep(nop(), 'not submitted');
  await ring.close();
  t.is(ring.inFlight, 0);
  t.throws(() => ring.submit(), { code: 'ERR_URING_CLOSED' });
  t.deepEqual([...ring.completions()], []);
});

test('a ring that closes refuses what is started, also by callbacks', async (t) => {
  const ring = new Ring();
  const refused: unknown[] = [];
  for (let index = 0; index < 10; index += 1) {
    ring.start(timeout(HOUR_MS), (error) => {
      t.is(error?.code, 'ECANCELED');
      try {
        ring.start(nop(), () => t.fail('it ran'));
      } catch (refusal) {
        refused.push((refusal as { code: string }).code);
      }
    });
  }
  await settle();
  await ring.close();
  t.deepEqual(refused, Array(10).fill('ERR_URING_CLOSED'));
  await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_CLOSED' });
});

test('close fails what waits for room and what has not been submitted', async (t) => {
  const ring = new Ring({ entries: 2, cqEntries: 2 });
  const codes = Array.from({ length: 20 }, () => ring.exec(timeout(HOUR_MS)).catch(({ code }) => code));
  t.is(ring.waiting, 18);
  await ring.close();
  t.deepEqual(await Promise.all(codes), Array(20).fill('ECANCELED'));
});

test('close may be called within a callback, and within forEachCompletion', async (t) => {
  const ring = new Ring();
  let closed: Promise<void> | undefined;
  const others: unknown[] = [];
  ring.start(nop(), () => {
    closed = ring.close();
  });
  for (let index = 0; index < 5; index += 1) ring.start(nop(), (error) => others.push(error));
  const late = ring.exec(timeout(HOUR_MS)).catch(({ code }) => code);
  t.is(await late, 'ECANCELED');
  await closed;
  t.deepEqual(others, Array(5).fill(null));

  const manual = new Ring();
  for (let index = 0; index < 5; index += 1) manual.prep(nop(), index);
  manual.submit();
  const seen: unknown[] = [];
  manual.forEachCompletion(({ userData }) => {
    seen.push(userData);
    void manual.close();
  });
  await manual.close();
  t.deepEqual(seen, [0, 1, 2, 3, 4]);
});
