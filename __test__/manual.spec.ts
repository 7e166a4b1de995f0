// A ring used by hand, as in C: prepare, submit, wait, read completions; also mixed with promises and callbacks.
import { readFileSync, writeSync } from 'node:fs';
import test from 'ava';
import { asyncCancel, Completion, CqeFlags, nop, read, SqeFlags, timeout, UringError, write } from 'uring';
import { assertUsable, endedAs, fifo, file, pattern, reap, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

test('prep answers false when the queue is full, and true again after a submit', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, (ring) => {
    for (let left = 4; left > 0; left -= 1) {
      t.is(ring.sqSpaceLeft, left);
      t.true(ring.prep(nop()));
    }
    t.false(ring.prep(nop()));
    t.like(ring, { sqReady: 4, sqSpaceLeft: 0, inFlight: 4 });
    t.is(ring.submit(), 4);
    t.like(ring, { sqReady: 0, sqSpaceLeft: 4 });
    t.true(ring.prep(nop()));
    t.is(ring.submit(), 1);
    waitFor(ring, 5);
    t.is(reap(ring).length, 5);
    t.is(ring.inFlight, 0);
  });
});

test('prepChain takes a chain whole or not at all', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, (ring) => {
    t.true(ring.prep(nop(), 'before'));
    t.true(ring.prep(nop(), 'before'));
    t.false(ring.prepChain([nop(), nop(), nop()], { userData: [1, 2, 3] }));
    t.is(ring.sqReady, 2);
    t.true(ring.prepChain([nop(), nop()], { userData: [4, 5] }));
    t.is(ring.submit(), 4);
    waitFor(ring, 4);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      ['before', 'before', 4, 5],
    );
  });
});

test('a chain with an operation that is refused leaves nothing behind', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    await withRing({}, (other) => {
      const foreign = other.registrar.registerFiles().set(0, 0);
      t.true(ring.prep(nop(), 'kept'));
      const bad = read(foreign, Buffer.alloc(1));
      t.throws(() => ring.prepChain([nop(), read(0, Buffer.alloc(100)), bad]), {
        code: 'ERR_URING_FOREIGN_RING',
      });
      t.like(ring, { sqReady: 1, inFlight: 1 });
      waitFor(ring, 1);
      t.deepEqual(
        reap(ring).map(({ userData }) => userData),
        ['kept'],
      );
    });
    await assertUsable(t, ring);
  });
});

test('a chain made by flags is refused whole when prep refuses one of its operations', async (t) => {
  await withRing({ entries: 8 }, async (ring) => {
    await withRing({}, (other) => {
      const foreign = other.registrar.registerFiles().set(0, 0);
      const refusals = [
        () => ring.prep(read(foreign, Buffer.alloc(1)), 'refused', SqeFlags.LINK),
        () => ring.prep(nop(), 'refused', 1 << 7),
        () => ring.prep({} as never),
        () => ring.prepChain([nop(), read(foreign, Buffer.alloc(1))]),
      ];
      for (const refused of refusals) {
        t.true(ring.prep(nop(), 'kept'));
        t.true(ring.prep(write(1, Buffer.alloc(100)), 'first', SqeFlags.LINK));
        t.true(ring.prep(nop(), 'second', SqeFlags.HARDLINK));
        t.throws(refused);
        t.like(ring, { sqReady: 1, inFlight: 1 }, 'what was linked to it is taken back with it');
        // Observed before: the links that were left had this one as their next.
        t.true(ring.prep(nop({ result: -5 }), 'another'));
        waitFor(ring, 2);
        endedAs(t, reap(ring), [
          ['kept', 0],
          ['another', 'EIO'],
        ]);
      }
    });
    await assertUsable(t, ring);
  });
});

test('what the event loop runs does not come into a chain that is being made by flags', async (t) => {
  await withRing({}, async (ring) => {
    t.true(ring.prep(nop({ result: -5 }), 'fails', SqeFlags.LINK));
    // Observed before: ECANCELED, as the rest of the chain.
    const apart = ring.exec(nop());
    const stopped = ring.exec(asyncCancel({ userData: 'nobody' })).catch(({ code }) => code);
    t.true(ring.prep(nop(), 'linked'));
    t.is(await apart, 0);
    t.is(await stopped, 'ENOENT');
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['fails', 'EIO'],
      ['linked', 'ECANCELED'],
    ]);
    t.true(ring.prep(nop({ result: -5 }), 'without a next one', SqeFlags.LINK));
    t.is(await ring.exec(nop()), 0);
    waitFor(ring, 1);
    endedAs(t, reap(ring), [['without a next one', 'EIO']]);
  });
});

