import { once } from 'node:events';
import { closeSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import {
  acceptMultishot,
  asyncCancel,
  type BufferLease,
  type Completion,
  nop,
  PollEvents,
  pollAdd,
  pollMultishot,
  Ring,
  recv,
  recvMultishot,
  send,
  timeout,
  timeoutMultishot,
  type UringError,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { endSocketHelper, listen, numbered, pair, write } from './_sockets.ts';
import { settle, soon, until } from './_until.ts';

/** Results that wait for a slow consumer before its stream pauses. */
const WAITING_MAX = 64;
const DONE = { done: true, value: undefined } as const;

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

/** A connection and one-byte buffers, so that every byte is a result. */
async function bytewise(t: ExecutionContext<unknown>, ring: Ring, entries: number) {
  const connected = await pair(t, ring);
  const buffers = ring.registrar.registerBufferRing({ entries, sizeBytes: 1 });
  return { ...connected, buffers, stream: ring.multishot(recvMultishot(connected.fd, buffers)) };
}

async function collect(stream: AsyncIterable<BufferLease | null>): Promise<Buffer> {
  const seen: Buffer[] = [];
  for await (const lease of stream) {
    seen.push(Buffer.from(lease!.data));
    lease!.release();
  }
  return Buffer.concat(seen);
}

test('a stream carries more data than all its buffers hold, in order', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 1000 });
    const data = numbered(2_000_000);
    peer.end(data);
    const seen = await collect(ring.multishot(recvMultishot(fd, buffers)));
    t.is(Buffer.compare(seen, data), 0);
    await settle();
    t.is(buffers.lent, 0);
    t.is(ring.inFlight, 0);
  });
});

test('a stream starts with the first next, and ends once', async (t) => {
  await withRing({}, async (ring) => {
    const { peer, buffers, stream } = await bytewise(t, ring, 4);
    await write(peer, 'x');
    await settle();
    t.is(ring.inFlight, 0);
    t.is(buffers.lent, 0);
    const first = await stream.next();
    first.value?.release();
    t.is(first.value?.data.toString(), 'x');
    peer.end();
    t.deepEqual(await stream.next(), DONE);
    t.deepEqual(await stream.next(), DONE);
    t.deepEqual(await stream.return(), DONE);
  });
});

test('the end of a TCP stream is found without asking the kernel again and again', async (t) => {
  // Seen: TCP says SOCK_NONEMPTY after its FIN, and the stream took 256 submissions to believe in the end.
  await withRing({}, async (ring) => {
    const { peer, stream } = await bytewise(t, ring, 4);
    peer.end('x');
    await once(peer, 'finish');
    const { submitted } = ring.stats();
    const seen = await collect(stream);
    t.is(seen.toString(), 'x');
    t.true(ring.stats().submitted - submitted <= 8);
  });
});

test('results go to the calls of next in the order of the calls', async (t) => {
  await withRing({}, async (ring) => {
    const { peer, stream } = await bytewise(t, ring, 8);
    const calls = Array.from({ length: 6 }, () => stream.next());
    peer.end('abcd');
    const results = await Promise.all(calls);
    t.is(results.map(({ value }) => value?.data.toString() ?? '-').join(''), 'abcd--');
    for (const { value } of results) value?.release();
  });
});

test('a stream whose consumer is slow is stopped, and started again without a loss', async (t) => {
  await withRing({}, async (ring) => {
    const { peer, buffers, stream } = await bytewise(t, ring, 1024);
    const data = numbered(500);
    const first = await Promise.all([stream.next(), write(peer, data.subarray(0, 1))]);
    first[0].value?.release();
    for (let at = 1; ring.inFlight > 0; at += 1) {
      t.true(at <= WAITING_MAX + 1, 'it should have been stopped by now');
      await write(peer, data.subarray(at, at + 1));
      await until(() => buffers.lent === at || ring.inFlight === 0);
      await settle();
    }
    t.is(buffers.lent, WAITING_MAX);
    await write(peer, data.subarray(1 + WAITING_MAX));
    peer.end();
    await settle();
    t.is(buffers.lent, WAITING_MAX);
    t.is(ring.inFlight, 0);
    const rest = await collect(stream);
    t.is(Buffer.compare(rest, data.subarray(1)), 0);
  });
});

