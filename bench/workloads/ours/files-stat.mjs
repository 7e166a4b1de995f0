// @ts-check
// `files.stat`: what the file system knows of many small files.

import { Ring, statx } from 'uring';

import { callbackRunner, measure, parseOptions } from '../common.mjs';
import { checkSize, FileCycle } from '../small-files.mjs';

const options = parseOptions();
const ring = new Ring({ asyncContext: false });
const files = new FileCycle(options);
const current = new Uint32Array(options.depth);
const runner = callbackRunner(options.depth, (slot) => {
  const index = files.next();
  current[slot] = index;
  ring.start(statx(files.paths[index]), onStats, slot);
});

/** @type {import('uring').CompletionCallback<import('uring').Stats>} */
function onStats(error, stats, { userData }) {
  if (error) throw error;
  const slot = /** @type {number} */ (userData);
  checkSize(current[slot], stats.size);
  runner.done(slot);
}

await measure(options, runner.run);
await ring.close();
