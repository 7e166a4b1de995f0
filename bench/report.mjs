// @ts-check
// What a run prints and writes.

import Table from 'cli-table3';

/** @typedef {import('./measure.mjs').Measured} Measured */
/** @typedef {import('./measure.mjs').Summary} Summary */

/** Plain lines, no colours: the table is pasted into issues and notes. */
const TABLE_OPTIONS = { style: { head: [], border: [], compact: true } };

/**
 * @param {number} value
 * @param {number} digits
 */
function formatNumber(value, digits) {
  // An exact count may come out as -0.001, and "-0" would only puzzle.
  const rounded = Number(value.toFixed(digits)) + 0;
  return rounded.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {Summary | null} summary @param {string} unit */
function formatSummary(summary, unit) {
  if (summary === null) return '-';
  const digits = unit === 'bytes/op' ? 3 : summary.median < 200 ? 1 : 0;
  const [middle, low, high] = [summary.median, summary.min, summary.max].map((value) =>
    formatNumber(value, digits),
  );
  return `${middle} (${low} to ${high})`;
}

/** @param {Summary} ours @param {Summary | null} theirs */
function ratioOf(ours, theirs) {
  return theirs === null ? null : ours.median / theirs.median;
}

/** @param {number | null} ratio @param {number} [digits] */
function formatRatio(ratio, digits = 2) {
  return ratio === null ? '-' : ratio.toFixed(digits);
}

/** @param {Measured[]} measured */
export function formatTable(measured) {
  const table = new Table({
    ...TABLE_OPTIONS,
    head: ['row', 'unit', 'ours', 'native', 'node', 'ours/native', 'ours/node'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
  });
  for (const { row, ours, native, node } of measured) {
    table.push([
      row.name,
      row.unit,
      formatSummary(ours, row.unit),
      formatSummary(native, row.unit),
      formatSummary(node, row.unit),
      formatRatio(ratioOf(ours, native)),
      formatRatio(ratioOf(ours, node)),
    ]);
  }
  return `median (lowest to highest), lower is better\n${table}`;
}

/**
 * @param {import('cli-table3').Table} table
 * @param {string} name
 * @param {number | undefined} limit
 * @param {number | null} ratio
 * @param {string} peer
 */
function pushRatioGoal(table, name, limit, ratio, peer) {
  if (limit === undefined) return;
  const met = ratio !== null && ratio <= limit;
  table.push([name, `<= ${limit.toFixed(2)} x ${peer}`, formatRatio(ratio, 3), met ? 'yes' : 'NO']);
}

/** @param {Measured[]} measured */
export function formatGoals(measured) {
  const table = new Table({
    ...TABLE_OPTIONS,
    head: ['row', 'goal', 'reached', 'met'],
    colAligns: ['left', 'right', 'right', 'left'],
  });
  for (const { row, ours, native, node } of measured) {
    const { vsNativeMax, vsNodeMax, oursBelow } = row.goal ?? {};
    pushRatioGoal(table, row.name, vsNativeMax, ratioOf(ours, native), 'native');
    pushRatioGoal(table, row.name, vsNodeMax, ratioOf(ours, node), 'node');
    if (oursBelow === undefined) continue;
    const met = ours.median < oursBelow.limit ? 'yes' : 'NO';
    table.push([row.name, `${oursBelow.text} ${row.unit}`, formatNumber(ours.median, 3), met]);
  }
  return table.length === 0 ? '' : `${table}`;
}

/** @param {Measured[]} measured */
export function toJson(measured) {
  const rows = measured.map(({ row, ours, native, node }) => ({
    name: row.name,
    unit: row.unit,
    ours: ours.median,
    native: native?.median ?? null,
    node: node?.median ?? null,
    vsNative: ratioOf(ours, native),
    vsNode: ratioOf(ours, node),
  }));
  return `${JSON.stringify({ rows }, undefined, 2)}\n`;
}
