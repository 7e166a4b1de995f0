// Operations that run one after the other, by promise.
import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  AbortError,
  asyncCancel,
  ChainError,
  fsync,
  linkTimeout,
  nop,
  openat,
  pollMultishot,
  read,
  SqeFlags,
  timeout,
  write,
  writev,
} from 'uring';
import { assertUsable, fifo, file, pattern } from './_fixtures.ts';
import { leakCheck, openFds, withRing } from './_helpers.ts';
import { settle, soon, until } from './_until.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

test('write, then fsync: a chain gives the result of each', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    const [bytes, nothing] = await ring.chain([write(fd, Buffer.from('entry')), fsync(fd)]);
    t.is(bytes, 5);
    t.is(nothing, undefined);
    t.is(readFileSync(path, 'utf8'), 'entry');
    t.is(ring.inFlight, 0);
  });
});

test('when one fails, those after it do not run, and the error says what became of each', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    const operations = [write(fd, Buffer.from('one')), openat('/nowhere'), write(fd, Buffer.from('two'))];
    const error = await t.throwsAsync(ring.chain(operations), { instanceOf: ChainError });
    t.like(error, {
      code: 'ENOENT',
      syscall: 'openat',
      path: '/nowhere',
      failedIndex: 1,
      name: 'ChainError',
    });
    t.regex(error.message, /link 1 of 3, and 1 after it did not run/);
    const [one, two, three] = error.results;
    t.deepEqual([one, three], [{ status: 'done', value: 3 }, { status: 'cancelled' }]);
    t.true(two?.status === 'failed' && two.error === error.cause);
    t.is(readFileSync(path, 'utf8'), 'one');
    await assertUsable(t, ring);
  });
});

test('a short read ends a chain, and the error says which one it was', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const error = await t.throwsAsync(ring.chain([read(fd, ring.alloc(64)), nop()]), {
      instanceOf: ChainError,
      code: 'ERR_URING_SHORT_TRANSFER',
    });
    t.deepEqual(error.results, [{ status: 'short', value: 10 }, { status: 'cancelled' }]);
    t.is(error.failedIndex, 0);
  });
});

test('with hard links all run, whatever becomes of one', async (t) => {
  await withRing({}, async (ring) => {
    const operations = [nop({ result: -5 }), nop({ result: 1 }), nop({ result: -1 })];
    const error = await t.throwsAsync(ring.chain(operations, { hard: true }), { instanceOf: ChainError });
    t.like(error, { code: 'EIO', failedIndex: 0 });
    t.deepEqual(
      error.results.map(({ status }) => status),
      ['failed', 'done', 'failed'],
    );
    t.deepEqual(await ring.chain([nop({ result: 4 }), nop({ result: 5 })], { hard: true }), [4, 5]);
  });
});

test('a deadline is for the whole chain: the one that runs is stopped, and those after it do not run', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    const chain = [nop({ result: 1 }), read(fd, Buffer.alloc(8)), nop()];
    const error = await t.throwsAsync(ring.chain(chain, { timeoutMs: 10 }), { instanceOf: ChainError });
    t.like(error, { code: 'ERR_URING_TIMEOUT', syscall: 'read', failedIndex: 1 });
    t.deepEqual(
      error.results.map(({ status }) => status),
      ['done', 'failed', 'cancelled'],
    );
    t.deepEqual(await ring.chain([nop({ result: 1 }), nop({ result: 2 })], { timeoutMs: HOUR_MS }), [1, 2]);
    t.is(ring.inFlight, 0);
  });
});

test('with hard links nothing outlasts the deadline either', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    const chain = [read(fd, Buffer.alloc(8)), nop({ result: 2 }), read(fd, Buffer.alloc(8))];
    const error = await t.throwsAsync(ring.chain(chain, { hard: true, timeoutMs: 10 }), {
      instanceOf: ChainError,
    });
    t.deepEqual(
      error.results.map((link) => (link.status === 'failed' ? link.error.code : link.status)),
      ['ERR_URING_TIMEOUT', 'done', 'ERR_URING_TIMEOUT'],
    );
    // A request to stop may still be on its way, where our clock was faster than the kernel's (seen on one processor).
    await until(() => ring.inFlight === 0);
  });
});

