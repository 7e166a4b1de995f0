// Setup flags that must be asked for, what excludes what, resizing, waits with a minimum or a deadline.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { nop, Ring, type RingOptions, read, timeout, UringError } from 'uring';
import { assertUsable, FORMS, fifo, file, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { fixture } from './_process.ts';

leakCheck(test);

const MS = 1_000_000n;

const granted: [flag: string, options: RingOptions][] = [
  ['IOPOLL', { iopoll: true }],
  ['HYBRID_IOPOLL', { iopoll: 'hybrid' }],
  ['SQPOLL', { sqpoll: { idleMs: 5 } }],
  ['SQ_AFF', { sqpoll: { idleMs: 5, cpu: 0 } }],
  ['CQSIZE', {}],
  ['CLAMP', { clamp: true }],
  ['SUBMIT_ALL', { submitAll: true }],
  ['COOP_TASKRUN', { taskrun: 'coop' }],
  ['DEFER_TASKRUN', { taskrun: 'defer' }],
  ['TASKRUN_FLAG', { taskrunFlag: true }],
  ['SINGLE_ISSUER', { singleIssuer: true }],
  ['SQE128', { sqeBytes: 128 }],
  ['CQE32', { cqeBytes: 32 }],
  ['CQE_MIXED', { cqeBytes: 'mixed' }],
  ['NO_MMAP', { noMmap: true }],
  ['REGISTERED_FD_ONLY', { noMmap: true, registeredFdOnly: true }],
  ['NO_SQARRAY', { noSqarray: true }],
];

for (const [flag, options] of granted) {
  test.serial(`${flag}: a ring that asks for it has it, and runs operations in all forms`, async (t) => {
    await withRing({ entries: 8, cqEntries: 16, ...options }, async (ring) => {
      t.true(ring.setupFlags.includes(flag), ring.setupFlags.join());
      for (let round = 0; round < 20; round += 1) {
        for (const form of FORMS) t.is(await runAs(form, ring, nop({ result: round })), round);
      }
      if (!flag.endsWith('IOPOLL')) {
        const { fd } = file(t, pattern(1000));
        t.is(await ring.exec(read(fd, ring.alloc(1000), { offset: 0 })), 1000);
        t.is(await ring.exec(timeout(1)), undefined);
      }
    });
  });
}

const left: [flag: string, options: RingOptions][] = [
  ['SUBMIT_ALL', { submitAll: false }],
  ['TASKRUN_FLAG', { taskrunFlag: false }],
  ['TASKRUN_FLAG', { taskrun: 'none' }],
  ['COOP_TASKRUN', { taskrun: 'none' }],
  ['SINGLE_ISSUER', { singleIssuer: false }],
  ['DEFER_TASKRUN', { singleIssuer: false }],
  ['DEFER_TASKRUN', { taskrun: 'coop' }],
  ['NO_SQARRAY', { noSqarray: false }],
];

for (const [flag, options] of left) {
  test(`${JSON.stringify(options)}: the ring does without ${flag}`, async (t) => {
    await withRing(options, async (ring) => {
      t.false(ring.setupFlags.includes(flag));
      await assertUsable(t, ring);
    });
  });
}

test('a flag that this kernel does not have is named, with the first kernel that has it', async (t) => {
  for (const [flag, options, kernel] of [
    ['SQE_MIXED', { sqeBytes: 'mixed' }, '6.19'],
    ['SQ_REWIND', { sqRewind: true }, '7.0'],
  ] as const) {
    let ring: Ring | undefined;
    try {
      ring = new Ring(options);
    } catch (error) {
      t.true(error instanceof UringError);
      t.like(error, {
        code: 'ERR_URING_UNSUPPORTED_FLAG',
        message: `this kernel does not have IORING_SETUP_${flag}: it needs Linux ${kernel} or later`,
      });
      continue;
    }
    // A later kernel: then it has to work.
    t.true(ring.setupFlags.includes(flag));
    await assertUsable(t, ring);
    await ring.close();
  }
});

const excluded: [options: RingOptions, message: RegExp][] = [
  [{ sqpoll: {}, taskrun: 'defer' }, /"options.taskrun" cannot be had with options.sqpoll/],
  [{ sqpoll: {}, taskrun: 'coop' }, /"options.taskrun" cannot be had with options.sqpoll/],
  [{ sqpoll: {}, taskrunFlag: true }, /"options.taskrunFlag" cannot be had with options.sqpoll/],
  [{ sqpoll: {}, sqRewind: true }, /"options.sqRewind" cannot be had with options.sqpoll/],
  [{ singleIssuer: false, taskrun: 'defer' }, /"options.singleIssuer" must not be false/],
  [{ taskrun: 'none', taskrunFlag: true }, /"options.taskrunFlag" needs options.taskrun/],
  [{ sqRewind: true, noSqarray: false }, /"options.sqRewind" needs a queue without indexes/],
  [{ registeredFdOnly: true }, /"options.registeredFdOnly" needs options.noMmap/],
];

for (const [options, message] of excluded) {
  test(`${JSON.stringify(options)} is refused before the kernel is asked`, (t) => {
    t.throws(() => new Ring(options), { code: 'ERR_INVALID_ARG_VALUE', message });
  });
}

test('options of a wrong type are named', (t) => {
  const bad = [
    ['iopoll', 'yes'],
    ['taskrun', 'later'],
    ['taskrun', 'toString'],
    ['sqeBytes', 63],
    ['cqeBytes', '64'],
    ['clamp', 1],
    ['disabled', null],
    ['noMmap', 'true'],
    ['ioWait', 0],
    ['registeredWait', {}],
    ['requireFeatures', 'NODROP'],
  ] as const;
  for (const [name, value] of bad) {
    t.throws(() => new Ring({ [name]: value }), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: new RegExp(`"options.${name}"`),
    });
  }
});

