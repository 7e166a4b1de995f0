// What the mock has of its own: answers of every form, errors that say what is wrong, and no need for a binary.
import { createRequire } from 'node:module';
import test, { type ExecutionContext } from 'ava';
import {
  accept,
  asyncCancel,
  CqeFlags,
  close,
  connect,
  fgetxattr,
  fixedFdInstall,
  fsetxattr,
  fsync,
  getsockname,
  getsockopt,
  mkdirat,
  nop,
  openat,
  PollEvents,
  pipe,
  pollAdd,
  pollMultishot,
  type Ring,
  read,
  readv,
  recvMultishot,
  recvmsg,
  recvmsgMultishot,
  renameat,
  SqeFlags,
  send,
  sendmsg,
  sendZc,
  socket,
  splice,
  statx,
  timeout,
  Ring as UringRing,
  write,
  writev,
} from 'uring';
import * as uringMock from 'uring/mock';
import { after, type MockHandlers, type MockKernel, type MockOperation, mock, unstoppable } from 'uring/mock';
import { runModule, runNode, WELL } from './_process.ts';
import { settle, soon } from './_until.ts';

/** A kernel with a ring, which is closed at the end, and a descriptor. */
function world(t: ExecutionContext, handlers: MockHandlers): { kernel: MockKernel; ring: Ring; fd: number } {
  const kernel = mock(handlers);
  const ring = new kernel.Ring();
  t.teardown(() => ring.close());
  return { kernel, ring, fd: kernel.descriptor() };
}

test('the mock runs where there is no binary, on other platforms, and where addons are forbidden', async (t) => {
  const source = `
    Object.defineProperty(process, 'platform', { value: 'win32' });
    const { Ring, openat } = await import('uring');
    const { mock } = await import('uring/mock');
    const kernel = mock({ openat: 'ENOENT' });
    const ring = new kernel.Ring();
    const code = await ring.exec(openat('/x')).catch((error) => error.code);
    await ring.close();
    let why = '';
    try { new Ring(); } catch (error) { why = error.code; }
    console.log(ring instanceof Ring, code, why);
  `;
  t.like(await runModule(source), { ...WELL, stdout: 'true ENOENT ERR_URING_UNAVAILABLE\n' });
  const common = `
    const { Ring, nop } = require('uring');
    const { mock } = require('uring/mock');
    const ring = new (mock({}).Ring)();
    ring.exec(nop({ result: 5 })).then((result) => {
      console.log(result, ring instanceof Ring);
      ring.close();
    });
  `;
  const ended = await runNode(['--no-addons', '--input-type=commonjs', '--no-warnings', '--eval', common]);
  t.like(ended, { ...WELL, stdout: '5 true\n' });
  const required = createRequire(import.meta.url)('uring/mock') as typeof uringMock;
  t.is(required.mock, mock);
  t.deepEqual(Object.keys(uringMock).sort(), ['after', 'mock', 'unstoppable']);
});

test('an operation in flight keeps the process alive, unless it is unreferenced, and a closed ring does not', async (t) => {
  const program = (rest: string): string => `
    import { timeout } from 'uring';
    import { mock } from 'uring/mock';
    const kernel = mock({});
    const ring = new kernel.Ring();
    const hour = ring.exec(timeout(3_600_000)).then(() => 'expired', (error) => error.code);
    process.on('exit', () => console.log('ends'));
    ${rest}
  `;
  const unreferenced = await runModule(program('ring.unref();'));
  t.like(unreferenced, { ...WELL, stdout: 'ends\n' });
  // What is unreferenced itself moves the clock: nothing but the operation keeps the process alive.
  const later = 'setTimeout(() => kernel.clock.advance(3_600_000), 50).unref(); hour.then(console.log);';
  t.like(await runModule(program(later)), { ...WELL, stdout: 'expired\nends\n' });
  t.like(await runModule(program('await ring.close(); console.log(await hour);')), {
    ...WELL,
    stdout: 'ECANCELED\nends\n',
  });
});

test('a mock ring is a ring', (t) => {
  const { kernel, ring } = world(t, {});
  t.true(ring instanceof UringRing);
  t.is(kernel.Ring.name, 'Ring');
  t.true(ring.supports('futexWait'));
  t.true(ring.features.includes('NODROP'));
  t.throws(() => new kernel.Ring({ entries: 3 }), { code: 'ERR_OUT_OF_RANGE' });
});

