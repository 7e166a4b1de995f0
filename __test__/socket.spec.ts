import dgram from 'node:dgram';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import {
  accept,
  acceptMultishot,
  asyncCancel,
  type BufferLease,
  type FixedFile,
  PollEvents,
  pollAdd,
  type Ring,
  recv,
  recvMultishot,
  send,
  type UringError,
} from 'uring';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import {
  endSocketHelper,
  handleOf,
  listen,
  numbered,
  pair,
  pairOn,
  readAll,
  socketPath,
  write,
} from './_sockets.ts';

/** A number that no process's descriptors reach. */
const NO_FD = 0x7fff_fff0;
const MSG_PEEK = 0x2;
const MSG_DONTWAIT = 0x40;
const MSG_WAITALL = 0x100;

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

async function failsWith(
  t: ExecutionContext<unknown>,
  result: Promise<unknown>,
  code: string,
  syscall: string,
): Promise<void> {
  const error = await t.throwsAsync<UringError>(result, { code });
  t.is(error?.syscall, syscall);
}

function flagsOf(fd: number): number {
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  return Number.parseInt(flags ?? '', 8);
}

test('accept promises the descriptor of a connection', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    await write(peer, 'to the ring');
    const buffer = Buffer.alloc(64);
    t.is(await ring.exec(recv(fd, buffer)), 11);
    t.is(buffer.toString('latin1', 0, 11), 'to the ring');
    const arrived = once(peer, 'data');
    t.is(await ring.exec(send(fd, Buffer.from('and back'))), 8);
    t.deepEqual(await arrived, [Buffer.from('and back')]);
  });
});

test('accept calls back with the descriptor, for a connection that waits already', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    await listener.connect();
    const marker = { mine: true };
    const [error, fd, userData] = await new Promise<[unknown, number, unknown]>((resolve) => {
      ring.start(
        accept(listener.fd),
        (error, fd, completion) => resolve([error, fd, completion.userData]),
        marker,
      );
    });
    t.is(error, null);
    t.is(userData, marker);
    t.true(fd > 2);
    closeSync(fd);
  });
});

test('accept by hand completes once a client connects', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const listener = await listen(t);
    t.true(ring.prep(accept(listener.fd), 'a connection'));
    t.is(ring.submit(), 1);
    t.is(ring.peek(), undefined);
    await listener.connect();
    ring.submitAndWait(1, { timeoutMs: 10_000 });
    const [completion] = [...ring.completions()];
    t.is(completion?.userData, 'a connection');
    t.is(completion?.error, null);
    t.false(completion?.hasMore);
    t.is(completion?.result, completion?.res);
    closeSync(completion?.res as number);
  });
});

test('accept makes sockets close-on-exec and non-blocking, unless other flags are given', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    await Promise.all([listener.connect(), listener.connect()]);
    const [normal, plain] = await Promise.all([
      ring.exec(accept(listener.fd)),
      ring.exec(accept(listener.fd, { acceptFlags: 0 })),
    ]);
    const both = constants.O_NONBLOCK | 0o2000000;
    t.is(flagsOf(normal) & both, both);
    t.is(flagsOf(plain) & both, 0);
    closeSync(normal);
    closeSync(plain);
  });
});

test('accept with direct gives a registered file that recv and send take', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
    const listener = await listen(t);
    const peer = await listener.connect();
    const file: FixedFile = await ring.exec(accept(listener.fd, { direct: true }));
    t.is(ring.stats().fileSlots, 1);
    await write(peer, 'direct');
    const buffer = ring.alloc(64);
    t.is(await ring.exec(recv(file, buffer)), 6);
    const arrived = once(peer, 'data');
    t.is(await ring.exec(send(file, buffer.subarray(0, 6))), 6);
    t.deepEqual(await arrived, [Buffer.from('direct')]);
    files.clear(file);
    await once(peer, 'end');
    const stale = { code: 'ERR_URING_STALE_HANDLE' };
    await t.throwsAsync(ring.exec(recv(file, buffer)), stale);
  });
});

test('a cancelled accept takes no connection away', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const operation = accept(listener.fd);
    const refused = t.throwsAsync(ring.exec(operation), { code: 'ECANCELED' });
    await ring.exec(asyncCancel(operation));
    await refused;
    await pairOn(t, ring, listener);
  });
});

