// Values that no type allows, and values that are not what they look like.
import { BufferRing, FixedFile, Operation, ProvidedBuffers, Ring } from 'uring';

/** What hostile code throws: an error of the program, which goes through the package as it is. */
export class Thrown extends Error {
  code = 'FUZZ_THROWN';
}

const NUMBERS = [
  -1,
  0,
  -0,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2 ** 16,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 64,
  -(2 ** 31),
  -(2 ** 63),
  Number.MAX_VALUE,
  Number.MIN_VALUE,
];

const BIGINTS = [
  -1n,
  0n,
  1n,
  2n ** 31n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n,
  -(2n ** 63n),
  2n ** 200n,
];

const STRINGS = [
  '',
  '\0',
  'a\0b',
  '__proto__',
  'constructor',
  'toString',
  'x'.repeat(300),
  'y'.repeat(5000),
  '\ud800',
  '🙂',
  'nowhere/at/all',
  '0',
  '1e3',
  'NaN',
];

const CLASSES = [
  Uint8Array,
  Buffer,
  ArrayBuffer,
  SharedArrayBuffer,
  Ring,
  Operation,
  FixedFile,
  BufferRing,
  ProvidedBuffers,
  AbortSignal,
  Date,
  Map,
  Promise,
];

/** A getter, or something that is called where a value is wanted. */
export function trap(dice, world, value) {
  const what = dice.int(0, 9);
  // What is looked at twice may be something else the second time.
  let innocent = dice.pick([0, 0, 0, 1, 2]);
  return () => {
    innocent -= 1;
    if (innocent >= 0) return value;
    if (what < 3) throw new Thrown('a getter');
    if (what === 3) world.closeSoon();
    else if (what === 4) world.spoilMemory();
    else if (what < 8) world.step();
    else if (what === 8) globalThis.gc?.();
    return value;
  };
}

function objects(dice, world) {
  const act = trap(dice, world, dice.pick(NUMBERS));
  return dice.pick([
    () => ({ valueOf: act, toString: act, [Symbol.toPrimitive]: act }),
    () => Object.create(null),
    () => Object.freeze({}),
    () => Object.defineProperty([1, 2, 3], 1, { get: act }),
    () => ({ length: dice.pick(NUMBERS), 0: 1 }),
    () => Object.assign([], { length: dice.pick([2 ** 32 - 1, 1025, 65_537]) }),
    () => ({ [Symbol.iterator]: act }),
    () => ({ [Symbol.iterator]: () => ({ next: act }) }),
    // biome-ignore lint/suspicious/noThenProperty: what is no promise may look like one
    () => ({ then: act }),
    () => new Proxy({}, Object.fromEntries(['get', 'has'].map((name) => [name, act]))),
    () => new Proxy([], { get: act }),
    () => new Proxy(world.takes, { apply: (takes, _this, args) => takes(...args) ?? act(), get: act }),
    () => Promise.resolve(1),
    () => new Map([['fd', 1]]),
    () => new Date(0),
    () => /x/g,
    () => new WeakMap(),
    () => new Error('not thrown'),
    () => globalThis,
    () => [[[[]]]],
    () => [undefined, null, Number.NaN],
    () =>
      (function* () {
        yield act();
      })(),
  ])();
}

/** Looks like one of the package's objects, or of Node's, and is none. */
function forged(dice, world) {
  world.isForged = true;
  return Object.create(dice.pick(CLASSES).prototype);
}

/** The real thing, behind a proxy. */
function behindProxy(dice, world) {
  world.isForged = true;
  const real = dice.pick([
    () => world.bytes(dice),
    () => world.ring,
    () => dice.pick([...world.operations, world.ring]),
    () => new AbortController().signal,
    () => [world.bytes(dice)],
  ])();
  const proxy = new Proxy(
    real,
    dice.oneIn(2)
      ? {}
      : { get: (target, name) => (dice.oneIn(4) ? trap(dice, world, 1)() : Reflect.get(target, name)) },
  );
  if (world.names.has(real)) world.names.set(proxy, world.names.get(real));
  return proxy;
}

/** A view that lies about its size and place. */
function lying(dice, world) {
  world.isForged = true;
  world.hasLied = true;
  const bytes = world.bytes(dice);
  const name = dice.pick(['byteLength', 'length', 'byteOffset', 'buffer', 'constructor']);
  const value = name === 'buffer' ? new ArrayBuffer(8) : dice.pick(NUMBERS);
  return Object.defineProperty(bytes, name, dice.oneIn(3) ? { get: trap(dice, world, value) } : { value });
}

/** Anything. */
export function hostile(dice, world) {
  const what = dice.int(0, 99);
  if (what < 25) return dice.pick(NUMBERS);
  if (what < 35) return dice.pick(BIGINTS);
  if (what < 45) return dice.pick(STRINGS);
  if (what < 53) return dice.pick([undefined, null, true, false, Symbol('s'), Symbol.iterator, world.takes]);
  if (what < 72) return objects(dice, world);
  if (what < 78) return forged(dice, world);
  if (what < 83) return behindProxy(dice, world);
  if (what < 87) return lying(dice, world);
  if (what < 95) return world.anything(dice);
  return world.bytes(dice);
}

/** Spoils one of the arguments, or something inside one. */
export function spoil(dice, world, args) {
  const at = dice.int(0, args.length - 1);
  const old = args[at];
  const isPlain =
    old !== null &&
    typeof old === 'object' &&
    !Object.isFrozen(old) &&
    [Object.prototype, Array.prototype].includes(Object.getPrototypeOf(old));
  if (!isPlain || dice.oneIn(3)) {
    args[at] = hostile(dice, world);
    return;
  }
  const keys = Object.keys(old);
  const key = keys.length === 0 || dice.oneIn(4) ? dice.pick(world.optionNames) : dice.pick(keys);
  if (dice.oneIn(3))
    Object.defineProperty(old, key, {
      get: trap(dice, world, old[key]),
      configurable: true,
      enumerable: true,
    });
  else Reflect.set(old, key, hostile(dice, world));
  if (dice.oneIn(10)) args[at] = new Proxy(old, {});
}
