// @ts-check
// The node:fs side of each row: `node node.mjs read --mode callback|promise ...`.

import { closeSync, constants, read } from 'node:fs';
import { open } from 'node:fs/promises';

import {
  BlockSequence,
  callbackRunner,
  measure,
  openInput,
  parseOptions,
  promiseRunner,
  READ_BYTES,
} from './common.mjs';

/** @typedef {import('./common.mjs').Options} Options */

const WASM_PAGE_BYTES = 65_536;

/**
 * One buffer for each slot. O_DIRECT wants aligned memory, which Node has no call for, but the memory of
 * a WebAssembly instance starts on a page.
 *
 * @param {Options} options
 */
function makeBuffers(options) {
  if (!options.direct) {
    return Array.from({ length: options.depth }, () => Buffer.allocUnsafeSlow(READ_BYTES));
  }
  const pages = Math.ceil((options.depth * READ_BYTES) / WASM_PAGE_BYTES);
  const { buffer } = new WebAssembly.Memory({ initial: pages });
  return Array.from({ length: options.depth }, (_, slot) =>
    Buffer.from(buffer, slot * READ_BYTES, READ_BYTES),
  );
}

/** @param {Options} options */
async function measureCallback(options) {
  const { fd, sequence } = openInput(options);
  const buffers = makeBuffers(options);
  // One function for each slot, made up front, so that none is allocated for each read.
  const callbacks = buffers.map((_, slot) => onRead.bind(undefined, slot));
  const { run, done } = callbackRunner(options.depth, (slot) => {
    read(fd, buffers[slot], 0, READ_BYTES, sequence.next() * READ_BYTES, callbacks[slot]);
  });

  /**
   * @param {number} slot
   * @param {Error | null} error
   * @param {number} bytesRead
   */
  function onRead(slot, error, bytesRead) {
    if (error) throw error;
    if (bytesRead !== READ_BYTES) throw new Error(`a read has the result ${bytesRead}`);
    done(slot);
  }

  await measure(options, run);
  closeSync(fd);
}

/** @param {Options} options */
async function measurePromise(options) {
  const handle = await open(options.file, constants.O_RDONLY | (options.direct ? constants.O_DIRECT : 0));
  const { size } = await handle.stat();
  const sequence = new BlockSequence(Math.floor(size / READ_BYTES));
  const buffers = makeBuffers(options);

  await measure(
    options,
    promiseRunner(
      options.depth,
      (slot) => handle.read(buffers[slot], 0, READ_BYTES, sequence.next() * READ_BYTES),
      ({ bytesRead }) => bytesRead === READ_BYTES,
    ),
  );
  await handle.close();
}

const options = parseOptions();
if (options.workload !== 'read') throw new Error('node:fs can only be measured for read');
await (options.mode === 'promise' ? measurePromise(options) : measureCallback(options));
