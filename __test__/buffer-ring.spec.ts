import test, { type ExecutionContext } from 'ava';
import {
  type BufferLease,
  type BufferRing,
  type MultishotStream,
  Ring,
  recv,
  recvMultishot,
  type UringError,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import {
  endSocketHelper,
  type Listener,
  listen,
  numbered,
  type Pair,
  pair,
  pairOn,
  write,
} from './_sockets.ts';
import { settle, soon, until } from './_until.ts';

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

/** Receives into a buffer of the ring and keeps it. */
async function borrow(ring: Ring, { fd, peer }: Pair, buffers: BufferRing): Promise<BufferLease> {
  await write(peer, 'kept');
  const lease = await ring.exec(recv(fd, buffers));
  return lease as BufferLease;
}

interface Starved extends Pair {
  readonly stream: MultishotStream<BufferLease | null>;
  /** The first result, which waits for a buffer. */
  readonly next: Promise<IteratorResult<BufferLease | null, undefined>>;
}

/** A stream that has found no buffer for `data` (or for the end, if there is none) and waits. */
async function starve(
  t: ExecutionContext<unknown>,
  ring: Ring,
  listener: Listener,
  buffers: BufferRing,
  data?: string,
): Promise<Starved> {
  const connected = await pairOn(t, ring, listener);
  if (data === undefined) connected.peer.end();
  else await write(connected.peer, data);
  const stream = ring.multishot(recvMultishot(connected.fd, buffers));
  const next = stream.next();
  t.true(ring.inFlight > 0);
  await until(() => ring.inFlight === 0);
  return { ...connected, stream, next };
}

test('a lease holds what arrived until it is released, and then the kernel fills its buffer again', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const first = await borrow(ring, connected, buffers);
    t.is(first.data.toString(), 'kept');
    t.is(buffers.lent, 1);
    first.release();
    await write(connected.peer, 'anew');
    const second = (await ring.exec(recv(connected.fd, buffers))) as BufferLease;
    t.is(second.id, first.id);
    t.is(second.data.toString(), 'anew');
    // The same memory, as the first lease's view shows: nothing is copied.
    t.is(first.data.buffer, second.data.buffer);
    t.is(first.data.toString(), 'anew');
    second.release();
    await settle();
    t.is(buffers.lent, 0);
  });
});

test('a lease is released exactly once', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
    const lease = await borrow(ring, connected, buffers);
    lease.release();
    t.throws(() => lease.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    t.notThrows(() => lease[Symbol.dispose]());
    await settle();
    t.is(buffers.lent, 0);
    const disposed = await borrow(ring, connected, buffers);
    disposed[Symbol.dispose]();
    t.throws(() => disposed.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    // Both buffers are there, each once: two can be lent and a third cannot.
    const [one, two] = [await borrow(ring, connected, buffers), await borrow(ring, connected, buffers)];
    t.deepEqual([one.id, two.id].sort(), [0, 1]);
    await write(connected.peer, 'late');
    await t.throwsAsync(ring.exec(recv(connected.fd, buffers)), { code: 'ENOBUFS' });
    one.release();
    two.release();
  });
});

test('releases of one turn reach the kernel together, without a system call each', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 4 });
    for (let round = 0; round < 20; round += 1) {
      await write(peer, numbered(256));
      const leases: BufferLease[] = [];
      let bytes = 0;
      while (bytes < 256) {
        const lease = (await ring.exec(recv(fd, buffers))) as BufferLease;
        leases.push(lease);
        bytes += lease.data.length;
      }
      t.is(buffers.lent, leases.length);
      const { enters } = ring.stats();
      for (const lease of leases) lease.release();
      t.is(ring.stats().enters, enters);
      await settle();
      t.is(buffers.lent, 0);
    }
  });
});

test('more releases in one turn than are passed on at a time are not lost', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    // The list of releases has 4096 places.
    const buffers = ring.registrar.registerBufferRing({ entries: 8192, sizeBytes: 1 });
    await write(peer, numbered(5000));
    const leases: BufferLease[] = [];
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      leases.push(lease as BufferLease);
      if (leases.length === 5000) break;
    }
    t.is(buffers.lent, 5000);
    t.deepEqual(Buffer.concat(leases.map((lease) => lease.data)), numbered(5000));
    for (const lease of leases) lease.release();
    await settle();
    t.is(buffers.lent, 0);
  });
});

