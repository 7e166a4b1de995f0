// Runs the fuzzer of the public API in child processes, which may crash and hang.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './project.mjs';

/** A case that says nothing for so long hangs. */
const HANG_MS = 60_000;
/** A process is renewed after so long: what a case has left may only show in the next. */
const CHILD_SECONDS = 60;
const OUTPUT_BYTES = 20_000;

/** Runs cases from `first` on; answers what the child said, and how it ended. */
function runChild(seed, first, seconds, only) {
  return new Promise((resolve) => {
    const script = join(root, 'fuzz', 'api', 'child.mjs');
    const env = only === undefined ? process.env : { ...process.env, TRACE: '1' };
    const args = [
      '--expose-gc',
      '--enable-source-maps',
      script,
      String(seed),
      String(first),
      String(seconds),
    ];
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const seen = { at: first, stderr: '', failed: undefined, total: undefined, hung: false };
    const kill = () => {
      seen.hung = true;
      child.kill('SIGKILL');
    };
    let timer = setTimeout(kill, HANG_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      clearTimeout(timer);
      timer = setTimeout(kill, HANG_MS);
      const { begins, failed, error, total } = JSON.parse(line);
      if (begins !== undefined) seen.at = begins;
      if (failed !== undefined) seen.failed = error;
      if (total !== undefined) seen.total = total;
    });
    child.stderr.on('data', (text) => {
      seen.stderr = `${seen.stderr}${text}`.slice(-OUTPUT_BYTES);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...seen, code, signal });
    });
  });
}

function problem({ failed, hung, code, signal }) {
  if (failed !== undefined) return failed;
  if (hung) return `it hangs: nothing for ${HANG_MS / 1000} s`;
  return `the process died (${signal ?? `exit code ${code}`})`;
}

/** Fuzzes for so many seconds; answers whether nothing was found. */
export async function fuzzApi({ seconds, seed, only }) {
  const end = Date.now() + 1000 * seconds;
  const sum = { cases: 0, steps: 0, refused: 0, settled: 0 };
  for (let first = only ?? 0; ; ) {
    const left = Math.min(CHILD_SECONDS, Math.ceil((end - Date.now()) / 1000));
    if (left <= 0 && only === undefined) break;
    const ended = await runChild(seed, first, Math.max(1, left), only);
    if (ended.total === undefined || ended.code !== 0) {
      console.log(`api: FAILED in case ${ended.at}: ${problem(ended)}\n${ended.stderr}`);
      console.log(`api: again: npm run fuzz -- api --seed ${seed} --only ${ended.at}`);
      return false;
    }
    if (only !== undefined) console.log(ended.stderr);
    for (const [name, count] of Object.entries(ended.total)) sum[name] += count;
    first += ended.total.cases;
    if (only !== undefined) break;
  }
  console.log(`api: nothing found, ${JSON.stringify(sum)}, seed ${seed}`);
  return true;
}