test('what the kernel refuses together is an error that says what was asked for', (t) => {
  const error = t.throws(() => new Ring({ iopoll: true, sqpoll: { cpu: 1_000_000 } }), { code: 'EINVAL' });
  t.regex(error?.message ?? '', /io_uring_setup; asked for were IOPOLL, SQPOLL, SQ_AFF$/);
});

test('clamp: sizes that are too large become the largest', async (t) => {
  const large = { entries: 2 ** 20, cqEntries: 2 ** 22 };
  await withRing({ ...large, clamp: true }, async (ring) => {
    t.like(ring, { entries: 32_768, cqEntries: 65_536 });
    await assertUsable(t, ring);
    ring.resize({ entries: 2 ** 20, cqEntries: 2 ** 22 });
    t.like(ring, { entries: 32_768, cqEntries: 65_536 });
  });
  t.throws(() => new Ring(large), { code: 'ERR_OUT_OF_RANGE', message: /options.entries/ });
});

test('requireFeatures: a feature that is there is, and a name that is none is refused', async (t) => {
  await withRing({ requireFeatures: ['NODROP', 'EXT_ARG'] }, (ring) => {
    t.true(ring.features.includes('NODROP'));
  });
  t.throws(() => new Ring({ requireFeatures: ['NODROPS' as 'NODROP'] }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /NODROPS, which is none of SINGLE_MMAP, NODROP/,
  });
});

test('requireFeatures: all that is missing is named', async (t) => {
  // Kernels that can be tested on have all the features there are, so this asks the inside.
  type Inside = typeof import('../dist/ring-options.js');
  const { requireAll } = (await import(
    new URL('ring-options.js', import.meta.resolve('uring')).href
  )) as Inside;
  t.notThrows(() => requireAll(['SINGLE_MMAP', 'SUBMIT_STABLE'], 0b101));
  t.throws(() => requireAll(['SINGLE_MMAP', 'NODROP', 'NO_IOWAIT'], 0b101), {
    instanceOf: UringError,
    code: 'ERR_URING_UNSUPPORTED_FEATURE',
    message: /does not have NODROP, NO_IOWAIT: /,
  });
});

