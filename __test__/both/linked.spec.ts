// Chains, requests to cancel, and limits, on the kernel and on the mock.
import test from 'ava';
import {
  asyncCancel,
  ChainError,
  close,
  linkTimeout,
  msgRing,
  nop,
  openat,
  type Ring,
  read,
  SqeFlags,
  timeout,
  timeoutRemove,
  timeoutUpdate,
} from 'uring';
import { leakCheck } from '../_helpers.ts';
import { settle, soon } from '../_until.ts';
import { both } from './_backends.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;
const { LINK, HARDLINK } = SqeFlags;

async function failed(promise: Promise<unknown>): Promise<[string, number, string[]]> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ChainError)) throw new Error(`no ChainError but ${error}`);
  return [error.code, error.failedIndex, error.results.map(({ status }) => status)];
}

both('a chain results in the results of all', async (t, world, open) => {
  const ring = open();
  const fd = await ring.exec(openat(world.path('abc')));
  const buffer = ring.alloc(3);
  t.deepEqual(await ring.chain([nop({ result: 1 }), read(fd, buffer, { offset: 0 }), close(fd)]), [
    1,
    3,
    undefined,
  ]);
});

both('an error ends a chain, and not a hard one', async (t, _world, open) => {
  const ring = open();
  const links = [nop({ result: 1 }), nop({ result: -5 }), nop({ result: 3 })] as const;
  t.deepEqual(await failed(ring.chain(links)), ['EIO', 1, ['done', 'failed', 'cancelled']]);
  t.deepEqual(await failed(ring.chain(links, { hard: true })), ['EIO', 1, ['done', 'failed', 'done']]);
});

both('a short read ends a chain, and not a hard one', async (t, world, open) => {
  const ring = open();
  const fd = await ring.exec(openat(world.path('abc')));
  const links = [read(fd, ring.alloc(8), { offset: 0 }), nop({ result: 2 })] as const;
  t.deepEqual(await failed(ring.chain(links)), ['ERR_URING_SHORT_TRANSFER', 0, ['short', 'cancelled']]);
  t.deepEqual(await ring.chain(links, { hard: true }), [3, 2]);
  await ring.exec(close(fd));
});

both('a chain has one deadline', async (t, world, open) => {
  const ring = open();
  const { reader, put } = world.pipe();
  const [one, two] = [ring.alloc(1), ring.alloc(1)];
  put('a');
  const late = failed(ring.chain([read(reader, one), read(reader, two), nop()], { timeoutMs: 20 }));
  await settle();
  await world.pass(40);
  t.deepEqual(await soon(late, 'the deadline'), ['ERR_URING_TIMEOUT', 1, ['done', 'failed', 'cancelled']]);
  t.deepEqual(await ring.chain([nop(), nop()], { timeoutMs: HOUR_MS }), [0, 0]);
});

both('a signal stops a chain where it is', async (t, world, open) => {
  const ring = open();
  const { reader } = world.pipe();
  const controller = new AbortController();
  const links = [nop({ result: 1 }), read(reader, ring.alloc(1)), nop()] as const;
  const stopped = t.throwsAsync(ring.chain(links, { signal: controller.signal }), { code: 'ABORT_ERR' });
  await settle();
  controller.abort();
  const error = (await stopped) as unknown as { result: { status: string }[] };
  t.deepEqual(
    error.result.map(({ status }) => status),
    ['done', 'failed', 'cancelled'],
  );
});

both('a limit of time by hand tells what became of it', async (t, world, open) => {
  const ring = open();
  const { reader } = world.pipe();
  ring.prep(nop(), 'quick', LINK);
  ring.prep(linkTimeout(HOUR_MS), 'limit of quick');
  ring.prep(read(reader, ring.alloc(1)), 'slow', LINK);
  ring.prep(linkTimeout(5), 'limit of slow');
  ring.submitAndWait(4, { timeoutMs: 10_000 });
  const results = new Map([...ring.completions()].map(({ userData, res }) => [userData, res]));
  t.deepEqual(
    ['quick', 'limit of quick', 'slow', 'limit of slow'].map((name) => results.get(name)),
    [0, -125, -125, -62],
  );
});

both('a limit of time without anything to limit is refused', async (t, _world, open) => {
  const ring = open();
  ring.prep(linkTimeout(5));
  ring.submitAndWait(1);
  t.is([...ring.completions()][0]?.error?.code, 'EINVAL');
});

both('what follows a hard link runs after a limit was reached', async (t, world, open) => {
  const ring = open();
  const { reader } = world.pipe();
  ring.prep(read(reader, ring.alloc(1)), 'slow', HARDLINK);
  ring.prep(linkTimeout(5), 'limit', HARDLINK);
  ring.prep(nop({ result: 9 }), 'after');
  ring.submitAndWait(3, { timeoutMs: 10_000 });
  const results = new Map([...ring.completions()].map(({ userData, res }) => [userData, res]));
  t.deepEqual(
    ['slow', 'limit', 'after'].map((name) => results.get(name)),
    [-125, -62, 9],
  );
});

