// Timers: what a time is, clocks, updates, and limits of time for other operations.
import { constants } from 'node:os';
import test from 'ava';
import {
  asyncCancel,
  type Clock,
  linkTimeout,
  nop,
  PollEvents,
  pollAdd,
  type Ring,
  read,
  SqeFlags,
  type Time,
  timeout,
  timeoutMultishot,
  timeoutRemove,
  timeoutUpdate,
} from 'uring';
import { assertUsable, endedAs, FORMS, fifo, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { soon } from './_until.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;
const { ETIME } = constants.errno;

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: NodeJS.ErrnoException) => error.code);

/** The same lengths of time, said in each way. */
const SHORT: readonly Time[] = [1.5, 1_500_000n, { sec: 0, nsec: 1_500_000 }, { sec: 0n }, { sec: 0 }, 0, 0n];

test('a time is milliseconds, nanoseconds, or seconds and nanoseconds', async (t) => {
  await withRing({}, async (ring) => {
    for (const time of SHORT) t.is(await ring.exec(timeout(time)), undefined);
    for (const time of [HOUR_MS, 3_600_000_000_000n, { sec: 3600, nsec: 0 }, { sec: 2n ** 53n - 1n }]) {
      const hour = timeout(time);
      const ended = code(ring.exec(hour));
      await ring.exec(timeoutRemove(hour));
      t.is(await ended, 'ECANCELED');
    }
  });
});

const NOW: Record<Clock, () => bigint> = {
  monotonic: () => process.hrtime.bigint(),
  // At least what the other has counted, and on a machine that never sleeps the same.
  boottime: () => process.hrtime.bigint(),
  realtime: () => BigInt(Date.now()) * 1_000_000n,
};

for (const clock of ['monotonic', 'boottime', 'realtime'] as const) {
  test(`a point in time on the clock ${clock} has come when it was, and not before`, async (t) => {
    await withRing({}, async (ring) => {
      const past = NOW[clock]() - 1_000_000_000n;
      t.is(await ring.exec(timeout(past > 0n ? past : 0n, { clock, absolute: true })), undefined);
      const soon = NOW[clock]() + 20_000_000n;
      await ring.exec(timeout(soon, { clock, absolute: true }));
      if (clock !== 'boottime') t.true(NOW[clock]() + 1_000_000n >= soon);
      const far = timeout(NOW[clock]() + 3_600_000_000_000n, { clock, absolute: true });
      const ended = code(ring.exec(far));
      ring.submit();
      await ring.exec(timeout(1));
      t.is(ring.inFlight, 1);
      await ring.exec(timeoutRemove(far));
      t.is(await ended, 'ECANCELED');
    });
  });
}

test('a timer that counts completions ends with 0 and not ETIME', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(timeout(HOUR_MS, { count: 1 }), 'timer');
    ring.prep(nop(), 'nop');
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['timer', 0],
      ['nop', 0],
    ]);
  });
});

test('the end of the time breaks a chain, and with etimeSuccess it does not', async (t) => {
  await withRing({}, (ring) => {
    ring.prepChain([timeout(1), nop({ result: 1 })], { userData: ['timer', 'nop'] });
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['timer', -ETIME],
      ['nop', 'ECANCELED'],
    ]);
    ring.prepChain([timeout(1, { etimeSuccess: true }), nop({ result: 1 })], { userData: ['timer', 'nop'] });
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['timer', -ETIME],
      ['nop', 1],
    ]);
  });
});

for (const form of FORMS) {
  test(`timeoutUpdate gives a timer another time, by operation and by user data (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const timer = timeout(HOUR_MS);
      const expired = ring.exec(timer);
      ring.submit();
      t.is(await runAs(form, ring, timeoutUpdate(timer, 1n)), undefined);
      t.is(await expired, undefined);
      const named = new Promise<unknown>((resolve) => {
        ring.start(timeout(HOUR_MS), (error) => resolve(error), 'name');
      });
      ring.submit();
      const soon = process.hrtime.bigint() + 1_000_000n;
      t.is(await runAs(form, ring, timeoutUpdate({ userData: 'name' }, soon, { absolute: true })), undefined);
      t.is(await named, null);
    });
  });

  test(`timeoutRemove and timeoutUpdate say ENOENT where no timer is (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const timer = timeout(0);
      await ring.exec(timer);
      await t.throwsAsync(runAs(form, ring, timeoutRemove(timer)), {
        code: 'ENOENT',
      });
      await t.throwsAsync(runAs(form, ring, timeoutUpdate(timer, 1)), { code: 'ENOENT' });
      await t.throwsAsync(runAs(form, ring, timeoutUpdate({ userData: 1 }, 1, { linked: true })), {
        code: 'ENOENT',
      });
      await assertUsable(t, ring);
    });
  });
}

