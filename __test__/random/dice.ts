// Random values, and values that are wrong.
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

const JUNK: readonly unknown[] = [
  undefined,
  null,
  -1,
  0,
  1,
  7,
  255,
  4096,
  65_536,
  0x7fff_ffff,
  0xffff_ffff,
  2 ** 53,
  -(2 ** 31),
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  3n,
  -3n,
  2n ** 64n,
  '',
  'x',
  'w+',
  true,
  [],
  {},
  () => 0,
  Symbol('junk'),
  Buffer.alloc(0),
];

/** Neither a number nor anything that could be taken for one: for arguments where a wrong number would do harm. */
const NO_NUMBERS: readonly unknown[] = [
  null,
  '',
  'x',
  '3',
  true,
  [],
  {},
  () => 0,
  Symbol('junk'),
  Number.NaN,
  1.5,
];

/** Spreads the bits of a number (splitmix32). */
function mixed(value: number): number {
  let bits = (value + 0x9e37_79b9) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0_aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a_2d97);
  return bits ^ (bits >>> 15);
}

export class Dice {
  readonly #seed: number;
  #step = 0;
  #random: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = xoroshiro128plus(mixed(seed));
  }

  /**
   * Starts anew for a step: what a step does then depends on the seed and its number, and not on how many numbers the
   * steps before it took, which hangs on when the kernel answered.
   */
  step(number: number): void {
    this.#step = number;
    this.#random = xoroshiro128plus(mixed(mixed(this.#seed) ^ number));
  }

  /** The number of a step not long ago. */
  earlier(): number {
    return this.#step - this.int(0, 50);
  }

  int(min: number, max: number): number {
    return uniformInt(this.#random, min, max);
  }

  /** True once in so many times. */
  oneIn(count: number): boolean {
    return this.int(1, count) === 1;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)] as T;
  }

  /** The value, or now and then something that is wrong. */
  rather<T>(value: T): T {
    return this.oneIn(25) ? (this.pick(JUNK) as T) : value;
  }

  /** The value, or now and then something that is no number. */
  ratherNumber<T>(value: T): T {
    return this.oneIn(25) ? (this.pick(NO_NUMBERS) as T) : value;
  }

  bool(): boolean {
    return this.rather(this.oneIn(2));
  }

  /** Some of the options. */
  some(choices: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const chosen: Record<string, unknown> = {};
    for (const name in choices) if (this.oneIn(4)) chosen[name] = choices[name];
    return chosen;
  }
}
