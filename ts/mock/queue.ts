import { EXTRA_IS_EVENT, Word } from '../generated/abi.ts';
import { Block, type Entry } from './block.ts';

/** The completions of a mock ring on their way: the kernel's queue, what found no room in it, and the shared block. */
export class Completions {
  block: Block;
  #cqEntries: number;
  readonly #queue: Entry[] = [];
  /** What found no room, which the kernel hands over later (NODROP). */
  readonly #held: Entry[] = [];
  /** Times that the queue was found full. */
  overflows = 0;
  completed = 0;

  constructor(sqEntries: number, cqEntries: number) {
    this.block = new Block(sqEntries, cqEntries);
    this.#cqEntries = cqEntries;
  }

  /** Operations that are over, and wait to be read. */
  get waiting(): number {
    return this.#queue.length + this.#held.length;
  }

  /** Answers whether there was room; what may overflow is kept in any case. */
  post(entry: Entry, mayOverflow: boolean): boolean {
    if (this.#held.length === 0 && this.#queue.length < this.#cqEntries) {
      this.#queue.push(entry);
      return true;
    }
    if (!mayOverflow) return false;
    if (this.#held.length === 0) this.overflows += 1;
    this.#held.push(entry);
    this.block.setWord(Word.overflowed, 1);
    return false;
  }

  /** Moves completions to the block, as far as there is room. */
  reap(): void {
    while (this.waiting > 0 && this.block.hasRoomForCompletion) {
      const entry = this.#queue.shift();
      if (entry !== undefined) {
        this.block.push(entry);
        if ((entry.extra & EXTRA_IS_EVENT) === 0) this.completed += 1;
      }
      while (this.#held.length > 0 && this.#queue.length < this.#cqEntries)
        this.#queue.push(this.#held.shift() as Entry);
    }
    this.block.setWord(Word.overflowed, this.#held.length > 0 ? 1 : 0);
  }

  resize(sqEntries: number, cqEntries: number): void {
    this.reap();
    const block = new Block(sqEntries, cqEntries);
    block.continueFrom(this.block);
    this.block = block;
    this.#cqEntries = cqEntries;
  }
}