test('acceptMultishot yields every one of many connections', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const stream = ring.multishot(acceptMultishot(listener.fd));
    const clients = Array.from({ length: 200 }, async (_, number) => {
      const peer = await listener.connect();
      await write(peer, String(number).padStart(3, '0'));
    });
    const seen = new Set<string>();
    const buffer = Buffer.alloc(3);
    for await (const fd of stream) {
      t.is(await ring.exec(recv(fd, buffer, { messageFlags: MSG_WAITALL })), 3);
      seen.add(buffer.toString());
      closeSync(fd);
      if (seen.size === 200) break;
    }
    await Promise.all(clients);
    t.is(seen.size, 200);
    t.is(ring.inFlight, 0);
  });
});

test('a stopped acceptMultishot closes the connections that nobody took', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const stream = ring.multishot(acceptMultishot(listener.fd));
    const first = stream.next();
    const peers = await Promise.all(Array.from({ length: 10 }, () => listener.connect()));
    const { value: kept } = await first;
    // All of the others are accepted before the stream is stopped.
    await ring.exec(pollAdd(kept as number, PollEvents.OUT));
    for (const peer of peers) peer.resume();
    let ended = 0;
    const nineEnds = new Promise<void>((resolve) => {
      for (const peer of peers) peer.once('end', () => (++ended === 9 ? resolve() : undefined));
    });
    t.deepEqual(await stream.return(), { done: true, value: undefined });
    await nineEnds;
    t.is(ended, 9);
    closeSync(kept as number);
    t.deepEqual(await stream.next(), { done: true, value: undefined });
  });
});

test('a stopped acceptMultishot leaves later connections to others', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    await listener.connect();
    for await (const fd of ring.multishot(acceptMultishot(listener.fd))) {
      closeSync(fd);
      break;
    }
    t.is(ring.inFlight, 0);
    const { fd, peer } = await pairOn(t, ring, listener);
    await write(peer, 'mine');
    t.is(await ring.exec(recv(fd, Buffer.alloc(8))), 4);
  });
});

test('acceptMultishot with direct fills slots, and says ENFILE when there are no more', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 0, kernelSlots: 2 });
    const listener = await listen(t);
    const stream = ring.multishot(acceptMultishot(listener.fd, { direct: true }));
    const peers = await Promise.all([listener.connect(), listener.connect(), listener.connect()]);
    const taken: FixedFile[] = [];
    const consumed = (async () => {
      for await (const file of stream) taken.push(file);
    })();
    await failsWith(t, consumed, 'ENFILE', 'accept');
    t.is(taken.length, 2);
    await write(peers[0]!, 'slot');
    t.is(await ring.exec(recv(taken[0] as FixedFile, Buffer.alloc(8))), 4);
    for (const file of taken) files.clear(file);
    t.is(ring.stats().fileSlots, 0);
  });
});

test('a stopped acceptMultishot with direct empties the slots that nobody took', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 0, kernelSlots: 8 });
    const listener = await listen(t);
    const peers = await Promise.all(Array.from({ length: 5 }, () => listener.connect()));
    const ends = Promise.all(peers.map((peer) => once(peer.resume(), 'end')));
    const stream = ring.multishot(acceptMultishot(listener.fd, { direct: true }));
    t.false((await stream.next()).done);
    await stream.return();
    // The first is ours; whatever else was accepted is closed, the rest was never taken.
    t.is(ring.stats().fileSlots, 1);
    await ring.close();
    listener.close();
    t.is((await ends).length, 5);
  });
});

test('sockets that are none have the errors of their system calls', async (t) => {
  await withRing({}, async (ring) => {
    const file = openSync(new URL(import.meta.url), 'r');
    t.teardown(() => closeSync(file));
    const operations = (fd: number) => [
      ['accept', ring.exec(accept(fd))] as const,
      ['recv', ring.exec(recv(fd, Buffer.alloc(8)))] as const,
      ['send', ring.exec(send(fd, Buffer.alloc(8)))] as const,
    ];
    for (const [syscall, result] of operations(NO_FD)) await failsWith(t, result, 'EBADF', syscall);
    for (const [syscall, result] of operations(file)) await failsWith(t, result, 'ENOTSOCK', syscall);
    const stream = ring.multishot(acceptMultishot(NO_FD));
    await t.throwsAsync(stream.next(), { code: 'EBADF' });
    t.true((await stream.next()).done);
  });
});

test('accept on a connected socket is EINVAL, recv on a listening one ENOTCONN', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const { fd } = await pairOn(t, ring, listener);
    await t.throwsAsync(ring.exec(accept(fd)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(recv(listener.fd, Buffer.alloc(8))), { code: 'ENOTCONN' });
  });
});

