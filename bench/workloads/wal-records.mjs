// @ts-check
// The records of the `wal.append` row, which are those of `crates/peers/src/workloads/wal.rs`.

import { readFileSync, rmSync } from 'node:fs';

export const RECORD_BYTES = 512;

/** Writers, each with a block to write from. */
export class Writers {
  /** @type {Uint32Array} records that each writer has begun */
  #counts;
  /** @type {readonly Buffer[]} */
  blocks;

  /** @param {number} count @param {(bytes: number) => Buffer} alloc */
  constructor(count, alloc) {
    this.#counts = new Uint32Array(count);
    this.blocks = Array.from({ length: count }, () => alloc(RECORD_BYTES));
  }

  /** The next record of a writer. @param {number} writer */
  next(writer) {
    const block = this.blocks[writer];
    block.writeUInt32LE(writer, 0);
    block.writeUInt32LE(++this.#counts[writer], 4);
    return block;
  }

  /** Every writer's records are in the file, each once and in order; then it is removed. @param {string} path */
  checkAndRemove(path) {
    const log = readFileSync(path);
    const seen = new Uint32Array(this.#counts.length);
    for (let at = 0; at < log.length; at += RECORD_BYTES) {
      const [writer, count] = [log.readUInt32LE(at), log.readUInt32LE(at + 4)];
      if (count !== ++seen[writer]) throw new Error(`writer ${writer} has record ${count} at ${at}`);
    }
    const isWhole = seen.every((count, writer) => count === this.#counts[writer]);
    if (!isWhole) throw new Error('records are missing at the end');
    rmSync(path);
  }
}