test('a buffer ring is kept while operations take from it, and is stale after it is given up', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
    const lease = await borrow(ring, connected, buffers);
    const waiting = ring.exec(recv(connected.fd, buffers));
    await settle();
    const busy = t.throws<UringError>(() => buffers.unregister(), { code: 'EBUSY' });
    t.is(busy?.syscall, 'io_uring_register');
    await write(connected.peer, 'last');
    const last = (await waiting) as BufferLease;
    buffers.unregister();
    buffers.unregister();
    // Leases stay readable, and their release is no error.
    t.is(lease.data.toString() + last.data.toString(), 'keptlast');
    lease.release();
    last.release();
    t.is(buffers.lent, 0);
    const stale = { code: 'ERR_URING_STALE_HANDLE' };
    await t.throwsAsync(ring.exec(recv(connected.fd, buffers)), stale);
    await t.throwsAsync(ring.multishot(recvMultishot(connected.fd, buffers)).next(), stale);
    t.throws(() => ring.prep(recv(connected.fd, buffers)), stale);
  });
});

test('leases of a group that is gone never reach the group that has its number now', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const old = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const lease = await borrow(ring, connected, old);
    old[Symbol.dispose]();
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    t.is(buffers.group, old.group);
    const newer = await borrow(ring, connected, buffers);
    lease.release();
    await settle();
    t.is(buffers.lent, 1);
    t.is(newer.data.toString(), 'kept');
    newer.release();
  });
});

test('a release that was still on its way when the group was given up does not reach its successor', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const old = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const lease = await borrow(ring, connected, old);
    await write(connected.peer, 'more');
    lease.release();
    old.unregister();
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    t.is(buffers.group, old.group);
    const first = (await ring.exec(recv(connected.fd, buffers))) as BufferLease;
    t.is(first.data.toString(), 'more');
    t.is(buffers.lent, 1);
    await write(connected.peer, 'none');
    await t.throwsAsync(ring.exec(recv(connected.fd, buffers)), { code: 'ENOBUFS' });
    first.release();
  });
});

test('groups of one ring are separate', async (t) => {
  await withRing({}, async (ring) => {
    const connected = await pair(t, ring);
    const small = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 2 });
    const large = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 100 });
    t.not(small.group, large.group);
    await write(connected.peer, numbered(50));
    const first = (await ring.exec(recv(connected.fd, small))) as BufferLease;
    await t.throwsAsync(ring.exec(recv(connected.fd, small)), { code: 'ENOBUFS' });
    const rest = (await ring.exec(recv(connected.fd, large))) as BufferLease;
    t.deepEqual(Buffer.concat([first.data, rest.data]), numbered(50));
    t.deepEqual([small.lent, large.lent], [1, 1]);
    first.release();
    await settle();
    t.deepEqual([small.lent, large.lent], [0, 1]);
    rest.release();
  });
});

test('a buffer ring serves its own ring only', async (t) => {
  await withRing({}, async (ring) => {
    await withRing({}, async (other) => {
      const buffers = other.registrar.registerBufferRing({ entries: 1 });
      const { fd } = await pair(t, ring);
      const foreign = { code: 'ERR_URING_FOREIGN_RING' };
      await t.throwsAsync(ring.exec(recv(fd, buffers)), foreign);
      await t.throwsAsync(ring.multishot(recvMultishot(fd, buffers)).next(), foreign);
      t.is(ring.inFlight, 0);
    });
  });
});

test('leases outlive their ring', async (t) => {
  const ring = new Ring();
  const connected = await pair(t, ring);
  const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
  const lease = await borrow(ring, connected, buffers);
  await ring.close();
  t.is(lease.data.toString(), 'kept');
  t.is(buffers.lent, 0);
  t.notThrows(() => lease.release());
  t.throws(() => lease.release(), { code: 'ERR_URING_LEASE_RELEASED' });
  t.notThrows(() => buffers.unregister());
});

