// @ts-check
// `wake.latency`: from a write in another process to the 'data' event of a socket on the pipe.

import { Socket } from 'node:net';

import { parseOptions } from '../common.mjs';
import { Latencies, TICK_BYTES } from '../wakes.mjs';

const latencies = new Latencies(parseOptions());
const socket = new Socket({ fd: 0, readable: true, writable: false });

socket.on('data', (ticks) => {
  for (let at = 0; at < ticks.length; at += TICK_BYTES) {
    if (!latencies.add(ticks.subarray(at, at + TICK_BYTES))) continue;
    latencies.report();
    socket.destroy();
    return;
  }
});
