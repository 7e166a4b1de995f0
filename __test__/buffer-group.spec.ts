// Provided buffers of the older kind: given and taken by operations.
import test from 'ava';
import {
  type BufferGroup,
  type BufferLease,
  provideBuffers,
  type Ring,
  recv,
  recvMultishot,
  removeBuffers,
  SqeFlags,
} from 'uring';
import { assertUsable, connection, FORMS, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { gc, leakCheck, withRing } from './_helpers.ts';
import { settle, until } from './_until.ts';

leakCheck(test);

const POOL = { entries: 4, sizeBytes: 16 } as const;
const STALE = { code: 'ERR_URING_STALE_HANDLE' };

const withGroup = (use: (ring: Ring, buffers: BufferGroup) => Promise<void>, options = {}): Promise<void> =>
  withRing({}, (ring) => use(ring, ring.createBufferGroup({ ...POOL, ...options })));

for (const form of FORMS) {
  test(`recv takes a buffer of the group, and a release provides it again (${form})`, async (t) => {
    await withGroup(async (ring, buffers) => {
      const { fd, client } = await connection(t, ring);
      const ids = new Set<number>();
      for (let round = 0; round < 12; round += 1) {
        client.write(`round ${round}`);
        await new Promise<void>((resolve) => client.write('', () => resolve()));
        const lease = (await runAs(form, ring, recv(fd, buffers))) as BufferLease;
        t.is(lease.data.toString(), `round ${round}`);
        t.is(buffers.lent, 1);
        ids.add(lease.id);
        lease.release();
        t.is(buffers.lent, 0);
        if (form === 'manual') waitFor(ring, 0);
        await settle(2);
      }
      t.deepEqual([...ids].sort(), [0, 1, 2, 3]);
    });
  });

  test(`buffers are provided and removed, as many as are said (${form})`, async (t) => {
    await withGroup(
      async (ring, buffers) => {
        await t.throwsAsync(runAs(form, ring, removeBuffers(buffers)), { code: 'ENOENT' });
        t.is(await runAs(form, ring, provideBuffers(buffers, { first: 1, count: 2 })), undefined);
        t.is(await runAs(form, ring, provideBuffers(buffers, { first: 3 })), undefined);
        t.is(await runAs(form, ring, removeBuffers(buffers, 1)), 1);
        t.is(await runAs(form, ring, removeBuffers(buffers)), 2);
        t.is(await runAs(form, ring, removeBuffers(buffers)), 0);
      },
      { provide: 'manually' },
    );
  });
}

test('a stream yields all data in order, through fewer buffers than it takes', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd, client } = await connection(t, ring);
    const sent = pattern(5000);
    client.end(sent);
    let all = Buffer.alloc(0);
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      all = Buffer.concat([all, lease.data]);
      lease.release();
    }
    t.deepEqual(all, sent);
    await until(() => ring.inFlight === 0);
    t.is(await ring.exec(removeBuffers(buffers)), POOL.entries, 'every buffer is back');
  });
});

test('without a buffer recv is ENOBUFS, and a stream waits for one', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd, client } = await connection(t, ring);
    const stream = ring.multishot(recvMultishot(fd, buffers));
    client.write(pattern(POOL.entries * POOL.sizeBytes + 8));
    const leases: BufferLease[] = [];
    while (leases.length < POOL.entries) leases.push((await stream.next()).value as BufferLease);
    t.is(buffers.lent, POOL.entries);
    const next = stream.next();
    await settle();
    await t.throwsAsync(ring.exec(recv(fd, buffers)), { code: 'ENOBUFS' });
    for (const lease of leases) lease.release();
    const { value } = await next;
    t.is((value as BufferLease).data.length, 8);
    (value as BufferLease).release();
    await stream.return();
  });
});

