// `npm run fuzz`: each fuzzer for 20 seconds. `npm run fuzz -- records --seconds 600 --seed 7` says which, how long and from
// where; `--input FILE` runs one input of a Rust target again, `--only INDEX` one case of the JavaScript one; `--keep` adds what
// was found on the way to the committed corpus.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fuzzApi } from './lib/fuzz-api.mjs';
import { Complaint, root, run, script } from './lib/project.mjs';
import { buildTargets, corpora, keep, RUST_TARGETS, sanitized } from './lib/sanitized.mjs';

const FUZZERS = [...RUST_TARGETS, 'api'];
const USAGE = `npm run fuzz -- [${FUZZERS.join('] [')}] [--seconds N] [--seed N] [--input FILE] [--only INDEX] [--keep]`;

/** One input that takes longer hangs. */
const HANG_SECONDS = 20;

function readArguments() {
  try {
    const text = { type: 'string' };
    const options = { seconds: text, seed: text, input: text, only: text, keep: { type: 'boolean' } };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const { input, keep = false } = values;
    const [seconds, seed, only] = [
      values.seconds ?? 20,
      values.seed ?? Date.now() % 2 ** 31,
      values.only,
    ].map((value) => (value === undefined ? undefined : Number(value)));
    const isGood = [seconds, seed, only ?? 0].every((number) => Number.isInteger(number) && number >= 0);
    // libFuzzer takes 0 seconds for no limit.
    if (!isGood || seconds < 1 || !positionals.every((name) => FUZZERS.includes(name)))
      throw new Error(USAGE);
    return {
      names: positionals.length === 0 ? FUZZERS : positionals,
      seconds,
      seed,
      only,
      input,
      isKept: keep,
    };
  } catch {
    throw new Complaint(USAGE);
  }
}

/** The figures that libFuzzer prints last. */
function figures(output) {
  const status = [...output.matchAll(/cov: (\d+) ft: (\d+) corp: (\d+)/g)].at(-1);
  const runs = /stat::number_of_executed_units: (\d+)/.exec(output)?.[1] ?? '?';
  return `${runs} runs, ${status?.[1] ?? '?'} edges, ${status?.[2] ?? '?'} features, corpus ${status?.[3] ?? '?'}`;
}

async function fuzzRust(dir, target, { seconds, seed, input, isKept }) {
  const env = sanitized('fuzz');
  if (input !== undefined) return !(await run(join(dir, target), [input], { env })).failed;
  const { committed, found } = corpora(target);
  const prefix = join(root, 'build', 'fuzz', `${target}-`);
  const limits = [
    `-max_total_time=${seconds}`,
    `-timeout=${HANG_SECONDS}`,
    '-max_len=1024',
    `-seed=${seed || 1}`,
  ];
  const args = [...limits, '-print_final_stats=1', `-artifact_prefix=${prefix}`, found, committed];
  const { failed, stderr } = await run(join(dir, target), args, { env, stderr: 'pipe' });
  if (failed) console.log(stderr.split('\n').slice(-60).join('\n'));
  const [, saved] = /Test unit written to (\S+)/.exec(stderr) ?? [];
  const again = saved === undefined ? '' : `; again: npm run fuzz -- ${target} --input ${saved}`;
  console.log(`${target}: ${failed ? 'FAILED' : 'nothing found'}, ${figures(stderr)}, seed ${seed}${again}`);
  if (isKept && !failed) console.log(`${target}: the corpus has ${await keep(dir, target)} inputs now`);
  return !failed;
}

await script(async () => {
  const { names, ...options } = readArguments();
  const rust = names.filter((name) => name !== 'api');
  const dir = rust.length === 0 ? undefined : await buildTargets();
  let isGood = true;
  for (const target of rust) isGood = (await fuzzRust(dir, target, options)) && isGood;
  if (names.includes('api')) isGood = (await fuzzApi(options)) && isGood;
  return isGood ? 0 : 1;
});
