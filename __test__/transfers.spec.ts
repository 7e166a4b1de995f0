// Sending and receiving: addresses, lists, buffer rings, bundles, flags, limits, zero copy.
import assert from 'node:assert/strict';
import test, { type ExecutionContext } from 'ava';
import {
  type BufferLease,
  type BufferRing,
  bind,
  MessageFlags,
  nop,
  type Operation,
  type Ring,
  receiveQueueBytes,
  recv,
  recvMultishot,
  recvZc,
  SqeFlags,
  send,
  sendBundle,
  sendZc,
  setsockopt,
  shutdown,
  timeout,
  type UringError,
} from 'uring';
import { pattern, reap, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { abstractName, bound, eventually, open, tcpPair, unixPair } from './_loopback.ts';

leakCheck(test);

const { DONTWAIT, PEEK, TRUNC, WAITALL } = MessageFlags;
const text = (...leases: readonly BufferLease[]): string =>
  Buffer.concat(leases.map(({ data }) => data)).toString();

async function failure(t: ExecutionContext, ring: Ring, operation: Operation<unknown>): Promise<UringError> {
  return (await t.throwsAsync<UringError>(ring.exec(operation))) as UringError;
}

/** Everything until `sizeBytes` are there. */
async function receiveAll(ring: Ring, fd: number, sizeBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(sizeBytes);
  assert.equal(await ring.exec(recv(fd, buffer, { messageFlags: WAITALL })), sizeBytes);
  return buffer;
}

for (const memory of ['own', 'arena'] as const) {
  test(`datagrams are sent to addresses, one buffer or several, from ${memory} memory`, async (t) => {
    await withRing({}, async (ring) => {
      const of = (bytes: string): Buffer => {
        const buffer = memory === 'own' ? Buffer.alloc(bytes.length) : ring.alloc(bytes.length);
        buffer.write(bytes);
        return buffer;
      };
      const { fd, at } = await bound(t, ring);
      const sender = await open(t, ring, 'IPv4', 'dgram');
      const buffer = Buffer.alloc(64);
      const receives = async (expected: string) => {
        const bytes = await ring.exec(recv(fd, buffer));
        t.is(buffer.toString('latin1', 0, bytes), expected);
      };
      t.is(await ring.exec(send(sender, of('hello'), { to: at })), 5);
      await receives('hello');
      t.is(await ring.exec(send(sender, [of('one '), of('two '), of('three')], { to: at })), 13);
      await receives('one two three');
      t.is(await ring.exec(send(sender, new Uint8Array(0), { to: at })), 0);
      await receives('');
      const first = await ring.exec(sendZc(sender, of('zero copy'), { to: at, reportUsage: true }));
      t.deepEqual(first, { bytes: 9, copied: true });
      await receives('zero copy');
      t.is(await ring.exec(sendZc(sender, [of('zero '), of('copies')], { to: at })), 11);
      await receives('zero copies');
    });
  });
}

test('a list of buffers is one write to a stream, with memory of every kind', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    const arena = ring.alloc(1000);
    const parts = [pattern(10, 1), arena.subarray(0, 500), pattern(100, 2), arena.subarray(500)];
    arena.set(pattern(1000, 3));
    t.is(await ring.exec(send(client, parts)), 1110);
    t.deepEqual(await receiveAll(ring, server, 1110), Buffer.concat(parts));
  });
});

test('a send that fails says to whom', async (t) => {
  await withRing({}, async (ring) => {
    const sender = await open(t, ring, 'unix', 'dgram');
    for (const operation of [
      send(sender, Buffer.from('x'), { to: { path: '/nowhere.sock' } }),
      send(sender, [Buffer.from('x')], { to: { path: '/nowhere.sock' } }),
    ]) {
      const error = await failure(t, ring, operation);
      t.is(error.code, 'ENOENT');
      t.is(error.address, '/nowhere.sock');
    }
    const list = await failure(t, ring, send(await open(t, ring, 'IPv4', 'stream'), [Buffer.from('x')]));
    t.is(list.code, 'EPIPE');
  });
});