test('a group that was removed takes nothing and gives nothing; leases stay readable', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd, client } = await connection(t, ring);
    client.write('kept');
    const lease = (await ring.exec(recv(fd, buffers))) as BufferLease;
    await buffers.remove();
    await buffers.remove();
    t.is(lease.data.toString(), 'kept');
    lease.release();
    t.is(buffers.lent, 0);
    for (const operation of [recv(fd, buffers), provideBuffers(buffers), removeBuffers(buffers)]) {
      await t.throwsAsync(ring.exec(operation as ReturnType<typeof removeBuffers>), STALE);
    }
    t.is(ring.inFlight, 0);
    await assertUsable(t, ring);
  });
});

test('a group is not removed under an operation that takes from it', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd } = await connection(t, ring);
    const stream = ring.multishot(recvMultishot(fd, buffers));
    const next = stream.next();
    ring.submit();
    await t.throwsAsync(buffers.remove(), { code: 'EBUSY' });
    await stream.return();
    t.deepEqual(await next, { done: true, value: undefined });
    await buffers.remove();
  });
});

test('groups of one ring do not share buffers, and their numbers are used again', async (t) => {
  await withRing({}, async (ring) => {
    const groups = [ring.createBufferGroup(POOL), ring.createBufferGroup(POOL)] as const;
    t.not(groups[0].group, groups[1].group);
    t.is(await ring.exec(removeBuffers(groups[0])), 4);
    t.is(await ring.exec(removeBuffers(groups[1], 2)), 2);
    const number = groups[0].group;
    await groups[0].remove();
    t.is(ring.createBufferGroup({ ...POOL, provide: 'manually' }).group, number);
  });
});

test('the memory stays while the kernel has buffers of it, and goes with the group', async (t) => {
  await withRing({}, async (ring) => {
    const arenas = (): number => ring.stats().arenas;
    const before = arenas();
    let buffers: BufferGroup | undefined = ring.createBufferGroup({ entries: 8, sizeBytes: 4096 });
    await ring.exec(removeBuffers(buffers, 1));
    const held = arenas();
    t.true(held > before);
    await buffers.remove();
    buffers = undefined;
    await gc();
    await ring.exec(removeBuffers(ring.createBufferGroup({ entries: 1 })));
    await gc();
    t.true(arenas() <= held);
  });
});

test('a buffer lease of a group is released once, and never provided by hand', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd, client } = await connection(t, ring);
    client.write('x');
    const lease = (await ring.exec(recv(fd, buffers))) as BufferLease;
    t.throws(() => lease.provide(1), { code: 'ERR_INVALID_STATE' });
    lease.release();
    t.throws(() => lease.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    t.is(buffers.lent, 0);
  });
});

test('a group belongs to its ring', async (t) => {
  await withGroup(async (_ring, buffers) => {
    await withRing({}, async (other) => {
      await t.throwsAsync(other.exec(provideBuffers(buffers)), { code: 'ERR_URING_FOREIGN_RING' });
      await t.throwsAsync(other.exec(recv(0, buffers)), { code: 'ERR_URING_FOREIGN_RING' });
    });
  });
});

test('buffers are provided in the middle of a chain', async (t) => {
  await withGroup(
    async (ring, buffers) => {
      const { fd, client } = await connection(t, ring);
      await new Promise<void>((resolve) => client.write('chained', () => resolve()));
      t.true(ring.prep(provideBuffers(buffers, { count: 1 }), 'provide', SqeFlags.LINK));
      t.true(ring.prep(recv(fd, buffers), 'recv'));
      waitFor(ring, 2);
      const [provided, received] = reap(ring);
      t.is(provided?.error, null);
      const lease = received?.result as BufferLease | undefined;
      t.is(lease?.data.toString(), 'chained');
    },
    { provide: 'manually' },
  );
});

test('a ring closes with buffers provided, lent and waited for', async (t) => {
  await withGroup(async (ring, buffers) => {
    const { fd, client } = await connection(t, ring);
    client.write('x');
    const lease = (await ring.exec(recv(fd, buffers))) as BufferLease;
    const stream = ring.multishot(recvMultishot(fd, buffers));
    const next = stream.next().catch((error: NodeJS.ErrnoException) => error.code);
    ring.submit();
    await ring.close();
    t.is((await next) as unknown, 'ECANCELED');
    lease.release();
    t.is(buffers.lent, 0);
    t.is(lease.data.toString(), 'x');
  });
});
