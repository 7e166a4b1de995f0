// @ts-check
// `npm run soak`: mixed work on files, connections, timers and workers, with contents checked all the time. Every so often all of
// it stands still, and what the process holds is counted. Ends with 1 when anything was wrong, or grows.
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { Ring } from 'uring';
import { dice } from './common.mjs';
import { chains, largeFiles, smallFiles } from './files.mjs';
import { Gate } from './gate.mjs';
import { judge, sample } from './holdings.mjs';
import { echo } from './network.mjs';
import { aborts, closings, timers, workers } from './others.mjs';

/** @typedef {import('./common.mjs').Work} Work @typedef {import('./holdings.mjs').Sample} Sample @typedef {import('./holdings.mjs').Verdict} Verdict */

const USAGE = `npm run soak -- [options]

  --seconds N   how long (default 120)
  --seed N      other random numbers (default 1)
  --json FILE   write the figures to FILE
`;
const CHECKPOINTS = 24;
/** Two for each third. */
const CHECKPOINTS_MIN = 6;
const CHECKPOINT_MS_MAX = 10_000;
const MIB = 1 << 20;
const TABLE_OPTIONS = { style: { head: [], border: [], compact: true } };

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '120' },
      seed: { type: 'string', default: '1' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
  if (!(seconds > 0 && Number.isSafeInteger(seed))) throw new TypeError('--seconds and --seed take numbers');
  return { seconds, seed, json: values.json, help: values.help };
}

/** @param {readonly Ring[]} rings @param {string} folder @param {number} seed @returns {Promise<Work[]>} */
async function makeWorks([files, server, clients], folder, seed) {
  const [one, two, three] = /** @type {[Ring, Ring, Ring]} */ ([files, server, clients]);
  const roll = dice(seed);
  return [
    largeFiles(one, folder, roll),
    chains(one, folder, roll),
    smallFiles(one, folder, roll),
    await echo(two, three, roll),
    timers(three, roll),
    await aborts(three, roll),
    closings(roll),
    workers(folder, roll),
  ];
}

/** Runs all lanes for a while, and answers what was held at each checkpoint. */
async function soak(
  /** @type {Gate} */ gate,
  /** @type {Work[]} */ works,
  /** @type {readonly Ring[]} */ rings,
  /** @type {number} */ seconds,
) {
  const lanes = works.flatMap((work) =>
    Array.from({ length: work.lanes }, (_, at) =>
      gate.lane(`${work.name} ${at}`, async () => {
        await work.round(at);
        work.tally.rounds += 1;
      }),
    ),
  );
  /** @type {Sample[]} */
  const samples = [];
  const end = Date.now() + seconds * 1000;
  const everyMs = Math.min(CHECKPOINT_MS_MAX, (seconds * 1000) / CHECKPOINTS);
  try {
    while ((Date.now() < end || samples.length < CHECKPOINTS_MIN) && !gate.isOver) {
      await sleep(everyMs);
      await gate.close();
      for (const { settle } of works) await settle?.();
      samples.push(await sample(rings, samples[0]));
      gate.open();
    }
  } catch (error) {
    gate.errors.push(error);
    return samples;
  } finally {
    gate.finish();
  }
  await Promise.all(lanes);
  return samples;
}

/** @param {Work[]} works */
function workTable(works) {
  const table = new Table({ head: ['work', 'rounds', 'checks', 'MiB compared or moved'], ...TABLE_OPTIONS });
  for (const { name, tally } of works) {
    const { rounds, checks, bytes } = tally;
    table.push([name, rounds, checks, Math.round(bytes / MIB)].map(String));
  }
  return table.toString();
}

/** @param {Verdict[]} verdicts */
function holdingsTable(verdicts) {
  const head = ['held at checkpoints', 'first third', 'middle', 'last', 'min', 'max', 'rule', ''];
  const table = new Table({ head, ...TABLE_OPTIONS });
  for (const { name, thirds, min, max, rule, isFlat } of verdicts) {
    /** @param {number} value */
    const shown = (value) => (name.endsWith('bytes') ? `${(value / MIB).toFixed(1)} MiB` : String(value));
    table.push([
      name.replace(', bytes', ''),
      ...[...thirds, min, max].map(shown),
      rule,
      isFlat ? 'flat' : 'GROWS',
    ]);
  }
  return table.toString();
}

async function main() {
  const { seconds, seed, json, help } = readOptions();
  if (help) return void process.stdout.write(USAGE);
  const folder = mkdtempSync(join(tmpdir(), 'uring-soak-'));
  const gate = new Gate();
  // The second one is small, so that its limits are met.
  const rings = [new Ring(), new Ring({ entries: 32, cqEntries: 128 }), new Ring()];
  try {
    const works = await makeWorks(rings, folder, seed);
    const samples = await soak(gate, works, rings, seconds);
    const operations = rings.reduce((sum, ring) => sum + ring.stats().submitted, 0);
    if (gate.errors.length === 0) for (const { end } of works) await end?.();
    const verdicts = judge(samples);
    const machine = `node ${process.version}, Linux ${release()}, ${availableParallelism()} processors`;
    console.log(
      `${machine}: ${seconds} s, seed ${seed}, ${samples.length} checkpoints, ${operations} operations`,
    );
    console.log(`${workTable(works)}\n${holdingsTable(verdicts)}`);
    for (const error of gate.errors) console.error('wrong:', error);
    if (json !== undefined)
      await writeFile(json, `${JSON.stringify({ machine, seconds, seed, operations, verdicts }, null, 2)}\n`);
    const isWell = gate.errors.length === 0 && verdicts.every(({ isFlat }) => isFlat);
    console.log(isWell ? 'soak: nothing was wrong, and nothing grows' : 'soak: FAILED');
    process.exitCode = isWell ? 0 : 1;
  } finally {
    for (const ring of rings) if (gate.errors.length === 0) await ring.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