test('a kernel can lack operations, as an older one does', async (t) => {
  const kernel = mock({ sendZc: 0 }, { missing: ['sendZc'] });
  const ring = new kernel.Ring();
  t.false(ring.supports('sendZc'));
  await t.throwsAsync(ring.exec(sendZc(1, Buffer.from('x'))), { code: 'ERR_URING_UNSUPPORTED_OP' });
  await ring.close();
  t.throws(() => mock({}, { missing: ['nope' as never] }), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('handlers are told what the operation is about', async (t) => {
  const seen: Partial<MockOperation>[] = [];
  const note =
    (...names: (keyof MockOperation)[]) =>
    (operation: MockOperation) => {
      seen.push(Object.fromEntries(names.map((name) => [name, operation[name]])));
    };
  const { ring, fd } = world(t, {
    openat: note('path', 'mode', 'dirFd'),
    renameat: note('path', 'newPath'),
    mkdirat: note('path', 'mode'),
    socket: note('socket'),
    connect: note('fd', 'address'),
    writev: note('data', 'offset'),
    send: note('data', 'address'),
    sendmsg: note('data', 'address'),
    fsetxattr: note('attribute', 'data'),
  });
  const address = { address: '127.0.0.1', port: 80 };
  await ring.exec(openat('/a', { mode: 0o600 }));
  await ring.exec(renameat('/a', '/b'));
  await ring.exec(mkdirat('c', { mode: 0o700 }));
  await ring.exec(socket('IPv6', 'dgram', { protocol: 17 }));
  await ring.exec(connect(fd, address));
  t.is(await ring.exec(writev(fd, [Buffer.from('ab'), Buffer.from('cd')], { offset: 9 })), 4);
  await ring.exec(send(fd, Buffer.from('x'), { to: address }));
  await ring.exec(sendmsg(fd, { data: [Buffer.from('y'), Buffer.from('z')], to: address }));
  await ring.exec(fsetxattr(fd, 'user.a', Buffer.from('v')));
  const decoded = { ...address, family: 'IPv4' };
  t.deepEqual(seen, [
    { path: '/a', mode: 0o600, dirFd: -100 },
    { path: '/a', newPath: '/b' },
    { path: 'c', mode: 0o700 },
    { socket: { domain: 10, type: 2, protocol: 17 } },
    { fd, address: decoded },
    { data: Buffer.from('abcd'), offset: 9 },
    { data: Buffer.from('x'), address: decoded },
    { data: Buffer.from('yz'), address: decoded },
    { attribute: 'user.a', data: Buffer.from('v') },
  ] as Partial<MockOperation>[]);
});

test('answers become what operations result in', async (t) => {
  const address = { address: '::1', port: 443 };
  const { ring, fd, kernel } = world(t, {
    statx: { stats: { size: 5, mode: 0o100600, mtimeMs: 1500.5 } },
    accept: { address },
    getsockname: { address: { path: '/tmp/socket' } },
    getsockopt: Buffer.from([7, 0, 0, 0]),
    recvmsg: { data: Buffer.from('hello'), address },
    fgetxattr: Buffer.from('value'),
    readv: Buffer.from('abcdef'),
    pollAdd: PollEvents.IN,
    splice: 3,
    pipe: () => {},
    read: ({ buffers }) => buffers[0]?.write('self') ?? 0,
  });
  const stats = await ring.exec(statx('/x'));
  t.like(
    { size: stats.size, mode: stats.mode, mtimeMs: stats.mtimeMs },
    { size: 5, mode: 0o100600, mtimeMs: 1500.5 },
  );
  const { fd: accepted, address: peer } = await ring.exec(accept(fd, { withAddress: true }));
  t.deepEqual(peer, { ...address, family: 'IPv6' });
  t.deepEqual(await ring.exec(getsockname(fd)), { path: '/tmp/socket' });
  t.is(await ring.exec(getsockopt(fd, 'SO_RCVBUF')), 7);
  const into = Buffer.alloc(3);
  const message = await ring.exec(recvmsg(fd, into));
  t.is(into.toString(), 'hel');
  t.like({ bytes: message.bytes, truncated: message.truncated }, { bytes: 3, truncated: true });
  t.deepEqual(message.address, { ...address, family: 'IPv6' });
  t.is((await ring.exec(fgetxattr(fd, 'user.a'))).toString(), 'value');
  const [one, two] = [Buffer.alloc(2), Buffer.alloc(3)];
  t.is(await ring.exec(readv(fd, [one, two])), 5);
  t.is(`${one} ${two}`, 'ab cde');
  t.is(await ring.exec(pollAdd(fd, PollEvents.IN)), PollEvents.IN);
  t.is(await ring.exec(splice(fd, fd, 3)), 3);
  const own = ring.alloc(8);
  t.is(await ring.exec(read(fd, own)), 4);
  t.is(own.toString('utf8', 0, 4), 'self');
  const { readFd, writeFd } = await ring.exec(pipe());
  for (const open of [accepted, readFd, writeFd, fd]) await ring.exec(close(open));
  kernel.assertNoLeaks();
});

test('messages arrive in provided buffers, with their senders', async (t) => {
  const address = { address: '10.0.0.1', port: 9 };
  const { ring, fd } = world(t, {
    recvmsg: [{ data: Buffer.from('one'), address }, { data: Buffer.from('two') }, 0],
  });
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 256 });
  const seen: unknown[] = [];
  for await (const message of ring.multishot(recvmsgMultishot(fd, buffers))) {
    seen.push([message.data.toString(), message.address]);
    message.release();
  }
  t.deepEqual(seen, [
    ['one', { ...address, family: 'IPv4' }],
    ['two', undefined],
  ]);
});

test('what is sent from provided buffers is what was provided', async (t) => {
  const sent: string[] = [];
  const { ring, fd } = world(t, { send: ({ data }) => void sent.push(data.toString()) });
  const outgoing = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8, provide: 'manually' });
  for (const text of ['one', 'two', 'three']) {
    const lease = outgoing.take();
    lease?.provide(lease.data.write(text));
    t.is(await ring.exec(send(fd, outgoing)), text.length);
  }
  t.deepEqual(sent, ['one', 'two', 'three']);
  t.is(outgoing.lent, 0);
  await t.throwsAsync(ring.exec(send(fd, outgoing)), { code: 'ENOBUFS' });
});

