// Polls that are changed and removed in flight, and those that look at a level.
import { writeSync } from 'node:fs';
import test from 'ava';
import { PollEvents, pollAdd, pollMultishot, pollRemove, pollUpdate, type Ring, timeout } from 'uring';
import { assertUsable, endedAs, FORMS, fifo, reap, runAs, twoEnds, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;
const { IN, OUT, PRI } = PollEvents;

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: NodeJS.ErrnoException) => error.code);

for (const form of FORMS) {
  test(`pollUpdate makes a poll wait for other events (${form})`, async (t) => {
    const { reader, writer } = twoEnds(t);
    await withRing({}, async (ring) => {
      const poll = pollAdd(reader, PRI);
      const ready = ring.exec(poll);
      ring.submit();
      t.is(await runAs(form, ring, pollUpdate(poll, { events: IN })), undefined);
      t.is(ring.inFlight, 1);
      writeSync(writer, 'x');
      t.is(await ready, IN);
    });
  });

  test(`pollRemove stops a poll and says ENOENT when there is none (${form})`, async (t) => {
    const { reader } = twoEnds(t);
    await withRing({}, async (ring) => {
      const poll = pollAdd(reader, PRI);
      const stopped = code(ring.exec(poll));
      ring.submit();
      t.is(await runAs(form, ring, pollRemove(poll)), undefined);
      t.is(await stopped, 'ECANCELED');
      await t.throwsAsync(runAs(form, ring, pollRemove(poll)), { code: 'ENOENT' });
      await t.throwsAsync(runAs(form, ring, pollUpdate(poll, { events: IN })), { code: 'ENOENT' });
      await assertUsable(t, ring);
    });
  });
}

test('an event that is there already counts for an update', async (t) => {
  const { reader, writer } = twoEnds(t);
  writeSync(writer, 'x');
  await withRing({}, async (ring) => {
    const poll = pollAdd(reader, PRI);
    const ready = ring.exec(poll);
    t.is(await ring.exec(pollUpdate(poll, { events: IN })), undefined);
    t.is(await ready, IN);
  });
});

// Seen on 6.18.44: the kernel keeps the second of two wait queues from the first time (__io_queue_proc in
// io_uring/poll.c), cannot wait for the file again, and completes the poll with ECANCELED.
test('an update ends the poll of a file with two wait queues, such as a pipe open for both ways', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const poll = pollAdd(pipe, PRI);
    const ended = code(ring.exec(poll));
    ring.submit();
    t.is(await ring.exec(pollUpdate(poll, { events: IN })), undefined);
    t.is(await ended, 'ECANCELED');
  });
});

test('the completions after an update carry the new user data, and a failed update changes nothing', async (t) => {
  const { reader, writer } = twoEnds(t);
  writeSync(writer, 'x');
  await withRing({}, (ring) => {
    ring.prep(pollMultishot(reader, PRI), 'first');
    ring.prep(pollUpdate({ userData: 'first' }, { events: IN, userData: 'second' }), 'update');
    ring.prep(pollUpdate({ userData: 'nobody' }, { events: OUT, userData: 'third' }), 'vain');
    waitFor(ring, 3);
    endedAs(t, reap(ring), [
      ['update', 0],
      ['vain', 'ENOENT'],
      ['second', IN],
    ]);
    ring.prep(pollRemove({ userData: 'second' }), 'remove');
    waitFor(ring, 2);
    endedAs(t, reap(ring), [
      ['remove', 0],
      ['second', 'ECANCELED'],
    ]);
  });
});

test('an update of a slot that has been used again since does not rename its new owner', async (t) => {
  const { writer } = twoEnds(t);
  await withRing({}, (ring) => {
    const poll = pollAdd(writer, PRI);
    ring.prep(poll, 'old');
    ring.submit();
    ring.prep(pollUpdate(poll, { events: OUT, userData: 'new' }), 'update');
    waitFor(ring, 2);
    const completions = reap(ring);
    t.is(completions.length, 2);
    // Whichever was read first: the poll is over, and the timer takes a slot that one of the two had.
    ring.prep(timeout(1), 'timer');
    waitFor(ring, 1);
    t.deepEqual(
      reap(ring).map(({ userData }) => userData),
      ['timer'],
    );
  });
});

test('pollUpdate and pollRemove mean polls only, also where other operations carry the same user data', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    ring.prep(timeout(HOUR_MS), 'same');
    ring.prep(pollAdd(pipe, PRI), 'same');
    ring.prep(pollRemove({ userData: 'same' }), 'remove');
    waitFor(ring, 2);
    const ended = reap(ring);
    t.deepEqual(ended.map(({ operation }) => operation?.name).sort(), ['pollAdd', 'pollRemove']);
    t.is(ring.inFlight, 1);
  });
});

// Seen on 6.18.44: io_poll_add_prep in io_uring/poll.c refuses every flag but the one for multishot.
test('a level is refused with EINVAL by the kernels so far', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(pollAdd(pipe, OUT, { level: true })), {
      code: 'EINVAL',
      message: /options\.level/,
    });
    const stream = ring.multishot(pollMultishot(pipe, OUT, { level: true }));
    await t.throwsAsync(stream.next(), { code: 'EINVAL' });
  });
});

test('pollRemove goes ahead of what waits for room, and stops what waits itself', async (t) => {
  const pipe = fifo(t);
  await withRing({ entries: 2, cqEntries: 2 }, async (ring: Ring) => {
    const inFlight = [pollAdd(pipe, PRI), pollAdd(pipe, PRI)];
    const ended = inFlight.map((poll) => code(ring.exec(poll)));
    const waiting = pollAdd(pipe, PRI);
    const waited = code(ring.exec(waiting));
    t.is(ring.waiting, 1);
    t.is(await ring.exec(pollRemove(waiting)), undefined);
    t.is(await waited, 'ECANCELED');
    for (const poll of inFlight) await ring.exec(pollRemove(poll));
    t.deepEqual(await Promise.all(ended), ['ECANCELED', 'ECANCELED']);
  });
});