test('a disabled ring takes operations, and runs them once it is enabled', async (t) => {
  await withRing({ disabled: true }, async (ring) => {
    t.true(ring.setupFlags.includes('R_DISABLED'));
    const disabled = { code: 'ERR_URING_DISABLED', message: /call ring.enable\(\) first/ };
    t.true(ring.prep(nop({ result: 5 })));
    t.throws(() => ring.submit(), disabled);
    t.throws(() => ring.submitAndWait(1), disabled);
    t.throws(() => ring.start(nop(), () => t.fail()), disabled);
    await t.throwsAsync(ring.exec(nop()), disabled);
    t.like(ring, { sqReady: 1, cqReady: 0 });
    ring.enable();
    t.false(ring.setupFlags.includes('R_DISABLED'));
    waitFor(ring, 1);
    t.is(reap(ring)[0]?.res, 5);
    await assertUsable(t, ring);
    t.throws(() => ring.enable(), { code: 'ERR_URING_NOT_DISABLED' });
  });
});

test('a disabled ring with a prepared operation closes', async (t) => {
  const ring = new Ring({ disabled: true });
  t.true(ring.prep(nop()));
  await ring.close();
  t.true(ring.closed);
  t.like(ring, { inFlight: 0, sqReady: 0 });
});

test('a ring without a descriptor has no number, no other ring can attach to it, and it keeps its name', async (t) => {
  await withRing({ noMmap: true, registeredFdOnly: true }, async (ring) => {
    t.is(ring.fd, -1);
    t.throws(() => new Ring({ attachTo: ring }), { code: 'ERR_URING_NO_DESCRIPTOR' });
    t.throws(() => ring.unregisterRingFd(), { code: 'ERR_URING_NO_DESCRIPTOR' });
    ring.resize({ entries: 16, cqEntries: 64 });
    await assertUsable(t, ring);
  });
});

test('a ring that the thread names by a number works, and leaves its place when it closes', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    await withRing({ entries: 4 }, async (ring) => {
      ring.registerRingFd();
      t.is(await ring.exec(nop({ result: round })), round);
      if (round % 2 === 0) ring.unregisterRingFd();
      t.is(await runAs('manual', ring, nop({ result: round })), round);
    });
  }
});

test.serial('a thread names 16 rings, and says so to the next one', async (t) => {
  const rings = Array.from({ length: 17 }, () => new Ring({ entries: 1, cqEntries: 2 }));
  try {
    for (const ring of rings.slice(0, 16)) ring.registerRingFd();
    const full = { code: 'EBUSY', message: /a thread can name 16 rings/ };
    t.throws(() => rings[16]?.registerRingFd(), full);
    t.throws(() => new Ring({ noMmap: true, registeredFdOnly: true }), full);
    rings[3]?.unregisterRingFd();
    rings[16]?.registerRingFd();
    for (const ring of rings) t.is(await runAs('manual', ring, nop({ result: 8 })), 8);
  } finally {
    await Promise.all(rings.map((ring) => ring.close()));
  }
});

const ended: RingOptions[] = [
  {},
  { disabled: true },
  { registeredWait: true, noMmap: true },
  { noMmap: true, registeredFdOnly: true },
  { noMmap: true, registeredFdOnly: true, sqpoll: { idleMs: 5 } },
  { sqeBytes: 128, cqeBytes: 'mixed' },
];

for (const options of ended) {
  // The descriptors that are left are counted at the end of the file.
  test.serial(`${JSON.stringify(options)}: the ring of a worker that is terminated is gone`, async (t) => {
    t.timeout(120_000);
    for (let round = 0; round < 3; round += 1) {
      const worker = new Worker(fixture('setup-worker.mjs'), { workerData: options, execArgv: [] });
      await once(worker, 'message');
      t.is(await worker.terminate(), 1);
    }
  });
}

