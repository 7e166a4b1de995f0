// Connections, on the kernel and on the mock.
import test from 'ava';
import { MessageFlags, nop, recv, recvMultishot, send } from 'uring';
import { leakCheck } from '../_helpers.ts';
import { soon, until } from '../_until.ts';
import { both } from './_backends.ts';

leakCheck(test);

both('bytes go both ways', async (t, world, open) => {
  const ring = open();
  const { reader: fd, put, sent } = await world.connect(ring);
  const other = sent(5);
  t.is(await ring.exec(send(fd, Buffer.from('hello'))), 5);
  t.is(await soon(other, 'what was sent'), 'hello');
  const buffer = ring.alloc(16);
  const receiving = ring.exec(recv(fd, buffer));
  put('world');
  t.is(await soon(receiving, 'what was put'), 5);
  t.is(buffer.toString('utf8', 0, 5), 'world');
});

both('a short receive goes on with the chain, unless it was to wait for all', async (t, world, open) => {
  const ring = open();
  const { reader: fd, put, hangUp } = await world.connect(ring);
  put('abc');
  t.deepEqual(await soon(ring.chain([recv(fd, ring.alloc(8)), nop({ result: 4 })]), 'the chain'), [3, 4]);
  put('def');
  hangUp();
  const all = recv(fd, ring.alloc(8), { messageFlags: MessageFlags.WAITALL });
  await t.throwsAsync(soon(ring.chain([all, nop()]), 'the chain'), { code: 'ERR_URING_SHORT_TRANSFER' });
});

both('one receive completes for each arrival, and ends with the connection', async (t, world, open) => {
  const ring = open();
  const { reader: fd, put, hangUp } = await world.connect(ring);
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 16 });
  const seen: string[] = [];
  const ended = new Promise<void>((resolve) => {
    ring.start(recvMultishot(fd, buffers), (error, lease, { hasMore, res }) => {
      seen.push(`${error?.code ?? lease?.data ?? res}${hasMore ? ' and more' : ''}`);
      lease?.release();
      if (!hasMore) resolve();
    });
  });
  for (const text of ['one', 'two']) {
    const { length } = seen;
    put(text);
    await until(() => seen.length > length);
  }
  hangUp();
  await soon(ended, 'the end of the connection');
  t.deepEqual(seen, ['one and more', 'two and more', '0']);
});

both('a receive without a buffer ends with ENOBUFS, and nothing is lost', async (t, world, open) => {
  const ring = open();
  const { reader: fd, put } = await world.connect(ring);
  const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 4 });
  put('abcdefgh');
  const first = await soon(ring.exec(recv(fd, buffers)), 'the first');
  t.is(first?.data.toString(), 'abcd');
  await t.throwsAsync(soon(ring.exec(recv(fd, buffers)), 'the second'), { code: 'ENOBUFS' });
  first?.release();
  const second = await soon(ring.exec(recv(fd, buffers)), 'the third');
  t.is(second?.data.toString(), 'efgh');
  second?.release();
});
