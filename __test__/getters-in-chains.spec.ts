// A getter in the place of an offset runs while its operation is prepared, and may use the ring: start others, submit, cancel.
// Observed before: what it had started was taken back with the chain that it had made fail, and its promise never settled.
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { asyncCancel, nop, type Ring, timeout, write } from 'uring';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

const HOUR_MS = 3_600_000;

/** An operation whose getter does something each time that it is prepared. */
function doing(act: () => void): ReturnType<typeof nop> {
  const get = (): number => {
    act();
    return 0;
  };
  return Object.defineProperty(nop({ result: 5 }), 'offset', { get });
}

/** A chain that begins with a write, and the file that shows whether it ran. */
async function written(
  t: ExecutionContext,
): Promise<{ first: ReturnType<typeof write>; text: () => string }> {
  const path = join(tmpDir(t), 'file');
  writeFileSync(path, '');
  const file = await open(path, 'r+');
  t.teardown(() => file.close());
  return { first: write(file.fd, Buffer.from('ran')), text: () => readFileSync(path, 'utf8') };
}

class Thrown extends Error {
  code = 'THROWN';
}

function reapAll(ring: Ring): unknown[] {
  const seen: unknown[] = [];
  ring.submit();
  for (let next = ring.cq.tryNext(); next !== undefined; next = ring.cq.tryNext()) seen.push(next.userData);
  return seen;
}

const ENDS: readonly [string, (ring: Ring) => void, (text: string) => boolean][] = [
  ['prepares one by hand', (ring) => void ring.prep(nop(), 'by hand'), (text) => text === ''],
  ['submits', (ring) => void ring.submit(), () => true],
  ['does nothing else', () => {}, (text) => text === ''],
];

for (const [how, act, isGood] of ENDS) {
  test(`what a getter starts that ${how} is done although its chain fails`, async (t) => {
    t.timeout(20_000);
    const { first, text } = await written(t);
    await withRing({ entries: 8 }, async (ring) => {
      const inner: Promise<number>[] = [];
      const failing = doing(() => {
        act(ring);
        inner.push(ring.exec(nop({ result: 7 })));
        throw new Thrown();
      });
      await t.throwsAsync(ring.chain([first, nop(), failing]), { code: 'THROWN' });
      t.deepEqual(await Promise.all(inner), [7]);
      t.deepEqual(reapAll(ring), how.includes('by hand') ? ['by hand'] : []);
      t.true(isGood(text()), 'nothing of a chain runs that was refused before it was submitted');
      t.like(ring, { inFlight: 0, waiting: 0 });
      t.deepEqual(await ring.chain([nop({ result: 1 }), nop({ result: 2 })]), [1, 2]);
    });
  });
}

test('a chain into which a getter has prepared something is refused, and what it has prepared is done', async (t) => {
  t.timeout(20_000);
  const { first, text } = await written(t);
  await withRing({ entries: 8 }, async (ring) => {
    const inner: Promise<number>[] = [];
    const intruding = doing(() => {
      ring.prep(nop(), 'by hand');
      inner.push(ring.exec(nop({ result: 7 })));
    });
    await t.throwsAsync(ring.chain([first, intruding]), { code: 'ERR_URING_REENTERED' });
    t.throws(() => ring.prepChain([first, intruding]), { code: 'ERR_URING_REENTERED' });
    t.deepEqual(await Promise.all(inner), [7, 7]);
    t.deepEqual(reapAll(ring), ['by hand', 'by hand']);
    t.is(text(), '');
    t.is(ring.inFlight, 0);
  });
});

test('what a getter starts is done although the chain that it belongs to, prepared by hand, has no room then', async (t) => {
  t.timeout(20_000);
  const { first, text } = await written(t);
  await withRing({ entries: 4 }, async (ring) => {
    const inner: Promise<number>[] = [];
    const filling = doing(() => {
      ring.prep(nop(), 'by hand');
      for (let left = 2; left > 0; left -= 1) inner.push(ring.exec(nop({ result: 7 })));
    });
    t.false(ring.prepChain([first, filling]));
    t.deepEqual(await Promise.all(inner), [7, 7]);
    t.deepEqual(reapAll(ring), ['by hand']);
    t.is(text(), '');
  });
});

/** A ring that has no room until its timers are cancelled. */
async function withFullRing(run: (ring: Ring, free: () => Promise<void>) => Promise<void>): Promise<void> {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const timers = Array.from({ length: 4 }, () => timeout(HOUR_MS));
    const ended = Promise.allSettled(timers.map((timer) => ring.exec(timer)));
    await run(ring, async () => {
      for (const timer of timers) await ring.exec(asyncCancel(timer));
      await ended;
    });
  });
}

test('a request to cancel that a getter starts while its chain is let in is done, and the chain runs once', async (t) => {
  t.timeout(20_000);
  const { first, text } = await written(t);
  const requests: Promise<unknown>[] = [];
  let armed: (() => void) | undefined;
  const asking = doing(() => armed?.());
  await withFullRing(async (ring, free) => {
    const outcome = ring.chain([first, asking]);
    t.is(ring.waiting, 2);
    armed = () => void requests.push(ring.exec(asyncCancel(nop())).catch(({ code }) => code));
    await free();
    t.deepEqual(await outcome, [3, 5]);
    t.deepEqual(await Promise.all(requests), ['ENOENT']);
    t.is(text(), 'ran');
    t.like(ring, { inFlight: 0, waiting: 0 });
  });
});

test('what a getter cancels while it is let in does not run, and settles once', async (t) => {
  t.timeout(20_000);
  await withFullRing(async (ring, free) => {
    const outcomes: unknown[] = [];
    const requests: Promise<unknown>[] = [];
    let isArmed = false;
    const operation = doing(() => {
      if (isArmed) requests.push(ring.exec(asyncCancel(operation)));
    });
    ring.start(operation, (error, result) => void outcomes.push(error?.code ?? result));
    t.is(ring.waiting, 1);
    isArmed = true;
    await free();
    await Promise.all(requests);
    while (ring.inFlight > 0 || ring.waiting > 0) await ring.exec(nop());
    t.deepEqual(outcomes, ['ECANCELED']);
    t.is(requests.length, 1);
  });
});

test('a signal that a getter aborts stops the operation that it belongs to', async (t) => {
  t.timeout(20_000);
  await withRing({ entries: 4 }, async (ring) => {
    const controller = new AbortController();
    const get = (): number => {
      controller.abort();
      return 0;
    };
    const operation = Object.defineProperty(timeout(HOUR_MS), 'offset', { get });
    await t.throwsAsync(ring.exec(operation, { signal: controller.signal }), { name: 'AbortError' });
    t.is(ring.inFlight, 0);
  });
});
