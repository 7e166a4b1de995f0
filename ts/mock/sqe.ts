import { SqeFlags } from '../flags.ts';
import { opInfo } from '../generated/ops.ts';

/** What the upper half of a 64-bit number counts. */
const TWO_32 = 4_294_967_296;
/** Bytes that an entry of a list of buffers takes: offset, handle, length, 0. */
export const LIST_ENTRY_BYTES = 16;

/** Where something is: an offset in an arena, which is known by its handle. */
export interface Place {
  readonly offset: number;
  readonly handle: number;
}

/** A submission record, its fields by name. */
export class Sqe {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  #word(at: number): number {
    return this.#words[at] as number;
  }
  #wide(at: number): number {
    return this.#word(at + 1) * TWO_32 + (this.#word(at) >>> 0);
  }
  #place(at: number): Place {
    return { offset: this.#word(at) >>> 0, handle: this.#word(at + 1) };
  }

  get opcode(): number {
    return this.#word(0) & 0xff;
  }
  /** Its name in the table of operations. */
  get name(): string {
    return opInfo[this.opcode]?.name ?? `operation ${this.opcode}`;
  }
  /** `SqeFlags`. */
  get flags(): number {
    return (this.#word(0) >>> 8) & 0xff;
  }
  get ioprio(): number {
    return this.#word(0) >>> 16;
  }
  get fd(): number {
    return this.#word(1);
  }
  get off(): number {
    return this.#wide(2);
  }
  get offPlace(): Place {
    return this.#place(2);
  }
  get addr(): number {
    return this.#wide(4);
  }
  get addrPlace(): Place {
    return this.#place(4);
  }
  get addr3Place(): Place {
    return this.#place(12);
  }
  get len(): number {
    return this.#word(6);
  }
  get opFlags(): number {
    return this.#word(7);
  }
  /** Of a message: which ring it goes to. */
  get token(): number {
    return (this.#word(15) >>> 0) * TWO_32 + (this.#word(14) >>> 0);
  }
  get index(): number {
    return this.#word(8);
  }
  get sequence(): number {
    return this.#word(9);
  }
  get group(): number {
    return this.#word(10) & 0xffff;
  }
  get fileIndex(): number {
    return this.#word(11);
  }
  get isLinked(): boolean {
    return (this.flags & (SqeFlags.LINK | SqeFlags.HARDLINK)) !== 0;
  }
  get isHard(): boolean {
    return (this.flags & SqeFlags.HARDLINK) !== 0;
  }
  get selectsBuffer(): boolean {
    return (this.flags & SqeFlags.BUFFER_SELECT) !== 0;
  }
}
