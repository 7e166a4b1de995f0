// @ts-check
import Table from 'cli-table3';
import { readArguments, USAGE } from './arguments.mjs';
import { describeRing, openRing } from './availability.mjs';
import { DEPTH, measureBlocks, READS } from './blocks.mjs';
import { compareFiles, FILES_AT_ONCE, listFiles, measureFiles } from './files.mjs';
import { formatBytes, formatCount, plural } from './format.mjs';
import { withProgress } from './progress.mjs';
import { fill, openNameless, WRITES } from './scratch.mjs';
import { abortOnSignals, EXIT_FAILED, Stop } from './stop.mjs';

/** @typedef {import('uring').Ring} Ring */
/** @typedef {{ work: string, unit: string, ours: number, node: number, perSecond: boolean }} Row */

const MISMATCHES_SHOWN = 5;

/**
 * @param {Ring} ring
 * @param {string} dir
 * @param {AbortSignal} signal
 * @returns {Promise<Row[]>}
 */
async function showFiles(ring, dir, signal) {
  const { files, leftOut } = await listFiles(dir, signal);
  if (leftOut > 0)
    console.log(`left out: ${plural(leftOut, 'file')} or folders, unreadable or above 512 MiB`);
  if (files.length === 0) {
    console.log(`there are no files below ${dir}`);
    return [];
  }
  const label = `comparing ${plural(files.length, 'file')} below ${dir}`;
  const compared = await withProgress(label, files.length, (update) =>
    compareFiles(ring, files, { signal, update }),
  );
  const { equal, different, unreadable, changed, bytes } = compared;
  const also = [
    unreadable > 0 ? `, unreadable for both: ${unreadable}` : '',
    changed > 0 ? `, changed by somebody meanwhile: ${changed}` : '',
  ].join('');
  console.log(
    `${plural(equal.length, 'file')} with ${formatBytes(bytes)} are the same byte for byte, mismatches: ${different.length}${also}`,
  );
  if (different.length > 0) {
    const some = different.slice(0, MISMATCHES_SHOWN).join('\n  ');
    throw new Stop(EXIT_FAILED, `io_uring and node:fs read different contents from:\n  ${some}`);
  }
  if (equal.length === 0) return [];
  const { rounds } = measureFiles;
  const seconds = await withProgress('reading them, in turns', rounds, (update) =>
    measureFiles(ring, equal, signal, update),
  );
  const work = `read ${plural(equal.length, 'file')} (${formatBytes(bytes)}), ${FILES_AT_ONCE} at a time`;
  const perSecond = (/** @type {number} */ time) => equal.length / time;
  return [
    { work, unit: 'files/s', ours: perSecond(seconds.ours), node: perSecond(seconds.node), perSecond: true },
  ];
}

/**
 * @param {Ring} ring
 * @param {AbortSignal} signal
 * @returns {Promise<Row[]>}
 */
async function showBlocks(ring, signal) {
  const file = await openNameless();
  try {
    await withProgress('making a file of 1 GiB', WRITES, (update) => fill(ring, file, { signal, update }));
    const { rounds } = measureBlocks;
    const label = `reading ${formatCount(READS)} random blocks of it, three ways in turns`;
    const { seconds } = await withProgress(label, rounds, (update) =>
      measureBlocks(ring, file, signal, update),
    );
    const perRead = (/** @type {number} */ time) => (time / READS) * 1e6;
    const node = perRead(seconds.node);
    const work = `random 4 KiB reads of 1 GiB, ${DEPTH} in flight`;
    const common = { unit: 'us/read', node, perSecond: false };
    return [
      { ...common, work: `${work}: ring.exec`, ours: perRead(seconds.promise) },
      { ...common, work: `${work}: ring.start`, ours: perRead(seconds.callback) },
    ];
  } finally {
    await file.close();
  }
}

/** @param {Row[]} rows */
function formatTable(rows) {
  const table = new Table({
    head: ['work', 'ours', 'node:fs/promises', 'ratio'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const { work, unit, ours, node, perSecond } of rows) {
    const show = (/** @type {number} */ value) =>
      `${value >= 100 ? formatCount(value) : value.toFixed(2)} ${unit}`;
    table.push([work, show(ours), show(node), `${(perSecond ? ours / node : node / ours).toFixed(1)} x`]);
  }
  return `${table}\nMedians of rounds that take turns; every block was checked; ratio: how many times as fast ours is.`;
}

/**
 * @param {string} dir
 * @param {AbortSignal} signal
 */
async function show(dir, signal) {
  const ring = openRing();
  try {
    console.log(`${describeRing(ring)}\n`);
    const rows = [...(await showFiles(ring, dir, signal)), ...(await showBlocks(ring, signal))];
    console.log(`\n${formatTable(rows)}`);
  } finally {
    await ring.close();
  }
}

/**
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
export async function main(args) {
  const signal = abortOnSignals();
  try {
    const dir = await readArguments(args);
    if (dir === undefined) process.stdout.write(USAGE);
    else await show(dir, signal);
    return 0;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    console.error(`uring: ${error.message}`);
    return error.exitCode;
  }
}
