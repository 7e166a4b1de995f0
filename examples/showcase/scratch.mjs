// @ts-check
// The 1 GiB file: made through the ring, without a name, so that nothing is left of it however the process ends.
import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fsync, write } from 'uring';
import { formatBytes } from './format.mjs';
import { forEachAtOnce } from './measure.mjs';
import { EXIT_FAILED, Stop } from './stop.mjs';

/** @typedef {import('uring').Ring} Ring */
/** @typedef {import('node:fs/promises').FileHandle} FileHandle */

export const BLOCK_BYTES = 4096;
export const FILE_BYTES = 1024 ** 3;
export const BLOCKS = FILE_BYTES / BLOCK_BYTES;
export const WRITES = FILE_BYTES / 1024 ** 2;
const CHUNK_BYTES = FILE_BYTES / WRITES;
const WRITES_AT_ONCE = 4;
const FREE_BYTES_MIN = FILE_BYTES * 1.1;
const STAMPS = 8;
const STAMP_WORDS = BLOCK_BYTES / 4 / STAMPS;
/** Magic numbers of file systems without a disk (statfs(2)): tmpfs and ramfs. */
const MEMORY_FILE_SYSTEMS = [0x0102_1994, 0x8584_58f6];

/** @param {Buffer} buffer @returns {Int32Array} the same bytes, as words */
export function wordsOf(buffer) {
  return new Int32Array(buffer.buffer, buffer.byteOffset, buffer.byteLength / 4);
}

/**
 * Every 512 bytes of a block say which block they belong to, and which part of it.
 *
 * @param {Int32Array} words
 * @param {number} at first word of the block
 * @param {number} block
 */
function stamp(words, at, block) {
  for (let part = 0; part < STAMPS; part += 1) words[at + part * STAMP_WORDS] = block * STAMPS + part + 1;
}

/**
 * @param {Int32Array} words
 * @param {number} block
 */
export function isBlock(words, block) {
  for (let part = 0; part < STAMPS; part += 1) {
    if (words[part * STAMP_WORDS] !== block * STAMPS + part + 1) return false;
  }
  return true;
}

/** A folder with room for the file, on a disk rather than in memory. */
async function chooseFolder() {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const found = [];
  for (const folder of new Set([tmpdir(), '/var/tmp', root])) {
    const stats = await statfs(folder).catch(() => undefined);
    if (stats === undefined || stats.bavail * stats.bsize < FREE_BYTES_MIN) continue;
    found.push({ folder, inMemory: MEMORY_FILE_SYSTEMS.includes(stats.type) });
  }
  const [best] = found.sort((a, b) => Number(a.inMemory) - Number(b.inMemory));
  if (best === undefined) {
    const wanted = `${formatBytes(FREE_BYTES_MIN)} of free space for a file to read from`;
    throw new Stop(EXIT_FAILED, `there is no ${wanted}: make some in ${tmpdir()}, or set TMPDIR.`);
  }
  return best.folder;
}

/** Opens a new file that has no name any more. It is gone when it is closed. */
export async function openNameless() {
  const dir = await mkdtemp(join(await chooseFolder(), 'uring-showcase-'));
  try {
    return await open(join(dir, 'blocks'), 'wx+', 0o600);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Fills the file with random bytes and stamps, by writes of 1 MiB and one fsync.
 *
 * @param {Ring} ring
 * @param {FileHandle} file
 * @param {{ signal: AbortSignal, update: (done: number) => void }} options
 */
export async function fill(ring, file, { signal, update }) {
  const buffers = Array.from({ length: WRITES_AT_ONCE }, () => randomFillSync(ring.alloc(CHUNK_BYTES)));
  const words = buffers.map(wordsOf);
  const chunks = Array.from({ length: WRITES }, (_, chunk) => chunk);
  let done = 0;
  await forEachAtOnce(chunks, { width: WRITES_AT_ONCE, signal }, async (chunk, slot) => {
    const buffer = /** @type {Buffer} */ (buffers[slot]);
    const blocks = CHUNK_BYTES / BLOCK_BYTES;
    for (let block = 0; block < blocks; block += 1) {
      stamp(/** @type {Int32Array} */ (words[slot]), (block * BLOCK_BYTES) / 4, chunk * blocks + block);
    }
    const bytes = await ring.exec(write(file.fd, buffer, { offset: chunk * CHUNK_BYTES }));
    if (bytes !== CHUNK_BYTES) throw new Stop(EXIT_FAILED, `a write of 1 MiB ended after ${bytes} bytes.`);
    done += 1;
    update(done);
  });
  // Otherwise the disk would be busy with it while reads are measured.
  await ring.exec(fsync(file.fd, { dataOnly: true }));
}
