// Driving a ring by blocking, with callbacks; and what keeps a process alive.
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { asyncCancel, nop, type Ring, read, SqeFlags, timeoutMultishot } from 'uring';
import { assertUsable, fifo } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { runModule, WELL } from './_process.ts';
import { until } from './_until.ts';

leakCheck(test);

const { LINK } = SqeFlags;

/** Starts nops one after the other, each in the callback of the one before it. */
function cascade(ring: Ring, count: number, seen: number[]): void {
  ring.start(
    nop({ result: count }),
    (_error, result) => {
      seen.push(result);
      if (count > 1) cascade(ring, count - 1, seen);
    },
    undefined,
  );
}

test('run goes on until nothing is in flight, with what callbacks start', async (t) => {
  await withRing({}, async (ring) => {
    const seen: number[] = [];
    cascade(ring, 5, seen);
    t.is(ring.run(), 5);
    t.deepEqual(seen, [5, 4, 3, 2, 1]);
    t.is(ring.inFlight, 0);
    t.is(ring.run('untilDone'), 0, 'there is nothing to wait for');
    t.is(ring.run('once'), 0);
    await assertUsable(t, ring);
  });
});

test('run returns after the first completions, if that is asked for', async (t) => {
  await withRing({}, (ring) => {
    const seen: number[] = [];
    cascade(ring, 3, seen);
    ring.run('once');
    t.deepEqual(seen, [3]);
    ring.run('once');
    t.deepEqual(seen, [3, 2]);
    ring.run();
    t.deepEqual(seen, [3, 2, 1]);
  });
});

test('run goes through more operations than the queues take, in order', async (t) => {
  await withRing({ entries: 1, cqEntries: 4 }, (ring) => {
    const seen: number[] = [];
    for (let at = 0; at < 1000; at += 1)
      ring.start(nop({ result: at }), (_error, result) => seen.push(result));
    t.is(ring.run(), 1000);
    t.deepEqual(
      seen,
      Array.from({ length: 1000 }, (_, at) => at),
    );
  });
});

test('run goes on for ever until it is told to stop', async (t) => {
  await withRing({}, (ring) => {
    let count = 0;
    ring.start(timeoutMultishot(1), () => {
      count += 1;
      if (count === 5) ring.stop();
    });
    t.is(ring.run('forever'), 5);
    t.is(ring.inFlight, 1);
  });
});

test('an exception in a callback reaches the caller of run, when the rest of the batch is delivered', async (t) => {
  await withRing({}, async (ring) => {
    const seen: number[] = [];
    for (let at = 0; at < 4; at += 1) {
      ring.start(nop(), () => {
        seen.push(at);
        if (at === 1) throw new Error('thrown');
      });
    }
    t.throws(() => ring.run(), { message: 'thrown' });
    t.deepEqual(seen, [0, 1, 2, 3]);
    for (let at = 0; at < 3; at += 1) {
      ring.start(nop(), () => {
        throw new Error(`thrown ${at}`);
      });
    }
    const all = t.throws(() => ring.run(), { instanceOf: AggregateError });
    t.deepEqual(
      all?.errors.map(({ message }) => message),
      ['thrown 0', 'thrown 1', 'thrown 2'],
    );
    await assertUsable(t, ring);
  });
});

test('a callback that throws about what was cancelled while it waited disturbs nobody else', async (t) => {
  for (const asyncContext of [true, false]) {
    const ended = await runModule(`
      import { Ring, asyncCancel, timeout } from 'uring';
      const caught = [];
      process.on('uncaughtException', (error) => caught.push(error.message));
      const ring = new Ring({ entries: 4, cqEntries: 4, asyncContext: ${asyncContext} });
      for (let at = 0; at < 4; at += 1) ring.exec(timeout(3_600_000)).catch(() => {});
      const waiting = timeout(1);
      ring.start(waiting, () => { throw new Error('first'); });
      ring.start(timeout(1), () => { throw new Error('second'); });
      const last = ring.exec(timeout(1)).catch((error) => error.code);
      console.log(await ring.exec(asyncCancel(waiting)), caught.length);
      await ring.close();
      console.log(await last, ring.inFlight, caught.join());
    `);
    t.like(ended, { ...WELL, stdout: '0 1\nECANCELED 0 first,second\n' });
  }
});

test('what is cancelled while it waits is told in run', async (t) => {
  await withRing({ entries: 4, cqEntries: 4, asyncContext: false }, (ring) => {
    const told: unknown[] = [];
    for (let at = 0; at < 4; at += 1) ring.start(timeoutMultishot(5), () => {});
    for (let at = 0; at < 5; at += 1) ring.start(read(fifo(t), ring.alloc(1)), () => {});
    const waiting = nop();
    ring.start(waiting, (error) => told.push(error?.code));
    ring.start(asyncCancel(waiting), (_error, result) => told.push(result));
    ring.run('once');
    t.deepEqual(told, ['ECANCELED', 0]);
  });
});

