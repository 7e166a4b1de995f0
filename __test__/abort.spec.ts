// Signals and deadlines of single operations, and of iterators.
import { writeSync } from 'node:fs';
import test from 'ava';
import {
  AbortError,
  acceptMultishot,
  asyncCancel,
  fsync,
  nop,
  openat,
  PollEvents,
  pipe,
  pollMultishot,
  type Ring,
  read,
  SqeFlags,
  socket,
  timeout,
  UringError,
  write,
} from 'uring';
import { assertUsable, fifo, file, listen, pattern } from './_fixtures.ts';
import { leakCheck, openFds, withRing } from './_helpers.ts';
import { settle } from './_until.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

test('an operation that is aborted in flight rejects with an AbortError, whose cause is the reason', async (t) => {
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const reason = new Error('no longer needed');
    const late = ring.exec(timeout(HOUR_MS), { signal: controller.signal });
    await settle();
    t.is(ring.inFlight, 1);
    controller.abort(reason);
    const error = await t.throwsAsync(late, { instanceOf: AbortError, message: 'The operation was aborted' });
    t.like(error, { name: 'AbortError', code: 'ABORT_ERR', cause: reason, result: undefined });
    t.is(ring.inFlight, 0);
    await assertUsable(t, ring);
  });
});

test('a signal that was aborted before lets nothing start', async (t) => {
  const { path } = file(t);
  await withRing({}, async (ring) => {
    const { submitted } = ring.stats();
    await t.throwsAsync(ring.exec(openat(path), { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    t.is(ring.stats().submitted, submitted);
  });
});

test('the promise of an aborted operation settles only when the kernel has let go of the memory', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const buffer = ring.alloc(16);
    const reading = ring.exec(read(fd, buffer), { signal: controller.signal });
    await settle();
    controller.abort();
    await t.throwsAsync(reading, { code: 'ABORT_ERR' });
    t.is(ring.inFlight, 0);
    // Nobody reads any more: what is written stays in the pipe.
    writeSync(fd, 'left');
    t.is(await ring.exec(read(fd, buffer)), 4);
  });
});

test('a signal that is aborted afterwards changes nothing, and keeps no listener', async (t) => {
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>): void => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>): void => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    t.is(await ring.exec(nop({ result: 7 }), { signal }), 7);
    t.is(listeners, 0);
    controller.abort();
    await assertUsable(t, ring);
  });
});

test.serial('a descriptor that arrives although its operation was aborted is closed', async (t) => {
  const { path } = file(t);
  await withRing({}, async (ring) => {
    await ring.exec(nop());
    const before = openFds().size;
    for (const operation of [openat(path), socket('unix', 'stream')]) {
      const controller = new AbortController();
      // It has the descriptor already when the signal comes: both are in the same turn.
      const opening = ring.exec(operation, { signal: controller.signal });
      ring.submit();
      controller.abort();
      await t.throwsAsync(opening, { code: 'ABORT_ERR' });
    }
    const controller = new AbortController();
    const piping = ring.exec(pipe(), { signal: controller.signal });
    ring.submit();
    controller.abort();
    await t.throwsAsync(piping, { code: 'ABORT_ERR' });
    t.is(openFds().size, before);
  });
});

test('bytes that arrive although their operation was aborted are reported', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const reading = ring.exec(read(fd, ring.alloc(64)), { signal: controller.signal });
    ring.submit();
    controller.abort();
    t.is((await t.throwsAsync(reading, { instanceOf: AbortError })).result, 64);
  });
});

test('an operation that is not through in time rejects with ERR_URING_TIMEOUT, and others go on', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    const hour = ring.exec(timeout(HOUR_MS));
    const error = await t.throwsAsync(ring.exec(read(fd, Buffer.alloc(8)), { timeoutMs: 5 }), {
      instanceOf: UringError,
      code: 'ERR_URING_TIMEOUT',
      message: /^read was not through within timeoutMs/,
    });
    t.like(error, { syscall: 'read', errno: -62 });
    t.is((error.cause as UringError).code, 'ECANCELED');
    t.is(ring.inFlight, 1);
    void hour.catch(() => {});
    await assertUsable(t, ring);
  });
});

test('an operation that is through in time gives its result, and its deadline is gone', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(100);
    t.is(await ring.exec(read(fd, buffer, { offset: 0 }), { timeoutMs: HOUR_MS }), 100);
    t.deepEqual(buffer, pattern(100));
    t.is(ring.inFlight, 0);
    t.is(await ring.exec(write(fd, buffer), { timeoutMs: Number.POSITIVE_INFINITY }), 100);
    await t.throwsAsync(ring.exec(nop({ result: -5 }), { timeoutMs: HOUR_MS }), { code: 'EIO' });
    t.is(ring.inFlight, 0);
  });
});

test('a deadline of nothing stops what would wait, and what need not wait may succeed', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(read(fd, Buffer.alloc(8)), { timeoutMs: 0 }), {
      code: 'ERR_URING_TIMEOUT',
    });
    t.is(await ring.exec(nop({ result: 3 }), { timeoutMs: 0 }), 3);
  });
});

test('both a signal and a deadline: whichever is first', async (t) => {
  await withRing({}, async (ring) => {
    const { signal } = new AbortController();
    const options = { signal, timeoutMs: 5 };
    await t.throwsAsync(ring.exec(timeout(HOUR_MS), options), { code: 'ERR_URING_TIMEOUT' });
    const controller = new AbortController();
    const hour = ring.exec(timeout(HOUR_MS), { signal: controller.signal, timeoutMs: HOUR_MS });
    await settle();
    controller.abort();
    await t.throwsAsync(hour, { code: 'ABORT_ERR' });
    t.is(ring.inFlight, 0);
  });
});

