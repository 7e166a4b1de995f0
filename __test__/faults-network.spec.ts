// Connections that are reset in the middle (SO_LINGER of 0 seconds, so that close(2) sends RST).
import { once } from 'node:events';
import type { Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import {
  MessageFlags,
  nop,
  probe,
  type Ring,
  recv,
  recvExactly,
  recvMultishot,
  send,
  sendAll,
  sendZc,
  TransferError,
  type UringError,
} from 'uring';
import { leakCheck, skipUnless, withRing } from './_helpers.ts';
import { endSocketHelper, numbered, pair, write } from './_sockets.ts';
import { soon, until } from './_until.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);
test.after.always('the helper process ends', endSocketHelper);

/** Sends RST, and waits until it has gone. */
async function reset(peer: Socket): Promise<void> {
  const gone = once(peer, 'close');
  peer.resetAndDestroy();
  await gone;
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    ({ code }: UringError) => code,
  );

/** The ring works, and nothing of the connection is left in it. */
async function goesOn(t: T, ring: Ring): Promise<void> {
  t.is(await ring.exec(nop({ result: 7 })), 7);
  await until(() => ring.inFlight === 0);
}

test('a receive that waits when the connection is reset is ECONNRESET, and so are those behind it', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    const waiting = [1, 2, 3].map(() => codeOf(ring.exec(recv(fd, ring.alloc(64)))));
    const exactly = codeOf(recvExactly(ring, fd, ring.alloc(64)));
    await write(peer, 'some');
    await reset(peer);
    const ends = await soon(Promise.all([...waiting, exactly]), 'the end of all receives');
    // One of them takes the bytes and one the error; to the others a connection that has reported it is at its end.
    for (const end of ends)
      t.true([4, 'ECONNRESET', 0, 'ERR_URING_SHORT_TRANSFER'].includes(end as string | number));
    t.is(ends.filter((end) => end === 'ECONNRESET').length, 1);
    t.is(
      await codeOf(ring.exec(send(fd, Buffer.from('x'), { messageFlags: MessageFlags.NOSIGNAL }))),
      'EPIPE',
    );
    await goesOn(t, ring);
  });
});

test('a stream brings what came before the reset, then ECONNRESET, and gives all buffers back', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 1024 });
    const { fd, peer } = await pair(t, ring);
    const data = numbered(50_000);
    const parts: Buffer[] = [];
    const reading = (async () => {
      for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
        parts.push(Buffer.from(lease.data));
        lease.release();
        if (Buffer.concat(parts).length === data.length) await reset(peer);
      }
    })();
    await write(peer, data);
    await t.throwsAsync(soon(reading, 'the end of the stream'), { code: 'ECONNRESET' });
    t.true(Buffer.concat(parts).equals(data));
    t.is(buffers.lent, 0);
    await goesOn(t, ring);
  });
});

test('a send of which a part has gone tells how much that was when the connection is reset', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    // Nobody reads, so it cannot be through before.
    peer.pause();
    const data = numbered(64 << 20);
    const sending = sendAll(ring, fd, data).catch((error: unknown) => error);
    await until(() => ring.inFlight > 0);
    await reset(peer);
    const error = (await soon(sending, 'the end of the send')) as TransferError;
    t.true(error instanceof TransferError);
    t.true(['ECONNRESET', 'EPIPE'].includes(error.code), error.code);
    t.true(error.bytes < data.length);
    await goesOn(t, ring);
  });
});

skipUnless(probe().operations.includes('sendZc'), 'zero-copy sends')(
  'a zero-copy send lets go of its memory when the connection is reset',
  async (t) => {
    await withRing({}, async (ring) => {
      const { fd, peer } = await pair(t, ring);
      peer.pause();
      const memory = ring.alloc(1 << 20);
      const sending = Array.from({ length: 32 }, () =>
        codeOf(ring.exec(sendZc(fd, memory, { messageFlags: MessageFlags.NOSIGNAL }))),
      );
      await until(() => ring.inFlight > 0);
      await reset(peer);
      // Promises of zero-copy sends settle with the notification that the memory is free.
      const ends = await soon(Promise.all(sending), 'the end of all sends');
      for (const end of ends)
        t.true(typeof end === 'number' || end === 'ECONNRESET' || end === 'EPIPE', String(end));
      t.true(ends.some((end) => typeof end === 'string'));
      await goesOn(t, ring);
    });
  },
);

test('of 200 connections that are reset in the middle none takes another with it', async (t) => {
  t.timeout(60_000);
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 1024 });
    const steady = await pair(t, ring);
    const data = numbered(200_000);
    const echoed: Buffer[] = [];
    steady.peer.on('data', (part) => echoed.push(part));
    const serve = async (fd: number): Promise<unknown> => {
      try {
        for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
          const part = Buffer.from(lease.data);
          lease.release();
          await sendAll(ring, fd, part);
        }
        return 'ended';
      } catch (error) {
        return (error as UringError).code;
      }
    };
    const serving = serve(steady.fd);
    for (let round = 0; round < 20; round += 1) {
      const others = await Promise.all(Array.from({ length: 10 }, () => pair(t, ring)));
      const ends = others.map(({ fd }) => serve(fd));
      await write(steady.peer, data.subarray(round * 10_000, (round + 1) * 10_000));
      for (const { peer } of others) peer.write(numbered(20_000));
      await Promise.all(others.map(({ peer }) => reset(peer)));
      for (const end of await soon(Promise.all(ends), 'the end of all that were reset'))
        t.true(['ECONNRESET', 'EPIPE'].includes(end as string), String(end));
    }
    await until(() => Buffer.concat(echoed).length === data.length);
    t.true(Buffer.concat(echoed).equals(data));
    steady.peer.end();
    t.is(await soon(serving, 'the end of the steady one'), 'ended');
    t.is(buffers.lent, 0);
    await goesOn(t, ring);
  });
});
