// Numbers of 64 bits in the places where other operations name memory.
import type { StagedBlock } from '../memory/staging.ts';
import type { Payload } from '../operation.ts';

/** What the upper half of a 64-bit number counts. */
const TWO_32 = 4_294_967_296;

/** Puts a whole number from -1 to 2^53 - 1 into two words of a record. */
function writeWide(record: Int32Array, at: number, value: number): void {
  record[at] = value | 0;
  record[at + 1] = Math.floor(value / TWO_32);
}

/** @internal A number in the record's `addr`, and for some operations another in `addr3`. */
export class WidePayload implements Payload {
  readonly sizeBytes = 0;
  readonly usesLastWords: boolean;
  readonly #addr: number;
  readonly #addr3: number | undefined;

  constructor(addr: number, addr3?: number) {
    this.#addr = addr;
    this.#addr3 = addr3;
    this.usesLastWords = addr3 !== undefined;
  }

  write(_block: StagedBlock, record: Int32Array, base: number): void {
    writeWide(record, base + 4, this.#addr);
    if (this.#addr3 !== undefined) writeWide(record, base + 12, this.#addr3);
  }
}
