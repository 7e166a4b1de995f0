// @ts-check
// Reads a file by hand, as a C program would, and prints its SHA-256: node examples/manual.mjs [FILE]
//
// It blocks the thread while it waits, so it belongs into a worker, a tool or a test.
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { Ring, read } from 'uring';

const BLOCK_BYTES = 64 * 1024;
const DEPTH = 16;

const fd = openSync(process.argv[2] ?? 'package.json', 'r');
const { size } = fstatSync(fd);
const contents = Buffer.alloc(size);
const ring = new Ring({ entries: DEPTH });
const free = Array.from({ length: DEPTH }, () => ring.alloc(BLOCK_BYTES));
let next = 0;

/** @param {import('uring').Completion} completion reused for the next one: take what you need out of it */
function onCompletion({ error, res, userData }) {
  if (error !== null) throw error;
  const { offset, buffer } = /** @type {{ offset: number, buffer: Buffer }} */ (userData);
  if (res < Math.min(BLOCK_BYTES, size - offset)) throw new Error(`a short read at ${offset}`);
  buffer.copy(contents, offset, 0, res);
  free.push(buffer);
}

while (next < size || ring.inFlight > 0) {
  for (let buffer = free.pop(); buffer !== undefined; buffer = free.pop()) {
    // `prep` answers false when the submission queue is full.
    if (next >= size || !ring.prep(read(fd, buffer, { offset: next }), { offset: next, buffer })) {
      free.push(buffer);
      break;
    }
    next += BLOCK_BYTES;
  }
  ring.submitAndWait(1);
  ring.forEachCompletion(onCompletion);
}

console.log(`${createHash('sha256').update(contents).digest('hex')}  ${size} bytes`);
console.log(`${ring.stats().submitted} reads in ${ring.stats().enters} system calls`);
closeSync(fd);
await ring.close();
