// Composites on the mock: what becomes of every step, without a network.
import test from 'ava';
import { readFile, tcpConnect, tcpListen, writeFile } from 'uring';
import { type MockHandlers, type MockKernel, mock } from 'uring/mock';
import { soon } from './_until.ts';

const never = (): Promise<number> => new Promise(() => {});

/** Every handler that connecting needs, each of which succeeds. */
const CONNECTS: MockHandlers = { socket: () => {}, setsockopt: 0, connect: 0 };

test('a connection is made, with its options set before', async (t) => {
  const seen: string[] = [];
  const kernel = mock({
    socket: ({ name }) => void seen.push(name),
    setsockopt: ({ name, data }) => void seen.push(`${name} ${data.readInt32LE(0)}`),
    connect: ({ address }) => void seen.push(JSON.stringify(address)),
  });
  const ring = new kernel.Ring();
  const { fd, address } = await tcpConnect(ring, { address: '10.0.0.1', port: 80 }, { noDelay: true });
  t.like(address, { address: '10.0.0.1', port: 80 });
  t.deepEqual(seen, ['socket', 'setsockopt 1', '{"address":"10.0.0.1","port":80,"family":"IPv4"}']);
  t.deepEqual(kernel.descriptors, [fd]);
  await ring.close();
});

test('whichever step fails, nothing is left', async (t) => {
  const steps: [MockHandlers, string][] = [
    [{ socket: 'EMFILE' }, 'EMFILE'],
    [{ setsockopt: 'ENOPROTOOPT' }, 'ENOPROTOOPT'],
    [{ connect: 'ECONNREFUSED' }, 'ECONNREFUSED'],
  ];
  for (const [handlers, code] of steps) {
    const kernel = mock({ ...CONNECTS, ...handlers });
    const ring = new kernel.Ring();
    await t.throwsAsync(tcpConnect(ring, { address: '10.0.0.1', port: 80 }, { noDelay: true }), { code });
    kernel.assertNoLeaks();
    await ring.close();
  }
});

test('whichever step does not end, a deadline and a signal do, and nothing is left', async (t) => {
  for (const step of ['socket', 'setsockopt', 'connect'] as const) {
    const kernel = mock({ ...CONNECTS, [step]: never });
    const ring = new kernel.Ring();
    const options = { noDelay: true, timeoutMs: 500 };
    const late = t.throwsAsync(tcpConnect(ring, { address: '10.0.0.1', port: 80 }, options), {
      code: 'ERR_URING_TIMEOUT',
    });
    await kernel.clock.advance(499);
    t.is(ring.inFlight, step === 'setsockopt' ? 2 : 1, step);
    await kernel.clock.advance(1);
    await soon(late, 'the deadline');
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = t.throwsAsync(
      tcpConnect(ring, { address: '10.0.0.1', port: 80 }, { noDelay: true, signal }),
      {
        code: 'ABORT_ERR',
      },
    );
    await kernel.clock.advance(0);
    controller.abort();
    await soon(aborted, 'the abortion');
    kernel.assertNoLeaks();
    await ring.close();
  }
});

/** A kernel where one address answers, and the other does not. */
function halfDead(alive: string): MockKernel {
  return mock({
    ...CONNECTS,
    connect: ({ address }) =>
      address !== undefined && 'address' in address && address.address === alive ? 0 : never(),
  });
}

test('of two addresses the one that answers wins after the delay, and the other is given up', async (t) => {
  const kernel = halfDead('10.0.0.2');
  const ring = new kernel.Ring();
  const connecting = tcpConnect(
    ring,
    { host: 'two.example', port: 80 },
    {
      attemptDelayMs: 250,
      lookup: (_host, _options, callback) =>
        callback(null, [
          { address: 'fd00::1', family: 6 },
          { address: '10.0.0.2', family: 4 },
        ]),
    },
  );
  await kernel.clock.advance(249);
  t.is(kernel.descriptors.length, 1);
  await kernel.clock.advance(1);
  const { fd, address } = await soon(connecting, 'the second address');
  t.is(address.address, '10.0.0.2');
  t.deepEqual(kernel.descriptors, [fd]);
  t.is(ring.inFlight, 0);
  await ring.close();
});

test('where there is no IPv6, listening is for IPv4', async (t) => {
  const kernel = mock({
    socket: ({ socket }) => (socket?.domain === 10 ? 'EAFNOSUPPORT' : undefined),
    setsockopt: 0,
    bind: 0,
    listen: 0,
    getsockname: { address: { address: '0.0.0.0', port: 40_000 } },
  });
  const ring = new kernel.Ring();
  const { fd, address } = await tcpListen(ring, { port: 0 });
  t.like(address, { address: '0.0.0.0', port: 40_000, family: 'IPv4' });
  t.deepEqual(kernel.descriptors, [fd]);
  await ring.close();
});

/** One file, which answers at most `most` bytes at a time. */
function oneFile(bytes: Buffer, most: number, others: MockHandlers = {}): MockKernel {
  let position = 0;
  return mock({
    openat: ({ path }) => (path === '/file' ? undefined : 'ENOENT'),
    statx: { stats: { size: bytes.byteLength } },
    read: ({ offset, room }) => {
      const from = offset < 0 ? position : offset;
      const part = bytes.subarray(from, from + Math.min(room, most));
      if (offset < 0) position += part.byteLength;
      return part;
    },
    ...others,
  });
}

test('a file that comes in pieces is read whole, and closed', async (t) => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));
  const kernel = oneFile(bytes, 7_001);
  const ring = new kernel.Ring();
  t.true((await readFile(ring, '/file')).equals(bytes));
  await t.throwsAsync(readFile(ring, '/nowhere'), { code: 'ENOENT', message: /nowhere/ });
  await ring.close();
  kernel.assertNoLeaks();
});

test('a file that cannot be read or written any more is closed', async (t) => {
  const kernel = oneFile(Buffer.from('abcdef'), 2, {
    read: [Buffer.from('ab'), 'EIO'],
    write: [3, 'ENOSPC'],
    fsync: 0,
    ftruncate: 0,
  });
  const ring = new kernel.Ring();
  await t.throwsAsync(readFile(ring, '/file'), { code: 'EIO' });
  await t.throwsAsync(writeFile(ring, '/file', Buffer.from('abcdef')), { code: 'ENOSPC' });
  await ring.close();
  kernel.assertNoLeaks();
});
