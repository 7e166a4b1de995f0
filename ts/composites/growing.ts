/** The most of a file that is read at a time. */
const PIECE_BYTES = 1 << 20;
/** What is there for a file of which the size is not known. */
const FIRST_BYTES = 1 << 18;
/** A file that is no larger is not asked for its size: a worker thread of the kernel is slower than a few copies. */
const UNASKED_BYTES = 1 << 22;
/** As node:fs has it: larger files are to be read in pieces. */
const FILE_BYTES_MAX = 2 ** 31 - 1;

/** @internal A file that is read until its end, however large it is. */
export class Growing {
  #memory: Buffer;
  #used: number;
  /** The last read brought nothing. */
  isAtEnd = false;
  /** The next read is to be done by a worker thread. */
  isAsync = false;

  /** @param parts what was read already */
  constructor(parts: readonly Buffer[]) {
    this.#memory = Buffer.concat(parts);
    this.#used = this.#memory.length;
  }

  /** The file says how large it is. It may be wrong. */
  expect(sizeBytes: number): void {
    if (sizeBytes > FILE_BYTES_MAX) throw tooLarge(sizeBytes);
    // And one byte, to see the end.
    if (sizeBytes >= this.#memory.length) this.#resize(sizeBytes + 1);
  }

  /** More memory is needed to read on. */
  get isFull(): boolean {
    return this.#used === this.#memory.length;
  }

  /** It is so large that its size should be known. */
  get isLarge(): boolean {
    return this.#used >= UNASKED_BYTES;
  }

  /** Where the next read goes. */
  room(): Buffer {
    const used = this.#used;
    if (this.isFull) {
      if (used > FILE_BYTES_MAX) throw tooLarge(used);
      this.#resize(Math.min(Math.max(used * 2, FIRST_BYTES), FILE_BYTES_MAX + 1));
    }
    return this.#memory.subarray(used, used + PIECE_BYTES);
  }

  #resize(sizeBytes: number): void {
    const larger = Buffer.allocUnsafeSlow(sizeBytes);
    this.#memory.copy(larger, 0, 0, this.#used);
    this.#memory = larger;
  }

  took(bytes: number): void {
    this.#used += bytes;
    this.isAtEnd = bytes === 0;
  }

  /** All that was read; keeps no memory that would mostly be unused. */
  bytes(): Buffer {
    const all = this.#memory.subarray(0, this.#used);
    return this.#used * 2 < this.#memory.length ? Buffer.from(all) : all;
  }
}

/** Node's `ERR_FS_FILE_TOO_LARGE`. */
function tooLarge(sizeBytes: number): RangeError {
  const error = new RangeError(`File size (${sizeBytes}) is greater than 2 GiB: read it in pieces`);
  return Object.assign(error, { code: 'ERR_FS_FILE_TOO_LARGE' });
}
