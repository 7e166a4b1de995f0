// @ts-check
// Random 4 KiB reads, three ways: a promise of the ring, a callback of the ring, FileHandle.read.
import { read } from 'uring';
import { takeTurns } from './measure.mjs';
import { BLOCK_BYTES, BLOCKS, isBlock, wordsOf } from './scratch.mjs';
import { EXIT_FAILED, Stop } from './stop.mjs';

/** @typedef {import('uring').Ring} Ring */
/** @typedef {import('node:fs/promises').FileHandle} FileHandle */

export const DEPTH = 128;
export const READS = 100_000;
const READS_TO_WARM_UP = 20_000;
const ROUNDS = 9;
const BUDGET_MS = 20_000;
const SEED = 0x9e37_79b9;

/** The same random blocks for every side (xorshift32, Marsaglia 2003). */
function randomBlocks() {
  let state = SEED;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % BLOCKS;
  };
}

/**
 * @param {number} bytes
 * @param {Int32Array} words
 * @param {number} block
 */
function check(bytes, words, block) {
  if (bytes === BLOCK_BYTES && isBlock(words, block)) return;
  const found = bytes === BLOCK_BYTES ? 'other contents' : `${bytes} bytes`;
  throw new Stop(EXIT_FAILED, `reading block ${block} gave ${found}.`);
}

/** @param {(sizeBytes: number) => Buffer} allocate */
function makeSlots(allocate) {
  return Array.from({ length: DEPTH }, () => {
    const buffer = allocate(BLOCK_BYTES);
    return { buffer, words: wordsOf(buffer), block: 0 };
  });
}

/** @typedef {ReturnType<typeof makeSlots>[number]} Slot */

/**
 * One loop for each slot, with a promise for each read.
 *
 * @param {Slot[]} slots
 * @param {AbortSignal} signal
 * @param {(buffer: Buffer, offset: number) => Promise<number>} readAt
 * @returns {(reads: number) => Promise<void>}
 */
function promiseSide(slots, signal, readAt) {
  return async (reads) => {
    const nextBlock = randomBlocks();
    let left = reads;
    /** @param {Slot} slot */
    async function loop({ buffer, words }) {
      try {
        while (left-- > 0 && !signal.aborted) {
          const block = nextBlock();
          check(await readAt(buffer, block * BLOCK_BYTES), words, block);
        }
      } catch (error) {
        left = 0;
        throw error;
      }
    }
    for (const result of await Promise.allSettled(slots.map(loop))) {
      if (result.status === 'rejected') throw result.reason;
    }
    signal.throwIfAborted();
  };
}

/**
 * One callback for all reads, and one operation for each slot, started again and again.
 *
 * @param {Ring} ring
 * @param {FileHandle} file
 * @param {AbortSignal} signal
 * @returns {(reads: number) => Promise<void>}
 */
function callbackSide(ring, file, signal) {
  const slots = makeSlots((sizeBytes) => ring.alloc(sizeBytes));
  const work = slots.map((slot) => ({ slot, operation: read(file.fd, slot.buffer) }));
  return (reads) =>
    new Promise((resolve, reject) => {
      const nextBlock = randomBlocks();
      let left = reads;
      let inFlight = 0;
      /** @type {unknown} */
      let problem;

      /** @param {typeof work[number]} unit */
      function startOne(unit) {
        left -= 1;
        inFlight += 1;
        unit.slot.block = nextBlock();
        unit.operation.offset = unit.slot.block * BLOCK_BYTES;
        ring.start(unit.operation, onRead, unit);
      }

      /** @type {import('uring').CompletionCallback<number>} */
      function onRead(error, bytes, { userData }) {
        const unit = /** @type {typeof work[number]} */ (userData);
        inFlight -= 1;
        try {
          if (error !== null) throw error;
          signal.throwIfAborted();
          check(bytes, unit.slot.words, unit.slot.block);
          if (left > 0) startOne(unit);
        } catch (thrown) {
          problem ??= thrown;
          left = 0;
        }
        if (inFlight > 0) return;
        if (problem === undefined) resolve();
        else reject(problem);
      }

      for (const unit of work) startOne(unit);
    });
}

/**
 * The seconds that each side takes for `READS` reads.
 *
 * @param {Ring} ring
 * @param {FileHandle} file
 * @param {AbortSignal} signal
 * @param {(done: number) => void} onRound
 */
export async function measureBlocks(ring, file, signal, onRound) {
  const ourSlots = makeSlots((sizeBytes) => ring.alloc(sizeBytes));
  const nodeSlots = makeSlots((sizeBytes) => Buffer.allocUnsafeSlow(sizeBytes));
  const ways = {
    promise: promiseSide(ourSlots, signal, (buffer, offset) => ring.exec(read(file.fd, buffer, { offset }))),
    callback: callbackSide(ring, file, signal),
    node: promiseSide(nodeSlots, signal, async (buffer, offset) => {
      const { bytesRead } = await file.read(buffer, 0, BLOCK_BYTES, offset);
      return bytesRead;
    }),
  };
  for (const way of Object.values(ways)) await way(READS_TO_WARM_UP);
  const sides = {
    promise: () => ways.promise(READS),
    callback: () => ways.callback(READS),
    node: () => ways.node(READS),
  };
  return takeTurns(sides, { rounds: ROUNDS, budgetMs: BUDGET_MS, signal, onRound });
}

measureBlocks.rounds = ROUNDS;