test('LINK: when one fails, the rest of the chain is cancelled', async (t) => {
  await withRing({}, (ring) => {
    t.true(ring.prepChain([nop(), nop({ result: -5 }), nop(), nop()], { userData: [1, 2, 3, 4] }));
    t.true(ring.prep(nop(), 'not in the chain'));
    waitFor(ring, 5);
    endedAs(t, reap(ring), [
      [1, 0],
      [2, 'EIO'],
      [3, 'ECANCELED'],
      [4, 'ECANCELED'],
      ['not in the chain', 0],
    ]);
  });
});

test('HARDLINK: the rest of the chain runs, whatever becomes of one', async (t) => {
  await withRing({}, (ring) => {
    t.true(ring.prepChain([nop(), nop({ result: -5 }), nop()], { hard: true }));
    waitFor(ring, 3);
    t.deepEqual(
      reap(ring).map(({ res }) => res),
      [0, -5, 0],
    );
  });
});

test('LINK and HARDLINK given to prep make the same chains', async (t) => {
  await withRing({}, (ring) => {
    for (const flags of [SqeFlags.LINK, SqeFlags.HARDLINK]) {
      t.true(ring.prep(nop({ result: -5 }), 'first', flags));
      t.true(ring.prep(nop(), 'second'));
      waitFor(ring, 2);
      const expected = flags === SqeFlags.LINK ? 'ECANCELED' : undefined;
      t.is(reap(ring)[1]?.error?.code, expected);
    }
  });
});

test('DRAIN: an operation starts when everything before it has completed', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    t.true(ring.prep(read(pipe, ring.alloc(4)), 'read'));
    t.true(ring.prep(nop(), 'drained', SqeFlags.DRAIN));
    t.is(ring.submit(), 2);
    t.is(ring.cqReady, 0, 'the nop waits for the read');
    writeSync(pipe, 'x');
    waitFor(ring, 2);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      ['read', 'drained'],
    );
  });
});

test('what is submitted after something long behind a DRAIN completes when that ends, at the latest', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    const long = read(pipe, ring.alloc(8));
    ring.prep(timeout(1), 'before');
    ring.prep(nop(), 'drained', SqeFlags.DRAIN);
    ring.prep(long, 'long');
    ring.submitAndWait(2);
    ring.prep(nop(), 'later');
    ring.submit();
    ring.registrar.syncCancel(long);
    waitFor(ring, 4);
    const codes = reap(ring).map(({ userData, error }) => [userData, error?.code ?? 'done']);
    t.deepEqual(Object.fromEntries(codes), {
      before: 'done',
      drained: 'done',
      long: 'ECANCELED',
      later: 'done',
    });
  });
});

test('ASYNC: an operation runs on a worker thread and answers the same', async (t) => {
  const { fd } = file(t, pattern(4096));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(4096);
    t.true(ring.prep(read(fd, buffer, { offset: 0 }), undefined, SqeFlags.ASYNC));
    waitFor(ring, 1);
    t.is(reap(ring)[0]?.res, 4096);
    t.deepEqual(buffer, pattern(4096));
    t.is(await ring.exec(nop({ flags: SqeFlags.ASYNC })), 0, 'flags of the operation itself work as well');
  });
});

test('personality: an operation runs with registered credentials, and fails with one that is not', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const personality = ring.registrar.registerPersonality();
    t.true(personality >= 1);
    t.is(await ring.exec(read(fd, Buffer.alloc(10), { offset: 0, personality })), 10);
    ring.registrar.unregisterPersonality(personality);
    await t.throwsAsync(ring.exec(nop({ personality })), { code: 'EINVAL' });
    t.throws(() => ring.registrar.unregisterPersonality(personality), { code: 'EINVAL' });
    await assertUsable(t, ring);
  });
});

test('submit answers how many operations it gave to the kernel', async (t) => {
  await withRing({ entries: 8 }, (ring) => {
    t.is(ring.submit(), 0);
    for (const count of [1, 8, 3]) {
      for (let at = 0; at < count; at += 1) ring.prep(nop());
      t.is(ring.submit(), count);
    }
    t.is(ring.stats().submitted, 12);
    t.is(
      ring.forEachCompletion(() => {}),
      12,
    );
    t.is(ring.stats().completed, 12);
  });
});

test('submitAndWait submits, and returns when as many completions are there', async (t) => {
  await withRing({}, (ring) => {
    for (let at = 0; at < 3; at += 1) ring.prep(timeout(1));
    t.is(ring.submitAndWait(3), 3);
    t.is(ring.cqReady, 3);
    t.is(ring.submitAndWait(3), 0, 'what is ready counts');
    t.is(ring.submitAndWait(0), 0);
    t.is(reap(ring).length, 3);
  });
});

