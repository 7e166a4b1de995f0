// @ts-check
// `wake.latency`: from a write in another process to the callback of a read.

import { Ring, read } from 'uring';

import { parseOptions } from '../common.mjs';
import { Latencies, TICK_BYTES } from '../wakes.mjs';

const options = parseOptions();
const ring = new Ring({ asyncContext: false, ...options.setup });
const latencies = new Latencies(options);
const tick = ring.alloc(TICK_BYTES);
const readTick = read(0, tick);

/** @param {Error | null} error @param {number | undefined} bytes */
function onTick(error, bytes) {
  if (error) throw error;
  if (bytes !== TICK_BYTES) throw new Error(`a read has the result ${bytes}`);
  if (latencies.add(tick)) latencies.report();
  else ring.start(readTick, onTick);
}

ring.start(readTick, onTick);
