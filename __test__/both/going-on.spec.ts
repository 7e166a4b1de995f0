// Iterators, run modes, registered files, and closing during everything, on the kernel and on the mock.
import test from 'ava';
import {
  type BufferLease,
  nop,
  openat,
  type Ring,
  read,
  readMultishot,
  timeout,
  timeoutMultishot,
} from 'uring';
import { leakCheck } from '../_helpers.ts';
import { settle, soon, until } from '../_until.ts';
import { both } from './_backends.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

both('an iterator gives what arrives, until there is no more', async (t, world, open) => {
  const ring = open();
  const { reader, put, hangUp } = world.pipe();
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const lease of ring.multishot(readMultishot(reader, buffers))) {
      seen.push(lease.data.toString());
      lease.release();
    }
  })();
  await settle();
  for (const text of ['one', 'two', 'three']) {
    const { length } = seen;
    put(text);
    await until(() => seen.length > length);
  }
  hangUp();
  await soon(reading, 'the end of the pipe');
  t.deepEqual(seen, ['one', 'two', 'three']);
  t.is(buffers.lent, 0);
});

both('a stream without buffers waits for one, and loses nothing', async (t, world, open) => {
  const ring = open();
  const { reader, put, hangUp } = world.pipe();
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 2 });
  const stream = ring.multishot(readMultishot(reader, buffers));
  put('aabbccddee');
  hangUp();
  const held: BufferLease[] = [];
  const next = async (): Promise<void> => {
    const { value } = await soon(stream.next(), 'the next buffer');
    if (value !== undefined) held.push(value);
  };
  await next();
  await next();
  let came = false;
  const third = next().then(() => {
    came = true;
  });
  await settle();
  t.false(came, 'both buffers are lent');
  t.is(buffers.lent, 2);
  const texts: string[] = [];
  const release = (): void => {
    const lease = held.shift();
    texts.push(lease?.data.toString() ?? '');
    lease?.release();
  };
  release();
  await third;
  while (texts.length < 5) {
    release();
    if (texts.length < 4) await next();
  }
  t.deepEqual(texts, ['aa', 'bb', 'cc', 'dd', 'ee']);
  t.true((await soon(stream.next(), 'the end')).done);
});

both('a slow consumer misses nothing', async (t, world, open) => {
  const ring = open();
  const { reader, put, hangUp } = world.pipe();
  const buffers = ring.registrar.registerBufferRing({ entries: 128, sizeBytes: 1 });
  const text = Array.from({ length: 300 }, (_, at) => String.fromCharCode(97 + (at % 26))).join('');
  const stream = ring.multishot(readMultishot(reader, buffers));
  put(text);
  hangUp();
  let seen = '';
  for await (const lease of stream) {
    seen += lease.data.toString();
    lease.release();
    if (seen.length % 50 === 0) await settle(3);
  }
  t.is(seen, text);
});

both('leaving a loop stops the operation, and a signal does', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
  put('a');
  for await (const lease of ring.multishot(readMultishot(reader, buffers))) {
    lease.release();
    break;
  }
  t.is(ring.inFlight, 0);
  const controller = new AbortController();
  const stream = ring.multishot(readMultishot(reader, buffers), { signal: controller.signal });
  const next = t.throwsAsync(stream.next(), { code: 'ABORT_ERR' });
  await settle();
  t.is(ring.inFlight, 1);
  controller.abort();
  await soon(next, 'the abortion');
  t.is(ring.inFlight, 0);
  t.true((await stream.next()).done);
  put('left');
  const buffer = ring.alloc(4);
  t.is(await ring.exec(read(reader, buffer)), 4);
});

both('one read takes a provided buffer, or says that there is none', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
  put('abc');
  const lease = await ring.exec(read(reader, buffers));
  t.is(lease?.data.toString(), 'abc');
  t.is(buffers.lent, 1);
  put('def');
  await t.throwsAsync(ring.exec(read(reader, buffers)), { code: 'ENOBUFS' });
  lease?.release();
  const again = await ring.exec(read(reader, buffers));
  t.is(again?.data.toString(), 'def');
  again?.release();
});

both('buffers of the older kind are taken and given back', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const buffers = ring.createBufferGroup({ entries: 1, sizeBytes: 8 });
  for (const text of ['one', 'two']) {
    put(text);
    const lease = await ring.exec(read(reader, buffers));
    t.is(lease?.data.toString(), text);
    lease?.release();
  }
  await buffers.remove();
  await t.throwsAsync(ring.exec(read(reader, buffers)), { code: 'ERR_URING_STALE_HANDLE' });
});