test('a stream that was stopped for a slow consumer can be given up', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer, buffers, stream } = await bytewise(t, ring, 1024);
    await write(peer, numbered(300));
    const { value: first } = await stream.next();
    await until(() => ring.inFlight === 0);
    t.true(buffers.lent > WAITING_MAX);
    await stream.return();
    await settle();
    t.is(buffers.lent, 1);
    first?.release();
    await settle();
    t.is(buffers.lent, 0);
    // What the kernel had not handed over is still in the socket.
    peer.end('end');
    let rest = '';
    const buffer = Buffer.alloc(64);
    for (let bytes = -1; bytes !== 0; ) {
      bytes = await ring.exec(recv(fd, buffer));
      rest += buffer.toString('latin1', 0, bytes);
    }
    t.true(rest.endsWith('end'));
  });
});

test('a multishot operation that the kernel ends is started again', async (t) => {
  // A completion queue without room makes the kernel end it (io_uring/net.c, io_recv_finish).
  await withRing({ entries: 2, cqEntries: 2 }, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 100 });
    const data = numbered(50_000);
    peer.end(data);
    const { submitted } = ring.stats();
    const seen = await collect(ring.multishot(recvMultishot(fd, buffers)));
    t.is(Buffer.compare(seen, data), 0);
    t.true(ring.stats().submitted - submitted > 1, 'it was started once only: the test proves nothing');
  });
});

for (const [way, leave] of [
  ['break', () => 'stop'],
  [
    'an exception',
    () => {
      throw new RangeError('of the consumer');
    },
  ],
] as const) {
  test(`leaving the loop by ${way} stops the operation and returns what was not taken`, async (t) => {
    await withRing({}, async (ring) => {
      const { peer, buffers, stream } = await bytewise(t, ring, 128);
      await write(peer, numbered(100));
      let taken = 0;
      const loop = async (): Promise<void> => {
        for await (const lease of stream) {
          taken += 1;
          lease?.release();
          if (taken === 3 && leave() === 'stop') break;
        }
      };
      if (way === 'break') await loop();
      else await t.throwsAsync(loop(), { instanceOf: RangeError, message: 'of the consumer' });
      t.is(taken, 3);
      t.is(ring.inFlight, 0);
      await settle();
      t.is(buffers.lent, 0);
      t.deepEqual(await stream.next(), DONE);
      buffers.unregister();
    });
  });
}

test('return ends the calls of next that wait, and stops the operation', async (t) => {
  await withRing({}, async (ring) => {
    const { buffers, stream } = await bytewise(t, ring, 4);
    const waiting = [stream.next(), stream.next()];
    await settle();
    t.is(ring.inFlight, 1);
    t.deepEqual(await stream.return(), DONE);
    t.deepEqual(await Promise.all(waiting), [DONE, DONE]);
    t.is(ring.inFlight, 0);
    t.is(buffers.lent, 0);
    const unstarted = ring.multishot(pollMultishot(ring.fd, PollEvents.IN));
    t.deepEqual(await unstarted.return(), DONE);
    t.deepEqual(await unstarted.next(), DONE);
  });
});

test('return in the turn of the first next leaves nothing behind', async (t) => {
  await withRing({}, async (ring) => {
    const { peer, buffers, stream } = await bytewise(t, ring, 4);
    await write(peer, 'abc');
    const waiting = stream.next();
    await stream.return();
    t.deepEqual(await waiting, DONE);
    await settle();
    t.is(buffers.lent, 0);
    t.is(ring.inFlight, 0);
  });
});