test('submitAndWait with a timeout returns with nothing ready when nothing comes', async (t) => {
  const pipe = fifo(t);
  await withRing({}, (ring) => {
    ring.prep(read(pipe, ring.alloc(4)));
    t.is(ring.submitAndWait(1, { timeoutMs: 5 }), 1);
    t.is(ring.cqReady, 0);
    t.is(ring.submitAndWait(1, { timeoutMs: 0 }), 0);
    t.is(ring.submitAndWait(1, { timeoutMs: 0.25 }), 0);
    t.is(ring.inFlight, 1);
    writeSync(pipe, 'x');
    waitFor(ring, 1);
    t.is(reap(ring)[0]?.res, 1);
    t.is(ring.submitAndWait(1, { timeoutMs: 5 }), 0, 'with a timeout it may wait for nothing');
  });
});

test('submitAndWait refuses to wait forever for nothing', async (t) => {
  await withRing({}, async (ring) => {
    t.throws(() => ring.submitAndWait(1), {
      instanceOf: UringError,
      code: 'ERR_URING_NOTHING_IN_FLIGHT',
      message: /prepare an operation, or give a timeoutMs/,
    });
    await assertUsable(t, ring);
  });
});

test('forEachCompletion lends one completion object again and again, completions() gives it away', async (t) => {
  await withRing({}, (ring) => {
    const run = () => {
      for (let at = 0; at < 3; at += 1) ring.prep(nop({ result: at }));
      waitFor(ring, 3);
    };
    const seen = new Set<Completion>();
    ring.prep(nop());
    ring.submit();
    ring.forEachCompletion(() => {});
    for (let at = 0; at < 3; at += 1) ring.prep(nop({ result: at }));
    ring.submit();
    ring.forEachCompletion((completion) => seen.add(completion));
    t.is(seen.size, 1);
    run();
    const kept = [...ring.completions()];
    t.deepEqual(
      kept.map(({ res }) => res),
      [0, 1, 2],
    );
    t.is(new Set(kept).size, 3);
  });
});

test('the callback of forEachCompletion may prepare, submit and read; what it started is for later', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, (ring) => {
    for (let at = 0; at < 3; at += 1) ring.prep(nop(), `first ${at}`);
    ring.submit();
    const seen: unknown[] = [];
    ring.forEachCompletion(({ userData }) => {
      seen.push(userData);
      if (seen.length > 3) return;
      t.true(ring.prep(nop(), `second ${seen.length - 1}`));
      t.is(ring.submit(), 1);
    });
    ring.forEachCompletion(({ userData }) => seen.push(userData));
    t.deepEqual(seen, ['first 0', 'first 1', 'first 2', 'second 0', 'second 1', 'second 2']);
    t.is(ring.inFlight, 0);
  });
});

test('an exception in forEachCompletion comes out and loses only the completion it was given', async (t) => {
  await withRing({}, async (ring) => {
    for (let at = 0; at < 4; at += 1) ring.prep(nop(), at);
    ring.submit();
    t.throws(
      () =>
        ring.forEachCompletion(({ userData }) => {
          if (userData === 1) throw new Error('of the callback');
        }),
      { message: 'of the callback' },
    );
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      [2, 3],
    );
    await assertUsable(t, ring);
  });
});

test('leaving the iterator early keeps the rest', async (t) => {
  await withRing({}, (ring) => {
    for (let at = 0; at < 4; at += 1) ring.prep(nop(), at);
    ring.submit();
    for (const { userData } of ring.completions()) if (userData === 1) break;
    t.is(ring.cqReady, 2);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      [2, 3],
    );
    t.deepEqual(reap(ring), []);
  });
});

test('peek shows the next completion and takes nothing', async (t) => {
  await withRing({}, (ring) => {
    t.is(ring.peek(), undefined);
    ring.prep(nop(), 'a');
    ring.prep(nop(), 'b');
    ring.submit();
    t.is(ring.peek()?.userData, 'a');
    t.is(ring.peek()?.userData, 'a');
    t.is(ring.cqReady, 2);
    const seen: unknown[] = [];
    t.is(
      ring.forEachCompletion(({ userData }) => seen.push(userData)),
      2,
    );
    t.deepEqual(seen, ['a', 'b']);
    t.is(ring.peek(), undefined);
  });
});

test('userData comes back as it is, whatever it is', async (t) => {
  const values = [
    undefined,
    null,
    0,
    -0,
    Number.NaN,
    '',
    'text',
    2n ** 80n,
    Symbol('s'),
    true,
    {},
    [],
    () => {},
  ];
  await withRing({}, (ring) => {
    for (const value of values) t.true(ring.prep(nop(), value));
    waitFor(ring, values.length);
    const seen = reap(ring).map(({ userData }) => userData);
    t.is(seen.length, values.length);
    for (const [at, value] of values.entries()) t.true(Object.is(seen[at], value));
  });
});

