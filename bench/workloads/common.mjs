// @ts-check
// What the workloads of both JavaScript sides share: options, offsets, the clock, the line they print.

import { constants, fstatSync, openSync } from 'node:fs';
import { parseArgs } from 'node:util';

export const READ_BYTES = 4096;

/**
 * @typedef {object} Options
 * @property {string} workload what is measured: `nop`, `read`, `alloc` or `check`
 * @property {string} mode how operations are started: `manual`, `callback` or `promise`
 * @property {number} depth operations in flight
 * @property {number} ops operations to time
 * @property {number} warmup operations before the clock starts
 * @property {string} file file to read from, empty where nothing is read
 * @property {boolean} direct open with O_DIRECT
 * @property {boolean} userBuffer read into ordinary Buffers
 * @property {string} folder where the many small files are
 * @property {number} files how many of them
 * @property {number} port to listen on
 * @property {{ taskrun?: 'defer' | 'coop' }} setup of the ring, empty for the package's own choice
 */

/** @returns {Options} */
export function parseOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      mode: { type: 'string', default: 'callback' },
      depth: { type: 'string', default: '128' },
      ops: { type: 'string', default: '100000' },
      warmup: { type: 'string' },
      file: { type: 'string', default: '' },
      direct: { type: 'boolean', default: false },
      'user-buffer': { type: 'boolean', default: false },
      folder: { type: 'string', default: '' },
      files: { type: 'string', default: '1' },
      port: { type: 'string', default: '1' },
      taskrun: { type: 'string' },
    },
  });
  const ops = positiveInteger('--ops', values.ops);
  return {
    workload: positionals[0] ?? '',
    mode: values.mode,
    depth: positiveInteger('--depth', values.depth),
    ops,
    // A quarter: enough for the optimizing compiler to have settled before the clock starts.
    warmup: values.warmup === undefined ? Math.ceil(ops / 4) : positiveInteger('--warmup', values.warmup),
    file: values.file,
    direct: values.direct,
    userBuffer: values['user-buffer'],
    folder: values.folder,
    files: positiveInteger('--files', values.files),
    port: positiveInteger('--port', values.port),
    setup: setupOf(values.taskrun),
  };
}

/** @param {string | undefined} taskrun @returns {Options['setup']} */
function setupOf(taskrun) {
  if (taskrun === undefined) return {};
  if (taskrun === 'defer' || taskrun === 'coop') return { taskrun };
  throw new Error(`--taskrun is defer or coop, not ${taskrun}`);
}

/**
 * @param {string} name
 * @param {string} text
 */
function positiveInteger(name, text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new Error(`${name} must be a whole number of at least 1, not ${text}`);
  }
  return value;
}

/**
 * Block numbers to read, from Marsaglia's xorshift with 32 bits of state. The native peer runs the same
 * generator with the same seed (`crates/peers/src/random.rs`), so all sides read the same blocks.
 */
export class BlockSequence {
  #state = 0x9e3779b9 | 0;
  #blocks;

  /** @param {number} blocks how many there are; the product below is exact up to 2^21 of them */
  constructor(blocks) {
    if (!Number.isSafeInteger(blocks) || blocks < 1 || blocks > 2 ** 21) {
      throw new Error(`cannot choose from ${blocks} blocks`);
    }
    this.#blocks = blocks;
  }

  next() {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return Math.floor(((state >>> 0) * this.#blocks) / 2 ** 32);
  }
}

/**
 * Opens the file to read from.
 *
 * @param {Options} options
 */
export function openInput(options) {
  const fd = openSync(options.file, constants.O_RDONLY | (options.direct ? constants.O_DIRECT : 0));
  return { fd, sequence: new BlockSequence(Math.floor(fstatSync(fd).size / READ_BYTES)) };
}

/**
 * Times `run(ops)` after `run(warmup)` and prints the line that the harness reads.
 *
 * @param {Options} options
 * @param {(ops: number) => void | Promise<void>} run
 */
export async function measure(options, run) {
  await run(options.warmup);
  const begin = process.hrtime.bigint();
  await run(options.ops);
  const elapsedNs = Number(process.hrtime.bigint() - begin);
  report({ ns_per_op: elapsedNs / options.ops, ops: options.ops });
}

/** @param {Record<string, number | boolean>} values */
export function report(values) {
  process.stdout.write(`${JSON.stringify(values)}\n`);
}

/**
 * A runner that keeps `depth` operations going, each of which starts the next of its slot when it calls back.
 *
 * @param {number} depth
 * @param {(slot: number) => void} start starts one operation
 */
export function callbackRunner(depth, start) {
  let toStart = 0;
  let inFlight = 0;
  let finish = () => {};

  /** @param {number} slot */
  function begin(slot) {
    toStart--;
    inFlight++;
    start(slot);
  }

  return {
    /** To be called for each operation that is over, with the slot it was started for. @param {number} slot */
    done(slot) {
      inFlight--;
      if (toStart > 0) begin(slot);
      else if (inFlight === 0) finish();
    },
    /** @param {number} count @returns {Promise<void>} */
    run(count) {
      return new Promise((resolve) => {
        finish = resolve;
        toStart = count;
        for (let slot = 0; slot < depth && toStart > 0; slot++) begin(slot);
      });
    },
  };
}

/**
 * A runner that keeps `depth` loops going, each of which awaits its operations one after the other.
 *
 * @template T
 * @param {number} depth
 * @param {(slot: number) => Promise<T>} execute starts one operation and resolves to its result
 * @param {(result: T) => boolean} [isExpected] a run that did not do its work measures nothing; left out where
 * `execute` checks it itself
 */
export function promiseRunner(depth, execute, isExpected = () => true) {
  let toStart = 0;

  /** @param {number} slot */
  async function loop(slot) {
    while (toStart > 0) {
      toStart--;
      const result = await execute(slot);
      if (!isExpected(result)) throw new Error(`an operation in slot ${slot} has a wrong result`);
    }
  }

  /** @param {number} count */
  return async function run(count) {
    toStart = count;
    await Promise.all(Array.from({ length: depth }, (_, slot) => loop(slot)));
  };
}
