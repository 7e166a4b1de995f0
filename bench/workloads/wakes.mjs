// @ts-check
// The ages of the ticks that the `wake.latency` row's sides get from `uring-peer tick`.

import { report } from './common.mjs';

/** A time stamp of 64 bits, in nanoseconds of the clock that `process.hrtime` shows. */
export const TICK_BYTES = 8;

export class Latencies {
  /** @type {Float64Array} */
  #ages;
  #warmup;
  #begin = process.hrtime.bigint();
  #count = 0;

  /** @param {import('./common.mjs').Options} options */
  constructor({ ops, warmup }) {
    this.#ages = new Float64Array(ops);
    this.#warmup = warmup;
  }

  /** Takes the age of a tick; answers whether there are enough. @param {Buffer} tick */
  add(tick) {
    const written = tick.readBigUInt64LE(0);
    const age = Number(process.hrtime.bigint() - written);
    // What was written before anybody could read it waited for that, not for a wake.
    if (written < this.#begin) return false;
    const at = this.#count++ - this.#warmup;
    if (at >= 0) this.#ages[at] = age;
    return at + 1 >= this.#ages.length;
  }

  report() {
    const ages = this.#ages.sort();
    /** @param {number} share */
    const at = (share) => ages[Math.floor(ages.length * share)];
    report({ ns_per_op: at(0.5), p99_ns: at(0.99), ops: ages.length });
  }
}