test.serial(
  'a chain that is aborted rejects with an AbortError, and the descriptors that it made are closed',
  async (t) => {
    const { path } = file(t);
    const pipe = fifo(t);
    await withRing({}, async (ring) => {
      await ring.exec(nop());
      const before = openFds().size;
      for (const hard of [false, true]) {
        const controller = new AbortController();
        const chain = [openat(path), read(pipe, Buffer.alloc(8)), timeout(HOUR_MS)];
        const running = ring.chain(chain, { hard, signal: controller.signal });
        await settle();
        controller.abort(new Error('enough'));
        const error = await t.throwsAsync(running, { instanceOf: AbortError });
        t.is((error.cause as Error).message, 'enough');
        const links = error.result as { status: string; value?: unknown }[];
        t.deepEqual(links[0], { status: 'done', value: undefined });
        t.deepEqual(
          links.map(({ status }) => status),
          ['done', 'failed', hard ? 'failed' : 'cancelled'],
        );
        t.is(openFds().size, before);
        t.is(ring.inFlight, 0);
      }
      await t.throwsAsync(ring.chain([nop()], { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
    });
  },
);

test('chains that find no room wait in order, whole, between other operations', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, async (ring) => {
    const order: number[] = [];
    const note = (result: number): void => {
      order.push(result);
    };
    const all: Promise<void>[] = [];
    for (let at = 0; at < 60; at += 3) {
      all.push(ring.exec(nop({ result: at })).then(note));
      const chain = [nop({ result: at + 1 }), nop({ result: at + 1 }), nop({ result: at + 1 })];
      all.push(ring.chain(chain).then((results) => note(results[2] as number)));
      all.push(ring.exec(nop({ result: at + 2 })).then(note));
    }
    t.true(ring.waiting > 0);
    await Promise.all(all);
    t.is(order.length, 60);
    t.deepEqual(
      [...new Set(order)].sort((one, other) => one - other),
      Array.from({ length: 60 }, (_, at) => at),
    );
    t.like(ring, { inFlight: 0, waiting: 0 });
  });
});

test('a chain that waits is cancelled when the ring is closed', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const hours = Array.from({ length: 4 }, () => ring.exec(timeout(HOUR_MS)).catch(() => {}));
    const chain = ring.chain([nop(), nop()]);
    t.is(ring.waiting, 2);
    await ring.close();
    await t.throwsAsync(chain, { code: 'ECANCELED' });
    await Promise.all(hours);
  });
});

test('a link that is refused refuses the chain, whole', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    await withRing({}, async (other) => {
      const foreign = other.registrar.registerFiles({ slots: 1 }).set(0, fd);
      const chain = [write(fd, Buffer.from('x')), read(foreign, Buffer.alloc(8))];
      await t.throwsAsync(ring.chain(chain), { code: 'ERR_URING_FOREIGN_RING' });
      t.is(ring.inFlight, 0);
      t.is(readFileSync(path, 'utf8'), '');
      await assertUsable(t, ring);
    });
  });
});

test('what is no chain is refused before anything starts', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const chain = (operations: unknown, options?: unknown): Promise<unknown> =>
      ring.chain(operations as never, options as never);
    await t.throwsAsync(chain(nop()), { code: 'ERR_INVALID_ARG_TYPE', message: /"operations"/ });
    await t.throwsAsync(chain([]), { code: 'ERR_OUT_OF_RANGE', message: /operations.length/ });
    await t.throwsAsync(chain([timeout(5), nop()]), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /etimeSuccess/,
    });
    await t.throwsAsync(chain([nop(), 7]), { code: 'ERR_INVALID_ARG_TYPE', message: /"operation"/ });
    await t.throwsAsync(chain(Array(5).fill(nop())), {
      code: 'ERR_OUT_OF_RANGE',
      message: /the size of the queue/,
    });
    await t.throwsAsync(chain(Array(3).fill(nop()), { timeoutMs: 5 }), {
      code: 'ERR_OUT_OF_RANGE',
      message: /half the size/,
    });
    await t.throwsAsync(chain([nop({ flags: SqeFlags.LINK }), nop()]), { code: 'ERR_INVALID_ARG_VALUE' });
    await t.throwsAsync(chain([nop(), linkTimeout(5)]), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /timeoutMs/,
    });
    await t.throwsAsync(chain([pollMultishot(0, 1)]), { message: /completes more than once|multishot/ });
    await t.throwsAsync(chain([nop()], { hard: 1 }), { code: 'ERR_INVALID_ARG_TYPE', message: /hard/ });
    t.is(ring.inFlight, 0);
  });
});

test('an entry that the kernel refuses is named, although it cancels the links before it too', async (t) => {
  await withRing({}, async (ring) => {
    const error = await t.throwsAsync(ring.chain([nop(), nop({ personality: 77 }), nop()]), {
      instanceOf: ChainError,
    });
    t.like(error, { code: 'EINVAL', failedIndex: 1 });
    t.deepEqual(
      error.results.map(({ status }) => status),
      ['cancelled', 'failed', 'cancelled'],
    );
  });
});