test('resize: sizes change while operations are in flight and completions are unread', async (t) => {
  t.timeout(120_000);
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const seen: number[] = [];
    const timers = [20, 40, 60].map((ms) => ring.exec(timeout(ms)));
    for (const [entries, cqEntries] of [
      [64, 256],
      [2, 8],
      [512, 4096],
      [1, 4],
    ] as const) {
      const first = seen.length;
      // More than the queue of completions and the block of 64 hold.
      for (let at = 0; at < 100; at += 1) {
        t.true(ring.prep(nop({ result: first + at })));
        ring.submit();
      }
      ring.resize({ entries, cqEntries });
      t.like(ring, { entries, cqEntries, sqSpaceLeft: entries });
      while (seen.length < first + 100) {
        ring.submitAndWait(1, { timeoutMs: 1000 });
        for (const { res } of ring.completions()) seen.push(res);
      }
    }
    t.deepEqual(
      seen,
      Array.from({ length: 400 }, (_, at) => at),
    );
    await Promise.all(timers);
    await assertUsable(t, ring);
  });
});

test('resize: a callback may resize its own ring, and the rest of its batch follows', async (t) => {
  await withRing({ entries: 8, cqEntries: 16 }, async (ring) => {
    const results = await Promise.all(
      Array.from(
        { length: 200 },
        (_, at) =>
          new Promise<number>((resolve, reject) => {
            ring.start(nop({ result: at }), (error, result) => {
              if (at === 3 && ring.sqReady === 0) ring.resize({ entries: 64, cqEntries: 128 });
              if (error === null) resolve(result as unknown as number);
              else reject(error);
            });
          }),
      ),
    );
    t.deepEqual(
      results,
      Array.from({ length: 200 }, (_, at) => at),
    );
    ring.resize({ cqEntries: 1024 });
    t.is(ring.cqEntries, 1024);
    await assertUsable(t, ring);
  });
});

test('resize: a chain may be as long as the larger queue', async (t) => {
  await withRing({ entries: 2 }, (ring) => {
    const chain = Array.from({ length: 8 }, () => nop());
    t.throws(() => ring.prepChain(chain), { code: 'ERR_OUT_OF_RANGE' });
    ring.resize({ entries: 8 });
    t.true(ring.prepChain(chain));
    waitFor(ring, 8);
    t.is(reap(ring).length, 8);
  });
});

test('resize: refused with something prepared, without DEFER_TASKRUN, and with sizes that make no sense', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, (ring) => {
    t.true(ring.prep(nop()));
    t.throws(() => ring.resize({ entries: 8 }), { code: 'ERR_URING_PREPARED', message: /submit them/ });
    waitFor(ring, 1);
    t.is(reap(ring).length, 1);
    t.throws(() => ring.resize({ entries: 3 }), { code: 'ERR_OUT_OF_RANGE', message: /power of two/ });
    t.throws(() => ring.resize({ cqEntries: 2 }), { code: 'ERR_OUT_OF_RANGE', message: /options.cqEntries/ });
    t.throws(() => ring.resize({ entries: 65_536 }), { code: 'ERR_OUT_OF_RANGE' });
    t.throws(() => ring.resize(8 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    t.like(ring, { entries: 4, cqEntries: 8 });
  });
  await withRing({ taskrun: 'coop' }, (ring) => {
    t.throws(() => ring.resize({ entries: 8 }), {
      code: 'ERR_URING_UNSUPPORTED_FLAG',
      message: /DEFER_TASKRUN/,
    });
  });
});

const waiting: RingOptions[] = [{}, { registeredWait: true }, { ioWait: false }, { sqpoll: { idleMs: 5 } }];

for (const options of waiting) {
  test.serial(
    `${JSON.stringify(options)}: waits end at their time, their deadline, or after their minimum`,
    async (t) => {
      t.timeout(120_000);
      await withRing(options, async (ring) => {
        t.false(ring.setupFlags.includes('R_DISABLED'));
        const pending = read(fifo(t), Buffer.alloc(1));
        t.true(ring.prep(pending, 'pending'));
        ring.submit();
        const now = process.hrtime.bigint;
        const lasts = (options: Parameters<Ring['submitAndWait']>[1], ms: bigint, count = 1): void => {
          const started = now();
          ring.submitAndWait(count, options);
          t.true(
            now() - started >= ms * MS,
            JSON.stringify(options, (_, value) => `${value}`),
          );
        };
        lasts({ timeoutMs: 20 }, 20n);
        lasts({ deadlineNs: now() + 20n * MS }, 19n);
        // Longer than one slice of the wait.
        lasts({ deadlineNs: now() + 150n * MS }, 149n);
        ring.submitAndWait(1, { deadlineNs: 0n });
        lasts({ timeoutMs: 150, minWaitMs: 10 }, 150n);
        t.is(ring.cqReady, 0);
        for (const minWaitMs of [20, 150]) {
          t.true(ring.prep(nop()));
          // Two are wanted and one comes: without the minimum this would last for a minute.
          lasts({ timeoutMs: 60_000, minWaitMs }, BigInt(minWaitMs), 2);
          t.is(reap(ring).length, 1);
        }
        t.true(ring.prep(nop()));
        ring.submitAndWait(1, { minWaitMs: 60_000 });
        t.is(reap(ring).length, 1, 'all that was wanted is there: no need to wait for the minimum');
      });
    },
  );
}

