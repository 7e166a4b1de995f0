// The rows of xuring and ourio that are about mocks (docs/capabilities.md), each by its id.
import test from 'ava';
import { accept, acceptMultishot, close, openat, read, recv, recvMultishot, timeout, write } from 'uring';
import { after, mock } from 'uring/mock';
import { settle, soon } from './_until.ts';

test('X18: callbacks that are registered for each kind of operation decide its results', async (t) => {
  const kernel = mock({
    openat: ({ path }) => (path === '/here' ? undefined : 'ENOENT'),
    read: ({ offset, room }) => Buffer.from('hello world').subarray(offset, offset + Math.min(room, 4)),
    write: [3, 'ENOSPC'],
  });
  await using ring = new kernel.Ring();
  await t.throwsAsync(ring.exec(openat('/nowhere')), {
    code: 'ENOENT',
    message: "ENOENT: no such file or directory, openat '/nowhere'",
  });
  const fd = await ring.exec(openat('/here'));
  const buffer = Buffer.alloc(8);
  t.is(await ring.exec(read(fd, buffer, { offset: 6 })), 4);
  t.is(buffer.toString('utf8', 0, 4), 'worl');
  t.is(await ring.exec(write(fd, buffer)), 3);
  await t.throwsAsync(ring.exec(write(fd, buffer)), { code: 'ENOSPC' });
  await ring.exec(close(fd));
  kernel.assertNoLeaks();
});

test('X18: time passes when the test says so, and only then', async (t) => {
  const kernel = mock({ recv: () => after(250, Buffer.from('late')) });
  await using ring = new kernel.Ring();
  const fd = kernel.descriptor();
  const seen: string[] = [];
  const note = (what: string, operation: Promise<unknown>): Promise<unknown> =>
    operation.then(
      () => seen.push(`${what} at ${kernel.clock.nowMs}`),
      (error: { code: string }) => seen.push(`${what} ${error.code} at ${kernel.clock.nowMs}`),
    );
  const all = [
    note('hour', ring.exec(timeout(3_600_000))),
    note('recv', ring.exec(recv(fd, ring.alloc(8)))),
    note('limited', ring.exec(recv(fd, ring.alloc(8)), { timeoutMs: 100 })),
    note(
      'two',
      ring.exec(timeout(100)).then(() => ring.exec(timeout(100))),
    ),
  ];
  await settle();
  t.deepEqual(seen, []);
  await kernel.clock.advance(3_600_000);
  await soon(Promise.all(all), 'all of them');
  t.deepEqual(seen, ['limited ERR_URING_TIMEOUT at 100', 'two at 200', 'recv at 250', 'hour at 3600000']);
  await ring.exec(close(fd));
});

test('X18: a script gives a multishot operation its results, one after the other', async (t) => {
  const kernel = mock({
    *accept() {
      yield;
      yield 'EAGAIN';
      yield;
    },
    *recv() {
      yield Buffer.from('one');
      yield 'ENOBUFS';
      yield { data: Buffer.from('two'), flags: 4 };
      return 0;
    },
  });
  await using ring = new kernel.Ring();
  const listening = kernel.descriptor('listening');
  const seen: unknown[] = [];
  const accepted = ring.multishot(acceptMultishot(listening));
  const { value: first } = await accepted.next();
  await t.throwsAsync(accepted.next(), { code: 'EAGAIN' });
  const second = await ring.exec(accept(listening));
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
  await new Promise<void>((resolve) => {
    const go = (): void =>
      ring.start(recvMultishot(second, buffers), (error, lease, { hasMore, flags }) => {
        seen.push([error?.code ?? lease?.data.toString(), hasMore, flags & 4]);
        lease?.release();
        if (error !== null) go();
        else if (lease === null) resolve();
      });
    go();
  });
  t.deepEqual(seen, [
    ['one', true, 0],
    ['ENOBUFS', false, 0],
    ['two', true, 4],
    [undefined, false, 0],
  ]);
  for (const fd of [first as number, second, listening]) await ring.exec(close(fd));
  kernel.assertNoLeaks();
});

test('X19: an operation without a handler fails with an error that says which', async (t) => {
  const kernel = mock({});
  await using ring = new kernel.Ring();
  await t.throwsAsync(ring.exec(openat('/etc/hostname')), {
    code: 'ERR_URING_NO_MOCK_HANDLER',
    message: 'the mock has no handler for openat: give it one, as in mock({ openat: (operation) => ... })',
  });
  t.throws(() => mock({ opanat: 0 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
  kernel.handle({ openat: 'EACCES' });
  await t.throwsAsync(ring.exec(openat('/etc/hostname')), { code: 'EACCES' });
});

test('X19: descriptors, slots, buffers and operations that are not given back are named', async (t) => {
  const kernel = mock({ openat: () => {}, recv: Buffer.from('x') });
  await using ring = new kernel.Ring();
  kernel.assertNoLeaks();
  const leaks = (): string =>
    t.throws(() => kernel.assertNoLeaks(), { code: 'ERR_URING_MOCK_LEAKS' }).message;
  const fd = await ring.exec(openat('/log'));
  t.is(leaks(), `not given back: descriptor ${fd} (openat '/log')`);
  const table = ring.registrar.registerFiles({ slots: 2, kernelSlots: 0 });
  const file = table.alloc(fd);
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
  const lease = await ring.exec(recv(file, buffers));
  await ring.exec(close(fd));
  const stopper = new AbortController();
  const hour = t.throwsAsync(ring.exec(timeout(3_600_000), { signal: stopper.signal }));
  t.is(leaks(), "not given back: slot 0 (openat '/log'); buffers 0 of group 0; timeout in flight");
  stopper.abort();
  await hour;
  table.clear(file);
  lease?.release();
  kernel.assertNoLeaks();
});
