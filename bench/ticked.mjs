// @ts-check
// The row that measures how soon a sleeper wakes: ticks come through a pipe from a process on another
// processor, and say when they were written.

import { execa } from 'execa';

const TIMEOUT_MS = 120_000;
/** Long enough for whoever waits to have gone to sleep again. */
const INTERVAL_US = 200;
const WARMUP = 1000;

/** @param {string[]} words of a command, for the shell */
function quoted(words) {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

/**
 * @param {string[]} command takes ticks from its standard input
 * @param {string} ops
 * @param {import('./measure.mjs').Settings} settings
 * @returns {Promise<Record<string, unknown>>} the line that the command prints
 */
export async function measureTicked(command, ops, { peer, cpus: [wokenCpu, tickingCpu] }) {
  const tick = ['taskset', '-c', tickingCpu, peer, 'tick', '--interval-us', String(INTERVAL_US)];
  const woken = ['taskset', '-c', wokenCpu, ...command, '--ops', ops, '--warmup', String(WARMUP)];
  // A shell makes a pipe; what Node makes between processes is a socket that does not block, which a
  // read in io_uring would not wait for.
  const { stdout } = await execa('sh', ['-c', `${quoted(tick)} | ${quoted(woken)}`], {
    timeout: TIMEOUT_MS,
  });
  return JSON.parse(stdout);
}