async function filled(ring: Ring): Promise<Promise<unknown>[]> {
  const hours: Promise<unknown>[] = [];
  while (ring.waiting === 0) hours.push(ring.exec(timeout(HOUR_MS)).catch((error: UringError) => error.code));
  await settle();
  return hours;
}

test('what waits for room is stopped there, by its signal and in its time', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const hours = await filled(ring);
    const { inFlight, waiting } = ring;
    const controller = new AbortController();
    const aborted = ring.exec(nop(), { signal: controller.signal });
    const late = ring.exec(nop(), { timeoutMs: 5 });
    t.is(ring.waiting, waiting + 3);
    controller.abort();
    await t.throwsAsync(aborted, { code: 'ABORT_ERR' });
    await t.throwsAsync(late, { code: 'ERR_URING_TIMEOUT' });
    t.like(ring, { inFlight, waiting });
    await ring.close();
    t.deepEqual([...new Set(await Promise.all(hours))], ['ECANCELED']);
  });
});

test('thousands that wait for room are aborted by one signal', async (t) => {
  t.timeout(180_000);
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const hours = await filled(ring);
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: 20_000 }, () =>
      ring.exec(nop(), { signal }).catch((error: AbortError) => error.code),
    );
    controller.abort();
    t.deepEqual([...new Set(await Promise.all(all))], ['ABORT_ERR']);
    t.is(ring.waiting, hours.length - ring.inFlight);
  });
});

test('an iterator ends with an AbortError when its signal is aborted, and what nobody took is given back', async (t) => {
  const { fd, port } = await listen(t);
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const connections = ring.multishot(acceptMultishot(fd), { signal: controller.signal });
    const first = connections.next();
    await settle();
    t.is(ring.inFlight, 1);
    t.true(port > 0);
    controller.abort();
    await t.throwsAsync(first, { code: 'ABORT_ERR' });
    t.is(ring.inFlight, 0);
    t.deepEqual(await connections.next(), { done: true, value: undefined });
    const early = ring.multishot(acceptMultishot(fd), { signal: AbortSignal.abort() });
    await t.throwsAsync(early.next(), { code: 'ABORT_ERR' });
  });
});

test('signals and deadlines of the wrong kind are refused before anything starts', async (t) => {
  const { fd } = file(t);
  await withRing({}, async (ring) => {
    const exec = (options: unknown): Promise<unknown> => ring.exec(fsync(fd), options as never);
    await t.throwsAsync(exec(5), { code: 'ERR_INVALID_ARG_TYPE', message: /"options"/ });
    await t.throwsAsync(exec(null), { code: 'ERR_INVALID_ARG_TYPE', message: /"options"/ });
    await t.throwsAsync(exec({ signal: {} }), { code: 'ERR_INVALID_ARG_TYPE', message: /AbortSignal/ });
    await t.throwsAsync(exec({ timeoutMs: '5' }), { code: 'ERR_INVALID_ARG_TYPE', message: /timeoutMs/ });
    await t.throwsAsync(exec({ timeoutMs: -1 }), { code: 'ERR_OUT_OF_RANGE', message: /timeoutMs/ });
    await t.throwsAsync(exec({ timeoutMs: Number.NaN }), { code: 'ERR_OUT_OF_RANGE', message: /timeoutMs/ });
    const stream = (): unknown => ring.multishot(acceptMultishot(fd), { signal: 'x' as never });
    t.throws(stream, { code: 'ERR_INVALID_ARG_TYPE', message: /AbortSignal/ });
    t.is(ring.inFlight, 0);
  });
});

test('a cancel request with a signal or a deadline goes ahead of what waits all the same', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const hour = timeout(HOUR_MS);
    const stopped = ring.exec(hour).catch((error: UringError) => error.code);
    const hours = await filled(ring);
    t.is(await ring.exec(asyncCancel(hour), { timeoutMs: HOUR_MS }), 0);
    t.is(await stopped, 'ECANCELED');
    await ring.close();
    await Promise.all(hours);
  });
});

test('a deadline that cannot be set is an error of its own, and no timeout', async (t) => {
  await withRing({ disabled: true }, async (ring) => {
    ring.registrar.restrict({ operations: ['nop'], sqeFlagsAllowed: SqeFlags.LINK });
    ring.enable();
    t.is(await ring.exec(nop({ result: 1 })), 1);
    const error = await t.throwsAsync(ring.exec(nop(), { timeoutMs: HOUR_MS }));
    t.not((error as UringError).code, 'ERR_URING_TIMEOUT');
  });
});

test('aborting what is in flight is quick, however many wait', async (t) => {
  t.timeout(180_000);
  await withRing({ entries: 64, cqEntries: 1024 }, async (ring) => {
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = Array.from({ length: 1024 }, () =>
      ring.exec(timeout(HOUR_MS), { signal }).catch((error: AbortError) => error.code),
    );
    await settle();
    const others = Array.from({ length: 50_000 }, () => ring.exec(nop({ result: 1 })));
    // A look at all that wait for each request would take minutes.
    controller.abort();
    t.deepEqual([...new Set(await Promise.all(aborted))], ['ABORT_ERR']);
    t.deepEqual([...new Set(await Promise.all(others))], [1]);
  });
});

test('multishot operations leave room for others, however many there are', async (t) => {
  const fd = fifo(t);
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    for (let at = 0; at < 12; at += 1) ring.start(pollMultishot(fd, PollEvents.PRI));
    t.is(await ring.exec(nop({ result: 5 })), 5);
    t.is(ring.inFlight, 12);
  });
});
