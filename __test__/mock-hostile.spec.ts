// What a program may do to a mock, what is refused, and that it holds: long chains and scripts, fakes of timers, answers that
// are none, other platforms' error numbers, generators that are given up.
import { constants } from 'node:os';
import { mock as nodeMock } from 'node:test';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import {
  acceptMultishot,
  close,
  fsync,
  MessageFlags,
  nop,
  openat,
  pipe,
  pollMultishot,
  type Ring,
  read,
  recv,
  recvMultishot,
  recvmsg,
  statx,
  write,
} from 'uring';
import { after, type MockHandlers, type MockKernel, type MockOperation, mock, unstoppable } from 'uring/mock';
import { DARWIN, WINDOWS, writeDisguise } from './_elsewhere.ts';
import { tmpDir } from './_helpers.ts';
import { runModule, WELL } from './_process.ts';
import { settle, soon } from './_until.ts';

function world(t: ExecutionContext, handlers: MockHandlers): { kernel: MockKernel; ring: Ring; fd: number } {
  const kernel = mock(handlers);
  const ring = new kernel.Ring({ entries: 8, cqEntries: 65_536 });
  t.teardown(() => ring.close());
  return { kernel, ring, fd: kernel.descriptor() };
}

test('chains and scripts may be longer than the stack is deep', async (t) => {
  const count = 20_000;
  const { kernel, ring, fd } = world(t, {
    *pollAdd() {
      for (let at = 0; at < count; at += 1) yield 1;
      return 'EBADF';
    },
  });
  const large = new kernel.Ring({ entries: 32_768, cqEntries: 65_536 });
  const links = Array.from({ length: count }, (_, at) => nop({ result: at }));
  t.is((await large.chain(links)).at(-1), count - 1);
  await large.close();
  let seen = 0;
  const ended = async (): Promise<void> => {
    for await (const _ of ring.multishot(pollMultishot(fd, 1))) seen += 1;
  };
  await t.throwsAsync(ended(), { code: 'EBADF' });
  t.is(seen, count);
});

test.serial('fakes of timers do not stop it', async (t) => {
  const { kernel, ring, fd } = world(t, { fsync: after(1000, 0) });
  nodeMock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate'] });
  try {
    const synced = ring.exec(fsync(fd));
    await kernel.clock.advance(1000);
    t.is(await synced, undefined);
    await ring.close();
  } finally {
    nodeMock.timers.reset();
  }
});

test('what is read without an offset goes on where the one before ended, for each file', async (t) => {
  const bytes = Buffer.from('hello world');
  const seen: number[] = [];
  const { ring } = world(t, {
    openat: () => {},
    read: ({ position, room }) => bytes.subarray(position, position + room),
    write: ({ position, offset }) => {
      seen.push(position, offset);
    },
  });
  const [first, second] = [await ring.exec(openat('/a')), await ring.exec(openat('/a'))] as const;
  const buffer = ring.alloc(5);
  const text = async (fd: number, offset?: number): Promise<string> =>
    buffer.toString('utf8', 0, await ring.exec(read(fd, buffer, offset === undefined ? {} : { offset })));
  t.is(await text(first), 'hello');
  t.is(await text(second), 'hello');
  t.is(await text(first), ' worl');
  t.is(await text(first, 6), 'world', 'an offset');
  t.is(await text(first), 'd', 'does not move it');
  t.is(await text(first), '');
  await ring.exec(write(second, Buffer.from('abc')));
  await ring.exec(write(second, Buffer.from('abc')));
  t.deepEqual(seen, [5, -1, 8, -1]);
  for (const fd of [first, second]) await ring.exec(close(fd));
});

