// One case: a ring, some dozens of steps, and an end after which nothing may be left.
import assert from 'node:assert/strict';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Ring } from 'uring';
import { ringOptions, step, takes } from './calls.mjs';
import { Dice } from './dice.mjs';
import { World } from './world.mjs';

const STEPS = 40;
const DEPTH = 3;
/** As Node has it by itself. */
const STACK_FRAMES = 10;
/** Closing gives up after 5 seconds, and only what nothing can cancel takes as long. */
const END_MS = 20_000;

/** Errors without a code that are the program's own: what a value that only looks right does inside of the engine. */
const ENGINES = [TypeError, RangeError];

export class Case {
  counts = { steps: 0, refused: 0, settled: 0 };
  #seed;
  #index;
  #wrong = [];
  #followed = new Set();
  #depth = 0;
  #isOver = false;

  constructor(seed, index) {
    this.#seed = seed;
    this.#index = index;
  }

  /** Throws what is wrong with the package. */
  async run(endpoints, before, trace) {
    const dice = new Dice(this.#seed, this.#index);
    const rings = [this.#open(ringOptions(dice)), new Ring({ entries: 8 })];
    const world = this.#world(rings, endpoints, dice);
    for (let count = 0; count < STEPS; count += 1) {
      if (trace) console.error(`step ${count}`);
      this.#step(dice, world, trace);
      if (dice.oneIn(4)) await turn();
    }
    try {
      await this.#end(world, rings, before);
      const [first] = this.#wrong;
      if (first !== undefined) throw first;
    } catch (error) {
      throw Object.assign(error, { log: world.log.join('\n') });
    }
  }

  /** A ring like this, or where the kernel or the combination has it not, an ordinary one. */
  #open(options) {
    try {
      return new Ring(options);
    } catch (error) {
      assert.equal(typeof error.code, 'string', 'an error without a code, from opening a ring');
      return new Ring({ entries: 8, cqEntries: 64 });
    }
  }

  #world(rings, endpoints, dice) {
    const [ring, other] = rings;
    const world = new World(ring, other, endpoints, (own) => this.#step(own ?? dice, world));
    return Object.assign(world, {
      names: new WeakMap(),
      takes: (...args) => takes(world, args),
      controllers: [],
      stoppers: [],
      checkError: (error, where) => this.#check(error, where, world),
      follow: (promise, where, took, failed) => this.#follow(world, promise, where, took, failed),
    });
  }

  #step(dice, world, trace) {
    // What comes after the end would be taken for the next case's.
    if (this.#depth >= DEPTH || this.#isOver) return;
    this.#depth += 1;
    this.counts.steps += 1;
    // Node sets it to 0 while it makes some of its own errors, and a hostile argument of these keeps it from going back.
    Error.stackTraceLimit = STACK_FRAMES;
    try {
      const result = step(dice, world);
      if (result instanceof Promise) this.#follow(world, result, 'a step');
    } catch (error) {
      if (trace) console.error(`  ${error.code ?? error.stack}: ${error.message}`);
      this.counts.refused += 1;
      this.#check(error, 'a step', world);
    } finally {
      this.#depth -= 1;
    }
  }

  /** Every error has a code. */
  #check(error, where, world) {
    if (typeof error?.code === 'string' && error.code !== '') return;
    if (error instanceof AggregateError) {
      for (const part of error.errors) this.#check(part, where, world);
      return;
    }
    // Nothing that the package gives out was there to be called.
    if (
      error instanceof TypeError &&
      / is not a function| of undefined|Cannot read properties/.test(error.message)
    ) {
      const isOurs = error.stack?.split('\n')[1]?.includes('/fuzz/api/');
      if (isOurs) return;
    }
    if (world.isForged && ENGINES.some((kind) => error instanceof kind)) return;
    this.#wrong.push(new Error(`an error without a code, from ${where}`, { cause: error }));
  }

  /** Every promise settles; what it brings is the case's. */
  #follow(world, promise, where, took, failed) {
    if (typeof promise?.then !== 'function') return;
    const followed = { where };
    this.#followed.add(followed);
    const done = () => {
      this.#followed.delete(followed);
      this.counts.settled += 1;
    };
    const see = (error) => {
      failed?.(error);
      this.#check(error, where, world);
    };
    void promise
      .then((result) => took?.(result))
      .catch(see)
      .then(done);
  }

  uncaught(error) {
    if (typeof error?.code === 'string') return;
    this.#wrong.push(new Error('an uncaught error without a code', { cause: error }));
  }

  async #end(world, rings, before) {
    for (const controller of world.controllers) controller.abort();
    this.#isOver = true;
    for (const stop of world.stoppers) stop?.();
    const closed = Promise.all(rings.map((ring) => ring.close()));
    const ended = await Promise.race([closed, sleep(END_MS, 'late', { ref: true })]);
    assert.notEqual(ended, 'late', 'a ring does not close');
    for (let tries = 0; this.#followed.size > 0 && tries < 1000; tries += 1)
      await (tries < 20 ? turn() : sleep(10));
    const open = [...this.#followed].map(({ where }) => where);
    assert.deepEqual(open, [], 'promises that nothing settles');
    world.checkMemory();
    let unknown = world.closeBrought(before);
    // The kernel closes the rest of a ring in its own time.
    for (let tries = 0; unknown.length > 0 && tries < 100; tries += 1) {
      await sleep(10);
      unknown = world.closeBrought(before);
    }
    assert.deepEqual(unknown, [], 'descriptors that nobody knows of');
  }
}