test('waits with options that make no sense are refused', async (t) => {
  await withRing({}, (ring) => {
    const refused = (options: object, code: string, message: RegExp): void => {
      t.throws(() => ring.submitAndWait(0, options), { code, message });
    };
    refused({ timeoutMs: -1 }, 'ERR_OUT_OF_RANGE', /timeoutMs/);
    refused({ minWaitMs: -1 }, 'ERR_OUT_OF_RANGE', /minWaitMs/);
    refused({ minWaitMs: '5' }, 'ERR_INVALID_ARG_TYPE', /minWaitMs/);
    refused({ deadlineNs: 5 }, 'ERR_INVALID_ARG_TYPE', /deadlineNs/);
    refused({ deadlineNs: -1n }, 'ERR_OUT_OF_RANGE', /deadlineNs/);
    refused({ deadlineNs: 1n, timeoutMs: 1 }, 'ERR_INVALID_ARG_VALUE', /excludes options.timeoutMs/);
    ring.submitAndWait(0, { deadlineNs: 2n ** 70n });
  });
});

test('large completions have extra words, and small ones of a mixed ring have none', async (t) => {
  await withRing({ cqeBytes: 32 }, async (ring) => {
    t.true(ring.prep(nop()));
    waitFor(ring, 1);
    t.deepEqual([...ring.completions()][0]?.extra, [0n, 0n]);
    for (const form of FORMS) t.is(await runAs(form, ring, nop({ result: 3 })), 3);
  });
  for (const options of [{}, { cqeBytes: 16 }, { cqeBytes: 'mixed' }] as const) {
    await withRing(options, (ring) => {
      t.true(ring.prep(nop()));
      waitFor(ring, 1);
      t.is([...ring.completions()][0]?.extra, undefined);
    });
  }
});

test('a ring of every size of entries wraps around its ends many times', async (t) => {
  for (const sqeBytes of [64, 128] as const) {
    for (const cqeBytes of [16, 32, 'mixed'] as const) {
      for (const noMmap of [false, true]) {
        await withRing({ entries: 2, cqEntries: 4, sqeBytes, cqeBytes, noMmap }, async (ring) => {
          const wanted = Array.from({ length: 300 }, (_, at) => at);
          t.deepEqual(await Promise.all(wanted.map((result) => ring.exec(nop({ result })))), wanted);
        });
      }
    }
  }
});

test('a sleeping queue thread is woken once for what it shall take, by hand and on the event loop', async (t) => {
  const rounds = 20;
  await withRing({ sqpoll: { idleMs: 1 } }, async (ring) => {
    const before = ring.stats().enters;
    for (let round = 0; round < rounds; round += 1) {
      await sleep(15);
      await ring.exec(nop());
    }
    const onTheLoop = ring.stats().enters - before;
    t.true(onTheLoop <= 2 * rounds, `${onTheLoop} system calls for ${rounds} operations on the loop`);
    for (let round = 0; round < rounds; round += 1) {
      await sleep(15);
      ring.prep(nop());
      ring.submit();
      for (const deadline = Date.now() + 5000; ring.cqReady === 0 && Date.now() < deadline; ) await sleep(1);
      t.is(reap(ring).length, 1);
    }
    const byHand = ring.stats().enters - before - onTheLoop;
    t.true(byHand <= 3 * rounds, `${byHand} system calls for ${rounds} operations by hand`);
  });
});