test('return and asyncDispose may be called several times, also at once', async (t) => {
  // Seen: the second call took the place of the first, which never settled.
  await withRing({}, async (ring) => {
    const { stream } = await bytewise(t, ring, 4);
    const waiting = stream.next();
    await settle();
    const stopped = Promise.all([stream.return(), stream.return(), stream[Symbol.asyncDispose]()]);
    t.deepEqual(await soon(stopped, 'the stop'), [DONE, DONE, undefined]);
    t.deepEqual(await waiting, DONE);
    t.deepEqual(await stream.return(), DONE);
  });
});

test('closing the ring ends a stream with ECANCELED, after what had arrived', async (t) => {
  await withRing({}, async (ring) => {
    const { peer, buffers, stream } = await bytewise(t, ring, 8);
    const first = stream.next();
    await write(peer, 'ab');
    await first;
    await until(() => buffers.lent === 2);
    await ring.close();
    const second = await stream.next();
    t.is(second.value?.data.toString(), 'b');
    await t.throwsAsync(stream.next(), { code: 'ECANCELED' });
    t.deepEqual(await stream.next(), DONE);
  });
});

test('closing the ring ends a call of next that waits with ECANCELED', async (t) => {
  await withRing({}, async (ring) => {
    const { stream } = await bytewise(t, ring, 8);
    const waiting = t.throwsAsync(stream.next(), { code: 'ECANCELED' });
    const started = t.throwsAsync(ring.multishot(timeoutMultishot(3_600_000)).next(), { code: 'ECANCELED' });
    await settle();
    await ring.close();
    await Promise.all([waiting, started]);
  });
});

test('a stream that is first asked when its ring is closed says so', async (t) => {
  const ring = new Ring();
  const stream = ring.multishot(timeoutMultishot(1));
  await ring.close();
  const closed = { code: 'ERR_URING_CLOSED' };
  await t.throwsAsync(stream.next(), closed);
  t.deepEqual(await stream.next(), DONE);
  t.deepEqual(await stream.return(), DONE);
  t.throws(() => ring.multishot(timeoutMultishot(1)), closed);
});

test('a stream that overflows while its ring closes is no uncaught exception', async (t) => {
  // Seen: stopping it for its slow consumer threw ERR_URING_CLOSED in the middle of the delivery.
  await withRing({}, async (ring) => {
    const { peer, stream } = await bytewise(t, ring, 256);
    await write(peer, numbered(200));
    const first = stream.next();
    // Submitted and collected, while nothing is delivered before the next turn.
    while (ring.cqReady < 200) ring.submit();
    const closed = ring.close();
    t.is((await first).value?.data.length, 1);
    let more = 1;
    const rest = (async () => {
      for await (const _ of stream) more += 1;
    })();
    const error = await t.throwsAsync<UringError>(soon(rest, 'the end'));
    t.regex(error?.code ?? '', /^(ECANCELED|ERR_URING_CLOSED)$/);
    await closed;
    t.true(more > WAITING_MAX, 'too little arrived: the test proves nothing');
  });
});

test('a stream can be stopped while its ring closes', async (t) => {
  // Seen: return rejected with ERR_URING_CLOSED.
  await withRing({}, async (ring) => {
    const { stream } = await bytewise(t, ring, 4);
    const waiting = stream.next();
    await settle();
    const closed = ring.close();
    t.deepEqual(await soon(stream.return(), 'the stop'), DONE);
    t.deepEqual(await waiting, DONE);
    await closed;
  });
});

test('a stream that waits for room in the ring can be stopped', async (t) => {
  // Seen: the cancel request overtook the operation, found nothing, and the operation then ran for ever.
  await withRing({ entries: 2, cqEntries: 4 }, async (ring) => {
    const listener = await listen(t);
    const blockers = Array.from({ length: 4 }, () => timeout(3_600_000));
    const blocked = blockers.map((operation) => ring.exec(operation).catch(({ code }) => code));
    const stream = ring.multishot(acceptMultishot(listener.fd));
    const next = stream.next();
    t.is(ring.waiting, 1);
    const stopped = stream.return();
    await settle();
    await Promise.all(blockers.map((operation) => ring.exec(asyncCancel(operation))));
    t.deepEqual(await Promise.all(blocked), Array(4).fill('ECANCELED'));
    t.deepEqual(await soon(stopped, 'the stop'), DONE);
    t.deepEqual(await next, DONE);
  });
});