test('a completion says how it went, what it belongs to, and its own result', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, (ring) => {
    const good = read(fd, ring.alloc(10), { offset: 0 });
    const bad = read(1_000_000, ring.alloc(10));
    ring.prep(good, 'good');
    ring.prep(bad, 'bad');
    waitFor(ring, 2);
    const [first, second] = reap(ring);
    t.true(first instanceof Completion);
    const none = { flags: 0, hasMore: false, bufferId: undefined, isNotification: false };
    t.like(first, { userData: 'good', res: 10, result: 10, ok: true, error: null, ...none });
    t.is(first?.operation, good);
    t.like(second, { userData: 'bad', res: -9, result: undefined, ok: false, ...none });
    t.is(second?.operation, bad);
    t.like(second?.error, { code: 'EBADF', errno: -9, syscall: 'read' });
    t.true(second?.error instanceof UringError);
  });
});

test('hasMore, bufferId and isNotification are read from the flags', (t) => {
  const completion = new Completion();
  completion.flags = CqeFlags.MORE | CqeFlags.BUFFER | (4711 << 16);
  t.like(completion, { hasMore: true, bufferId: 4711, isNotification: false });
  completion.flags = (CqeFlags.BUFFER | (0xffff << 16)) >>> 0;
  t.like(completion, { hasMore: false, bufferId: 0xffff });
  completion.flags = CqeFlags.NOTIF;
  t.like(completion, { hasMore: false, bufferId: undefined, isNotification: true });
});

test('counts follow an operation from prep to reading it', async (t) => {
  const pipe = fifo(t);
  await withRing({ entries: 4 }, (ring) => {
    const counts = () => [ring.sqReady, ring.sqSpaceLeft, ring.inFlight, ring.cqReady];
    t.deepEqual(counts(), [0, 4, 0, 0]);
    ring.prep(read(pipe, ring.alloc(4)));
    t.deepEqual(counts(), [1, 3, 1, 0]);
    ring.submit();
    t.deepEqual(counts(), [0, 4, 1, 0]);
    writeSync(pipe, 'x');
    waitFor(ring, 1);
    t.deepEqual(counts(), [0, 4, 1, 1]);
    reap(ring);
    t.deepEqual(counts(), [0, 4, 0, 0]);
    t.false(ring.overflowed);
  });
});

test('use by hand, callbacks and promises share a ring, and each gets its own completions', async (t) => {
  await withRing({ entries: 8 }, async (ring) => {
    const called: number[] = [];
    const promised: Promise<number>[] = [];
    for (let at = 0; at < 30; at += 3) {
      ring.start(nop({ result: at }), (_error, result) => called.push(result));
      promised.push(ring.exec(nop({ result: at + 1 })));
      if (!ring.prep(nop({ result: at + 2 }), at + 2)) {
        ring.submit();
        t.true(ring.prep(nop({ result: at + 2 }), at + 2));
      }
    }
    t.deepEqual(
      await Promise.all(promised),
      Array.from({ length: 10 }, (_, at) => at * 3 + 1),
    );
    ring.submitAndWait(0);
    const byHand = reap(ring);
    t.deepEqual(
      byHand.map(({ userData }) => userData),
      byHand.map(({ res }) => res),
    );
    const sorted = byHand.map(({ res }) => res).sort((a, b) => a - b);
    t.deepEqual(
      sorted,
      Array.from({ length: 10 }, (_, at) => at * 3 + 2),
    );
    t.deepEqual(
      called,
      Array.from({ length: 10 }, (_, at) => at * 3),
    );
    t.is(ring.inFlight, 0);
  });
});

test('reading by hand also runs the callbacks of what was started, and does not count them', async (t) => {
  await withRing({}, (ring) => {
    const seen: string[] = [];
    ring.start(nop(), () => seen.push('callback'));
    ring.prep(nop(), 'by hand');
    ring.submitAndWait(2);
    t.is(
      ring.forEachCompletion(({ userData }) => seen.push(String(userData))),
      1,
    );
    t.deepEqual(seen, ['callback', 'by hand']);
    t.is(ring.inFlight, 0);
  });
});

test('a write by hand is seen by a read that is awaited', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    t.true(ring.prep(write(fd, Buffer.from('by hand'), { offset: 0 }), 'w'));
    waitFor(ring, 1);
    t.is(reap(ring)[0]?.result, 7);
    const buffer = ring.alloc(7);
    t.is(await ring.exec(read(fd, buffer, { offset: 0 })), 7);
    t.is(buffer.toString(), readFileSync(path, 'utf8'));
  });
});
