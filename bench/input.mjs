// @ts-check
// The files that the rows read: a large one, and many small ones.

import { randomFillSync } from 'node:crypto';
import { mkdir, open, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';

import { contentOfFile, FOLDERS, pathOfFile } from './workloads/small-files.mjs';

const FILE_BYTES = 1024 ** 3;
const CHUNK_BYTES = 8 * 1024 ** 2;
const TMPFS_MAGIC = 0x01021994;

/** @param {string} path */
async function sizeOf(path) {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** @param {string} path */
async function writeRandomFile(path) {
  // Under another name until it is complete, so that an interrupted run leaves nothing to mistake for it.
  const partial = `${path}.partial`;
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const handle = await open(partial, 'w');
  try {
    for (let written = 0; written < FILE_BYTES; written += CHUNK_BYTES) {
      await handle.writeFile(randomFillSync(chunk));
    }
    // O_DIRECT reads would otherwise have to wait for dirty pages to be written first.
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(partial, path);
}

/**
 * Done before each measurement: a virtual machine's host may take pages of the cache back at any time.
 *
 * @param {string} path
 */
export async function readIntoPageCache(path) {
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const handle = await open(path, 'r');
  try {
    for (let total = 0; total < FILE_BYTES; ) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, total);
      if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
      total += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Makes the file where there is none yet, and has all of it in the page cache.
 *
 * @param {string} folder kept between runs, on a disk: tmpfs has neither O_DIRECT nor a page cache to miss
 * @param {(message: string) => void} say
 * @returns {Promise<string>} its path
 */
export async function prepareInput(folder, say) {
  const path = join(folder, 'random-1GiB.bin');
  await mkdir(folder, { recursive: true });
  if ((await statfs(folder)).type === TMPFS_MAGIC) {
    say(`${folder} is on tmpfs, which is not what the rows are about and may refuse O_DIRECT`);
  }
  if ((await sizeOf(path)) !== FILE_BYTES) {
    say(`making ${path} (1 GiB of random bytes, once)`);
    await writeRandomFile(path);
  }
  if (freemem() < FILE_BYTES / 4) say('little memory is free: the file may not stay in the page cache');
  await readIntoPageCache(path);
  return path;
}

/**
 * Makes the many small files where there are none yet.
 *
 * @param {string} folder
 * @param {number} count
 * @param {(message: string) => void} say
 * @returns {Promise<string>} the folder that they are in
 */
export async function prepareSmallFiles(folder, count, say) {
  const path = join(folder, `small-${count}`);
  if ((await sizeOf(path)) !== undefined) return path;
  say(`making ${count} files below ${path} (once)`);
  const partial = `${path}.partial`;
  await rm(partial, { recursive: true, force: true });
  for (let at = 0; at < FOLDERS; at++) await mkdir(join(partial, String(at)), { recursive: true });
  for (let index = 0; index < count; index++) {
    await writeFile(pathOfFile(partial, index), contentOfFile(index));
  }
  await rename(partial, path);
  return path;
}
