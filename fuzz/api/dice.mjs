// Chance that can be had again: a number of the run and one of the case give the same case.
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export class Dice {
  #generator;

  constructor(seed, index) {
    this.#generator = xoroshiro128plus(Math.imul(seed | 0, 0x9e3779b1) ^ index);
  }

  /** From `min` to `max`, both included. */
  int(min, max) {
    return uniformInt(this.#generator, min, max);
  }

  oneIn(count) {
    return this.int(1, count) === 1;
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  /** As many as are asked for, made one by one. */
  some(min, max, make) {
    return Array.from({ length: this.int(min, max) }, make);
  }

  /** Chance of its own, for what runs at a time that is not known. */
  split() {
    return new Dice(this.int(-0x8000_0000, 0x7fff_ffff), this.int(0, 0x7fff_ffff));
  }
}