test('a list that the kernel refuses says what it may be', async (t) => {
  await withRing({}, async (ring) => {
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const wrong = { bytes: Uint8Array.of(2, 0, 0) };
    const error = await failure(t, ring, send(sender, [Buffer.from('x')], { to: wrong }));
    t.is(error.code, 'EINVAL');
    t.regex(error.message, /a list of buffers needs Linux 6.17/);
    const plain = await failure(t, ring, send(sender, Buffer.from('x'), { to: wrong }));
    t.notRegex(plain.message, /list/);
  });
});

test('flags of the message reach the kernel', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, at } = await bound(t, ring);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const nothing = await failure(t, ring, recv(fd, Buffer.alloc(4), { messageFlags: DONTWAIT }));
    t.is(nothing.code, 'EAGAIN');
    await ring.exec(send(sender, Buffer.from('a long one'), { to: at }));
    const small = Buffer.alloc(4);
    t.is(await ring.exec(recv(fd, small, { messageFlags: PEEK })), 4);
    t.is(await ring.exec(recv(fd, small, { messageFlags: PEEK | TRUNC })), 10);
    t.is(small.toString(), 'a lo');
    const arena = ring.alloc(4);
    t.is(await ring.exec(recv(fd, arena, { messageFlags: TRUNC })), 10);
    t.is(arena.toString(), 'a lo');
    await ring.exec(send(sender, Buffer.from('poll first'), { to: at, pollFirst: true }));
    t.is(await ring.exec(recv(fd, Buffer.alloc(16), { pollFirst: true })), 10);
  });
});

test('a lease of a datagram that did not fit is no longer than its buffer', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 8 });
    const { fd, at } = await bound(t, ring);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    await ring.exec(send(sender, Buffer.from('0123456789'), { to: at }));
    const lease = await ring.exec(recv(fd, buffers, { messageFlags: TRUNC }));
    t.is(lease?.data.toString(), '01234567');
    lease?.release();
  });
});

/** Provides these texts, in this order. */
function provide(buffers: BufferRing, ...texts: readonly string[]): void {
  for (const one of texts) {
    const lease = buffers.take();
    if (lease === undefined) throw new Error('no buffer left to take');
    lease.provide(lease.data.write(one));
  }
}

test('sends from a buffer ring send what was provided, in order, and free it for taking', async (t) => {
  await withRing({}, async (ring) => {
    const outgoing = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16, provide: 'manually' });
    const [client, server] = await tcpPair(t, ring);
    for (let round = 0; round < 10; round += 1) {
      provide(outgoing, 'one ', 'two ', 'three ', 'four');
      t.is(outgoing.take(), undefined);
      const sent = Array.from({ length: 4 }, () => ring.exec(send(client, outgoing)));
      t.deepEqual(await Promise.all(sent), [4, 4, 6, 4]);
      t.is((await receiveAll(ring, server, 18)).toString(), 'one two three four');
      t.is(outgoing.lent, 0);
    }
    const empty = await failure(t, ring, send(client, outgoing));
    t.is(empty.code, 'ENOBUFS');
  });
});

test('a bundle sends everything that is provided at once', async (t) => {
  await withRing({}, async (ring) => {
    const outgoing = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 16, provide: 'manually' });
    const [client, server] = await unixPair(t, ring);
    for (let round = 0; round < 5; round += 1) {
      provide(outgoing, 'one ', 'two ', 'three ', 'four ', 'five');
      const sent: number[] = [];
      for await (const bytes of ring.multishot(sendBundle(client, outgoing))) sent.push(bytes);
      t.deepEqual(sent, [23]);
      t.is((await receiveAll(ring, server, 23)).toString(), 'one two three four five');
    }
    await t.throwsAsync(ring.multishot(sendBundle(client, outgoing)).next(), { code: 'ENOBUFS' });
    t.is(ring.inFlight, 0);
  });
});

test('recv with bundle takes several buffers at once', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 4 });
    const [client, server] = await tcpPair(t, ring);
    await ring.exec(send(client, Buffer.from('0123456789')));
    await eventually(async () => (await ring.exec(receiveQueueBytes(server))) === 10);
    const all: BufferLease[] = [];
    // The kernel begins with one buffer and one more try (io_uring/net.c, IORING_RECV_RETRY), so it may take two calls.
    while (text(...all).length < 10) all.push(...(await ring.exec(recv(server, buffers, { bundle: true }))));
    t.deepEqual(
      all.map(({ data }) => data.toString()),
      ['0123', '4567', '89'],
    );
    t.is(buffers.lent, 3);
    for (const lease of all) lease.release();
    await ring.exec(shutdown(client, 'write'));
    t.deepEqual(await ring.exec(recv(server, buffers, { bundle: true })), []);
    t.is(buffers.lent, 0);
  });
});