both('requests to cancel say what they found', async (t, _world, open) => {
  const ring = open();
  const hour = timeout(HOUR_MS);
  const gone = (operation: Promise<unknown>): Promise<unknown> =>
    t.throwsAsync(operation, { code: 'ECANCELED' });
  const first = gone(ring.exec(hour));
  await settle();
  t.is(await ring.exec(asyncCancel(hour)), 0);
  await first;
  await t.throwsAsync(ring.exec(asyncCancel(hour)), { code: 'ENOENT' });
  t.is(await ring.exec(asyncCancel({ any: true })), 0);
  const others = [gone(ring.exec(hour)), gone(ring.exec(hour)), gone(ring.exec(timeout(HOUR_MS)))];
  await settle();
  t.is(await ring.exec(asyncCancel({ any: true })), 3);
  await Promise.all(others);
});

both('operations are cancelled by their descriptor, one or all', async (t, world, open) => {
  const ring = open();
  const { reader } = world.pipe();
  const reads = Array.from({ length: 3 }, () =>
    t.throwsAsync(ring.exec(read(reader, ring.alloc(1))), { code: 'ECANCELED' }),
  );
  await settle();
  t.is(await ring.exec(asyncCancel({ fd: reader })), 0);
  await settle();
  t.is(ring.inFlight, 2);
  t.is(await ring.exec(asyncCancel({ fd: reader, all: true })), 2);
  await Promise.all(reads);
});

both('a timer is removed and moved', async (t, world, open) => {
  const ring = open();
  const hour = timeout(HOUR_MS);
  const removed = t.throwsAsync(ring.exec(hour), { code: 'ECANCELED' });
  await settle();
  await ring.exec(timeoutRemove(hour));
  await removed;
  await t.throwsAsync(ring.exec(timeoutRemove(hour)), { code: 'ENOENT' });
  const moved = ring.exec(hour);
  await settle();
  await ring.exec(timeoutUpdate(hour, 2));
  await world.pass(5);
  t.is(await soon(moved, 'the timer that was moved'), undefined);
});

both('what is linked to a cancelled operation is cancelled', async (t, world, open) => {
  const ring = open();
  const { reader } = world.pipe();
  const waiting = read(reader, ring.alloc(1));
  ring.prep(waiting, 'a', LINK);
  ring.prep(nop(), 'b');
  ring.submit();
  await settle();
  ring.prep(asyncCancel(waiting), 'cancel');
  ring.submitAndWait(3, { timeoutMs: 10_000 });
  const results = new Map([...ring.completions()].map(({ userData, res }) => [userData, res]));
  t.deepEqual(
    ['a', 'b', 'cancel'].map((name) => results.get(name)),
    [-125, -125, 0],
  );
});

both(
  'more than the queues take waits its turn, and is told when there is too much of it',
  async (t, _w, open) => {
    const ring = open({ entries: 2, cqEntries: 4, waitingMax: 50 });
    const all = Array.from({ length: 54 }, (_, at) => ring.exec(nop({ result: at })));
    await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_QUEUE_FULL' });
    t.deepEqual(
      await Promise.all(all),
      Array.from({ length: 54 }, (_, at) => at),
    );
    await t.throwsAsync(ring.chain([nop(), nop(), nop()]), { code: 'ERR_OUT_OF_RANGE' });
  },
);

both('completions that find no room are kept, and counted', async (t, _world, open) => {
  const ring = open({ entries: 4, cqEntries: 4 });
  // More than the queue and the block of completions take together.
  const count = 80;
  for (let at = 0; at < count; at += 4) {
    for (let link = 0; link < 4; link += 1) ring.prep(nop({ result: at + link }));
    ring.submit();
  }
  t.true(ring.overflowed);
  t.true(ring.stats().overflows > 0);
  const seen: number[] = [];
  while (seen.length < count) ring.forEachCompletion(({ res }) => void seen.push(res));
  t.deepEqual(
    seen,
    Array.from({ length: count }, (_, at) => at),
  );
  t.false(ring.overflowed);
});

both('a ring without anything in flight is not waited for', async (t, _world, open) => {
  const ring = open();
  t.throws(() => ring.submitAndWait(1), { code: 'ERR_URING_NOTHING_IN_FLIGHT' });
  t.is(ring.submitAndWait(1, { timeoutMs: 1 }), 0);
});

both('a message of one ring arrives at another', async (t, _world, open) => {
  const [from, to] = [open(), open()] as [Ring, Ring];
  const arrived = new Promise((resolve) => {
    const stop = to.receive((event) => {
      stop();
      resolve(event);
    });
  });
  await from.exec(msgRing(to, { data: 2 ** 40 + 5, res: -7 }));
  t.deepEqual(await soon(arrived, 'the message'), { type: 'message', data: 2 ** 40 + 5, res: -7, flags: 0 });
});
