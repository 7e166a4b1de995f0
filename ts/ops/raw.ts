// Operations by number, for those that are newer than this package.
import { detached, detachedBefore, invalidType, invalidValue, outOfRange } from '../errors.ts';
import { opInfo } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { PlacedBuffer } from '../memory/placed.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Access, type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkInteger, checkOptions, UINT32_MAX } from '../validate.ts';

/** Where the numbers of 64 bits stand in a record, and what it says of each (crates/core/src/raw.rs). */
const FIELDS = [
  { name: 'off', word: 2 },
  { name: 'addr', word: 4 },
  { name: 'addr3', word: 12 },
] as const;
const KINDS_WORD = 14;
const IS_MEMORY = 1 << 0;
const COMES_BACK = 1 << 1;
/** Every block starts with its size, in 8 bytes. */
const HEAD_BYTES = 8;
const BLOCK_BYTES_MAX = 1 << 20;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** Memory for a raw operation: the kernel gets a private copy of it, and what it wrote comes back with `out`. */
export type RawMemory = { readonly in: Bytes } | { readonly out: Bytes };

/** A number of 64 bits of a raw operation, or a block of memory in its place. */
export type RawField = number | bigint | RawMemory;

/** The fields of a submission queue entry (io_uring_enter(2)). */
export interface RawFields extends OperationOptions {
  readonly opcode: number;
  readonly fd?: Fd;
  readonly off?: RawField;
  readonly addr?: RawField;
  readonly addr3?: RawField;
  readonly len?: number;
  /** The operation's own flags, at byte 28. */
  readonly opFlags?: number;
  readonly ioprio?: number;
  /** `file_index` and what else stands at byte 44. */
  readonly fileIndex?: number;
  /** `buf_group` or `buf_index`, at byte 40. */
  readonly bufferGroup?: number;
}

/** What a field is: a number, or a block with the way its bytes go. */
type Checked = bigint | PlacedBuffer;

function checkField(name: string, value: unknown): Checked {
  if (typeof value === 'bigint') {
    if (value < INT64_MIN || value > UINT64_MAX) throw outOfRange(name, 'a number of 64 bits', value);
    return BigInt.asUintN(64, value);
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw outOfRange(name, 'an integer', value);
    return BigInt.asUintN(64, BigInt(value));
  }
  if (typeof value !== 'object' || value === null || 'in' in value === 'out' in value) {
    throw invalidType(name, 'a number, a bigint, { in: buffer } or { out: buffer }', value);
  }
  const memory = value as { in?: Bytes; out?: Bytes };
  const access: Access = memory.out === undefined ? 'kernelReads' : 'kernelWrites';
  const key = access === 'kernelReads' ? 'in' : 'out';
  const view = checkBytes(`${name}.${key}`, memory[key], 'refused');
  if (view.byteLength > BLOCK_BYTES_MAX) {
    throw outOfRange(`${name}.${key}.byteLength`, `<= ${BLOCK_BYTES_MAX}`, view.byteLength);
  }
  return new PlacedBuffer(view, access);
}

/** Place of a block in staging memory: heads are aligned, so that nothing in them is split. */
function blockBytes(buffer: PlacedBuffer): number {
  return HEAD_BYTES + Math.ceil(buffer.sizeBytes / HEAD_BYTES) * HEAD_BYTES;
}

class RawPayload implements Payload {
  readonly usesLastWords = true;
  readonly sizeBytes: number;
  readonly #fields: readonly Checked[];

  constructor(fields: readonly Checked[]) {
    this.#fields = fields;
    this.sizeBytes = this.#blocks().reduce((sum, buffer) => sum + blockBytes(buffer), 0);
  }