test('timeoutRemove means timers only', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const poll = pollAdd(pipe, PollEvents.PRI);
    const ended = code(ring.exec(poll));
    ring.submit();
    await t.throwsAsync(ring.exec(timeoutRemove(poll)), { code: 'ENOENT' });
    t.is(ring.inFlight, 1);
    await ring.close();
    t.is(await ended, 'ECANCELED');
  });
});

test('timeoutMultishot runs by another clock, and can be removed', async (t) => {
  await withRing({}, async (ring) => {
    const ticks = timeoutMultishot(1, { clock: 'boottime' });
    let count = 0;
    const ended = new Promise<unknown>((resolve) => {
      ring.start(ticks, (error) => {
        if (error !== null) resolve(error.code);
        else count += 1;
      });
    });
    while (count < 3) await ring.exec(timeout(1));
    await ring.exec(timeoutRemove(ticks));
    t.is(await ended, 'ECANCELED');
  });
});

/** A read that waits for ever, limited. */
function limited(ring: Ring, pipe: number, limit = linkTimeout(5)): void {
  ring.prepChain([read(pipe, ring.alloc(1)), limit], { userData: ['read', 'limit'] });
}

test('linkTimeout stops the operation before it when the time is up', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    limited(ring, pipe);
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['read', 'ECANCELED'],
      ['limit', -ETIME],
    ]);
  });
});

test('linkTimeout is ECANCELED when the operation comes first', async (t) => {
  await withRing({}, (ring) => {
    ring.prepChain([nop({ result: 3 }), linkTimeout(HOUR_MS)], { userData: ['nop', 'limit'] });
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['nop', 3],
      ['limit', 'ECANCELED'],
    ]);
  });
});

test('a linkTimeout in flight is updated, by operation and by user data', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    const limit = linkTimeout(HOUR_MS, { clock: 'boottime' });
    for (const update of [
      timeoutUpdate(limit, 1),
      timeoutUpdate({ userData: 'limit' }, { sec: 0, nsec: 1 }, { linked: true }),
    ]) {
      limited(ring, pipe, limit);
      ring.prep(update, 'update');
      waitFor(ring, 3);
      endedAs(t, reap(ring), [
        ['update', 0],
        ['read', 'ECANCELED'],
        ['limit', -ETIME],
      ]);
    }
  });
});

test('linkTimeout is refused on the event loop, and EINVAL behind nothing', async (t) => {
  await withRing({}, async (ring) => {
    const refused = { code: 'ERR_INVALID_ARG_VALUE', message: /limits the one before it: .* prepChain/ };
    await t.throwsAsync(ring.exec(linkTimeout(1)), refused);
    t.throws(() => ring.start(linkTimeout(1), () => {}), refused);
    await t.throwsAsync(runAs('manual', ring, linkTimeout(1)), { code: 'EINVAL' });
    t.true(ring.prep(nop(), 'nop', SqeFlags.LINK));
    t.true(ring.prep(linkTimeout(HOUR_MS), 'limit'));
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['nop', 0],
      ['limit', 'ECANCELED'],
    ]);
  });
});

/** Lets time pass without a turn of the event loop. */
function block(timeMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeMs);
}

test('a timer that has expired and is about to start again is stopped all the same', async (t) => {
  await withRing({}, async (ring) => {
    for (let round = 0; round < 20; round += 1) {
      const timer = timeoutMultishot(1);
      const ended = new Promise((resolve) => {
        ring.start(timer, (error, _result, { hasMore }) => {
          if (!hasMore) resolve(error?.code);
        });
      });
      await ring.exec(timeout(2));
      block(3);
      t.is(await ring.exec(asyncCancel(timer)), 0);
      t.is(await soon(Promise.resolve(ended), 'the end of the timer'), 'ECANCELED');
    }
    t.is(ring.inFlight, 0);
  });
});

test('leaving a fast timer ends it, however busy the thread is', async (t) => {
  await withRing({}, async (ring) => {
    for (let round = 0; round < 20; round += 1) {
      for await (const _ of ring.multishot(timeoutMultishot(0.1))) {
        block(2);
        break;
      }
    }
    t.is(ring.inFlight, 0);
  });
});

test('a timer that repeats too fast to be stopped is refused, also as a change of one', async (t) => {
  await withRing({}, async (ring) => {
    const refusal = { code: 'ERR_OUT_OF_RANGE', message: /"time" .* for a timer that repeats/ };
    for (const time of [0, 0.09, 99_999n, { sec: 0, nsec: 1 }]) {
      t.throws(() => timeoutMultishot(time), refusal);
    }
    const timer = timeoutMultishot(3_600_000);
    const ended = new Promise((resolve) => {
      ring.start(timer, (error) => resolve(error?.code), 'timer');
    });
    await t.throwsAsync(ring.exec(timeoutUpdate(timer, 0)), refusal);
    await t.throwsAsync(ring.exec(timeoutUpdate({ userData: 'timer' }, 0)), refusal);
    await ring.exec(timeoutRemove(timer));
    t.is(await ended, 'ECANCELED');
  });
});
