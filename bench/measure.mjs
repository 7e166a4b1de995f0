// @ts-check
// Runs the sides of a row, each measurement in a process of its own.

import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { max, median, min } from 'simple-statistics';

import { readIntoPageCache } from './input.mjs';

/** @typedef {import('./rows.mjs').Row} Row */
/** @typedef {import('./rows.mjs').Side} Side */

/** @typedef {{ median: number, min: number, max: number }} Summary */

/**
 * @typedef {object} Measured
 * @property {Row} row
 * @property {Summary} ours
 * @property {Summary | null} native
 * @property {Summary | null} node
 */

/**
 * @typedef {object} Settings
 * @property {string} peer path of the native peer
 * @property {string} taskrun which setup the native peer takes: `defer` or `coop`
 * @property {string[]} nodeFlags passed to node on both JavaScript sides
 * @property {number} repetitions
 * @property {number} scale of the number of operations
 */

const CHILD_TIMEOUT_MS = 120_000;

/** So large a young generation that the counted window fits into it: nothing is collected meanwhile. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=256'];

export const workloads = {
  ours: fileURLToPath(new URL('workloads/ours.mjs', import.meta.url)),
  node: fileURLToPath(new URL('workloads/node.mjs', import.meta.url)),
};

/**
 * @param {string} program
 * @param {string[]} args
 * @param {import('execa').Options['stderr']} [stderr]
 * @returns {Promise<Record<string, unknown>>} the JSON line that it prints
 */
export async function runChild(program, args, stderr = 'pipe') {
  const { stdout } = await execa(program, args, { timeout: CHILD_TIMEOUT_MS, stderr });
  return JSON.parse(stdout);
}

/**
 * @param {Record<string, unknown>} line
 * @param {string} key
 */
function numberOf(line, key) {
  const value = line[key];
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new Error(`a workload printed ${JSON.stringify(line)}, without a number as ${key}`);
  }
  return value;
}

/** @param {Row} row @param {Settings} settings */
async function measureOurs({ unit, ours }, { nodeFlags, scale }) {
  if (unit === 'bytes/op') {
    // Not scaled: counting is exact, and the short run is short already.
    const args = [...nodeFlags, ...ALLOCATION_FLAGS, workloads.ours, ...ours.args, '--ops', String(ours.ops)];
    return numberOf(await runChild(process.execPath, args), 'bytes_per_op');
  }
  const args = [...nodeFlags, workloads.ours, ...ours.args, ...opsArgs(ours, scale)];
  return numberOf(await runChild(process.execPath, args), 'ns_per_op');
}

/** @param {Side} side @param {Settings} settings */
async function measureNative(side, { peer, scale, taskrun }) {
  const args = [...side.args, '--taskrun', taskrun, ...opsArgs(side, scale)];
  // The peer says when it had to do with less than it was asked for, which changes what a ratio means.
  return numberOf(await runChild(peer, args, ['pipe', 'inherit']), 'ns_per_op');
}

/** @param {Side} side @param {Settings} settings */
async function measureNode(side, { nodeFlags, scale }) {
  const args = [...nodeFlags, workloads.node, ...side.args, ...opsArgs(side, scale)];
  return numberOf(await runChild(process.execPath, args), 'ns_per_op');
}

/** @param {Side} side @param {number} scale */
function opsArgs({ ops }, scale) {
  return ['--ops', String(Math.ceil(ops * scale))];
}

/** @param {number[]} values @returns {Summary} */
function summarize(values) {
  return { median: median(values), min: min(values), max: max(values) };
}

/**
 * Ours, native, node, ours, native, node, ...: whatever else the machine does meanwhile falls on all
 * sides alike.
 *
 * @param {Row} row
 * @param {Settings} settings
 * @returns {Promise<Measured>}
 */
export async function measureRow(row, settings) {
  /** @type {{ ours: number[], native: number[], node: number[] }} */
  const values = { ours: [], native: [], node: [] };
  const warm = async () => {
    if (row.cachedFile !== null) await readIntoPageCache(row.cachedFile);
  };
  for (let repetition = 0; repetition < settings.repetitions; repetition++) {
    await warm();
    values.ours.push(await measureOurs(row, settings));
    if (row.native) {
      await warm();
      values.native.push(await measureNative(row.native, settings));
    }
    if (row.node) {
      await warm();
      values.node.push(await measureNode(row.node, settings));
    }
  }
  return {
    row,
    ours: summarize(values.ours),
    native: row.native && summarize(values.native),
    node: row.node && summarize(values.node),
  };
}