test('a transfer that was complete is not called short because the one after it was cancelled', async (t) => {
  const { fd } = file(t);
  await withRing({}, async (ring) => {
    const hour = timeout(HOUR_MS);
    const parts = [Buffer.from('ab'), Buffer.from('cd')];
    const running = ring.chain([writev(fd, parts), hour]);
    await settle();
    await ring.exec(asyncCancel(hour));
    const error = await t.throwsAsync(running, { instanceOf: ChainError, code: 'ECANCELED' });
    t.is(error.failedIndex, 1);
    t.deepEqual(error.results[0], { status: 'done', value: 4 });
    t.is(await ring.exec(nop({ result: 3 })), 3);
  });
});

test('a timer in a chain lets the next one start, with etimeSuccess', async (t) => {
  await withRing({}, async (ring) => {
    t.deepEqual(await ring.chain([timeout(1, { etimeSuccess: true }), nop({ result: 2 })]), [undefined, 2]);
    await t.notThrowsAsync(ring.chain([nop(), timeout(1)]));
    await t.notThrowsAsync(ring.chain([nop(), timeout(1), nop()], { hard: true }));
  });
});

test('a queue of one entry has no room for a deadline, which is said at once', async (t) => {
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    const code = 'ERR_INVALID_ARG_VALUE';
    await t.throwsAsync(ring.exec(nop(), { timeoutMs: 50 }), { code, message: /entries >= 2/ });
    await t.throwsAsync(ring.chain([nop()], { timeoutMs: 50 }), { code, message: /entries >= 2/ });
    t.deepEqual(await ring.chain([nop({ result: 1 })]), [1]);
    await assertUsable(t, ring);
  });
});

test('a queue is not made smaller than a chain that waits for room', async (t) => {
  await withRing({ entries: 8, cqEntries: 8 }, async (ring) => {
    const hours = Array.from({ length: 8 }, () => ring.exec(timeout(HOUR_MS)).catch(() => {}));
    const chain = ring.chain(Array.from({ length: 8 }, () => nop())).catch((error) => error.code);
    await settle();
    t.throws(() => ring.resize({ entries: 4 }), { code: 'ERR_URING_PREPARED', message: /chain of 8/ });
    await ring.close();
    t.is(await chain, 'ECANCELED');
    await Promise.all(hours);
  });
});

test('a ring that shares its polling thread refuses chains and deadlines, which would be cut apart', async (t) => {
  await withRing({ sqpoll: { idleMs: 5 } }, async (parent) => {
    t.deepEqual(await parent.chain([nop({ result: 1 }), nop({ result: 2 })]), [1, 2]);
    await withRing({ sqpoll: { idleMs: 5 }, attachTo: parent }, async (child) => {
      for (const ring of [parent, child]) {
        const refused = { code: 'ERR_URING_SHARED_SQPOLL', message: /a thread of its own/ };
        await t.throwsAsync(ring.chain([nop(), nop()]), refused);
        await t.throwsAsync(ring.exec(nop(), { timeoutMs: 5 }), refused);
        t.throws(() => ring.prepChain([nop(), nop()]), refused);
        t.is(await ring.exec(nop({ result: 3 })), 3);
      }
    });
  });
});

test('closing does not wait for each of many hard links in turn', async (t) => {
  await withRing({}, async (ring) => {
    const hours = Array.from({ length: 64 }, () => timeout(HOUR_MS));
    const chain = ring.chain(hours, { hard: true }).catch((error: ChainError) => error.results.length);
    await settle();
    const { enters } = ring.stats();
    await ring.close();
    t.is(await chain, 64);
    t.true(ring.stats().enters - enters < 1000);
  });
});

for (const hard of [false, true]) {
  test(`a ${hard ? 'hard' : 'soft'} chain is stopped when the link that ran has just succeeded`, async (t) => {
    // Seen: the request found the first link over, and nobody stopped the second, which then waited for ever.
    const quiet = fifo(t);
    await withRing({}, async (ring) => {
      await ring.exec(nop());
      const controller = new AbortController();
      const chain = ring.chain([nop(), read(quiet, Buffer.alloc(8))], { hard, signal: controller.signal });
      // Its completion is there, and not delivered.
      ring.submit();
      controller.abort();
      await t.throwsAsync(soon(chain, 'the end of the chain'), { instanceOf: AbortError });
      t.is(ring.inFlight, 0);
    });
  });
}
