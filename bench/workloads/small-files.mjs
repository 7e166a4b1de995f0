// @ts-check
// The many small files of the `files.*` rows: their names and what is in them, for the harness that makes
// them and for the workloads. The native peer has the same in `crates/peers/src/workloads/files.rs`.

import { join } from 'node:path';

/** Folders that the files are spread over. */
export const FOLDERS = 100;

/** From 1,024 to 4,000 bytes. @param {number} index */
export function sizeOfFile(index) {
  return 1024 + ((Math.imul(index, 0x9e3779b1) >>> 0) % 2977);
}

/** @param {string} folder @param {number} index */
export function pathOfFile(folder, index) {
  return join(folder, String(index % FOLDERS), String(index));
}

/** A file begins and ends with its own number. @param {number} index */
export function contentOfFile(index) {
  const bytes = sizeOfFile(index);
  const content = Buffer.alloc(bytes, 'x');
  content.writeUInt32LE(index, 0);
  content.writeUInt32LE(index, bytes - 4);
  return content;
}

/** @param {number} index @param {Buffer} memory @param {number} bytes of the memory that were read */
export function checkContent(index, memory, bytes) {
  const isRight =
    bytes === sizeOfFile(index) &&
    memory.readUInt32LE(0) === index &&
    memory.readUInt32LE(bytes - 4) === index;
  if (!isRight) throw new Error(`file ${index} has other content than was written`);
}

/** @param {number} index @param {number} bytes */
export function checkSize(index, bytes) {
  if (bytes !== sizeOfFile(index)) throw new Error(`file ${index} has ${bytes} bytes`);
}

/**
 * The paths of all files, and which of them is next, from one run to the next.
 */
export class FileCycle {
  #next = 0;
  /** @type {readonly string[]} */
  paths;

  /**
   * The folder becomes the working directory, so that it makes no difference how deep the checkout lies.
   *
   * @param {import('./common.mjs').Options} options
   */
  constructor({ folder, files }) {
    process.chdir(folder);
    this.paths = Array.from({ length: files }, (_, index) => pathOfFile('', index));
  }

  next() {
    const index = this.#next;
    this.#next = (index + 1) % this.paths.length;
    return index;
  }
}
