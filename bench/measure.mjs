// @ts-check
// Runs the sides of a row, each measurement in a process of its own.

import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { max, median, min } from 'simple-statistics';

import { readIntoPageCache } from './input.mjs';
import { measureServed } from './served.mjs';
import { measureTicked } from './ticked.mjs';

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
 * @property {string | undefined} oursTaskrun which setup ours takes where a row lets it choose; undefined for its own choice
 * @property {readonly [measured: string, driver: string]} cpus numbers of processors, for the rows where both are bound to one
 * @property {string[]} nodeFlags passed to node on both JavaScript sides
 * @property {number} repetitions
 * @property {number} scale of the number of operations
 */

const CHILD_TIMEOUT_MS = 120_000;

/** So large a young generation that the counted window fits into it: nothing is collected meanwhile. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=256'];

/** @param {string} script */
function workload(script) {
  return fileURLToPath(new URL(`workloads/${script}`, import.meta.url));
}

export const checkWorkload = workload('ours.mjs');

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

/**
 * The command that runs a side, without the number of operations.
 *
 * @param {Row} row
 * @param {'ours' | 'native' | 'node'} name
 * @param {Side} side
 * @param {Settings} settings
 */
function commandOf({ unit, way }, name, { script, args }, { peer, nodeFlags, taskrun, oursTaskrun }) {
  if (name === 'native') return [peer, ...args, '--taskrun', taskrun];
  const flags = unit === 'bytes/op' ? [...nodeFlags, ...ALLOCATION_FLAGS] : nodeFlags;
  const chosen = name === 'ours' && way.kind !== 'alone' && oursTaskrun !== undefined;
  const taskrunArgs = chosen ? ['--taskrun', oursTaskrun] : [];
  return [process.execPath, ...flags, workload(script ?? `${name}.mjs`), ...args, ...taskrunArgs];
}

/**
 * @param {Row} row
 * @param {'ours' | 'native' | 'node'} name
 * @param {Side} side
 * @param {Settings} settings
 */
async function measureSide(row, name, side, settings) {
  const { way, unit } = row;
  const command = commandOf(row, name, side, settings);
  // Counting is exact, and the short run is short already: it is not scaled.
  const ops = String(unit === 'bytes/op' ? side.ops : Math.ceil(side.ops * settings.scale));
  if (way.kind === 'served') {
    return numberOf(await measureServed(command, way.load(ops), settings), way.figure);
  }
  if (way.kind === 'ticked') {
    return numberOf(await measureTicked(command, ops, settings), way.figure);
  }
  // The peer says when it had to do with less than it was asked for, which changes what a ratio means.
  const stderr = name === 'native' ? ['pipe', 'inherit'] : 'pipe';
  const [program, ...args] = [...command, '--ops', ops];
  return numberOf(
    await runChild(/** @type {string} */ (program), args, /** @type {any} */ (stderr)),
    unit === 'bytes/op' ? 'bytes_per_op' : 'ns_per_op',
  );
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
    values.ours.push(await measureSide(row, 'ours', row.ours, settings));
    if (row.native) {
      await warm();
      values.native.push(await measureSide(row, 'native', row.native, settings));
    }
    if (row.node) {
      await warm();
      values.node.push(await measureSide(row, 'node', row.node, settings));
    }
  }
  return {
    row,
    ours: summarize(values.ours),
    native: row.native && summarize(values.native),
    node: row.node && summarize(values.node),
  };
}
