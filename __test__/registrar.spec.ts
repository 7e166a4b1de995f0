import { closeSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import * as uring from 'uring';
import { nop, openat, probe, Ring, read, SqeFlags, sendMessage, timeout } from 'uring';
import { assertUsable, fifo, file, pattern, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { type Case, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

/** How often the eventfd was signalled since the last look. */
function signals(fd: number): bigint {
  const counter = Buffer.alloc(8);
  try {
    readSync(fd, counter);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0n;
    throw error;
  }
  return counter.readBigUInt64LE();
}

/** Runs one operation that completes at once. */
function runOne(ring: Ring, operation = nop()): void {
  ring.prep(operation);
  ring.submitAndWait(1);
  ring.forEachCompletion(() => {});
}

test('an eventfd is signalled for completions, can be switched off and on, and is given up', async (t) => {
  await withRing({}, (ring) => {
    const fd = ring.registrar.registerEventfd();
    try {
      t.true(ring.registrar.eventfdEnabled);
      t.is(signals(fd), 0n);
      runOne(ring);
      t.true(signals(fd) > 0n);
      ring.registrar.setEventfdEnabled(false);
      t.false(ring.registrar.eventfdEnabled);
      runOne(ring);
      t.is(signals(fd), 0n);
      ring.registrar.setEventfdEnabled(true);
      runOne(ring);
      t.true(signals(fd) > 0n);
      t.throws(() => ring.registrar.registerEventfd(), { code: 'EBUSY', message: /registered already/ });
      ring.registrar.unregisterEventfd();
      runOne(ring);
      t.is(signals(fd), 0n);
      t.throws(() => ring.registrar.unregisterEventfd(), { code: 'ENXIO' });
      t.is(ring.registrar.registerEventfd({ fd }), fd);
      runOne(ring);
      t.true(signals(fd) > 0n);
    } finally {
      closeSync(fd);
    }
  });
});

test('an asynchronous eventfd is not signalled for what completes while it is submitted', async (t) => {
  await withRing({ taskrun: 'coop' }, (ring) => {
    const fd = ring.registrar.registerEventfd({ async: true });
    try {
      runOne(ring);
      t.is(signals(fd), 0n);
      runOne(ring, nop({ flags: SqeFlags.ASYNC }));
      t.true(signals(fd) > 0n);
    } finally {
      closeSync(fd);
    }
  });
});

test('the event loop and an eventfd of the user exclude each other, and each says so', async (t) => {
  await withRing({}, async (ring) => {
    const fd = ring.registrar.registerEventfd();
    closeSync(fd);
    await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_EVENTFD_TAKEN', message: /unregisterEventfd/ });
    t.is(ring.inFlight, 0);
    ring.registrar.unregisterEventfd();
    await ring.exec(nop());
    const taken = { code: 'ERR_URING_EVENTFD_TAKEN', message: /a ring of its own by hand/ };
    t.throws(() => ring.registrar.registerEventfd(), taken);
    t.throws(() => ring.registrar.unregisterEventfd(), taken);
    t.throws(() => ring.registrar.setEventfdEnabled(false), taken);
    await assertUsable(t, ring);
  });
});

test('a descriptor that is closed or no eventfd is refused', async (t) => {
  const { fd } = file(t);
  await withRing({}, (ring) => {
    t.throws(() => ring.registrar.registerEventfd({ fd: 9999 }), { code: 'EBADF' });
    t.throws(() => ring.registrar.registerEventfd({ fd }), { code: 'EINVAL', message: /is no eventfd/ });
  });
});

test('credentials are registered once for each number, and unknown ones say so', async (t) => {
  await withRing({}, async (ring) => {
    const id = ring.registrar.registerPersonality();
    t.true(id >= 1);
    await ring.exec(nop({ personality: id }));
    ring.registrar.unregisterPersonality(id);
    t.throws(() => ring.registrar.unregisterPersonality(id), {
      code: 'EINVAL',
      message: /no such credentials/,
    });
    await t.throwsAsync(ring.exec(nop({ personality: id })), { code: 'EINVAL' });
  });
});

test('a restricted ring runs what is allowed, refuses the rest with EACCES, and closes', async (t) => {
  const { fd, path } = file(t, pattern(10));
  await withRing({ disabled: true }, async (ring) => {
    ring.registrar.restrict({
      operations: ['nop', 'read', 'readFixed', 'timeout'],
      registrations: ['REGISTER_PERSONALITY'],
      sqeFlagsAllowed: SqeFlags.ASYNC,
    });
    t.throws(() => ring.registrar.restrict({}), { code: 'EBUSY', message: /restricted already/ });
    ring.enable();
    await ring.exec(nop());
    t.is(await ring.exec(read(fd, ring.alloc(10), { offset: 0 })), 10);
    t.is(await ring.exec(read(fd, Buffer.alloc(10), { offset: 0, flags: SqeFlags.ASYNC })), 10);
    await t.throwsAsync(ring.exec(openat(path)), { code: 'EACCES' });
    await t.throwsAsync(ring.exec(nop({ flags: SqeFlags.DRAIN })), { code: 'EACCES' });
    t.true(ring.registrar.registerPersonality() >= 1);
    t.throws(() => ring.registrar.registerFiles(), { code: 'EACCES', message: /the ring is restricted/ });
    // What is in flight is cancelled all the same.
    const hour = ring.exec(timeout(3_600_000));
    const closed = ring.close();
    await t.throwsAsync(hour, { code: 'ECANCELED' });
    await closed;
  });
});

test('a ring with flags required refuses what lacks them', async (t) => {
  await withRing({ disabled: true }, async (ring) => {
    ring.registrar.restrict({ sqeFlagsRequired: SqeFlags.ASYNC });
    ring.enable();
    await t.throwsAsync(ring.exec(nop()), { code: 'EACCES' });
    t.is(await ring.exec(nop({ flags: SqeFlags.ASYNC })), 0);
  });
});

test('a ring that is enabled cannot be restricted', async (t) => {
  await withRing({}, (ring) => {
    t.throws(() => ring.registrar.restrict({}), { code: 'EBADFD', message: /\{ disabled: true \}/ });
  });
});

test('worker threads are bound to processors and set free again', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    ring.registrar.setWorkerAffinity([0]);
    t.is(await ring.exec(read(fd, ring.alloc(10), { offset: 0, flags: SqeFlags.ASYNC })), 10);
    ring.registrar.setWorkerAffinity(Array.from({ length: availableParallelism() }, (_, cpu) => cpu));
    ring.registrar.setWorkerAffinity(null);
    t.throws(() => ring.registrar.setWorkerAffinity([8191]), {
      code: 'EINVAL',
      message: /may not use all of these/,
    });
    await assertUsable(t, ring);
  });
});