  #blocks(): PlacedBuffer[] {
    return this.#fields.filter((field) => field instanceof PlacedBuffer);
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    let at = 0;
    let kinds = 0;
    for (const [place, field] of this.#fields.entries()) {
      const word = base + (FIELDS[place]?.word ?? 0);
      if (!(field instanceof PlacedBuffer)) {
        record[word] = Number(BigInt.asIntN(32, field));
        record[word + 1] = Number(BigInt.asIntN(32, field >> 32n));
        continue;
      }
      if (field.view.byteLength < field.sizeBytes) throw detachedBefore();
      block.view.writeUInt32LE(field.sizeBytes, at);
      block.view.writeUInt32LE(0, at + 4);
      // Rust copies it once more: what is behind an operation that nobody knows is seen by the kernel alone.
      block.view.set(field.view.subarray(0, field.sizeBytes), at + HEAD_BYTES);
      record[word] = block.offset + at;
      record[word + 1] = block.handle;
      kinds |= (IS_MEMORY | (field.access === 'kernelWrites' ? COMES_BACK : 0)) << (2 * place);
      at += blockBytes(field);
    }
    record[base + KINDS_WORD] = kinds;
  }

  bringBack(block: StagedBlock): void {
    let at = 0;
    for (const { access, view, sizeBytes } of this.#blocks()) {
      const start = at + HEAD_BYTES;
      at = start + Math.ceil(sizeBytes / HEAD_BYTES) * HEAD_BYTES;
      if (access === 'kernelReads') continue;
      if (view.byteLength < sizeBytes) throw detached(sizeBytes);
      view.set(block.view.subarray(start, start + sizeBytes));
    }
  }
}

/**
 * An operation by its number and the fields of its submission queue entry: for operations that this kernel has and this
 * package does not know yet. All numbers are as the kernel wants them.
 *
 * There is no way to hand the kernel an address. A number that could be one is refused: its lower 56 bits are 4096 or more,
 * and it is not negative. Memory is given as a block: `{ in: buffer }` for the kernel to read, `{ out: buffer }` for it to
 * write to (and read). The kernel sees a private copy, in which every 8 bytes that could be an address are refused too. An
 * operation that needs lists of addresses, or memory after its completion, cannot be run this way.
 *
 * Operations that the package knows have the checks of their own, and no blocks: use their functions.
 *
 * Results in what the kernel answers. Errors: `ERR_URING_UNSUPPORTED_OP` for a number that this kernel does not have,
 * `ERR_URING_COULD_BE_ADDRESS` for a number that could be one, `ERR_URING_INVALID_RECORD` for a field that a known
 * operation does not take.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_enter.2.html io_uring_enter(2)}
 * @example
 * ```ts
 * import { Op, Ring, raw } from 'uring';
 *
 * await using ring = new Ring();
 * console.log(await ring.exec(raw({ opcode: Op.nop, opFlags: 1, len: 42 }))); // 42, injected
 * ```
 */
export function raw(fields: RawFields): Operation<number> {
  checkOptions('fields', fields);
  if (fields === undefined) throw invalidType('fields', 'of type object', fields);
  const operation = new Operation<number>(checkInteger('fields.opcode', fields.opcode, 0, 0xff), fields);
  if (fields.fd === -1) operation.fd = -1;
  else if (fields.fd !== undefined) operation.on('fields.fd', fields.fd);
  operation.length = checkInteger('fields.len', fields.len ?? 0, -0x8000_0000, UINT32_MAX);
  operation.opFlags = checkInteger('fields.opFlags', fields.opFlags ?? 0, 0, UINT32_MAX);
  operation.priority(checkInteger('fields.ioprio', fields.ioprio ?? 0, 0, 0xffff));
  operation.fileIndex = checkInteger('fields.fileIndex', fields.fileIndex ?? 0, -1, UINT32_MAX);
  operation.group |= checkInteger('fields.bufferGroup', fields.bufferGroup ?? 0, 0, 0xffff);
  const wide = FIELDS.map(({ name }) => checkField(`fields.${name}`, fields[name] ?? 0));
  const known = opInfo[operation.opcode];
  if (known !== undefined && wide.some((field) => field instanceof PlacedBuffer)) {
    throw invalidValue('fields.opcode', `is an operation that this package knows: use ${known.name}()`);
  }
  const payload = new RawPayload(wide);
  operation.arguments(payload);
  operation.decode = ({ res, staged }) => {
    if (staged !== undefined) payload.bringBack(staged);
    return res;
  };
  return operation;
}