test('recv fills every kind of memory, and nothing beside it', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const user = Buffer.alloc(12, '.');
    const shared = new SharedArrayBuffer(8);
    const words = new Uint16Array(4);
    const owned = ring.alloc(4096).fill('.');
    const view = new DataView(new ArrayBuffer(16), 4, 8);
    for (const target of [user.subarray(2, 10), shared, words, owned.subarray(100, 108), view]) {
      const received = ring.exec(recv(fd, target));
      await write(peer, 'abcdefgh');
      t.is(await received, 8);
    }
    t.is(user.toString(), '..abcdefgh..');
    t.is(Buffer.from(shared).toString(), 'abcdefgh');
    t.is(Buffer.from(words.buffer).toString(), 'abcdefgh');
    t.is(owned.toString('latin1', 98, 110), '..abcdefgh..');
    t.is(Buffer.from(view.buffer).toString('latin1'), '\0\0\0\0abcdefgh\0\0\0\0');
  });
});

test('recv and send pass their message flags on', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffer = Buffer.alloc(8);
    const nothing = ring.exec(recv(fd, buffer, { messageFlags: MSG_DONTWAIT }));
    await t.throwsAsync(nothing, { code: 'EAGAIN' });
    await write(peer, 'abcd');
    t.is(await ring.exec(recv(fd, buffer, { messageFlags: MSG_PEEK })), 4);
    t.is(await ring.exec(recv(fd, buffer, { messageFlags: MSG_PEEK })), 4);
    const whole = ring.exec(recv(fd, buffer, { messageFlags: MSG_WAITALL }));
    await write(peer, 'efgh');
    t.is(await whole, 8);
    t.is(buffer.toString(), 'abcdefgh');
    // The peer does not read: sooner or later there is no room.
    peer.pause();
    const much = ring.alloc(1 << 20);
    const flood = async (): Promise<void> => {
      for (let sent = 0; sent < 64; sent += 1)
        await ring.exec(send(fd, much, { messageFlags: MSG_DONTWAIT }));
    };
    await failsWith(t, flood(), 'EAGAIN', 'send');
  });
});

test('the end of a stream is 0 bytes, null in place of a lease, and the end of a recvMultishot', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
    const waiting = ring.exec(recv(fd, Buffer.alloc(8)));
    peer.end();
    t.is(await waiting, 0);
    t.is(await ring.exec(recv(fd, ring.alloc(8))), 0);
    t.is(await ring.exec(recv(fd, buffers)), null);
    t.true((await ring.multishot(recvMultishot(fd, buffers)).next()).done);
    t.is(buffers.lent, 0);
  });
});

test('recv with a buffer ring lends a buffer, and is ENOBUFS when all are lent', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 4 });
    await write(peer, 'abcdefghij');
    const first = (await ring.exec(recv(fd, buffers))) as BufferLease;
    const second = (await ring.exec(recv(fd, buffers))) as BufferLease;
    t.is(first.data.toString() + second.data.toString(), 'abcdefgh');
    t.is(buffers.lent, 2);
    await t.throwsAsync(ring.exec(recv(fd, buffers)), { code: 'ENOBUFS' });
    first.release();
    const third = (await ring.exec(recv(fd, buffers))) as BufferLease;
    t.is(third.data.toString(), 'ij');
    t.is(third.id, first.id);
    t.is(second.data.toString(), 'efgh');
    second.release();
    third.release();
  });
});

test('a connection that is reset fails waiting and later receives with ECONNRESET and an end', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const waiting = ring.exec(recv(fd, Buffer.alloc(8)));
    peer.resetAndDestroy();
    await failsWith(t, waiting, 'ECONNRESET', 'recv');
    t.is(await ring.exec(recv(fd, Buffer.alloc(8))), 0);

    const other = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    const stream = ring.multishot(recvMultishot(other.fd, buffers));
    const next = stream.next();
    other.peer.resetAndDestroy();
    await t.throwsAsync(next, { code: 'ECONNRESET' });
    t.true((await stream.next()).done);
  });
});

