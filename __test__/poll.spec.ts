import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { asyncCancel, PollEvents, pollAdd, pollMultishot } from 'uring';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import { endSocketHelper, pair, write } from './_sockets.ts';

/** A number that no process's descriptors reach. */
const NO_FD = 0x7fff_fff0;

leakCheck(test);
test.after.always('the socket helper ends', () => endSocketHelper());

/** A named pipe, open for reading and writing without waiting. */
function fifo(t: ExecutionContext<unknown>): { reader: number; writer: number; closeWriter(): void } {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let open = true;
  const closeWriter = (): void => {
    if (open) closeSync(writer);
    open = false;
  };
  t.teardown(() => closeSync(reader));
  t.teardown(closeWriter);
  return { reader, writer, closeWriter };
}

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
    const { reader, writer, closeWriter } = fifo(t);
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
    const { reader } = fifo(t);
    const operation = pollAdd(reader, PollEvents.IN);
    const cancelled = t.throwsAsync(ring.exec(operation), { code: 'ECANCELED' });
    t.is(await ring.exec(asyncCancel(operation)), 0);
    await cancelled;
    await t.throwsAsync(ring.exec(pollAdd(NO_FD, PollEvents.IN)), { code: 'EBADF' });
  });
});

test('pollMultishot says so every time that a descriptor becomes ready', async (t) => {
  await withRing({}, async (ring) => {
    const { reader, writer } = fifo(t);
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
