// @ts-check
// The package's side of each row: `node ours.mjs nop|read --mode manual|callback|promise ...` times
// operations, `alloc` counts heap bytes, `check` says whether there is anything to measure.

import { nop, Ring, read } from 'uring';

import { measureAllocation } from './allocation.mjs';
import {
  callbackRunner,
  measure,
  openInput,
  parseOptions,
  promiseRunner,
  READ_BYTES,
  report,
} from './common.mjs';

/** @typedef {import('./common.mjs').Options} Options */

/**
 * One kind of work, for every way of starting it. There is one operation object for each slot, made up
 * front and started again and again: this is how a program that counts nanoseconds uses the package.
 *
 * @typedef {object} Work
 * @property {import('uring').Operation<unknown>[]} operations one for each slot
 * @property {(slot: number) => void} prepare changes the slot's operation before its next start
 * @property {(slot: number) => Promise<unknown>} execute the promise way: a new description each time
 * @property {number} expected the `res` that each completion must have
 */

/**
 * @param {Ring} ring
 * @param {number} depth
 * @returns {Work}
 */
function nopWork(ring, depth) {
  return {
    operations: Array.from({ length: depth }, () => nop()),
    prepare() {},
    execute: () => ring.exec(nop()),
    expected: 0,
  };
}

/**
 * @param {Ring} ring
 * @param {Options} options
 * @returns {Work}
 */
function readWork(ring, options) {
  const { fd, sequence } = openInput(options);
  const buffers = Array.from({ length: options.depth }, () =>
    options.userBuffer ? Buffer.allocUnsafeSlow(READ_BYTES) : ring.alloc(READ_BYTES),
  );
  const operations = buffers.map((buffer) => read(fd, buffer, { offset: 0 }));
  return {
    operations,
    prepare(slot) {
      operations[slot].offset = sequence.next() * READ_BYTES;
    },
    execute: (slot) => ring.exec(read(fd, buffers[slot], { offset: sequence.next() * READ_BYTES })),
    expected: READ_BYTES,
  };
}

/**
 * Blocking use: the loop of a C program.
 *
 * @param {Ring} ring
 * @param {Work} work
 * @returns {(count: number) => void}
 */
function manualRunner(ring, work) {
  const { operations, prepare, expected } = work;
  let toStart = 0;
  let inFlight = 0;

  /** @param {number} slot */
  function begin(slot) {
    prepare(slot);
    if (!ring.prep(operations[slot], slot)) throw new Error('the submission queue is full');
    toStart--;
    inFlight++;
  }

  /** @param {import('uring').Completion} completion */
  function onCompletion(completion) {
    inFlight--;
    if (completion.res !== expected) throw new Error(`a completion has the result ${completion.res}`);
    if (toStart > 0) begin(/** @type {number} */ (completion.userData));
  }

  return function run(count) {
    toStart = count;
    for (let slot = 0; slot < operations.length && toStart > 0; slot++) begin(slot);
    while (inFlight > 0) {
      ring.submitAndWait(1);
      ring.forEachCompletion(onCompletion);
    }
  };
}

/**
 * Use on the event loop, with one callback function for all operations.
 *
 * @param {Ring} ring
 * @param {Work} work
 * @returns {(count: number) => Promise<void>}
 */
function loopRunner(ring, work) {
  const { operations, prepare, expected } = work;
  const { run, done } = callbackRunner(operations.length, (slot) => {
    prepare(slot);
    ring.start(operations[slot], onDone, slot);
  });

  /**
   * @param {Error | null | undefined} error
   * @param {unknown} _result
   * @param {import('uring').Completion} completion
   */
  function onDone(error, _result, completion) {
    if (error) throw error;
    if (completion.res !== expected) throw new Error(`a completion has the result ${completion.res}`);
    done(/** @type {number} */ (completion.userData));
  }

  return run;
}

/**
 * @param {Ring} ring
 * @param {Options} options
 */
function runnerFor(ring, options) {
  const work = options.workload === 'read' ? readWork(ring, options) : nopWork(ring, options.depth);
  switch (options.mode) {
    case 'manual':
      return manualRunner(ring, work);
    case 'callback':
      return loopRunner(ring, work);
    case 'promise': {
      // A NOP resolves to nothing worth checking; a read resolves to the number of bytes.
      const isRead = options.workload === 'read';
      return promiseRunner(options.depth, work.execute, (result) => !isRead || result === work.expected);
    }
    default:
      throw new Error(`no mode ${JSON.stringify(options.mode)}: take manual, callback or promise`);
  }
}

/**
 * @param {Ring} ring
 * @param {Options} options
 */
async function runWorkload(ring, options) {
  switch (options.workload) {
    case 'check':
      return report({ available: true });
    case 'alloc':
      return measureAllocation(options, loopRunner(ring, nopWork(ring, options.depth)));
    case 'nop':
    case 'read':
      return measure(options, runnerFor(ring, options));
    default:
      throw new Error(`no workload ${JSON.stringify(options.workload)}: take nop, read, alloc or check`);
  }
}

const options = parseOptions();
// Callbacks here need no asynchronous context: what it costs is an object for each operation.
const ring = new Ring({ entries: options.depth, asyncContext: false });
await runWorkload(ring, options);
await ring.close();