test.serial('send on a broken connection is EPIPE and never a signal', async (t) => {
  let signals = 0;
  const count = (): void => {
    signals += 1;
  };
  // With a listener SIGPIPE is no longer ignored by Node.
  process.on('SIGPIPE', count);
  t.teardown(() => void process.off('SIGPIPE', count));
  await withRing({}, async (ring) => {
    const listener = await listen(t, socketPath(tmpDir(t)));
    const { fd, peer } = await pairOn(t, ring, listener);
    peer.destroy();
    await once(peer, 'close');
    for (const memory of [Buffer.from('lost'), ring.alloc(8)])
      await failsWith(t, ring.exec(send(fd, memory)), 'EPIPE', 'send');
    t.true(ring.prep(send(fd, Buffer.from('lost'))));
    ring.submitAndWait(1, { timeoutMs: 10_000 });
    t.is([...ring.completions()][0]?.error?.code, 'EPIPE');
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.is(signals, 0);
});

test('datagrams keep their borders, empty ones too', async (t) => {
  const [ours, theirs] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  t.teardown(() => void ours.close());
  t.teardown(() => void theirs.close());
  theirs.bind(0, '127.0.0.1');
  await once(theirs, 'listening');
  ours.connect(theirs.address().port, '127.0.0.1');
  await once(ours, 'connect');
  const handle = (ours as unknown as Record<symbol, { handle: { fd: number; recvStop(): void } }>)[
    Object.getOwnPropertySymbols(ours).find((symbol) => symbol.description === 'state symbol') as symbol
  ]?.handle;
  const fd = handle?.fd as number;
  handle?.recvStop();
  const received: Buffer[] = [];
  const all = new Promise<void>((resolve) => {
    theirs.on('message', (message) => {
      received.push(message);
      if (received.length === 3) resolve();
    });
  });
  await withRing({}, async (ring) => {
    t.is(await ring.exec(send(fd, Buffer.from('one'))), 3);
    t.is(await ring.exec(send(fd, Buffer.alloc(0))), 0);
    t.is(await ring.exec(send(fd, ring.alloc(16).fill('x').subarray(0, 5))), 5);
    await all;
    t.deepEqual(received.map(String), ['one', '', 'xxxxx']);

    const { port } = ours.address();
    for (const text of ['', 'longer than the buffer', 'end']) theirs.send(text, port, '127.0.0.1');
    const buffer = Buffer.alloc(6);
    const sizes: number[] = [];
    for (let count = 0; count < 3; count += 1) sizes.push(await ring.exec(recv(fd, buffer)));
    t.deepEqual(sizes, [0, 6, 3]);
    t.is(buffer.toString(), 'endger');
  });
});

/** Sends all of it: send may take less than it is given. */
async function sendAll(ring: Ring, fd: number, data: Buffer): Promise<void> {
  for (let sent = 0; sent < data.length; ) sent += await ring.exec(send(fd, data.subarray(sent)));
}

async function echo(ring: Ring, fd: number): Promise<void> {
  const buffer = ring.alloc(16_384);
  for (;;) {
    const bytes = await ring.exec(recv(fd, buffer));
    if (bytes === 0) return;
    await sendAll(ring, fd, buffer.subarray(0, bytes));
  }
}

test('an echo server wholly on the ring serves many node:net clients at once', async (t) => {
  await withRing({ entries: 32 }, async (ring) => {
    const listener = await listen(t);
    const stream = ring.multishot(acceptMultishot(listener.fd));
    const connections: Promise<void>[] = [];
    const server = (async () => {
      for await (const fd of stream) connections.push(echo(ring, fd).finally(() => closeSync(fd)));
    })();
    const clients = Array.from({ length: 40 }, async (_, number) => {
      const peer = await listener.connect({ allowHalfOpen: true });
      const message = numbered(200_000 + number).map((byte) => byte ^ number);
      const answer = readAll(peer);
      peer.end(message);
      return Buffer.compare(await answer, message);
    });
    t.deepEqual(await Promise.all(clients), Array(40).fill(0));
    await stream.return();
    await server;
    await Promise.all(connections);
    t.is(connections.length, 40);
    t.is(ring.inFlight, 0);
  });
});

test('Unix sockets are accepted, read and written like any other', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t, socketPath(tmpDir(t)));
    const { fd, peer, close } = await pairOn(t, ring, listener, { allowHalfOpen: true });
    const message = numbered(300_000);
    const answer = readAll(peer);
    const echoed = echo(ring, fd);
    peer.end(message);
    await echoed;
    close();
    t.is(Buffer.compare(await answer, message), 0);
  });
});

test('the descriptor behind a node:net socket can be sent on', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    t.is(await ring.exec(send(handleOf(peer).fd, Buffer.from('by the peer'))), 11);
    const buffer = Buffer.alloc(16);
    t.is(await ring.exec(recv(fd, buffer)), 11);
    t.is(buffer.toString('latin1', 0, 11), 'by the peer');
  });
});