test('limits of worker threads answer those before', async (t) => {
  await withRing({}, (ring) => {
    const before = ring.registrar.setWorkerLimits({});
    t.true(before.bounded > 0 && before.unbounded > 0);
    t.deepEqual(ring.registrar.setWorkerLimits({ bounded: 3, unbounded: 5 }), before);
    t.deepEqual(ring.registrar.setWorkerLimits({ unbounded: 6 }), { bounded: 3, unbounded: 5 });
    t.deepEqual(ring.registrar.setWorkerLimits(before), { bounded: 3, unbounded: 6 });
  });
});

test('busy polling is switched on and off, and tells the settings before', async (t) => {
  await withRing({}, (ring) => {
    const off = { busyPollUs: 0, preferBusyPoll: false, tracking: 'inactive' } as const;
    t.deepEqual(ring.registrar.registerNapi({ busyPollUs: 50, preferBusyPoll: true }), off);
    const dynamic = { busyPollUs: 50, preferBusyPoll: true, tracking: 'dynamic' } as const;
    t.throws(() => ring.registrar.addNapiId(5), { code: 'EINVAL', message: /tracking: 'static'/ });
    t.deepEqual(ring.registrar.registerNapi({ busyPollUs: 20, tracking: 'static' }), dynamic);
    t.throws(() => ring.registrar.removeNapiId(5000), { code: 'ENOENT' });
    // The numbers of receive queues start above those of processors.
    t.throws(() => ring.registrar.addNapiId(0), { code: 'EINVAL' });
    t.deepEqual(ring.registrar.unregisterNapi(), { busyPollUs: 20, preferBusyPoll: false });
    t.deepEqual(ring.registrar.registerNapi({ busyPollUs: 1 }), off);
    t.deepEqual(ring.registrar.unregisterNapi(), { busyPollUs: 1, preferBusyPoll: false });
  });
});