test('a zero-copy send has its notification', async (t) => {
  const { ring, fd } = world(t, { sendZc: () => {} });
  t.is(await ring.exec(sendZc(fd, Buffer.from('abc'))), 3);
  ring.prep(sendZc(fd, Buffer.from('abc')));
  ring.submit();
  t.deepEqual(
    [...ring.completions()].map(({ res, hasMore, flags }) => [res, hasMore, flags & CqeFlags.NOTIF]),
    [
      [3, true, 0],
      [0, false, CqeFlags.NOTIF],
    ],
  );
});

test('answers that no operation can have are errors that say so', async (t) => {
  const bad: [MockHandlers, (fd: number) => Promise<unknown>, RegExp][] = [
    [{ fsync: 'ENOSUCHTHING' }, (fd) => ring.exec(fsync(fd)), /no errno/],
    [{ fsync: 1.5 }, (fd) => ring.exec(fsync(fd)), /32 bits/],
    [{ fsync: Buffer.from('x') }, (fd) => ring.exec(fsync(fd)), /\{ data \}/],
    [{ read: () => {} }, (fd) => ring.exec(read(fd, Buffer.alloc(1))), /bytes/],
    [{ read: 2 }, (fd) => ring.exec(read(fd, Buffer.alloc(1))), /where 1 fit/],
    [{ write: 2 }, (fd) => ring.exec(write(fd, Buffer.alloc(1))), /where there were 1/],
    [{ write: [] }, (fd) => ring.exec(write(fd, Buffer.alloc(1))), /over after 0/],
    [{ statx: 0 }, () => ring.exec(statx('/x')), /stats/],
    [{ getsockname: 0 }, (fd) => ring.exec(getsockname(fd)), /address/],
    [{ pollAdd: () => {} }, (fd) => ring.exec(pollAdd(fd, 1)), /number/],
    [{ openat: () => fd }, () => ring.exec(openat('/x')), /open already/],
  ];
  const { kernel, ring, fd } = world(t, {});
  for (const [handlers, run, message] of bad) {
    kernel.handle(handlers);
    await t.throwsAsync(run(fd), { code: 'ERR_URING_MOCK_ANSWER', message });
  }
});

