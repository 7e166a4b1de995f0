// @ts-check
// What the process holds while all lanes stand still, and whether it stays the same.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

const MIB = 1 << 20;
/** What is closed leaves /proc/self/fd a little later: io_uring drops its files asynchronously. */
const SETTLE_MS = 3000;

/** @typedef {Record<string, number>} Sample */

/**
 * Rules. What is `same` is as at the first checkpoint, at each of them. What is given a number of bytes may grow by so much
 * from the middle third of the checkpoints to the last, in their medians: V8, malloc and the pools find their sizes in the first.
 *
 * @type {Readonly<Record<string, 'same' | number>>}
 */
export const RULES = {
  fds: 'same',
  handles: 'same',
  'in flight': 'same',
  'buffers lent': 'same',
  'file slots': 'same',
  'arenas, bytes': 2 * MIB,
  'heap, bytes': 4 * MIB,
  'RSS, bytes': 8 * MIB,
};

async function collectGarbage() {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await turn();
  }
}

/** @param {readonly import('uring').Ring[]} rings @returns {Sample} */
function look(rings) {
  const stats = rings.map((ring) => ring.stats());
  /** @param {(one: import('uring').RingStats) => number} of */
  const sum = (of) => stats.reduce((all, one) => all + of(one), 0);
  const { rss, heapUsed } = process.memoryUsage();
  return {
    fds: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().filter((name) => !/Timeout|Immediate|FSReq/.test(name)).length,
    'in flight': sum((one) => one.inFlight),
    'buffers lent': sum((one) => one.buffersLent),
    'file slots': sum((one) => one.fileSlots),
    'arenas, bytes': sum((one) => one.registeredBytes + one.unregisteredBytes),
    'heap, bytes': heapUsed,
    'RSS, bytes': rss,
  };
}

/** @param {Sample} sample @param {Sample} first */
const differs = (sample, first) =>
  Object.keys(RULES).some((name) => RULES[name] === 'same' && sample[name] !== first[name]);

/**
 * What is held now, once what is going has gone.
 *
 * @param {readonly import('uring').Ring[]} rings
 * @param {Sample | undefined} first
 */
export async function sample(rings, first) {
  await collectGarbage();
  const deadline = Date.now() + SETTLE_MS;
  let seen = look(rings);
  while (first !== undefined && differs(seen, first) && Date.now() < deadline) {
    await sleep(10);
    seen = look(rings);
  }
  return seen;
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * @typedef {object} Verdict
 * @property {string} name
 * @property {readonly [first: number, middle: number, last: number]} thirds medians
 * @property {number} min
 * @property {number} max
 * @property {string} rule
 * @property {boolean} isFlat
 */

/** @param {readonly Sample[]} samples @returns {Verdict[]} */
export function judge(samples) {
  return Object.entries(RULES).map(([name, rule]) => {
    const values = samples.map((one) => one[name] ?? Number.NaN);
    const third = Math.ceil(values.length / 3);
    const thirds = /** @type {const} */ ([0, 1, 2]);
    const [first, middle, last] = thirds.map((at) => median(values.slice(at * third, (at + 1) * third)));
    const [min, max] = [Math.min(...values), Math.max(...values)];
    const medians = /** @type {[number, number, number]} */ ([first, middle, last]);
    const growth = medians[2] - medians[1];
    return {
      name,
      thirds: medians,
      min,
      max,
      rule: rule === 'same' ? 'the same' : `+${rule / MIB} MiB at most`,
      // What is not a number, for want of checkpoints, is not flat either.
      isFlat: rule === 'same' ? min === max : growth <= rule,
    };
  });
}