test('limits of waits count on the clock that is set', async (t) => {
  await withRing({}, (ring) => {
    for (const clock of ['boottime', 'monotonic'] as const) {
      ring.registrar.setClock(clock);
      ring.prep(timeout(3_600_000));
      t.is(ring.submitAndWait(1, { timeoutMs: 1 }), 1);
      t.is(ring.cqReady, 0);
    }
  });
});

test('a synchronous cancel ends an operation before it returns', async (t) => {
  await withRing({}, (ring) => {
    const hour = timeout(3_600_000);
    ring.prep(hour, 'hour');
    ring.prep(timeout(3_600_000), 'other');
    t.throws(() => ring.registrar.syncCancel(hour), { code: 'ENOENT' }, 'it is not submitted');
    ring.submit();
    t.is(ring.registrar.syncCancel(hour, { timeoutMs: 10_000 }), 0);
    waitFor(ring, 1);
    const [ended] = [...ring.completions()];
    t.is(ended?.userData, 'hour');
    t.is(ended?.error?.code, 'ECANCELED');
    t.throws(() => ring.registrar.syncCancel(hour), { code: 'ENOENT' });
    t.is(ring.registrar.syncCancel({ userData: 'other' }), 0);
    waitFor(ring, 1);
    t.is(ring.peek()?.userData, 'other');
  });
});

test('a synchronous cancel finds operations by descriptor and finds all of them', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const reads = [1, 2, 3].map(() => ring.exec(read(pipe, Buffer.alloc(1))));
    await ring.exec(nop());
    t.is(ring.registrar.syncCancel({ fd: pipe, all: true }), 3);
    for (const one of reads) await t.throwsAsync(one, { code: 'ECANCELED' });
    t.throws(() => ring.registrar.syncCancel({ fd: pipe }), { code: 'ENOENT' });
    const more = [ring.exec(read(pipe, Buffer.alloc(1))), ring.exec(timeout(3_600_000))];
    await ring.exec(nop());
    ring.registrar.syncCancel({ any: true });
    for (const one of more) await t.throwsAsync(one, { code: 'ECANCELED' });
    const files = ring.registrar.registerFiles();
    const slot = files.alloc(pipe);
    const bySlot = ring.exec(read(slot, Buffer.alloc(1)));
    await ring.exec(nop());
    t.is(ring.registrar.syncCancel({ fd: slot }), 0);
    await t.throwsAsync(bySlot, { code: 'ECANCELED' });
  });
});

test('a message arrives as an event, without a ring at the other end', async (t) => {
  await withRing({}, (ring) => {
    sendMessage(ring, { data: Number.MAX_SAFE_INTEGER, res: -7 });
    sendMessage(structuredClone(ring.handle));
    t.deepEqual(
      [...ring.completions()].map(({ event }) => event),
      [
        { type: 'message', data: Number.MAX_SAFE_INTEGER, res: -7, flags: 0 },
        { type: 'message', data: 0, res: 0, flags: 0 },
      ],
    );
  });
});

test('a thread without a ring wakes one that waits', async (t) => {
  await withRing({}, async (ring) => {
    const code = `import('uring').then(({ sendMessage }) => sendMessage(${JSON.stringify(ring.handle)}, { data: 5 }))`;
    const worker = new Worker(code, { eval: true });
    ring.submitAndWait(1, { timeoutMs: 20_000 });
    t.deepEqual(ring.peek()?.event, { type: 'message', data: 5, res: 0, flags: 0 });
    [...ring.completions()];
    await worker.terminate();
  });
});