test('recvMultishot with bundles yields all of a stream, also when the buffers run out', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 512 });
    const [client, server] = await tcpPair(t, ring);
    const bytes = pattern(300_000);
    const sent = (async () => {
      for (let at = 0; at < bytes.length; ) at += await ring.exec(send(client, bytes.subarray(at)));
      await ring.exec(shutdown(client, 'write'));
    })();
    const chunks: Buffer[] = [];
    let most = 0;
    for await (const leases of ring.multishot(recvMultishot(server, buffers, { bundle: true }))) {
      most = Math.max(most, leases.length);
      for (const lease of leases) {
        chunks.push(Buffer.from(lease.data));
        lease.release();
      }
    }
    await sent;
    t.true(Buffer.concat(chunks).equals(bytes));
    t.true(most > 1, 'no bundle had more than one buffer');
    t.is(buffers.lent, 0);
  });
});

test('bundles that nobody takes give their buffers back', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 16, sizeBytes: 16 });
    const [client, server] = await tcpPair(t, ring);
    const stream = ring.multishot(recvMultishot(server, buffers, { bundle: true }));
    await ring.exec(send(client, pattern(100)));
    const { value: taken } = await stream.next();
    await ring.exec(send(client, pattern(100)));
    await eventually(() => buffers.lent > (taken?.length ?? 0));
    await stream.return();
    t.is(buffers.lent, taken?.length ?? 0);
    for (const lease of taken ?? []) lease.release();
    // Released buffers go back with the next system call.
    await ring.exec(nop());
    t.is(buffers.lent, 0);
  });
});

test('recvMultishot stops after totalBytes, however it was interrupted, and leaves the rest', async (t) => {
  await withRing({}, async (ring) => {
    // Fewer buffers than needed: the operation ends with ENOBUFS in between, and is started again.
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
    const [client, server] = await tcpPair(t, ring);
    const bytes = pattern(200);
    await ring.exec(send(client, bytes));
    const chunks: Buffer[] = [];
    for await (const lease of ring.multishot(recvMultishot(server, buffers, { totalBytes: 100 }))) {
      chunks.push(Buffer.from(lease.data));
      lease.release();
    }
    const first = Buffer.concat(chunks);
    // The last buffer may be filled beyond the limit, which is only looked at afterwards.
    t.true(first.length >= 100 && first.length < 108, `${first.length} bytes`);
    t.deepEqual(Buffer.concat([first, await receiveAll(ring, server, 200 - first.length)]), bytes);
    t.is(ring.inFlight, 0);
  });
});

test('recvMultishot with turnBytes still receives everything', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 64 });
    const [client, server] = await tcpPair(t, ring);
    const bytes = pattern(5000);
    await ring.exec(send(client, bytes));
    await ring.exec(shutdown(client, 'write'));
    const chunks: Buffer[] = [];
    for await (const lease of ring.multishot(recvMultishot(server, buffers, { turnBytes: 10 }))) {
      // Each turn takes its ten bytes and no more.
      t.true(lease.data.byteLength <= 10);
      chunks.push(Buffer.from(lease.data));
      lease.release();
    }
    t.deepEqual(Buffer.concat(chunks), bytes);
  });
});

test('recvMultishot goes on behind empty datagrams', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
    const name = abstractName();
    const fd = await open(t, ring, 'unix', 'dgram');
    await ring.exec(bind(fd, name));
    const sender = await open(t, ring, 'unix', 'dgram');
    const stream = ring.multishot(recvMultishot(fd, buffers));
    for (const one of ['first', '', '', 'last'])
      await ring.exec(send(sender, Buffer.from(one), { to: name }));
    for (const one of ['first', 'last']) {
      const { value } = await stream.next();
      t.is(text(value as BufferLease), one);
      value?.release();
    }
    await stream.return();
    t.is(buffers.lent, 0);
  });
});

