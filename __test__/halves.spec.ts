// The two halves of a ring as objects of their own.
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fsync, nop, Ring, timeout, UringError } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

test('what one half submits is read from the other, which knows nothing else of the ring', async (t) => {
  await withRing({ entries: 4 }, ({ sq, cq }) => {
    t.is(sq.entries, 4);
    for (let at = 0; at < 4; at += 1) t.true(sq.prep(nop({ result: at }), at));
    t.false(sq.prep(nop()), 'full');
    t.deepEqual([sq.ready, sq.spaceLeft, cq.ready], [4, 0, 0]);
    t.is(sq.submit(), 4);
    t.deepEqual([sq.ready, sq.spaceLeft, cq.ready], [0, 4, 4]);
    t.deepEqual(
      [...cq].map(({ userData, res }) => [userData, res]),
      [
        [0, 0],
        [1, 1],
        [2, 2],
        [3, 3],
      ],
    );
    t.is(cq.tryNext(), undefined);
  });
});

test('next waits for a completion, or until the time is up', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    sq.prep(timeout(500), 'timer');
    t.is(cq.next({ timeoutMs: 1 }), undefined);
    t.is(cq.next()?.userData, 'timer');
    t.throws(() => cq.next(), { instanceOf: UringError, code: 'ERR_URING_NOTHING_IN_FLIGHT' });
  });
});

test('peek leaves a completion where it is', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    sq.prep(nop(), 'one');
    sq.submit();
    t.is(cq.peek()?.userData, 'one');
    t.is(cq.peek()?.userData, 'one');
    t.is(cq.ready, 1);
    t.is(cq.tryNext()?.userData, 'one');
    t.is(cq.peek(), undefined);
  });
});

test('blocking iteration yields until nothing is in flight', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    for (const ms of [1, 5, 9]) sq.prep(timeout(ms), ms);
    sq.submit();
    const seen: unknown[] = [];
    for (const { userData } of cq.blocking(2)) {
      seen.push(userData);
      if (userData === 1) sq.prep(timeout(15), 15);
    }
    t.deepEqual(seen, [1, 5, 9, 15]);
  });
});

test('a chain of the submitting half is refused whole when one of its operations is', async (t) => {
  await withRing({ entries: 4 }, (ring) => {
    const { sq, cq } = ring;
    t.throws(() => sq.prepChain([nop(), {} as never, nop()]), { code: 'ERR_INVALID_ARG_TYPE' });
    t.is(sq.ready, 0);
    t.throws(() => sq.prepChain([]), { code: 'ERR_OUT_OF_RANGE' });
    t.true(sq.prepChain([nop(), fsync(1 << 20), nop()], { hard: true, userData: ['a', 'b', 'c'] }));
    cq.wait(3);
    t.deepEqual(
      [...cq].map(({ userData, ok }) => `${userData} ${ok}`),
      ['a true', 'b false', 'c true'],
    );
  });
});

test('the halves of a closed ring refuse work, and closing gives up what nobody took', async (t) => {
  const ring = new Ring();
  const { sq, cq } = ring;
  sq.prep(nop(), 'before');
  sq.submit();
  cq.peek();
  const closed = ring.close();
  t.throws(() => sq.prep(nop()), { code: 'ERR_URING_CLOSED' });
  t.throws(() => sq.submit(), { code: 'ERR_URING_CLOSED' });
  t.throws(() => cq.wait(1), { code: 'ERR_URING_CLOSED' });
  await closed;
  await sleep(1);
  t.is(cq.tryNext(), undefined, 'gone');
});