test('what a handler throws is the error of its operation, and breaks its chain', async (t) => {
  const oops = new Error('oops');
  const { ring, fd } = world(t, {
    fsync: () => {
      throw oops;
    },
    read: () => Promise.reject(oops),
  });
  t.is(await t.throwsAsync(ring.exec(fsync(fd))), oops);
  t.is(await t.throwsAsync(ring.exec(read(fd, Buffer.alloc(1)))), oops);
  ring.prep(fsync(fd), 'a', SqeFlags.LINK);
  ring.prep(nop(), 'b');
  ring.submitAndWait(2);
  t.deepEqual(
    [...ring.completions()].map(({ error }) => (error as { code?: string }).code ?? error),
    [oops, 'ECANCELED'],
  );
});

test('promises complete in the order in which the test settles them', async (t) => {
  const gates: ((bytes: Buffer) => void)[] = [];
  const { ring, fd } = world(t, { read: () => new Promise<Buffer>((resolve) => gates.push(resolve)) });
  const order: number[] = [];
  const reads = [0, 1, 2].map((at) => ring.exec(read(fd, Buffer.alloc(1))).then(() => order.push(at)));
  await settle();
  for (const at of [2, 0, 1]) {
    gates[at]?.(Buffer.from('x'));
    await settle();
  }
  await Promise.all(reads);
  t.deepEqual(order, [2, 0, 1]);
});

test('what is cancelled is told, unless it cannot be stopped', async (t) => {
  const signals: AbortSignal[] = [];
  let finish = (_res: number): void => {};
  const { ring, fd } = world(t, {
    read: ({ signal }) => {
      signals.push(signal);
      return new Promise<number>(() => {});
    },
    fsync: () => unstoppable(new Promise((resolve) => (finish = resolve))),
  });
  const reading = t.throwsAsync(ring.exec(read(fd, Buffer.alloc(1)), { timeoutMs: 10_000 }));
  const syncing = fsync(fd);
  const synced = ring.exec(syncing);
  await settle();
  t.is(await ring.exec(asyncCancel({ any: true })), 1);
  t.is(((await reading) as { code?: string }).code, 'ECANCELED');
  t.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );
  await t.throwsAsync(ring.exec(asyncCancel(syncing)), { code: 'EALREADY' });
  const closing = ring.close();
  finish(0);
  t.is(await soon(synced, 'the operation that nothing stops'), undefined);
  await closing;
});

test('a descriptor that was closed is not used again', async (t) => {
  const { ring } = world(t, { openat: () => {}, fsync: 0 });
  const first = await ring.exec(openat('/a'));
  await ring.exec(close(first));
  const second = await ring.exec(openat('/a'));
  t.not(first, second);
  await t.throwsAsync(ring.exec(fsync(first)), { code: 'EBADF' });
  await t.throwsAsync(ring.exec(close(first)), { code: 'EBADF' });
  await ring.exec(close(second));
});

test('close may fail, and closes all the same', async (t) => {
  const { ring, fd, kernel } = world(t, { close: 'EIO' });
  await t.throwsAsync(ring.exec(close(fd)), { code: 'EIO' });
  kernel.assertNoLeaks();
});

test('a descriptor that nobody took is closed', async (t) => {
  const kernel = mock({
    openat: () => unstoppable(new Promise((resolve) => setImmediate(resolve, undefined))),
  });
  const ring = new kernel.Ring();
  const controller = new AbortController();
  const opening = t.throwsAsync(ring.exec(openat('/x'), { signal: controller.signal }), {
    code: 'ABORT_ERR',
  });
  kernel.clock.advance(0).catch(() => {});
  controller.abort();
  await opening;
  await ring.close();
  kernel.assertNoLeaks();
});

test('a slot becomes a descriptor again', async (t) => {
  const { ring, kernel, fd } = world(t, { openat: () => {} });
  ring.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
  const file = await ring.exec(openat('/x', { direct: true }));
  const installed = await ring.exec(fixedFdInstall(file));
  t.not(installed, fd);
  for (const open of [fd, installed, file]) await ring.exec(close(open));
  t.notThrows(() => kernel.assertNoLeaks());
});