test('sendZc sends registered memory and other, and frees it afterwards', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    const registered = ring.alloc(20_000);
    registered.set(pattern(20_000, 7));
    for (const memory of [registered, pattern(20_000, 8)]) {
      const received = receiveAll(ring, server, 20_000);
      const { bytes, copied } = await ring.exec(
        sendZc(client, memory, { reportUsage: true, messageFlags: WAITALL }),
      );
      t.is(bytes, 20_000);
      // Loopback always copies (net/core/skbuff.c, skb_orphan_frags_rx).
      t.true(copied);
      t.deepEqual(await received, Buffer.from(memory));
    }
    t.is(await ring.exec(sendZc(client, registered.subarray(0, 30))), 30);
    t.is(await ring.exec(sendZc(client, [registered.subarray(0, 10), registered.subarray(50, 60)])), 20);
    t.is(ring.inFlight, 0);
  });
});

test('read by hand, sendZc completes twice: the bytes, then the notification', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    ring.prep(sendZc(client, ring.alloc(1000), { reportUsage: true }), 'sent');
    ring.submit();
    const receiving = ring.exec(recv(server, Buffer.alloc(1000), { messageFlags: WAITALL }));
    await receiving;
    waitFor(ring, 2);
    const [first, second] = reap(ring);
    t.deepEqual(first?.result, { bytes: 1000, copied: undefined });
    t.true(first?.hasMore);
    t.true(second?.isNotification);
    t.true((second?.res ?? 0) < 0);
    t.is(second?.userData, 'sent');
    t.true(second?.ok);
  });
});

test('sendZc on a socket that only copies is refused by the kernel', async (t) => {
  await withRing({}, async (ring) => {
    const [client] = await unixPair(t, ring);
    const error = await failure(t, ring, sendZc(client, ring.alloc(16)));
    t.is(error.code, 'ENOTSUP');
    t.is(error.syscall, 'sendZc');
  });
});

test('options of a socket make its sends short, and the rest can be sent', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    await ring.exec(setsockopt(client, 'SO_SNDBUF', 4096));
    const bytes = pattern(4_000_000);
    const sent = await ring.exec(send(client, bytes, { messageFlags: DONTWAIT }));
    t.true(sent > 0 && sent < bytes.length);
    t.deepEqual(await receiveAll(ring, server, sent), bytes.subarray(0, sent));
  });
});

test('recvZc says that there is no receive queue', async (t) => {
  await withRing({ cqeBytes: 32 }, async (ring) => {
    const [, server] = await tcpPair(t, ring);
    const error = await t.throwsAsync(ring.multishot(recvZc(server, { queue: 0 })).next(), {
      code: 'ERR_URING_UNSUPPORTED_OP',
      message: /receive queue of a network card/,
    });
    t.truthy(error);
    t.is(ring.inFlight, 0);
  });
});

test('a zero-copy send that drains, or comes after a DRAIN, is refused, also inside of a chain, and the ring goes on', async (t) => {
  await withRing({}, async (ring) => {
    const [client] = await tcpPair(t, ring);
    const { DRAIN, LINK } = SqeFlags;
    const send = () => sendZc(client, Buffer.from('behind'));
    const hour = timeout(3_600_000);
    ring.prep(hour, 'hour');
    // Each of these would stay in flight for ever, and hold up what comes after it.
    ring.prep(send(), 'drains', DRAIN);
    ring.prep(send(), 'chain', LINK);
    ring.prep(nop(), 'its end', DRAIN);
    ring.prep(nop(), 'drained', DRAIN);
    ring.prep(send(), 'behind');
    ring.submit();
    ring.registrar.syncCancel(hour);
    waitFor(ring, 6);
    const codes = new Map(reap(ring).map(({ userData, error }) => [userData, error?.code ?? 'done']));
    t.is(codes.get('drains'), 'ERR_URING_AFTER_DRAIN');
    t.is(codes.get('behind'), 'ERR_URING_AFTER_DRAIN');
    t.is(codes.get('chain'), 'ECANCELED');
    t.is(codes.get('its end'), 'ERR_URING_AFTER_DRAIN');
    t.is(codes.get('drained'), 'done');
    t.is(ring.inFlight, 0);
    // The drained operation is over, but the kernel may not have stopped deferring.
    await t.throwsAsync(ring.exec(send()), { code: 'ERR_URING_AFTER_DRAIN', message: /without zero copy/ });
    t.is(await ring.exec(nop({ result: 6 })), 6, 'the ring goes on');
  });
});