test('a message to what is no ring fails', async (t) => {
  t.throws(() => sendMessage({ ringToken: 9999 }), { code: 'ERR_URING_STALE_HANDLE' });
  t.throws(() => sendMessage(wrong('x')), { code: 'ERR_INVALID_ARG_TYPE' });
  t.throws(() => sendMessage(wrong(3)), { code: 'ERR_INVALID_ARG_TYPE', message: /a Ring or its handle/ });
  t.throws(() => sendMessage({ ringToken: 1 }, { data: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => sendMessage({ ringToken: 1 }, { res: 2 ** 31 }), { code: 'ERR_OUT_OF_RANGE' });
  await withRing({}, async (ring) => {
    await ring.close();
    t.throws(() => sendMessage(ring), { code: 'ERR_URING_CLOSED' });
  });
});

test('zero-copy receiving says what it needs', async (t) => {
  await withRing({}, (ring) => {
    const what = { code: 'ERR_URING_UNSUPPORTED', message: /header split and flow steering/ };
    t.throws(() => ring.registrar.registerZeroCopyReceive(), what);
  });
});

test('probe tells what this kernel has', async (t) => {
  const kernel = probe();
  for (const name of ['nop', 'readv', 'read', 'accept', 'openat'] as const) {
    t.true(kernel.operations.includes(name), name);
  }
  t.true(kernel.registrations.includes('REGISTER_PROBE'));
  t.true(kernel.features.includes('NODROP'));
  t.true(kernel.setupFlags.includes('SQPOLL'));
  t.true(kernel.enterFlags.includes('GETEVENTS'));
  t.true(kernel.sqeFlags.includes('IO_LINK'));
  await withRing({}, (ring) => {
    t.deepEqual(kernel.operations, ring.operations);
    t.deepEqual(kernel.features, ring.features);
    for (const flag of ring.setupFlags)
      t.true(
        kernel.setupFlags.some((name) => name === flag),
        flag,
      );
    t.true(ring.supports('nop'));
    t.is(ring.supports('futexWait'), kernel.operations.includes('futexWait'));
    t.false(ring.supports('nop128') && !kernel.operations.includes('nop128'));
    t.throws(() => ring.supports(wrong('toString')), { code: 'ERR_INVALID_ARG_VALUE' });
  });
  t.is(new Set(kernel.registrations).size, kernel.registrations.length);
});

test('every registration stands where its table says', async (t) => {
  const path = new URL('generated/registrations.js', import.meta.resolve('uring')).href;
  const { registrations } = (await import(path)) as {
    registrations: Record<string, { number: number; method: string }>;
  };
  await withRing({}, (ring) => {
    const owners: Record<string, object> = {
      Ring: ring,
      Registrar: ring.registrar,
      FileTable: ring.registrar.registerFiles(),
      BufferRing: ring.registrar.registerBufferRing({ entries: 1 }),
    };
    for (const [name, { method }] of Object.entries(registrations)) {
      const [owner = '', member] = (method.split(' ')[0] ?? '').split('.');
      if (owner === 'RingOptions') continue;
      const found =
        member === undefined
          ? (uring as Record<string, unknown>)[owner]
          : Reflect.get(owners[owner] ?? {}, member);
      t.is(typeof found, 'function', `${name}: ${method}`);
    }
  });
  const numbers = Object.values(registrations).map(({ number }) => number);
  t.deepEqual(numbers, [...numbers.keys()]);
});

test('arguments of registrations are checked', async (t) => {
  await withRing({}, async (ring) => {
    const registrar = ring.registrar;
    const cases: Case[] = [
      range('eventfd', () => registrar.registerEventfd({ fd: -1 }), /"options.fd" is out of range/),
      type('eventfd', () => registrar.registerEventfd({ async: wrong(1) }), /"options.async"/),
      type('eventfd', () => registrar.registerEventfd(wrong(3)), /"options" argument must be of type object/),
      type('eventfd', () => registrar.setEventfdEnabled(wrong('yes')), /"enabled" argument/),
      range('personality', () => registrar.unregisterPersonality(0), /"id" is out of range/),
      type('restrict', () => registrar.restrict(wrong(undefined)), /"restrictions" argument/),
      type('restrict', () => registrar.restrict({ operations: wrong('nop') }), /an array of names/),
      value('restrict', () => registrar.restrict({ operations: [wrong('nope')] }), /is no such name: nope/),
      value('restrict', () => registrar.restrict({ registrations: [wrong('x')] }), /registrations\[0\]/),
      range('restrict', () => registrar.restrict({ sqeFlagsAllowed: 128 }), /sqeFlagsAllowed/),
      type('affinity', () => registrar.setWorkerAffinity(wrong(0)), /an array of numbers or null/),
      value('affinity', () => registrar.setWorkerAffinity([]), /names no processor/),
      range('affinity', () => registrar.setWorkerAffinity([-1]), /"cpus\[0\]" is out of range/),
      type('limits', () => registrar.setWorkerLimits(wrong(undefined)), /"limits" argument/),
      range('limits', () => registrar.setWorkerLimits({ bounded: -1 }), /"limits.bounded" is out of range/),
      type('napi', () => registrar.registerNapi(wrong(undefined)), /"options" argument/),
      type('napi', () => registrar.registerNapi(wrong({})), /"options.busyPollUs" argument/),
      value(
        'napi',
        () => registrar.registerNapi({ busyPollUs: 1, tracking: wrong('all') }),
        /must be one of: dynamic, static/,
      ),
      range('napi', () => registrar.addNapiId(-1), /"id" is out of range/),
      range('napi', () => registrar.removeNapiId(1.5), /"id" is out of range/),
      value('clock', () => registrar.setClock(wrong('realtime')), /must be one of: monotonic, boottime/),
      type('cancel', () => registrar.syncCancel(wrong(1)), /"target" argument must be an operation/),
      range('cancel', () => registrar.syncCancel({ any: true }, { timeoutMs: -1 }), /"options.timeoutMs"/),
      range('cancel', () => registrar.syncCancel({ any: true }, { timeoutMs: NaN }), /"options.timeoutMs"/),
      type('cancel', () => registrar.syncCancel({ any: true }, { timeoutMs: wrong('1') }), /of type number/),
    ];
    for (const one of cases) await refuses(t, ring, one);
  });
});

test('a closed ring registers nothing', async (t) => {
  const ring = new Ring();
  await ring.close();
  const { registrar } = ring;
  const calls: Record<string, () => unknown> = {
    registerFiles: () => registrar.registerFiles(),
    registerBuffers: () => registrar.registerBuffers([]),
    unregisterBuffers: () => registrar.unregisterBuffers([]),
    registerBufferRing: () => registrar.registerBufferRing(),
    registerEventfd: () => registrar.registerEventfd(),
    unregisterEventfd: () => registrar.unregisterEventfd(),
    setEventfdEnabled: () => registrar.setEventfdEnabled(true),
    registerPersonality: () => registrar.registerPersonality(),
    unregisterPersonality: () => registrar.unregisterPersonality(1),
    restrict: () => registrar.restrict({}),
    setWorkerAffinity: () => registrar.setWorkerAffinity(null),
    setWorkerLimits: () => registrar.setWorkerLimits({}),
    registerNapi: () => registrar.registerNapi({ busyPollUs: 1 }),
    unregisterNapi: () => registrar.unregisterNapi(),
    setClock: () => registrar.setClock('monotonic'),
    syncCancel: () => registrar.syncCancel({ any: true }),
  };
  for (const [name, call] of Object.entries(calls)) t.throws(call, { code: 'ERR_URING_CLOSED' }, name);
});