test('errors, flags of the mock and numbers that are too large are no answers', async (t) => {
  const bad: [MockHandlers, (ring: Ring, fd: number) => Promise<unknown>, RegExp][] = [
    [{ fsync: (() => new Error('x')) as never }, (ring, fd) => ring.exec(fsync(fd)), /an Error \(throw it/],
    [{ fsync: null as never }, (ring, fd) => ring.exec(fsync(fd)), /: null$/],
    [{ fsync: { res: 0, flags: 2 } }, (ring, fd) => ring.exec(fsync(fd)), /only SOCK_NONEMPTY/],
    [{ fsync: { flags: 1 << 16 } }, (ring, fd) => ring.exec(fsync(fd)), /only SOCK_NONEMPTY/],
    [{ fsync: { flags: 'x' as never } }, (ring, fd) => ring.exec(fsync(fd)), /only SOCK_NONEMPTY/],
    [
      { read: { res: 9, data: Buffer.from('ab') } },
      (ring, fd) => ring.exec(read(fd, Buffer.alloc(4))),
      /9 bytes, where 4 fit/,
    ],
    [
      { recvmsg: { res: 9, data: Buffer.from('ab') } },
      (ring, fd) => ring.exec(recvmsg(fd, Buffer.alloc(4))),
      /9 bytes, where 4 fit/,
    ],
    [{ statx: { stats: { size: -1 } } }, (ring) => ring.exec(statx('/x')), /size: -1/],
    [{ statx: { stats: { mode: 1.5 } } }, (ring) => ring.exec(statx('/x')), /mode: 1\.5/],
    [{ statx: { stats: { mtimeMs: Number.NaN } } }, (ring) => ring.exec(statx('/x')), /mtimeMs: NaN/],
  ];
  const { kernel, ring, fd } = world(t, {});
  for (const [handlers, run, message] of bad) {
    kernel.handle(handlers);
    await t.throwsAsync(soon(run(ring, fd), String(message)), { code: 'ERR_URING_MOCK_ANSWER', message });
  }
  t.is(ring.inFlight, 0);
});

test('with TRUNC a receive results in the size of what did not fit', async (t) => {
  const { ring, fd } = world(t, {
    recv: () => Buffer.from('0123456789'),
    recvmsg: () => Buffer.from('abcdef'),
  });
  const buffer = Buffer.alloc(4);
  t.is(await ring.exec(recv(fd, buffer)), 4);
  t.is(await ring.exec(recv(fd, buffer, { messageFlags: MessageFlags.TRUNC })), 10);
  t.is(buffer.toString(), '0123');
  const { bytes, truncated } = await ring.exec(recvmsg(fd, buffer, { messageFlags: MessageFlags.TRUNC }));
  t.deepEqual({ bytes, truncated }, { bytes: 6, truncated: true });
});

test('what is no mock, no time and no promise is refused at once', (t) => {
  const type = { code: 'ERR_INVALID_ARG_TYPE' };
  const range = { code: 'ERR_OUT_OF_RANGE' };
  for (const handlers of [undefined, null, [], 'read']) t.throws(() => mock(handlers as never), type);
  for (const options of [null, { missing: 'read' }, { start: 5 }, { start: new Date(Number.NaN) }])
    t.throws(() => mock({}, options as never), type);
  for (const timeMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1' as never])
    t.throws(() => after(timeMs), range);
  t.throws(() => unstoppable(5 as never), type);
});

test('promises of other realms are promises, as those of test frameworks are', async (t) => {
  const { ring, fd } = world(t, {
    fsync: () => runInNewContext('Promise.resolve("EIO")') as Promise<string>,
  });
  await t.throwsAsync(ring.exec(fsync(fd)), { code: 'EIO' });
});

test('a handler may use the ring, give handlers and close', async (t) => {
  const { kernel, ring, fd } = world(t, {
    openat: () => {
      void ring.exec(nop());
      ring.submit();
      kernel.handle({ fsync: 'EIO' });
    },
  });
  const opened = await ring.exec(openat('/a'));
  await t.throwsAsync(ring.exec(fsync(opened)), { code: 'EIO' });
  await ring.exec(close(opened));
  let closed: Promise<void> | undefined;
  kernel.handle({
    fsync: () => {
      closed = ring.close();
    },
  });
  await ring.exec(fsync(fd)).catch(() => {});
  await soon(closed ?? Promise.reject(new Error('the handler did not run')), 'the ring');
  kernel.forget(fd);
  t.notThrows(() => kernel.assertNoLeaks());
});

test('generators that nobody asks any more have their finally', async (t) => {
  const ended: string[] = [];
  const aborted = ({ signal }: MockOperation): Promise<unknown> =>
    new Promise((resolve) => signal.addEventListener('abort', resolve));
  const { kernel, ring, fd } = world(t, {
    async *recv(operation) {
      try {
        yield Buffer.from('a');
        await aborted(operation);
      } finally {
        ended.push('recv');
      }
      return 0;
    },
    *accept() {
      try {
        for (;;) yield after(10);
      } finally {
        ended.push('accept');
      }
    },
  });
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
  for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
    lease.release();
    break;
  }
  await settle();
  t.deepEqual(ended, ['recv']);
  const stream = ring.multishot(acceptMultishot(fd));
  const accepted = stream.next();
  await kernel.clock.advance(10);
  await ring.exec(close((await accepted).value as number));
  await stream.return();
  await ring.exec(close(fd));
  t.deepEqual(ended, ['recv', 'accept']);
});

test('what is in flight goes on when its file is closed, as the kernel holds it', async (t) => {
  const { kernel, ring } = world(t, {
    *recv() {
      yield after(10, Buffer.from('a'));
      yield after(10, Buffer.from('b'));
      return 0;
    },
  });
  const fd = kernel.descriptor();
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      seen.push(lease.data.toString());
      lease.release();
    }
  })();
  await kernel.clock.advance(10);
  await ring.exec(close(fd));
  await kernel.clock.advance(10);
  await soon(reading, 'the end');
  t.deepEqual(seen, ['a', 'b']);
});

