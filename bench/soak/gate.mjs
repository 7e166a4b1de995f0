// @ts-check
// What all lanes of a soak pass between two rounds: it stops them all for a moment, so that what is left can be counted.
import { setTimeout as sleep } from 'node:timers/promises';

/** A round that takes longer than this hangs. */
const ROUND_MS = 6_000;

export class Gate {
  /** @type {Map<string, 'runs' | 'waits'>} */
  #lanes = new Map();
  /** @type {Door | undefined} */
  #closed;
  #isOver = false;
  /** @type {unknown[]} */
  errors = [];

  get isOver() {
    return this.#isOver;
  }

  /**
   * Runs rounds one after the other until the soak is over.
   *
   * @param {string} name
   * @param {() => Promise<void>} round
   */
  async lane(name, round) {
    this.#lanes.set(name, 'runs');
    try {
      while (await this.#pass(name)) await round();
    } catch (error) {
      this.errors.push(new Error(`${name}: ${error}`, { cause: error }));
      this.finish();
    } finally {
      this.#lanes.delete(name);
    }
  }

  /** @param {string} name */
  async #pass(name) {
    if (this.#closed !== undefined) {
      this.#lanes.set(name, 'waits');
      await this.#closed.promise;
      this.#lanes.set(name, 'runs');
    }
    return !this.#isOver;
  }

  /** Resolves when every lane waits between two rounds. */
  async close() {
    this.#closed = door();
    const deadline = Date.now() + ROUND_MS;
    for (;;) {
      const running = [...this.#lanes].filter(([, state]) => state === 'runs').map(([name]) => name);
      if (running.length === 0) return;
      if (Date.now() > deadline) throw new Error(`rounds that hang: ${running.join(', ')}`);
      await sleep(5);
    }
  }

  open() {
    this.#closed?.resolve();
    this.#closed = undefined;
  }

  /** Lets every lane end with its round. */
  finish() {
    this.#isOver = true;
    this.open();
  }
}

/** What lanes wait at. @typedef {{ readonly promise: Promise<void>, readonly resolve: () => void }} Door */

/** @returns {Door} */
function door() {
  let resolve = () => {};
  const promise = /** @type {Promise<void>} */ (
    new Promise((open) => {
      resolve = () => open(undefined);
    })
  );
  return { promise, resolve };
}
