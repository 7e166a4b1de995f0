// @ts-check
// Work on files: random places of large ones, chains, and many small ones. What was written is kept here as well, and compared.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import {
  ChainError,
  fsync,
  nop,
  read,
  readFiles,
  readFully,
  readv,
  SqeFlags,
  statFiles,
  unlinkat,
  write,
  writeAll,
  writeFile,
  writev,
} from 'uring';
import { scribble, Tally } from './common.mjs';

/** @typedef {import('uring').Ring} Ring @typedef {import('./common.mjs').Work} Work @typedef {import('./common.mjs').Dice} Dice */

const FILE_BYTES = 2 << 20;
const PIECE_BYTES_MAX = 64 << 10;
const LANES = 4;

/** Memory of either kind: what Rust owns, and what is copied on the way. @param {Ring} ring @param {Dice} roll */
const memoryOf = (ring, roll, /** @type {number} */ sizeBytes) =>
  roll(2) === 0 ? ring.alloc(sizeBytes) : Buffer.alloc(sizeBytes);

/** @param {Ring} ring @param {string} folder @param {Dice} roll @returns {Work} */
export function largeFiles(ring, folder, roll) {
  const tally = new Tally();
  const files = Array.from({ length: LANES }, (_, at) => ({
    fd: openSync(join(folder, `large-${at}`), 'w+'),
    shadow: Buffer.alloc(FILE_BYTES),
  }));
  return {
    name: 'reads and writes',
    tally,
    lanes: LANES,
    async round(lane) {
      const { fd, shadow } = /** @type {typeof files[0]} */ (files[lane]);
      const sizeBytes = 1 + roll(PIECE_BYTES_MAX);
      const offset = roll(FILE_BYTES - sizeBytes);
      const memory = scribble(memoryOf(ring, roll, sizeBytes), roll);
      const flags = roll(8) === 0 ? SqeFlags.ASYNC : 0;
      const half = roll(sizeBytes);
      const parts = [memory.subarray(0, half), memory.subarray(half)];
      const how = roll(4);
      if (how === 0) await writeAll(ring, fd, parts, { offset });
      else if (how === 1 && half > 0) await ring.exec(writev(fd, parts, { offset, flags }));
      else await ring.exec(write(fd, memory, { offset, flags }));
      memory.copy(shadow, offset);
      const from = roll(offset + 1);
      const back = memoryOf(ring, roll, Math.min(sizeBytes * 2, FILE_BYTES - from));
      const end = back.length >> 1;
      const isVector = roll(3) === 0 && end > 0;
      const wanted = shadow.subarray(from, from + back.length);
      let bytes = 0;
      if (isVector)
        bytes = await ring.exec(readv(fd, [back.subarray(0, end), back.subarray(end)], { offset: from }));
      else bytes = await readFully(ring, fd, back, { offset: from });
      const isRight = back.subarray(0, bytes).equals(wanted.subarray(0, bytes));
      tally.check(
        isRight,
        () => `file ${lane} at ${from}: ${bytes} bytes are not what was written`,
        sizeBytes + bytes,
      );
    },
    async end() {
      for (const { fd } of files) closeSync(fd);
    },
  };
}

/** @param {Ring} ring @param {string} folder @param {Dice} roll @returns {Work} */
export function chains(ring, folder, roll) {
  const tally = new Tally();
  const fds = Array.from({ length: LANES }, (_, at) => openSync(join(folder, `chain-${at}`), 'w+'));
  return {
    name: 'chains',
    tally,
    lanes: LANES,
    async round(lane) {
      const fd = /** @type {number} */ (fds[lane]);
      const memory = scribble(memoryOf(ring, roll, 4096), roll);
      const back = ring.alloc(4096);
      // The disk is slow, and shall not be all that is waited for.
      const middle = roll(8) === 0 ? fsync(fd, { dataOnly: true }) : nop();
      await ring.chain([write(fd, memory, { offset: 0 }), middle, read(fd, back, { offset: 0 })]);
      tally.check(
        back.equals(memory),
        () => `chain ${lane}: what was read is not what was written before`,
        8192,
      );
      // A short read ends a chain: what comes after it does not run.
      const broken = [
        read(fd, ring.alloc(8192), { offset: 0 }),
        write(fd, Buffer.alloc(4096), { offset: 0 }),
      ];
      const error = await ring
        .chain(/** @type {any} */ (broken))
        .catch((/** @type {unknown} */ thrown) => thrown);
      const isRight = error instanceof ChainError && error.failedIndex === 0;
      tally.check(isRight, () => `chain ${lane}: a short read did not end it, but ${error}`);
    },
    async end() {
      for (const fd of fds) closeSync(fd);
    },
  };
}

/** @param {Ring} ring @param {string} folder @param {Dice} roll @returns {Work} */
export function smallFiles(ring, folder, roll) {
  const tally = new Tally();
  return {
    name: 'small files',
    tally,
    lanes: 2,
    async round(lane) {
      const all = Array.from({ length: 1 + roll(32) }, (_, at) => ({
        path: join(folder, `small-${lane}-${at}`),
        contents: scribble(Buffer.alloc(roll(20_000)), roll),
      }));
      const paths = all.map(({ path }) => path);
      await Promise.all(all.map(({ path, contents }) => writeFile(ring, path, contents)));
      const [results, stats] = await Promise.all([readFiles(ring, paths), statFiles(ring, paths)]);
      for (const [at, { contents, path }] of all.entries()) {
        const result = results[at];
        const stat = stats[at];
        const isRight = result?.status === 'fulfilled' && result.value.equals(contents);
        tally.check(isRight, () => `${path} is not what was written`, contents.length * 2);
        const hasSize = stat?.status === 'fulfilled' && stat.value.size === contents.length;
        tally.check(hasSize, () => `${path} has another size`);
      }
      await Promise.all(paths.map((path) => ring.exec(unlinkat(path))));
    },
  };
}
