// Callbacks, promises, signals and deadlines, on the kernel and on the mock.
import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import { asyncCancel, close, nop, openat, read, SqeFlags, timeout, timeoutMultishot, write } from 'uring';
import { leakCheck } from '../_helpers.ts';
import { settle, soon } from '../_until.ts';
import { both } from './_backends.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

both('a callback gets the result, the user data and the number that go with it', async (t, _world, open) => {
  const ring = open();
  const seen = await new Promise<unknown[]>((resolve) => {
    ring.start(
      nop({ result: 7 }),
      (error, result, { userData, msg, res }) => resolve([error, result, userData, msg, res]),
      'mine',
      3,
    );
  });
  t.deepEqual(seen, [null, 7, 'mine', 3, 7]);
});

both('an error is the same in all forms', async (t, _world, open) => {
  const ring = open();
  const expected = { code: 'ENOENT', syscall: 'openat', path: '/nowhere/at/all' };
  const promised = await t.throwsAsync(ring.exec(openat('/nowhere/at/all')));
  t.like(promised, expected);
  const called = await new Promise((resolve) =>
    ring.start(openat('/nowhere/at/all'), (error) => resolve(error)),
  );
  t.like(called, expected);
  ring.prep(openat('/nowhere/at/all'));
  ring.submitAndWait(1);
  const [completion] = [...ring.completions()];
  t.like(completion?.error, expected);
  t.is((called as Error).message, promised?.message);
  t.is(completion?.error?.message, promised?.message);
});

both('callbacks of one turn come in the order of their completions', async (t, _world, open) => {
  const ring = open();
  const seen: number[] = [];
  await new Promise<void>((resolve) => {
    for (let at = 0; at < 100; at += 1)
      ring.start(nop({ result: at }), (_error, result) => {
        if (seen.push(result) === 100) resolve();
      });
  });
  t.deepEqual(
    seen,
    Array.from({ length: 100 }, (_, at) => at),
  );
});

both('a callback starts more, and the context of whoever started goes along', async (t, _world, open) => {
  const ring = open();
  const storage = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  await new Promise<void>((resolve) => {
    storage.run('a', () => {
      ring.start(nop(), () => {
        seen.push(storage.getStore());
        ring.start(nop(), () => {
          seen.push(storage.getStore());
          resolve();
        });
      });
    });
  });
  t.deepEqual(seen, ['a', 'a']);
});

both('files are opened, written, read and closed', async (t, world, open) => {
  const ring = open();
  const fd = await ring.exec(openat(world.path('hello world'), { openFlags: 'r+' }));
  const buffer = ring.alloc(16);
  t.is(await ring.exec(read(fd, buffer, { offset: 6 })), 5);
  t.is(buffer.toString('utf8', 0, 5), 'world');
  t.is(await ring.exec(write(fd, Buffer.from('HELLO'), { offset: 0 })), 5);
  const own = Buffer.alloc(11);
  t.is(await ring.exec(read(fd, own, { offset: 0 })), 11);
  t.is(own.toString(), 'HELLO world');
  t.is(await ring.exec(read(fd, own, { offset: 11 })), 0);
  await ring.exec(close(fd));
  await t.throwsAsync(ring.exec(close(fd)), { code: 'EBADF' });
});

both('a timer expires, and is a failure for a chain unless it says otherwise', async (t, world, open) => {
  const ring = open();
  const timer = ring.exec(timeout(5));
  await world.pass(5);
  t.is(await soon(timer, 'the timer'), undefined);
  await t.throwsAsync(ring.chain([timeout(5), nop()]), { code: 'ERR_INVALID_ARG_VALUE' });
  ring.prepChain([timeout(1), nop()]);
  ring.submitAndWait(2, { timeoutMs: 10_000 });
  t.deepEqual(
    [...ring.completions()].map(({ res }) => res),
    [-62, -125],
  );
  const whole = ring.chain([timeout(5, { etimeSuccess: true }), nop({ result: 3 })]);
  await settle();
  await world.pass(5);
  t.deepEqual(await whole, [undefined, 3]);
});

both('a signal stops what runs, and lets nothing start afterwards', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const controller = new AbortController();
  const buffer = ring.alloc(8);
  const reading = ring.exec(read(reader, buffer), { signal: controller.signal });
  await settle();
  t.is(ring.inFlight, 1);
  controller.abort(new Error('enough'));
  const error = await t.throwsAsync(reading);
  t.like(error, { code: 'ABORT_ERR', cause: new Error('enough'), result: undefined });
  t.is(ring.inFlight, 0);
  await t.throwsAsync(ring.exec(nop(), { signal: controller.signal }), { code: 'ABORT_ERR' });
  put('later');
  t.is(await ring.exec(read(reader, buffer)), 5);
});

both('a deadline stops what is late, and nothing else', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const late = t.throwsAsync(ring.exec(read(reader, ring.alloc(8)), { timeoutMs: 10 }), {
    code: 'ERR_URING_TIMEOUT',
  });
  t.is(await ring.exec(nop({ result: 4 }), { timeoutMs: HOUR_MS }), 4);
  await settle();
  await world.pass(20);
  await soon(late, 'the deadline');
  put('abc');
  t.is(await ring.exec(read(reader, ring.alloc(8)), { timeoutMs: HOUR_MS }), 3);
});

both('a deadline counts for what waits for room', async (t, world, open) => {
  const ring = open({ entries: 2, cqEntries: 2 });
  const hours = [0, 1].map(() => t.throwsAsync(ring.exec(timeout(HOUR_MS)), { code: 'ECANCELED' }));
  const late = t.throwsAsync(ring.exec(nop(), { timeoutMs: 5 }), { code: 'ERR_URING_TIMEOUT' });
  t.is(ring.waiting, 2);
  await world.pass(10);
  await soon(late, 'the deadline of what waits');
  await ring.exec(asyncCancel({ any: true }));
  await Promise.all(hours);
});

both('a timer that repeats does so until it has done it often enough', async (t, world, open) => {
  const ring = open();
  const ticks = ring.multishot(timeoutMultishot(2, { repeat: 3 }));
  const all = (async () => {
    let count = 0;
    for await (const _ of ticks) count += 1;
    return count;
  })();
  await settle();
  await world.pass(20);
  t.is(await soon(all, 'three ticks'), 3);
});

both('a timer that counts ends when enough others have completed', async (t, _world, open) => {
  const ring = open();
  const counting = ring.exec(timeout(HOUR_MS, { count: 2 }));
  await settle();
  await ring.exec(nop());
  await settle();
  t.is(ring.inFlight, 1);
  await ring.exec(nop());
  t.is(await soon(counting, 'two others'), undefined);
});

both(
  'what is prepared by hand has its flags, and completes where it was asked for',
  async (t, _world, open) => {
    const ring = open();
    ring.prep(nop({ result: 1 }), 'a', SqeFlags.LINK);
    ring.prep(nop({ result: -5 }), 'b', SqeFlags.LINK);
    ring.prep(nop({ result: 3 }), 'c');
    t.is(ring.sqReady, 3);
    t.is(ring.submitAndWait(3), 3);
    t.deepEqual(
      [...ring.completions()].map(({ userData, res }) => [userData, res]),
      [
        ['a', 1],
        ['b', -5],
        ['c', -125],
      ],
    );
  },
);
