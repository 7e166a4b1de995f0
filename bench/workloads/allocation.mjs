// @ts-check
// Counts the bytes that a run allocates on the JavaScript heap.
//
// Between two collections the heap only grows, and V8 knows its used size to the byte. So: make the young
// generation so large that nothing is collected (the harness passes the flags), read the size before and
// after, and prove afterwards that no collection happened in between.

import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';

import { median } from 'simple-statistics';

import { report } from './common.mjs';

const ATTEMPTS_MAX = 5;
const WINDOWS = 5;

/** @typedef {(count: number) => void | Promise<void>} Run */

/** @param {Run} run @param {number} count */
async function heapGrowth(run, count) {
  const before = getHeapStatistics().used_heap_size;
  await run(count);
  return getHeapStatistics().used_heap_size - before;
}

/**
 * Counts in several windows, because a compiler that finishes its job allocates as well, once.
 *
 * @param {Run} run
 * @param {import('./common.mjs').Options} options
 * @returns {Promise<number>} bytes for each operation in the median window
 */
async function countWindows(run, { depth, ops }) {
  const windowOps = Math.ceil(ops / WINDOWS);
  /** @type {number[]} */
  const bytesPerOp = [];
  for (let window = 0; window < WINDOWS; window++) {
    // The short run costs what a run costs whatever its length: promises, closures, the reading itself.
    const fixedBytes = await heapGrowth(run, depth);
    const bytes = await heapGrowth(run, depth + windowOps);
    bytesPerOp.push((bytes - fixedBytes) / windowOps);
  }
  return median(bytesPerOp);
}

/**
 * @param {import('./common.mjs').Options} options
 * @param {Run} run
 */
export async function measureAllocation(options, run) {
  if (globalThis.gc === undefined) throw new Error('start node with --expose-gc to count allocations');
  /** @type {number[]} */
  const collections = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collections.push(entry.startTime);
  });
  observer.observe({ entryTypes: ['gc'] });
  await run(options.warmup);

  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    globalThis.gc();
    await sleep(50);
    // A full collection may throw optimized code away: warm up once more, without collecting.
    await run(options.ops);
    const begin = performance.now();
    const bytesPerOp = await countWindows(run, options);
    const end = performance.now();
    // Entries reach the observer in a task of their own.
    await sleep(20);
    if (!collections.some((time) => time >= begin && time <= end)) {
      observer.disconnect();
      report({ bytes_per_op: bytesPerOp, ops: options.ops });
      return;
    }
  }
  throw new Error(`a garbage collection fell into each of ${ATTEMPTS_MAX} counts: enlarge the semi-space`);
}
