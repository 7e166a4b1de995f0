// `npm run soak`: a few seconds of it, and what it calls growing. Two minutes are for those who want to know (docs/reliability.md).
import test from 'ava';
import { probe } from 'uring';
import { leakCheck, skipUnless } from './_helpers.ts';
import { ROOT, runNode } from './_process.ts';

interface Holdings {
  readonly RULES: Readonly<Record<string, 'same' | number>>;
  judge(samples: readonly Readonly<Record<string, number>>[]): { name: string; isFlat: boolean }[];
}

interface Gates {
  Gate: new () => {
    readonly isOver: boolean;
    readonly errors: readonly unknown[];
    lane(name: string, round: () => Promise<void>): Promise<void>;
  };
}

const { judge, RULES }: Holdings = await import(new URL('bench/soak/holdings.mjs', `file://${ROOT}`).href);
const { Gate }: Gates = await import(new URL('bench/soak/gate.mjs', `file://${ROOT}`).href);

const MIB = 1 << 20;

leakCheck(test);

/** Checkpoints at which everything stays as it is, but for one thing. */
function grown(name: string, values: readonly number[]): string[] {
  const flat = Object.fromEntries(Object.keys(RULES).map((one) => [one, 10 * MIB]));
  return judge(values.map((value) => ({ ...flat, [name]: value })))
    .filter(({ isFlat }) => !isFlat)
    .map((verdict) => verdict.name);
}

test('what should stay the same and is once one more is called growing', (t) => {
  t.deepEqual(grown('fds', [20, 20, 20, 20, 20, 20]), []);
  t.deepEqual(grown('fds', [20, 20, 20, 21, 20, 20]), ['fds']);
  t.deepEqual(grown('handles', [2, 2, 2, 2, 2, 1]), ['handles']);
});

test('memory may find its size in the first third, and not after it', (t) => {
  const toBytes = (values: readonly number[]): number[] => values.map((value) => value * MIB);
  t.deepEqual(grown('RSS, bytes', toBytes([50, 70, 90, 95, 96, 96, 97, 98, 99])), []);
  t.deepEqual(grown('RSS, bytes', toBytes([90, 90, 90, 90, 95, 100, 105, 110, 115])), ['RSS, bytes']);
  t.deepEqual(grown('arenas, bytes', toBytes([4, 4, 4, 4, 5, 6, 7, 8, 9])), ['arenas, bytes']);
  // Too few to tell.
  t.deepEqual(
    grown('RSS, bytes', toBytes([90, 90])),
    Object.keys(RULES).filter((name) => RULES[name] !== 'same'),
  );
});

test('a lane that fails ends the soak, and its error is told', async (t) => {
  const gate = new Gate();
  let rounds = 0;
  const well = gate.lane('well', async () => {
    rounds += 1;
    await new Promise(setImmediate);
  });
  await gate.lane('ill', async () => Promise.reject(new Error('wrong bytes')));
  await well;
  t.true(gate.isOver);
  t.deepEqual(gate.errors.map(String), ['Error: ill: Error: wrong bytes']);
  t.true(rounds > 0);
});

skipUnless(probe().operations.includes('listen'), 'Linux 6.11')(
  'some seconds of the soak compare what they move, and nothing is wrong',
  async (t) => {
    t.timeout(110_000);
    const args = ['--expose-gc', 'bench/soak/run.mjs', '--seconds', '4'];
    const { stdout, stderr, timedOut } = await runNode(args, { timeoutMs: 100_000 });
    t.false(timedOut);
    // Whether memory grows cannot be told after seconds: only two minutes are judged by their exit code.
    t.notRegex(stderr, /wrong:/);
    for (const name of ['reads and writes', 'chains', 'small files', 'echo over TCP', 'timers', 'workers']) {
      const row = stdout.split('\n').find((line) => line.includes(name)) ?? '';
      const [rounds = 0, checks = 0] = [...row.matchAll(/│ (\d+)/g)].map(([, number]) => Number(number));
      t.true(rounds > 0 && checks > 0, `${name}: ${row}`);
    }
    for (const name of ['fds', 'handles', 'in flight', 'buffers lent', 'file slots'])
      t.regex(stdout, new RegExp(`│ ${name} .* flat`));
  },
);