test('leaks of every kind are told, one by one', async (t) => {
  const kernel = mock({
    openat: () => {},
    recv: () => Buffer.from('x'),
    fsync: () => new Promise<number>(() => {}),
  });
  const ring = new kernel.Ring({ entries: 2, cqEntries: 2 });
  const fd = kernel.descriptor('a socket');
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
  await ring.exec(recv(fd, buffers));
  ring.registrar.registerFiles({ slots: 2, kernelSlots: 1 });
  await ring.exec(openat('/direct', { direct: true }));
  const all = [0, 1, 2].map(() => t.throwsAsync(ring.exec(fsync(fd)), { code: 'ECANCELED' }));
  await settle();
  const message =
    `not given back: descriptor ${fd} (a socket); slot 2 (openat '/direct'); buffers 0 of group 0; ` +
    `fsync on ${fd} in flight; fsync on ${fd} in flight; 1 operations that wait for room`;
  t.throws(() => kernel.assertNoLeaks(), { code: 'ERR_URING_MOCK_LEAKS', message });
  await ring.close();
  await Promise.all(all);
  t.throws(() => kernel.assertNoLeaks(), { message: `not given back: descriptor ${fd} (a socket)` });
  kernel.forget(fd);
  t.notThrows(() => kernel.assertNoLeaks());
});

test('a pipe has its two ends', async (t) => {
  const { ring, kernel, fd } = world(t, { pipe: () => {} });
  const { readFd, writeFd } = await ring.exec(pipe());
  for (const open of [readFd, writeFd, fd]) await ring.exec(close(open));
  t.notThrows(() => kernel.assertNoLeaks());
});

const ERRNOS = `
  import { openat } from 'uring';
  import { mock } from 'uring/mock';
  const kernel = mock({});
  const ring = new kernel.Ring();
  for (const name of ['ENOENT', 'ECANCELED', 'EALREADY', 'ETIME', 'ENOBUFS', 'EOPNOTSUPP', 'EDQUOT', 'ESTALE', 'EBADFD']) {
    kernel.handle({ openat: name });
    const error = await ring.exec(openat('/x')).catch((error) => error);
    console.log(name, error.code, error.errno, error.message.split(',')[0]);
  }
  kernel.handle({ openat: -110 });
  console.log((await ring.exec(openat('/x')).catch((error) => error)).code);
  await ring.close();`;

for (const elsewhere of [undefined, DARWIN, WINDOWS]) {
  test(`error numbers are the kernel's on ${elsewhere?.platform ?? 'Linux'}`, async (t) => {
    const env: Record<string, string> = {};
    if (elsewhere !== undefined) {
      const path = `${tmpDir(t)}/disguise.cjs`;
      writeDisguise(path, elsewhere);
      env['NODE_OPTIONS'] = `--require ${path}`;
    }
    const ended = await runModule(ERRNOS, { env });
    t.like(ended, WELL, ended.stderr);
    const lines = ended.stdout.trimEnd().split('\n');
    t.deepEqual(lines, [
      'ENOENT ENOENT -2 ENOENT: no such file or directory',
      'ECANCELED ECANCELED -125 ECANCELED: operation canceled',
      'EALREADY EALREADY -114 EALREADY: connection already in progress',
      'ETIME ETIME -62 ETIME: timer expired',
      'ENOBUFS ENOBUFS -105 ENOBUFS: no buffer space available',
      'EOPNOTSUPP ENOTSUP -95 ENOTSUP: operation not supported on socket',
      'EDQUOT EDQUOT -122 EDQUOT: disk quota exceeded',
      'ESTALE ESTALE -116 ESTALE: stale file handle',
      'EBADFD EBADFD -77 EBADFD: file descriptor in bad state',
      'ETIMEDOUT',
    ]);
  });
}

test('the table of error numbers is that of the kernel', async (t) => {
  const { Errno }: typeof import('../dist/errnos.js') = await import(
    new URL('errnos.js', import.meta.resolve('uring')).href
  );
  for (const [name, errno] of Object.entries(constants.errno))
    t.is((Errno as Readonly<Record<string, number>>)[name], errno, name);
});
