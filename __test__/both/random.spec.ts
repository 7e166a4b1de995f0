// Chains made at random, run by the kernel and by the mock: what becomes of each link has to be the same.
import test from 'ava';
import { type AnyOperation, linkTimeout, nop, Ring, SqeFlags, timeout } from 'uring';
import { mock } from 'uring/mock';
import { leakCheck } from '../_helpers.ts';

leakCheck(test);

const ROUNDS = 300;
const HOUR_MS = 3_600_000;
const { LINK, HARDLINK } = SqeFlags;

/** Numbers that are the same each time (a linear congruential generator). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

interface Link {
  readonly operation: AnyOperation;
  readonly flags: number;
  readonly text: string;
}

function link(roll: (sides: number) => number, isFirst: boolean): Link {
  const flags = [0, LINK, LINK, HARDLINK][roll(4)] as number;
  const kinds: [string, () => AnyOperation][] = [
    ['done', () => nop({ result: roll(100) })],
    ['done', () => nop()],
    ['failed', () => nop({ result: -1 - roll(100) })],
    ['timer', () => timeout(0.1)],
    ['good timer', () => timeout(0.1, { etimeSuccess: true })],
    ['limit', () => linkTimeout(HOUR_MS)],
  ];
  // A limit that limits nothing is refused with the whole chain by some kernels; it has a test of its own.
  const [text, make] = kinds[roll(isFirst ? 5 : 6)] as [string, () => AnyOperation];
  return { operation: make(), flags, text: `${text}${flags === 0 ? '' : flags === LINK ? ' ->' : ' =>'}` };
}

function links(roll: (sides: number) => number): Link[] {
  const made: Link[] = [];
  let isFirst = true;
  for (let left = 1 + roll(8); left > 0; left -= 1) {
    let next = link(roll, isFirst);
    // Two limits for one operation are refused, too.
    while (next.text.startsWith('limit') && made.at(-1)?.text.startsWith('limit') === true)
      next = link(roll, isFirst);
    made.push(next);
    isFirst = next.flags === 0;
  }
  return made;
}

function outcome(ring: Ring, all: readonly Link[]): number[] {
  for (const [at, { operation, flags }] of all.entries()) ring.prep(operation, at, flags);
  ring.submitAndWait(all.length, { timeoutMs: 20_000 });
  const results: number[] = [];
  for (const { userData, res } of ring.completions()) results[userData as number] = res;
  return results;
}

test('chains of any kind end alike on the kernel and on the mock', async (t) => {
  const real = new Ring();
  const mocked = new (mock({}).Ring)();
  const roll = dice(20_261_121);
  for (let round = 0; round < ROUNDS; round += 1) {
    const all = links(roll);
    const text = all.map((one) => one.text).join(' ');
    t.deepEqual(outcome(mocked, all), outcome(real, all), text);
  }
  await real.close();
  await mocked.close();
});
