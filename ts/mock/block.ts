import { RECORD_WORDS, RECYCLE_CAPACITY, Word } from '../generated/abi.ts';

/** Bytes of the control words at the start. */
const CONTROL_BYTES = 256;
/** Words of a completion record: index, result, flags, extra. */
const COMPLETION_WORDS = 4;

/** What a completion says of its operation, which is known by its index. */
export interface Entry {
  readonly index: number;
  readonly res: number;
  readonly flags: number;
  readonly extra: number;
}

/** The block that a ring of this package shares with what drives it (crates/core/src/shared.rs), in ordinary memory. */
export class Block {
  readonly memory: ArrayBuffer;
  readonly sqOffset: number = CONTROL_BYTES;
  readonly completionsOffset: number;
  readonly recycleOffset: number;
  readonly completions: number;
  readonly #sqEntries: number;
  readonly #words: Int32Array;

  constructor(sqEntries: number, cqEntries: number) {
    this.#sqEntries = sqEntries;
    this.completions = Math.min(Math.max(cqEntries, 64), 4096);
    this.completionsOffset = this.sqOffset + sqEntries * RECORD_WORDS * 4;
    this.recycleOffset = this.completionsOffset + this.completions * COMPLETION_WORDS * 4;
    this.memory = new ArrayBuffer(this.recycleOffset + RECYCLE_CAPACITY * 4);
    this.#words = new Int32Array(this.memory);
  }

  word(word: number): number {
    return this.#words[word] as number;
  }

  setWord(word: number, value: number): void {
    this.#words[word] = value;
  }

  /** Records that are written and not taken. */
  get prepared(): number {
    return (this.word(Word.sqTail) - this.word(Word.sqHead)) | 0;
  }

  /** Completion records that are written and not read. */
  get unread(): number {
    return (this.word(Word.cqTail) - this.word(Word.cqHead)) | 0;
  }

  get hasRoomForCompletion(): boolean {
    return this.unread < this.completions;
  }

  /** Takes the next record: a copy. */
  take(): Int32Array {
    const head = this.word(Word.sqHead);
    const at = this.sqOffset / 4 + (head & (this.#sqEntries - 1)) * RECORD_WORDS;
    this.setWord(Word.sqHead, (head + 1) | 0);
    return this.#words.slice(at, at + RECORD_WORDS);
  }

  push({ index, res, flags, extra }: Entry): void {
    const tail = this.word(Word.cqTail);
    const at = this.completionsOffset / 4 + (tail & (this.completions - 1)) * COMPLETION_WORDS;
    this.#words.set([index, res, flags, extra], at);
    this.setWord(Word.cqTail, (tail + 1) | 0);
  }

  /** Provided buffers that were given back, as group and number; they are taken off the list. */
  takeRecycled(): { group: number; id: number }[] {
    const count = this.word(Word.recycleCount);
    this.setWord(Word.recycleCount, 0);
    const first = this.recycleOffset / 4;
    return Array.from(this.#words.subarray(first, first + count), (entry) => ({
      group: entry >>> 16,
      id: entry & 0xffff,
    }));
  }

  /** Goes on where another block was, as after a resize. */
  continueFrom(older: Block): void {
    this.#words.set(older.#words.subarray(0, CONTROL_BYTES / 4));
    this.setWord(Word.sqTail, older.word(Word.sqHead));
    this.setWord(Word.cqTail, older.word(Word.cqHead));
  }
}
