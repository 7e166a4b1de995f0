// Cancelling by what operations have in common: their kind, their file, or nothing but the ring.
import test from 'ava';
import { asyncCancel, nop, PollEvents, pollAdd, type Ring, read, timeout } from 'uring';
import { assertUsable, FORMS, fifo, runAs } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: NodeJS.ErrnoException) => error.code);

/** Two polls of each of two pipes, and two timers, with the kernel. */
function inFlight(ring: Ring, pipes: readonly number[]): Record<'polls' | 'timers', Promise<unknown>[]> {
  const polls = pipes.flatMap((pipe) => [pollAdd(pipe, PollEvents.PRI), pollAdd(pipe, PollEvents.PRI)]);
  const started = {
    polls: polls.map((poll) => code(ring.exec(poll))),
    timers: [timeout(HOUR_MS), timeout(HOUR_MS)].map((timer) => code(ring.exec(timer))),
  };
  ring.submit();
  return started;
}

for (const form of FORMS) {
  test(`a kind of operation is cancelled, one of it or all (${form})`, async (t) => {
    const pipes = [fifo(t), fifo(t)];
    await withRing({}, async (ring) => {
      const { timers } = inFlight(ring, pipes);
      t.is(await runAs(form, ring, asyncCancel({ opcode: 'timeout' })), 0);
      t.is(await Promise.race(timers), 'ECANCELED');
      t.is(ring.inFlight, 5);
      t.is(await runAs(form, ring, asyncCancel({ opcode: 11, all: true })), 1);
      t.deepEqual(await Promise.all(timers), ['ECANCELED', 'ECANCELED']);
      t.is(ring.inFlight, 4);
      await t.throwsAsync(runAs(form, ring, asyncCancel({ opcode: 'timeout' })), { code: 'ENOENT' });
      t.is(await runAs(form, ring, asyncCancel({ opcode: 'timeout', all: true })), 0);
      await assertUsable(t, ring);
    });
  });

  test(`a kind of operation on one file is cancelled (${form})`, async (t) => {
    const pipes = [fifo(t), fifo(t)];
    await withRing({}, async (ring) => {
      const { polls } = inFlight(ring, pipes);
      const [first = 0, second = 0] = pipes;
      await t.throwsAsync(runAs(form, ring, asyncCancel({ fd: first, opcode: 'read' })), { code: 'ENOENT' });
      t.is(await runAs(form, ring, asyncCancel({ fd: first, opcode: 'pollAdd', all: true })), 2);
      t.deepEqual(await Promise.all(polls.slice(0, 2)), ['ECANCELED', 'ECANCELED']);
      t.is(ring.inFlight, 4);
      t.is(await runAs(form, ring, asyncCancel({ fd: second, all: true })), 2);
      t.deepEqual(await Promise.all(polls.slice(2)), ['ECANCELED', 'ECANCELED']);
      t.is(ring.inFlight, 2);
    });
  });
}

test('reads of registered memory are readFixed for the kernel', async (t) => {
  const pipe = fifo(t);
  await withRing({}, async (ring) => {
    const ended = code(ring.exec(read(pipe, ring.alloc(1))));
    ring.submit();
    await t.throwsAsync(ring.exec(asyncCancel({ opcode: 'read' })), { code: 'ENOENT' });
    t.is(await ring.exec(asyncCancel({ opcode: 'readFixed' })), 0);
    t.is(await ended, 'ECANCELED');
  });
});

test('what waits for room is cancelled by its kind too, and counted', async (t) => {
  const pipe = fifo(t);
  await withRing({ entries: 2, cqEntries: 2 }, async (ring) => {
    const polls = [1, 2, 3, 4].map(() => code(ring.exec(pollAdd(pipe, PollEvents.PRI))));
    const other = ring.exec(nop({ result: 5 }));
    t.is(ring.waiting, 3);
    t.is(await ring.exec(asyncCancel({ opcode: 'pollAdd', fd: pipe, all: true })), 4);
    t.deepEqual(await Promise.all(polls), Array(4).fill('ECANCELED'));
    t.is(await other, 5);
    const reads = [1, 2, 3].map(() => code(ring.exec(read(pipe, ring.alloc(1)))));
    t.is(await ring.exec(asyncCancel({ opcode: 'readFixed', all: true })), 3);
    t.deepEqual(await Promise.all(reads), Array(3).fill('ECANCELED'));
  });
});
