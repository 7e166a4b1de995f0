// @ts-check
// Dice, contents that say where they belong, and what is counted.

import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** @typedef {(limit: number) => number} Dice */

/**
 * Random numbers from 0 up to a limit, the same ones for the same seed.
 *
 * @param {number} seed @returns {Dice}
 */
export function dice(seed) {
  const generator = xoroshiro128plus(seed);
  return (limit) => uniformInt(generator, 0, limit - 1);
}

/** Bytes that no other place and no other round has. @param {Buffer} memory @param {Dice} roll */
export function scribble(memory, roll) {
  const start = roll(2 ** 31);
  let at = 0;
  for (; at + 4 <= memory.length; at += 4)
    memory.writeUInt32LE((start + Math.imul(at, 2_654_435_761)) >>> 0, at);
  memory.fill(start & 0xff, at);
  return memory;
}

/** What one kind of work has done. */
export class Tally {
  rounds = 0;
  /** Contents and outcomes that were compared with what they had to be. */
  checks = 0;
  bytes = 0;

  /**
   * @param {boolean} isRight
   * @param {() => string} what is wrong
   */
  check(isRight, what, bytes = 0) {
    this.checks += 1;
    this.bytes += bytes;
    if (!isRight) throw new Error(what());
  }
}

/**
 * @typedef {object} Work
 * @property {string} name
 * @property {Tally} tally
 * @property {number} lanes rounds that run at the same time
 * @property {(lane: number) => Promise<void>} round
 * @property {() => Promise<void>} [settle] resolves when what rounds leave behind for a moment has gone
 * @property {() => Promise<void>} [end]
 */
