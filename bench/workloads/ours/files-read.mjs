// @ts-check
// `files.read.small`: many small files, whole, each by a chain of open, read and close in the kernel.

import { close, openat, Ring, read, SqeFlags } from 'uring';

import { measure, parseOptions } from '../common.mjs';
import { checkContent, FileCycle } from '../small-files.mjs';

/** Room for any of the files, with some over: only a short read says that the file has ended. */
const ROOM_BYTES = 4096;
const OPEN = 0;
const READ = 1;
const CLOSE = 2;
const STEPS = 3;

const options = parseOptions();
const ring = new Ring({ entries: 2 ** Math.ceil(Math.log2(options.depth * STEPS)) });
ring.registrar.registerFiles({ slots: options.depth, kernelSlots: 0 });
const rooms = Array.from({ length: options.depth }, () => ring.alloc(ROOM_BYTES));
const fixed = { offset: 0, flags: SqeFlags.FIXED_FILE };
const reads = rooms.map((room, slot) => read(slot, room, fixed));
const closes = rooms.map((_, slot) => close(slot, { flags: SqeFlags.FIXED_FILE }));

/**
 * To be replaced by the package's own `readFiles`.
 *
 * @param {number} count
 * @param {() => number} next index of the next file to read
 * @param {FileCycle} files
 */
function readFiles(count, next, { paths }) {
  const current = new Uint32Array(options.depth);
  let toStart = count;
  let inFlight = 0;

  /** @param {number} slot */
  function begin(slot) {
    const index = next();
    current[slot] = index;
    // The second link is hard, because every read here is short, and a short read breaks a soft one.
    const isPrepared =
      ring.prep(openat(paths[index], { direct: slot }), slot * STEPS + OPEN, SqeFlags.LINK) &&
      ring.prep(reads[slot], slot * STEPS + READ, SqeFlags.HARDLINK) &&
      ring.prep(closes[slot], slot * STEPS + CLOSE);
    if (!isPrepared) throw new Error('the submission queue is full');
    toStart--;
    inFlight++;
  }

  /** @param {import('uring').Completion} completion */
  function onCompletion({ error, res, userData }) {
    if (error !== null) throw error;
    const number = /** @type {number} */ (userData);
    const slot = Math.floor(number / STEPS);
    const step = number % STEPS;
    if (step === READ) checkContent(current[slot], rooms[slot], res);
    if (step !== CLOSE) return;
    inFlight--;
    if (toStart > 0) begin(slot);
  }

  for (let slot = 0; slot < options.depth && toStart > 0; slot++) begin(slot);
  while (inFlight > 0) {
    ring.submitAndWait(1);
    ring.forEachCompletion(onCompletion);
  }
}

const files = new FileCycle(options);
await measure(options, (count) => readFiles(count, () => files.next(), files));
await ring.close();