test('a stream whose buffers are all lent waits for one, and then loses nothing', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    const data = numbered(10_000);
    peer.end(data);
    const held: BufferLease[] = [];
    const seen: Buffer[] = [];
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      seen.push(Buffer.from(lease!.data));
      held.push(lease!);
      // Both are out and the stream has stopped, before one comes back.
      if (held.length === 2) {
        await until(() => ring.inFlight === 0);
        t.is(buffers.lent, 2);
        held.shift()!.release();
      }
    }
    t.is(Buffer.compare(Buffer.concat(seen), data), 0);
    for (const lease of held) lease.release();
  });
});

test('starved streams are served one buffer each, those that have waited longest first', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const starved = [];
    for (const name of ['a', 'b', 'c', 'd']) starved.push(await starve(t, ring, listener, buffers, name));
    const order: string[] = [];
    const all = starved.map(async ({ next, stream }) => {
      const { value: lease } = await next;
      order.push(lease!.data.toString());
      lease!.release();
      await stream.return();
    });
    held.release();
    await soon(Promise.all(all), 'a buffer for each');
    t.deepEqual(order, ['a', 'b', 'c', 'd']);
    await settle();
    t.is(buffers.lent, 0);
  });
});

test('a starved stream that finds the end passes its buffer on to the next', async (t) => {
  // Seen: the end takes no buffer, so no release followed, and the second stream waited for ever.
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const ended = await starve(t, ring, listener, buffers);
    const fed = await starve(t, ring, listener, buffers, 'data');
    held.release();
    t.true((await soon(ended.next, 'the end')).done);
    const { value: lease } = await soon(fed.next, 'the data');
    t.is(lease?.data.toString(), 'data');
    lease?.release();
    await fed.stream.return();
  });
});

test('a starved stream that is stopped as its buffer comes passes it on to the next', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const stopped = await starve(t, ring, listener, buffers, 'unread');
    const fed = await starve(t, ring, listener, buffers, 'data');
    held.release();
    await soon(stopped.stream.return(), 'the stop');
    t.true((await soon(stopped.next, 'the end')).done);
    const { value: lease } = await soon(fed.next, 'the data');
    t.is(lease?.data.toString(), 'data');
    lease?.release();
    await fed.stream.return();
  });
});

test('a starved stream whose data another reader took does not keep the buffer from the next', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const robbed = await starve(t, ring, listener, buffers, 'taken');
    const fed = await starve(t, ring, listener, buffers, 'data');
    t.is(await ring.exec(recv(robbed.fd, Buffer.alloc(8))), 5);
    held.release();
    const { value: lease } = await soon(fed.next, 'the data');
    t.is(lease?.data.toString(), 'data');
    lease?.release();
    await robbed.stream.return();
    t.true((await robbed.next).done);
    await fed.stream.return();
  });
});

test('a stream that waits for a buffer ends with ECANCELED when its ring closes', async (t) => {
  // Seen: nothing of it was in flight, so nobody settled it, and `next` never did.
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const { next, stream } = await starve(t, ring, listener, buffers, 'data');
    const refused = t.throwsAsync(soon(next, 'an error'), { code: 'ECANCELED' });
    await ring.close();
    await refused;
    t.true((await stream.next()).done);
    held.release();
  });
});

test('a stream that waits for a buffer ends with an error when its buffers are given up', async (t) => {
  // Seen: as above.
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const { next, stream } = await starve(t, ring, listener, buffers, 'data');
    const refused = t.throwsAsync(soon(next, 'an error'), { code: 'ERR_URING_STALE_HANDLE' });
    buffers.unregister();
    await refused;
    t.true((await stream.next()).done);
    held.release();
  });
});

test('a stream that waits for a buffer can be stopped', async (t) => {
  await withRing({}, async (ring) => {
    const listener = await listen(t);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    const held = await borrow(ring, await pairOn(t, ring, listener), buffers);
    const { next, stream } = await starve(t, ring, listener, buffers, 'data');
    t.deepEqual(await stream.return(), { done: true, value: undefined });
    t.true((await next).done);
    held.release();
    await settle();
    t.is(buffers.lent, 0);
    t.is(ring.inFlight, 0);
  });
});