both('run goes on with what callbacks start, in each of its modes', async (t, _world, open) => {
  const ring = open();
  const seen: number[] = [];
  const cascade = (left: number): void =>
    ring.start(nop({ result: left }), (_error, result) => {
      seen.push(result);
      if (left > 1) cascade(left - 1);
    });
  cascade(3);
  t.is(ring.run('once'), 1);
  t.deepEqual(seen, [3]);
  t.is(ring.run(), 2);
  t.deepEqual(seen, [3, 2, 1]);
  let ticks = 0;
  ring.start(timeoutMultishot(1), () => {
    ticks += 1;
    if (ticks === 3) ring.stop();
  });
  ring.run('forever');
  t.is(ticks, 3);
});

both('run throws what callbacks throw, and loses nothing', async (t, _world, open) => {
  const ring = open();
  const seen: number[] = [];
  for (let at = 0; at < 4; at += 1) {
    ring.start(nop({ result: at }), (_error, result) => {
      seen.push(result);
      if (result === 1) throw new Error('one');
    });
  }
  t.throws(() => ring.run(), { message: 'one' });
  ring.run();
  t.deepEqual(seen, [0, 1, 2, 3]);
});

both('registered files are used until their slot is empty', async (t, world, open) => {
  const ring = open();
  const table = ring.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
  const file = await ring.exec(openat(world.path('abc'), { direct: true }));
  const buffer = ring.alloc(3);
  t.is(await ring.exec(read(file, buffer, { offset: 0 })), 3);
  t.is(buffer.toString(), 'abc');
  await t.throwsAsync(ring.exec(openat(world.path('d'), { direct: true })), { code: 'ENFILE' });
  table.clear(file);
  await t.throwsAsync(ring.exec(read(file, buffer)), { code: 'ERR_URING_STALE_HANDLE' });
  const { reader, put } = world.pipe();
  const own = table.alloc(reader);
  t.throws(() => table.alloc(reader), { code: 'ENFILE' });
  put('xyz');
  t.is(await ring.exec(read(own, buffer)), 3);
  t.is(ring.stats().fileSlots, 1);
  table.clear(own);
});

/** Everything that a ring can be busy with. */
function busy(ring: Ring, reader: number): Promise<unknown>[] {
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
  const stream = ring.multishot(readMultishot(reader, buffers));
  const code = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
  return [
    code(ring.exec(timeout(HOUR_MS))),
    code(ring.exec(read(reader, ring.alloc(1)), { timeoutMs: HOUR_MS })),
    code(ring.chain([timeout(HOUR_MS, { etimeSuccess: true }), nop()])),
    code(stream.next()),
    new Promise((resolve) => ring.start(timeout(HOUR_MS), (error) => resolve(error?.code))),
  ];
}

both('closing settles everything that is in flight, and what was not submitted', async (t, world, open) => {
  for (const isSubmitted of [true, false]) {
    const ring = open();
    const all = busy(ring, world.pipe().reader);
    if (isSubmitted) await settle();
    const closed = ring.close();
    t.true(ring.closed);
    t.deepEqual(await Promise.all(all), ['ECANCELED', 'ECANCELED', 'ECANCELED', 'ECANCELED', 'ECANCELED']);
    await closed;
    await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_CLOSED' });
    t.throws(() => ring.submit(), { code: 'ERR_URING_CLOSED' });
  }
});

both('closing settles what waits for room', async (t, _world, open) => {
  const ring = open({ entries: 1, cqEntries: 2 });
  const codes = Array.from({ length: 6 }, () =>
    ring.exec(timeout(HOUR_MS)).catch((error: { code: string }) => error.code),
  );
  await settle();
  t.is(ring.waiting, 4);
  await ring.close();
  t.deepEqual(
    await Promise.all(codes),
    Array.from({ length: 6 }, () => 'ECANCELED'),
  );
});

both('a ring that is used by hand is closed with completions unread', async (t, _world, open) => {
  const ring = open();
  for (let at = 0; at < 3; at += 1) ring.prep(nop({ result: at }));
  ring.submit();
  ring.prep(timeout(HOUR_MS));
  await ring.close();
  t.is(ring.inFlight, 0);
});

both('a disabled ring is enabled, and a ring gets other sizes', async (t, _world, open) => {
  const ring = open({ disabled: true, entries: 2, cqEntries: 4 });
  await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_DISABLED' });
  ring.enable();
  t.is(await ring.exec(nop({ result: 2 })), 2);
  ring.resize({ entries: 8, cqEntries: 64 });
  t.is(ring.entries, 8);
  t.is(ring.cqEntries, 64);
  t.deepEqual(
    await Promise.all(Array.from({ length: 40 }, (_, at) => ring.exec(nop({ result: at })))),
    Array.from({ length: 40 }, (_, at) => at),
  );
});