test('run ends when a callback closes the ring, and for ever is no wait for nothing', async (t) => {
  await withRing({}, async (ring) => {
    t.throws(() => ring.run('forever'), { code: 'ERR_URING_NOTHING_IN_FLIGHT' });
    ring.start(timeoutMultishot(1), () => void ring.close());
    ring.run('forever');
    t.true(ring.closed);
    await ring.close();
    t.is(ring.inFlight, 0);
  });
});

test('a completion stays what it is while its callback drives the ring', async (t) => {
  await withRing({}, async (ring) => {
    const seen: unknown[] = [];
    ring.prep(nop({ result: 7 }), 'mine');
    ring.submitAndWait(1);
    ring.forEachCompletion((completion) => {
      ring.start(nop(), () => {});
      ring.run();
      seen.push(completion.userData, completion.res);
    });
    await new Promise<void>((resolve) =>
      ring.start(
        nop({ result: 8 }),
        (_error, _result, completion) => {
          ring.start(nop(), () => {});
          ring.run();
          seen.push(completion.userData, completion.res);
          resolve();
        },
        'loop',
      ),
    );
    t.deepEqual(seen, ['mine', 7, 'loop', 8]);
  });
});

test('promises settle during run, and those who await them go on when it has returned', async (t) => {
  await withRing({}, async (ring) => {
    let result: number | undefined;
    const awaited = ring.exec(nop({ result: 3 })).then((value) => {
      result = value;
    });
    t.is(ring.run(), 1);
    t.is(result, undefined);
    await awaited;
    t.is(result, 3);
  });
});

test('msg and user data come back with each completion, as a state machine needs them', async (t) => {
  await withRing({ entries: 1, cqEntries: 4 }, (ring) => {
    const states: [number, unknown][] = [];
    const step = (msg: number, userData: unknown): void =>
      ring.start(
        nop(),
        (_error, _result, completion) => {
          states.push([completion.msg, completion.userData]);
          if (completion.msg < 3) step(completion.msg + 1, completion.userData);
        },
        userData,
        msg,
      );
    // More than fit, so that some wait.
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) step(1, name);
    ring.run();
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
      t.deepEqual(
        states.filter(([, userData]) => userData === name).map(([msg]) => msg),
        [1, 2, 3],
      );
    ring.start(nop(), (_error, _result, { msg }) => t.is(msg, 0));
    ring.run();
  });
});

