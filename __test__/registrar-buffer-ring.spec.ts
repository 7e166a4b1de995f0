import test from 'ava';
import {
  asyncCancel,
  type BufferLease,
  type BufferRing,
  MessageFlags,
  type Ring,
  recv,
  recvMultishot,
  SqeFlags,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { range, refuses, type, value, wrong } from './_refusals.ts';
import { endSocketHelper, numbered, type Pair, pair, write } from './_sockets.ts';
import { settle } from './_until.ts';

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

async function receive(
  ring: Ring,
  { fd, peer }: Pair,
  buffers: BufferRing,
  data: string,
): Promise<BufferLease> {
  await write(peer, data);
  return (await ring.exec(recv(fd, buffers))) as BufferLease;
}

test('an incremental buffer is used up piece by piece, and goes back when its last lease is released', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8, incremental: true });
    t.true(buffers.incremental);
    const first = await receive(ring, connected, buffers, 'abc');
    const second = await receive(ring, connected, buffers, 'def');
    t.deepEqual([first.id, second.id], [0, 0]);
    t.is(first.data.buffer, second.data.buffer);
    t.is(second.data.byteOffset - first.data.byteOffset, 3);
    t.is(buffers.lent, 0, 'the kernel still has room in it');
    const third = await receive(ring, connected, buffers, 'gh');
    t.is(buffers.lent, 1);
    t.is([first, second, third].map(({ data }) => data.toString()).join(), 'abc,def,gh');
    first.release();
    third.release();
    t.throws(() => third.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    await settle();
    t.is(buffers.lent, 1, 'one lease is out');
    t.is(second.data.toString(), 'def');
    second.release();
    ring.submit();
    t.is(buffers.lent, 0);
    // The other buffer is next, then the first from its start.
    const filled = await receive(ring, connected, buffers, '01234567');
    t.is(filled.id, 1);
    filled.release();
    const again = await receive(ring, connected, buffers, 'xyz');
    t.deepEqual([again.id, again.data.byteOffset], [0, first.data.byteOffset]);
    t.is(again.data.toString(), 'xyz');
    again.release();
  });
});

// Seen with random operations: a datagram of 4000 bytes used up buffers of 1024 that nobody was told of.
test('the whole size of a datagram cannot be asked for with an incremental ring', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8, incremental: true });
    const refused = { code: 'ERR_INVALID_ARG_VALUE', message: /TRUNC, which loses buffers/ };
    t.throws(() => recv(0, buffers, { messageFlags: MessageFlags.TRUNC }), refused);
    t.throws(() => recvMultishot(0, buffers, { messageFlags: MessageFlags.TRUNC }), refused);
    t.notThrows(() => recv(0, buffers, { messageFlags: MessageFlags.PEEK }));
  });
});

test('a stream over an incremental ring gets every byte, however small the messages are', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 1024, incremental: true });
    const all = numbered(100_000);
    const sending = (async () => {
      for (let at = 0, size = 1; at < all.length; at += size, size = (size * 7) % 1999) {
        await write(peer, all.subarray(at, at + size));
      }
      peer.end();
    })();
    const got: Buffer[] = [];
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      got.push(Buffer.from(lease.data));
      lease.release();
    }
    await sending;
    t.deepEqual(Buffer.concat(got), all);
  });
});

test('a ring of entries that the kernel allocates works as one of ours', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 64, mmap: true });
    for (const word of ['one', 'two', 'three', 'four', 'five']) {
      const lease = await receive(ring, connected, buffers, word);
      t.is(lease.data.toString(), word);
      lease.release();
    }
    ring.submit();
    t.deepEqual(buffers.status(), { head: 5, available: 2, lent: 0 });
    buffers.unregister();
    t.throws(() => buffers.status(), { code: 'ERR_URING_STALE_HANDLE' });
  });
});

test('status tells what the kernel has taken, can take and has lent', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
    t.deepEqual(buffers.status(), { head: 0, available: 4, lent: 0 });
    const lease = await receive(ring, connected, buffers, 'kept');
    t.deepEqual(buffers.status(), { head: 1, available: 3, lent: 1 });
    lease.release();
    ring.submit();
    t.deepEqual(buffers.status(), { head: 1, available: 4, lent: 0 });
  });
});

test('buffers of a manual ring are taken, and provided with a length or released unused', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16, provide: 'manually' });
    t.is(buffers.provide, 'manually');
    t.deepEqual(buffers.status(), { head: 0, available: 0, lent: 0 });
    const [one, two] = [buffers.take(), buffers.take()] as [BufferLease, BufferLease];
    t.deepEqual([one.id, two.id], [0, 1]);
    t.is(one.data.length, 16);
    t.is(buffers.lent, 2);
    t.is(buffers.take(), undefined);
    one.data.write('hello');
    one.provide(5);
    t.deepEqual(buffers.status(), { head: 0, available: 1, lent: 1 });
    t.throws(() => one.provide(5), { code: 'ERR_URING_LEASE_RELEASED' });
    t.throws(() => one.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    t.is(buffers.take(), undefined, 'the kernel has it');
    two.release();
    ring.submit();
    t.is(buffers.lent, 0);
    const again = buffers.take();
    t.is(again?.id, two.id);
    for (const wrongLength of [0, 17, 1.5]) {
      t.throws(() => again?.provide(wrongLength), { code: 'ERR_OUT_OF_RANGE' });
    }
    again?.provide(16);
    buffers.unregister();
  });
});

test('a buffer that the kernel lends is no buffer to provide', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    t.throws(() => buffers.take(), { code: 'ERR_INVALID_STATE', message: /provide: 'manually'/ });
    const lease = await receive(ring, connected, buffers, 'mine');
    t.throws(() => lease.provide(4), { code: 'ERR_INVALID_STATE' });
    lease.release();
  });
});

test('options of a buffer ring are checked', async (t) => {
  await withRing({}, async (ring) => {
    const register = (options: object) => () => ring.registrar.registerBufferRing(wrong(options));
    const cases = [
      value(
        'provide',
        register({ provide: 'never' }),
        /"options.provide" must be one of: automatically, manually/,
      ),
      type(
        'incremental',
        register({ incremental: 1 }),
        /"options.incremental" argument must be of type bool/,
      ),
      type('mmap', register({ mmap: 'yes' }), /"options.mmap" argument must be of type boolean/),
      value('both', register({ provide: 'manually', incremental: true }), /is for receiving/),
      range('entries', register({ entries: 3, mmap: true }), /a power of two/),
    ];
    for (const one of cases) await refuses(t, ring, one);
  });
});

test('a buffer that an operation took before it failed goes back', async (t) => {
  // Seen on 6.18: a worker thread takes the buffer before it receives, and keeps it when the receive is cancelled.
  await withRing({}, async (ring) => {
    const { fd } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    for (let round = 0; round < 5; round += 1) {
      let ended = false;
      const waiting = ring.exec(recv(fd, buffers, { flags: SqeFlags.ASYNC })).finally(() => {
        ended = true;
      });
      const cancelled = t.throwsAsync(waiting, { code: 'ECANCELED' });
      // On its way from one thread to another it is not found.
      while (!ended) {
        await settle();
        await ring.exec(asyncCancel({ fd, all: true }));
      }
      await cancelled;
    }
    ring.submit();
    t.is(buffers.lent, 0);
    t.is(buffers.status().available, 2);
  });
});
