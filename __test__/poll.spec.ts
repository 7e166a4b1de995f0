import { readSync, writeSync } from 'node:fs';
import test from 'ava';
import { asyncCancel, PollEvents, pollAdd, pollMultishot } from 'uring';
import { twoEnds } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { endSocketHelper, pair, write } from './_sockets.ts';

/** A number that no process's descriptors reach. */
const NO_FD = 0x7fff_fff0;

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

test('pollAdd says which of the events are there', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, peer } = await pair(t, ring);
    t.is(await ring.exec(pollAdd(fd, PollEvents.IN | PollEvents.OUT)), PollEvents.OUT);
    const readable = ring.exec(pollAdd(fd, PollEvents.IN));
    await write(peer, 'x');
    t.is(await readable, PollEvents.IN);
    const ended = ring.exec(pollAdd(fd, PollEvents.RDHUP));
    peer.end();
    t.is(await ended, PollEvents.RDHUP);
  });
});

test('pollAdd on a pipe sees data and, unasked, the end of the writers', async (t) => {
  await withRing({}, async (ring) => {
    const { reader, writer, closeWriter } = twoEnds(t);
    const readable = ring.exec(pollAdd(reader, PollEvents.IN));
    writeSync(writer, 'x');
    t.is(await readable, PollEvents.IN);
    readSync(reader, Buffer.alloc(1));
    const hungUp = ring.exec(pollAdd(reader, PollEvents.PRI));
    closeWriter();
    t.is(await hungUp, PollEvents.HUP);
  });
});

test('a cancelled pollAdd is ECANCELED', async (t) => {
  await withRing({}, async (ring) => {
    const { reader } = twoEnds(t);
    const operation = pollAdd(reader, PollEvents.IN);
    const cancelled = t.throwsAsync(ring.exec(operation), { code: 'ECANCELED' });
    t.is(await ring.exec(asyncCancel(operation)), 0);
    await cancelled;
    await t.throwsAsync(ring.exec(pollAdd(NO_FD, PollEvents.IN)), { code: 'EBADF' });
  });
});

test('pollMultishot says so every time that a descriptor becomes ready', async (t) => {
  await withRing({}, async (ring) => {
    const { reader, writer } = twoEnds(t);
    const byte = Buffer.alloc(1);
    const stream = ring.multishot(pollMultishot(reader, PollEvents.IN));
    let seen = 0;
    writeSync(writer, String(seen));
    for await (const events of stream) {
      t.is(events, PollEvents.IN);
      readSync(reader, byte);
      t.is(byte.toString(), String(seen));
      seen += 1;
      if (seen === 5) break;
      writeSync(writer, String(seen));
    }
    t.is(seen, 5);
    t.is(ring.inFlight, 0);
  });
});