test('a thread that blocks moves the clock, and does not wait for what cannot come', (t) => {
  const { ring, kernel, fd } = world(t, {
    read: () => after(50, Buffer.from('x')),
    fsync: () => new Promise<number>(() => {}),
  });
  ring.prep(timeout(100), 'timer');
  ring.prep(read(fd, ring.alloc(1)), 'read');
  ring.submitAndWait(2);
  t.is(kernel.clock.nowMs, 100);
  t.deepEqual(
    [...ring.completions()].map(({ userData }) => userData),
    ['read', 'timer'],
  );
  ring.prep(fsync(fd));
  t.is(ring.submitAndWait(1, { timeoutMs: 25 }), 1);
  t.is(kernel.clock.nowMs, 125);
  t.throws(() => ring.submitAndWait(1), {
    code: 'ERR_URING_MOCK_DEADLOCK',
    message: /1 operations are in flight/,
  });
});

test('the realtime clock starts where the test says', async (t) => {
  const kernel = mock({}, { start: new Date(1_000_000) });
  const ring = new kernel.Ring();
  t.is(kernel.clock.date.getTime(), 1_000_000);
  const alarm = ring.exec(timeout(1_000_060, { absolute: true, clock: 'realtime' }));
  await kernel.clock.advance(60);
  t.is(await soon(alarm, 'the alarm'), undefined);
  t.is(kernel.clock.date.getTime(), 1_000_060);
  await t.throwsAsync(kernel.clock.advance(-1), { code: 'ERR_OUT_OF_RANGE' });
  await ring.close();
});

test('a multishot operation whose completions find no room goes on, and loses none', async (t) => {
  const { ring, fd, kernel } = world(t, {
    *pollAdd() {
      for (let at = 1; at <= 300; at += 1) yield at;
      return 'EBADF';
    },
  });
  const small = new kernel.Ring({ entries: 4, cqEntries: 4 });
  const seen: number[] = [];
  const stream = small.multishot(pollMultishot(fd, 1));
  const ended = async (): Promise<void> => {
    for await (const events of stream) seen.push(events);
  };
  await t.throwsAsync(ended(), { code: 'EBADF' });
  t.deepEqual(
    seen,
    Array.from({ length: 300 }, (_, at) => at + 1),
  );
  t.true(small.stats().overflows > 0);
  await small.close();
  t.is(ring.inFlight, 0);
});

test('time stands still while what an alarm has started goes on', async (t) => {
  const { ring, kernel } = world(t, { openat: () => {}, fsync: 0 });
  const program = (async (): Promise<number> => {
    for (let round = 0; round < 3; round += 1) {
      await ring.exec(timeout(10));
      const fd = await ring.exec(openat('/x'));
      for (let step = 0; step < 8; step += 1) await ring.exec(fsync(fd));
      await ring.exec(close(fd));
    }
    return kernel.clock.nowMs;
  })();
  await kernel.clock.advance(30);
  t.is(await soon(program, 'the program'), 30);
});

test('a group of buffers stays while somebody takes from it, and a table while a slot is filled', async (t) => {
  const { ring, fd } = world(t, { recv: () => new Promise<number>(() => {}), openat: () => after(5) });
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
  const stream = ring.multishot(recvMultishot(fd, buffers));
  const next = t.throwsAsync(stream.next(), { code: 'ECANCELED' });
  const table = ring.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
  const opening = t.throwsAsync(ring.exec(openat('/x', { direct: true })), { code: 'ECANCELED' });
  await settle();
  t.throws(() => buffers.unregister(), { code: 'EBUSY' });
  t.throws(() => table.unregister(), { code: 'EBUSY' });
  await ring.exec(asyncCancel({ any: true }));
  await opening;
  table.unregister();
  await stream.return();
  await next;
  t.notThrows(() => buffers.unregister());
});

test('what the mock does not have fails, and says so', async (t) => {
  const { ring, kernel } = world(t, {});
  const notMocked = { code: 'ERR_URING_NOT_MOCKED' };
  await t.throwsAsync(ring.exec(nop({ flags: SqeFlags.DRAIN })), notMocked);
  t.throws(() => ring.registrar.registerPersonality(), notMocked);
  t.throws(() => ring.registrar.registerBufferRing({ incremental: true }), notMocked);
  t.throws(() => new kernel.Ring({ iopoll: true }), notMocked);
  t.throws(() => new kernel.Ring({ cqeBytes: 32 }), notMocked);
});