test('one operation can be iterated by several streams at a time', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const operation = acceptMultishot(listener.fd);
    const [one, other] = [ring.multishot(operation), ring.multishot(operation)];
    const both = [one.next(), other.next()];
    await settle();
    await Promise.race([one.return(), other.return()]);
    await Promise.all([one.return(), other.return()]);
    t.deepEqual(await Promise.all(both), [DONE, DONE]);
    t.is(ring.inFlight, 0);
  });
});

test('a stopped stream leaves an equal one alone', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const operation = acceptMultishot(listener.fd);
    const [first, second] = [ring.multishot(operation), ring.multishot(operation)];
    const [, kept] = [first.next(), second.next()];
    await settle();
    await first.return();
    t.is(ring.inFlight, 1);
    await listener.connect();
    const { value: fd } = await kept;
    closeSync(fd as number);
    await second.return();
  });
});

test('start calls back for every result of a multishot operation, and last with its end', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 4 });
    const seen: string[] = [];
    const operation = recvMultishot(fd, buffers);
    const over = new Promise<Completion['error']>((resolve) => {
      ring.start(operation, (error, lease, completion) => {
        if (!completion.hasMore) return resolve(error);
        t.is(completion.bufferId, lease?.id);
        seen.push(String(lease?.data));
        lease?.release();
        if (seen.length === 3) void ring.exec(asyncCancel(operation)).catch((error) => t.fail(String(error)));
      });
    });
    for (const part of ['one', 'two', 'last']) {
      const before = seen.length;
      await write(peer, part);
      await until(() => seen.length > before);
    }
    t.is((await over)?.code, 'ECANCELED');
    t.deepEqual(seen, ['one', 'two', 'last']);
    await settle();
    t.is(buffers.lent, 0);
  });
});

test('start tells of the end of the data and of starvation, and starts nothing again by itself', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 2 });
    const leases: BufferLease[] = [];
    const run = (): Promise<string> =>
      new Promise((resolve) => {
        ring.start(recvMultishot(fd, buffers), (error, lease, completion) => {
          if (lease) leases.push(lease);
          if (!completion.hasMore) resolve(error?.code ?? `res ${completion.res}`);
        });
      });
    await write(peer, 'abcd');
    t.is(await run(), 'ENOBUFS');
    t.is(ring.inFlight, 0);
    t.deepEqual(
      leases.map(({ data }) => String(data)),
      ['ab'],
    );
    leases.pop()?.release();
    const second = run();
    await until(() => leases.length === 1);
    t.is(String(leases[0]?.data), 'cd');
    leases.pop()?.release();
    peer.end();
    t.true(['res 0', 'ENOBUFS'].includes(await second));
  });
});

test('streams and single operations of one ring do not disturb each other', async (t) => {
  await withRing({ entries: 8 }, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 512 });
    const data = numbered(100_000);
    const answer = once(peer, 'data');
    let nops = 0;
    const busy = (async () => {
      for (; nops < 2000; nops += 1) t.is(await ring.exec(nop()), 0);
    })();
    peer.end(data);
    const seen = await collect(ring.multishot(recvMultishot(fd, buffers)));
    await Promise.all([busy, ring.exec(pollAdd(fd, PollEvents.OUT)), ring.exec(send(fd, Buffer.from('ok')))]);
    t.is(Buffer.compare(seen, data), 0);
    t.deepEqual(await answer, [Buffer.from('ok')]);
    t.is(nops, 2000);
  });
});
