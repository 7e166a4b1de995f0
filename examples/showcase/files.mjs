// @ts-check
// Reading thousands of files whole, by io_uring and by node:fs/promises.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { close, openat, read } from 'uring';
import { forEachAtOnce, takeTurns } from './measure.mjs';
import { EXIT_FAILED, Stop } from './stop.mjs';

/** @typedef {import('uring').Ring} Ring */
/** @typedef {{ path: string, sizeBytes: number, ctimeMs: number }} File */
/** @typedef {(path: string, slot: number) => Promise<Buffer>} Reader reads a file whole; two slots never share memory */

const SMALL = { width: 32, sizeBytesMax: 4 * 1024 ** 2 };
/** Fewer at a time, so that all contents fit into memory. */
const LARGE = { width: 2, sizeBytesMax: 512 * 1024 ** 2 };
const CHUNK_BYTES = 64 * 1024;
const ROUNDS = 9;
/** Fewer files than this are read several times in each round, so that there is something to measure. */
const READS_PER_ROUND_MIN = 4000;
const BUDGET_MS = 12_000;

export const FILES_AT_ONCE = SMALL.width;

/**
 * Regular files below a folder; symbolic links are not followed.
 *
 * @param {string} dir
 * @param {AbortSignal} signal
 */
export async function listFiles(dir, signal) {
  /** @type {File[]} */
  const files = [];
  const folders = [dir];
  let leftOut = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    signal.throwIfAborted();
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => {
      leftOut += 1;
      return [];
    });
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      if (!entry.isFile()) continue;
      const stats = await lstat(path).catch(() => undefined);
      if (stats === undefined || stats.size > LARGE.sizeBytesMax) leftOut += 1;
      else files.push({ path, sizeBytes: stats.size, ctimeMs: stats.ctimeMs });
    }
  }
  return { files, leftOut };
}

/** @type {Reader} */
const readByNode = (path) => readFile(path);

/**
 * Open, read to the end, close: the same steps as node:fs, except that it asks for the size first.
 *
 * @param {Ring} ring
 * @returns {Reader}
 */
function makeReader(ring) {
  const buffers = Array.from({ length: SMALL.width }, () => ring.alloc(CHUNK_BYTES));
  return async (path, slot) => {
    const buffer = /** @type {Buffer} */ (buffers[slot]);
    const chunks = [];
    const fd = await ring.exec(openat(path));
    try {
      let offset = 0;
      for (;;) {
        const bytes = await ring.exec(read(fd, buffer, { offset }));
        // The end of a file is a read of nothing; a short one may have other reasons.
        if (bytes === 0) break;
        offset += bytes;
        // The caller gets memory of its own, as from node:fs.
        chunks.push(Buffer.from(buffer.subarray(0, bytes)));
      }
    } finally {
      await ring.exec(close(fd));
    }
    return chunks.length === 1 ? /** @type {Buffer} */ (chunks[0]) : Buffer.concat(chunks);
  };
}

/**
 * @param {readonly File[]} files
 * @param {AbortSignal} signal
 * @param {(file: File, slot: number) => Promise<void>} work
 */
async function forEachFile(files, signal, work) {
  const small = files.filter(({ sizeBytes }) => sizeBytes <= SMALL.sizeBytesMax);
  const large = files.filter(({ sizeBytes }) => sizeBytes > SMALL.sizeBytesMax);
  await forEachAtOnce(small, { width: SMALL.width, signal }, work);
  await forEachAtOnce(large, { width: LARGE.width, signal }, work);
}

/** Somebody else wrote to the file, or removed it, since it was listed. @param {File} file */
async function hasChanged({ path, ctimeMs }) {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.ctimeMs !== ctimeMs;
}

/** @param {Promise<Buffer>} reading @returns {Promise<Buffer | string>} the contents, or the error's code */
function contentsOrCode(reading) {
  return reading.catch((error) => error.code ?? String(error));
}

/**
 * Reads every file by both and compares the contents byte for byte.
 *
 * @param {Ring} ring
 * @param {readonly File[]} files
 * @param {{ signal: AbortSignal, update: (done: number) => void }} options
 */
export async function compareFiles(ring, files, { signal, update }) {
  const readByRing = makeReader(ring);
  /** @type {File[]} */
  const equal = [];
  /** @type {string[]} */
  const different = [];
  let unreadable = 0;
  let changed = 0;
  let bytes = 0;
  await forEachFile(files, signal, async (file, slot) => {
    const ours = await contentsOrCode(readByRing(file.path, slot));
    const theirs = await contentsOrCode(readByNode(file.path, slot));
    if (Buffer.isBuffer(ours) && Buffer.isBuffer(theirs) && ours.equals(theirs)) {
      equal.push({ ...file, sizeBytes: ours.byteLength });
      bytes += ours.byteLength;
    } else if (typeof ours === 'string' && ours === theirs) unreadable += 1;
    else if (await hasChanged(file)) changed += 1;
    else different.push(file.path);
    update(equal.length + different.length + unreadable + changed);
  });
  return { equal, different, unreadable, changed, bytes };
}

/**
 * The seconds that each side takes to read all files once.
 *
 * @param {Ring} ring
 * @param {readonly File[]} files with the sizes that they were found to have
 * @param {AbortSignal} signal
 * @param {(done: number) => void} onRound
 */
export async function measureFiles(ring, files, signal, onRound) {
  const passes = Math.ceil(READS_PER_ROUND_MIN / files.length);
  const toRead = Array.from({ length: passes }, () => files).flat();
  /** @param {Reader} reader */
  const readAll = (reader) => () =>
    forEachFile(toRead, signal, async (file, slot) => {
      const contents = await contentsOrCode(reader(file.path, slot));
      if (Buffer.isBuffer(contents) && contents.byteLength === file.sizeBytes) return;
      if (await hasChanged(file)) return;
      const found = Buffer.isBuffer(contents) ? `${contents.byteLength} bytes` : contents;
      throw new Stop(EXIT_FAILED, `reading ${file.path} gave ${found} instead of ${file.sizeBytes} bytes.`);
    });
  const sides = { ours: readAll(makeReader(ring)), node: readAll(readByNode) };
  const turns = await takeTurns(sides, { rounds: ROUNDS, budgetMs: BUDGET_MS, signal, onRound });
  return { ours: turns.seconds.ours / passes, node: turns.seconds.node / passes };
}

measureFiles.rounds = ROUNDS;
