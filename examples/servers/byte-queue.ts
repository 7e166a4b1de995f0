// Bytes that come in at one end and leave at the other.

const EMPTY = Buffer.alloc(0);
const SIZE_BYTES_MIN = 4096;
/** An empty queue keeps no more memory than this. */
const KEPT_BYTES_MAX = 64 * 1024;

/** What was handed out is never overwritten, because a send of it may be on its way. */
export class ByteQueue {
  #bytes = EMPTY;
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  /** All that is there. */
  get bytes(): Buffer {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  /** Adds bytes, or a text of characters below 256. */
  append(data: Uint8Array | string): void {
    const count = data.length;
    if (this.#to + count > this.#bytes.length) this.#grow(count);
    if (typeof data === 'string') this.#bytes.write(data, this.#to, 'latin1');
    else this.#bytes.set(data, this.#to);
    this.#to += count;
  }

  /** Forgets bytes at the front. */
  take(count: number): void {
    this.#from += count;
    if (this.#from < this.#to) return;
    this.#from = 0;
    this.#to = 0;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = EMPTY;
  }

  /** Twice as large each time, so that a long message costs one copy of each byte on average. */
  #grow(count: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * (this.length + count), SIZE_BYTES_MIN));
    this.#bytes.copy(larger, 0, this.#from, this.#to);
    this.#to -= this.#from;
    this.#from = 0;
    this.#bytes = larger;
  }
}
