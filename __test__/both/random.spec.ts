// Chains made at random, run by the kernel and by the mock: what becomes of each link has to be the same.
import test from 'ava';
import { type AnyOperation, linkTimeout, nop, Ring, read, readv, SqeFlags, timeout } from 'uring';
import { mock } from 'uring/mock';
import { file } from '../_fixtures.ts';
import { leakCheck } from '../_helpers.ts';

leakCheck(test);

const ROUNDS = 300;
const HOUR_MS = 3_600_000;
/** A descriptor of the mock's that is not open, and that no process has. */
const NO_FILE = 2_000_000_000;
const { LINK, HARDLINK } = SqeFlags;

/** Numbers that are the same each time (a linear congruential generator). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** What is read: fewer bytes than there is room for end a chain. */
const BYTES = Buffer.from('0123456789');

interface Link {
  /** Of a descriptor with these bytes. */
  readonly operation: (fd: number) => AnyOperation;
  readonly flags: number;
  readonly text: string;
}

function link(roll: (sides: number) => number, isFirst: boolean): Link {
  const flags = [0, LINK, LINK, HARDLINK][roll(4)] as number;
  const [result, size, offset] = [roll(100), 1 + roll(12), roll(12)];
  const kinds: [string, Link['operation']][] = [
    ['done', () => nop({ result })],
    ['done', () => nop()],
    ['failed', () => nop({ result: -1 - result })],
    [`read ${size} at ${offset}`, (fd) => read(fd, Buffer.alloc(size), { offset })],
    [
      `readv 2 and ${size} at ${offset}`,
      (fd) => readv(fd, [Buffer.alloc(2), Buffer.alloc(size)], { offset }),
    ],
    ['read of nothing', () => read(NO_FILE, Buffer.alloc(1))],
    ['timer', () => timeout(0.1)],
    ['good timer', () => timeout(0.1, { etimeSuccess: true })],
    ['limit', () => linkTimeout(HOUR_MS)],
  ];
  // A limit that limits nothing is refused with the whole chain by some kernels; it has a test of its own.
  const [text, operation] = kinds[roll(isFirst ? kinds.length - 1 : kinds.length)] as (typeof kinds)[number];
  return { operation, flags, text: `${text}${flags === 0 ? '' : flags === LINK ? ' ->' : ' =>'}` };
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

function outcome(ring: Ring, fd: number, all: readonly Link[]): number[] {
  for (const [at, { operation, flags }] of all.entries()) ring.prep(operation(fd), at, flags);
  ring.submitAndWait(all.length, { timeoutMs: 20_000 });
  const results: number[] = [];
  for (const { userData, res } of ring.completions()) results[userData as number] = res;
  return results;
}

test('chains of any kind end alike on the kernel and on the mock', async (t) => {
  const real = new Ring();
  const kernel = mock({
    read: ({ offset, room }) => BYTES.subarray(offset, offset + room),
    readv: ({ offset, room }) => BYTES.subarray(offset, offset + room),
  });
  const mocked = new kernel.Ring();
  const { fd } = file(t, BYTES);
  const mockedFd = kernel.descriptor();
  const roll = dice(20_261_121);
  for (let round = 0; round < ROUNDS; round += 1) {
    const all = links(roll);
    const text = all.map((one) => one.text).join(' ');
    t.deepEqual(outcome(mocked, mockedFd, all), outcome(real, fd, all), text);
  }
  await real.close();
  await mocked.close();
});