test('run within a callback of run, or with a mode that there is not, is refused', async (t) => {
  await withRing({}, async (ring) => {
    let code: unknown;
    ring.start(nop(), () => {
      code = t.throws(() => ring.run(), { code: 'ERR_URING_RUNNING' })?.message;
    });
    ring.run();
    t.regex(String(code), /let it return/);
    t.throws(() => ring.run('never' as never), { code: 'ERR_INVALID_ARG_VALUE', message: /untilDone/ });
    t.throws(() => ring.run(1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    await ring.close();
    t.throws(() => ring.run(), { code: 'ERR_URING_CLOSED' });
  });
});

test('a worker that runs a ring for ever can be terminated', async (t) => {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    ring.start(timeout(3_600_000), () => {});
    parentPort.postMessage('running');
    ring.run('forever');
  `;
  const worker = new Worker(
    new URL(
      `data:text/javascript,${encodeURIComponent(source.replace("'uring'", `'${import.meta.resolve('uring')}'`))}`,
    ),
  );
  let isRunning = false;
  worker.once('message', () => {
    isRunning = true;
  });
  await until(() => isRunning);
  t.is(await worker.terminate(), 1);
});

test('operations prepared by hand are not lost during run', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(nop({ result: 1 }), 'by hand', LINK);
    ring.prep(nop({ result: 2 }), 'by hand, too');
    ring.start(nop(), () => {});
    ring.run();
    t.deepEqual(
      [...ring.completions()].map(({ userData }) => userData),
      ['by hand', 'by hand, too'],
    );
  });
});

test('an unreferenced ring does not keep the process alive, and a referenced one does', async (t) => {
  const ended = await runModule(`
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    console.log(ring.hasRef());
    ring.start(timeout(3_600_000), () => console.log('never'));
    console.log(ring.unref() === ring, ring.hasRef());
    const other = new Ring().unref().ref();
    other.start(timeout(50), () => console.log('soon'));
    process.on('exit', () => console.log('end'));
  `);
  t.like(ended, { ...WELL, stdout: 'true\ntrue false\nsoon\nend\n' });
});

test('an unreferenced ring goes on while something else keeps the process alive, and is not collected', async (t) => {
  const ended = await runModule(
    `
    import { Ring, timeout } from 'uring';
    let ticks = 0;
    function background() {
      const ring = new Ring().unref();
      const again = () => ring.start(timeout(5), () => { ticks += 1; again(); });
      again();
    }
    background();
    for (let round = 0; ticks < 3 && round < 400; round += 1) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(ticks >= 3);
  `,
    { nodeArguments: ['--expose-gc'] },
  );
  t.like(ended, { ...WELL, stdout: 'true\n' });
});

test('one operation can be unreferenced, while others keep the process alive until they are over', async (t) => {
  const ended = await runModule(`
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    const hour = timeout(3_600_000);
    ring.start(hour, () => console.log('never'));
    ring.unref(hour);
    console.log(ring.hasRef(hour), ring.hasRef());
    ring.exec(timeout(20)).then(() => console.log('soon'));
    process.on('exit', () => console.log('end'));
  `);
  t.like(ended, { ...WELL, stdout: 'false true\nsoon\nend\n' });
});

test('an unreferenced operation can be referenced again, and closing waits for all', async (t) => {
  const ended = await runModule(`
    import { Ring, timeout } from 'uring';
    const ring = new Ring();
    const one = timeout(30), two = timeout(3_600_000);
    ring.start(one, () => {
      console.log('one');
      // The process would end now; closing keeps it until everything is cancelled.
      ring.close().then(() => console.log('closed'));
    });
    ring.exec(two).catch((error) => console.log(error.code));
    ring.unref(one).unref(two).ref(one);
  `);
  t.like(ended, { ...WELL, stdout: 'one\nECANCELED\nclosed\n' });
});

test('of an operation in flight several times, one run after the other is unreferenced, and counts are right', async (t) => {
  const fd = fifo(t);
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const operation = read(fd, ring.alloc(8));
    for (let at = 0; at < 6; at += 1) ring.start(operation, () => {});
    t.is(ring.waiting, 2);
    for (let at = 0; at < 6; at += 1) {
      t.true(ring.hasRef(operation), `run ${at}`);
      ring.unref(operation);
    }
    t.false(ring.hasRef(operation));
    ring.ref(operation);
    t.true(ring.hasRef(operation));
    t.throws(() => ring.unref(5 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    t.is(ring.unref(nop()), ring, 'one that is not in flight');
    await ring.close();
  });
});

test('a deadline does not keep the process alive when its operation does not, in flight or waiting', async (t) => {
  const ended = await runModule(`
    import { Ring, nop, timeout } from 'uring';
    const ring = new Ring();
    const hour = timeout(3_600_000);
    ring.exec(hour, { timeoutMs: 3_000_000 });
    ring.unref(hour);
    const full = new Ring({ entries: 4, cqEntries: 4 }).unref();
    for (let at = 0; at < 5; at += 1) full.exec(hour, { timeoutMs: 3_000_000 });
    console.log(ring.hasRef(hour), full.waiting > 0);
  `);
  t.like(ended, { ...WELL, stdout: 'false true\n' });
});

test('an operation that waits keeps the process alive although those in flight do not', async (t) => {
  const ended = await runModule(`
    import { Ring, nop, timeout } from 'uring';
    const ring = new Ring({ entries: 4, cqEntries: 4 });
    const soon = timeout(30);
    for (let at = 0; at < 4; at += 1) ring.start(soon);
    for (let at = 0; at < 4; at += 1) ring.unref(soon);
    ring.exec(nop()).then(() => console.log('it had its turn'));
    console.log(ring.waiting);
  `);
  t.like(ended, { ...WELL, stdout: '1\nit had its turn\n' });
});

test('a stream that is unreferenced stays so when it starts its operation again', async (t) => {
  const ended = await runModule(`
    import { Ring, timeoutMultishot } from 'uring';
    const ring = new Ring();
    const ticks = ring.multishot(timeoutMultishot(1)).unref();
    for (let at = 0; at < 3; at += 1) await Promise.race([ticks.next(), new Promise((resolve) => setTimeout(resolve, 1000))]);
    // Nobody takes them: it is stopped for a while, and started again by the next one.
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (let at = 0; at < 70; at += 1) await Promise.race([ticks.next(), new Promise((resolve) => setTimeout(resolve, 1000))]);
    ticks.next();
    console.log('end');
  `);
  t.like(ended, { ...WELL, stdout: 'end\n' });
});
