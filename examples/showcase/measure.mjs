// @ts-check
// Doing things many at a time, and measuring sides against each other.

/**
 * Runs `work` for every item, `width` at a time. The first error stops it, and is thrown when what was under way
 * has come to its end.
 *
 * @template T
 * @param {readonly T[]} items
 * @param {{ width: number, signal: AbortSignal }} options
 * @param {(item: T, slot: number) => Promise<void>} work `slot` is below `width`, and one item's at a time
 */
export async function forEachAtOnce(items, { width, signal }, work) {
  let next = 0;
  /** @param {number} slot */
  async function takeTurns(slot) {
    try {
      while (next < items.length) {
        signal.throwIfAborted();
        await work(/** @type {T} */ (items[next++]), slot);
      }
    } catch (error) {
      next = items.length;
      throw error;
    }
  }
  const slots = Array.from({ length: Math.min(width, items.length) }, (_, slot) => takeTurns(slot));
  for (const result of await Promise.allSettled(slots)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

/** @param {number[]} values at least one */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = /** @type {number} */ (sorted[middle]);
  return sorted.length % 2 === 1 ? upper : (upper + /** @type {number} */ (sorted[middle - 1])) / 2;
}

/**
 * One thing that is done in several ways, by name.
 *
 * @typedef {Record<string, () => Promise<unknown>>} Sides
 */

/**
 * Runs every side once in each round, in turning order, so that whatever else the machine does falls on all of
 * them; stops after `rounds`, or with the first round that ends after `budgetMs`.
 *
 * @template {Sides} S
 * @param {S} sides
 * @param {{ rounds: number, budgetMs: number, signal: AbortSignal, onRound: (done: number) => void }} options
 * @returns {Promise<{ rounds: number, seconds: Record<keyof S, number> }>} medians
 */
export async function takeTurns(sides, { rounds, budgetMs, signal, onRound }) {
  const names = Object.keys(sides);
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const startedAt = performance.now();
  let done = 0;
  while (done < rounds && (done === 0 || performance.now() - startedAt < budgetMs)) {
    for (let at = 0; at < names.length; at += 1) {
      signal.throwIfAborted();
      const name = /** @type {string} */ (names[(at + done) % names.length]);
      const before = performance.now();
      await sides[name]?.();
      times[name]?.push((performance.now() - before) / 1000);
    }
    done += 1;
    onRound(done);
  }
  const seconds = Object.fromEntries(names.map((name) => [name, median(times[name] ?? [])]));
  return { rounds: done, seconds: /** @type {Record<keyof S, number>} */ (seconds) };
}
