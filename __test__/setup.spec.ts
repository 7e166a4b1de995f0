// The ways to open a ring: sizes, setup flags, a polling kernel thread, polled disks, shared workers.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { CqeFlags, fsync, nop, probe, Ring, read, SqeFlags, timeout } from 'uring';
import { assertUsable, FORMS, file, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { kernelIs } from './_kernel.ts';
import { opInfo } from './_records.ts';

leakCheck(test);

/** The states of the kernel threads that poll for this process's rings, from proc_pid_stat(5). */
function pollerStates(): string[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'latin1');
      return stat.match(/^\d+ \(iou-sqp-\d+\) (\S)/)?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

/** Resolves when every poller has been found asleep several times in a row. */
async function pollersAsleep(): Promise<void> {
  for (let asleep = 0; asleep < 5; ) {
    await sleep(5);
    const states = pollerStates();
    asleep = states.length > 0 && states.every((state) => state === 'S') ? asleep + 1 : 0;
  }
}

test.serial('SQPOLL: operations come back in all forms, thread awake or asleep', async (t) => {
  t.timeout(120_000);
  const { fd } = file(t, pattern(1000));
  await withRing({ sqpoll: { idleMs: 10 } }, async (ring) => {
    for (let round = 0; round < 3; round += 1) {
      for (const form of FORMS) {
        const buffer = ring.alloc(1000);
        t.is(await runAs(form, ring, read(fd, buffer, { offset: 0 })), 1000);
        t.deepEqual(buffer, pattern(1000));
        await pollersAsleep();
        t.is(await runAs(form, ring, nop({ result: 9 })), 9, 'the thread was asleep');
      }
    }
  });
});

test.serial('SQPOLL: a sleeping thread is woken by submit alone, without a wait', async (t) => {
  t.timeout(120_000);
  await withRing({ sqpoll: { idleMs: 5 } }, async (ring) => {
    for (let round = 0; round < 20; round += 1) {
      await pollersAsleep();
      t.true(ring.prep(nop({ result: round })));
      ring.submit();
      while (ring.cqReady === 0) await sleep(1);
      t.is(reap(ring)[0]?.res, round);
    }
  });
});

test.serial('SQPOLL: a small queue under many operations loses nothing', async (t) => {
  t.timeout(120_000);
  await withRing({ entries: 1, cqEntries: 4, sqpoll: { idleMs: 5 } }, async (ring) => {
    const results = await Promise.all(
      Array.from({ length: 2000 }, (_, at) => ring.exec(nop({ result: at }))),
    );
    t.deepEqual(
      results,
      Array.from({ length: 2000 }, (_, at) => at),
    );
  });
});

test.serial('SQPOLL: the thread may be bound to a CPU that exists', async (t) => {
  await withRing({ sqpoll: { idleMs: 5, cpu: 0 } }, (ring) => assertUsable(t, ring));
  t.throws(() => new Ring({ sqpoll: { cpu: 1_000_000 } }), { code: 'EINVAL', message: /io_uring_setup/ });
});

test.serial(
  'SQPOLL: an enter is counted when the thread has to be woken, and none while it is awake',
  async (t) => {
    t.timeout(120_000);
    // Observed on 2026-11-21: strace saw no system call for five submits to a thread that was awake, and
    // stats().enters had gone up by five.
    await withRing({ sqpoll: { idleMs: 10_000 } }, async (ring) => {
      ring.prep(nop());
      waitFor(ring, 1);
      const before = ring.stats().enters;
      for (let at = 0; at < 5; at += 1) {
        ring.prep(nop());
        ring.submit();
      }
      t.is(ring.stats().enters, before);
      waitFor(ring, 6);
      t.is(reap(ring).length, 6);
    });
  },
);

test('iopoll: a ring opens, and a file without poll queues is refused with ENOTSUP', async (t) => {
  const { fd } = file(t, pattern(4096));
  await withRing({ iopoll: true }, async (ring) => {
    t.is(await ring.exec(nop({ result: 3 })), 3);
    await t.throwsAsync(ring.exec(read(fd, ring.alloc(4096), { offset: 0 })), {
      code: 'ENOTSUP', // as Node calls errno 95
      message: /^ENOTSUP: .*, read$/,
    });
    await t.throwsAsync(ring.exec(fsync(fd)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(timeout(1)), { code: 'EINVAL' });
    await assertUsable(t, ring);
  });
});

test('attachTo: rings that share workers run and close on their own', async (t) => {
  const { fd } = file(t, pattern(100));
  const first = new Ring();
  await withRing({ attachTo: first }, async (second) => {
    t.not(second.fd, first.fd);
    const buffer = Buffer.alloc(100);
    t.is(await second.exec(read(fd, buffer, { offset: 0 })), 100);
    await assertUsable(t, first);
    await first.close();
    t.is(await second.exec(read(fd, buffer, { offset: 0 })), 100, 'the first ring is not needed any more');
    await assertUsable(t, second);
  });
  t.throws(() => new Ring({ attachTo: first }), { code: 'ERR_URING_CLOSED' });
});

for (const taskrun of ['defer', 'coop'] as const) {
  test(`taskrun '${taskrun}': operations come back in all forms`, async (t) => {
    const { fd } = file(t, pattern(100));
    await withRing({ taskrun }, async (ring) => {
      t.is(ring.setupFlags.includes('DEFER_TASKRUN'), taskrun === 'defer');
      t.is(ring.setupFlags.includes('COOP_TASKRUN'), taskrun === 'coop');
      for (const form of FORMS) {
        t.is(await runAs(form, ring, read(fd, ring.alloc(100), { offset: 0 })), 100);
        t.is(await runAs(form, ring, timeout(1)), undefined);
      }
    });
  });
}

test('a ring says what it is: sizes, features and the operations that the kernel has', async (t) => {
  await withRing({ entries: 8, cqEntries: 32 }, (ring) => {
    t.like(ring, { entries: 8, cqEntries: 32, closed: false });
    t.true(ring.fd > 2);
    t.true(ring.features.includes('NODROP') && ring.features.includes('EXT_ARG'));
    const expected = Object.values(opInfo).filter(({ kernel }) => kernelIs(kernel));
    t.deepEqual([...ring.operations].sort(), expected.map(({ name }) => name).sort());
  });
  await withRing({}, (ring) => t.like(ring, { entries: 256, cqEntries: 4096 }));
  await withRing({ entries: 8192 }, (ring) => t.is(ring.cqEntries, 8192, 'as large as the submission queue'));
});

test('every flag of a submission and of a completion has a name', (t) => {
  const names = Object.keys(SqeFlags).map((name) => (/^(DRAIN|.*LINK)$/.test(name) ? `IO_${name}` : name));
  t.deepEqual(names, [...probe().sqeFlags], 'in the order of their bits');
  t.deepEqual(
    Object.values(SqeFlags),
    names.map((_, bit) => 1 << bit),
  );
  // include/uapi/linux/io_uring.h of Linux 6.18, IORING_CQE_F_*.
  t.deepEqual(CqeFlags, {
    BUFFER: 1 << 0,
    MORE: 1 << 1,
    SOCK_NONEMPTY: 1 << 2,
    NOTIF: 1 << 3,
    BUF_MORE: 1 << 4,
    SKIP: 1 << 5,
    F_32: 1 << 15,
    TSTAMP_HW: 1 << 16,
  });
});

test('statistics count enters, operations and completions from 0 on', async (t) => {
  await withRing({ entries: 32 }, (ring) => {
    t.like(ring.stats(), { enters: 0, submitted: 0, completed: 0, overflows: 0, fileSlots: 0 });
    for (let at = 0; at < 32; at += 1) ring.prep(nop());
    t.is(ring.submit(), 32);
    t.like(ring.stats(), { enters: 1, submitted: 32, completed: 32 });
    waitFor(ring, 32);
    t.is(ring.stats().enters, 1, 'what is ready needs no waiting');
    t.is(reap(ring).length, 32);
  });
});

test('statistics count the memory of ring.alloc, and whether the kernel knows it', async (t) => {
  await withRing({}, (ring) => {
    t.like(ring.stats(), { arenas: 0, registeredBytes: 0, unregisteredBytes: 0 });
    const small = ring.alloc(100);
    const large = ring.alloc(1 << 20);
    const { arenas, registeredBytes, unregisteredBytes } = ring.stats();
    t.is(arenas, 2);
    t.true(registeredBytes + unregisteredBytes >= small.length + large.length);
  });
});

test('a ring with nothing to do is not entered again and again, and closes', async (t) => {
  t.timeout(120_000);
  // Observed on Linux 6.18: after a chain of three was waited for, IORING_SQ_TASKRUN stayed set with no work behind
  // it. The loop entered the kernel 700,000 times during one timer of 500 ms, and a ring without operations in
  // flight never closed.
  await withRing({}, async (ring) => {
    t.true(ring.prepChain([nop(), nop(), nop()]));
    ring.submitAndWait(3);
    t.is(reap(ring).length, 3);
    const before = ring.stats().enters;
    await ring.exec(timeout(50));
    t.true(ring.stats().enters - before < 20, `${ring.stats().enters - before} enters`);
  });
});
