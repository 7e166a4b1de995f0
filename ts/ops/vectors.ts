import { invalidType, outOfRange, UringError } from '../errors.ts';
import { arenaOf } from '../memory/arena.ts';
import { type Bytes, checkBytes, TRANSFER_BYTES_MAX } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Access, Payload } from '../operation.ts';

/** IOV_MAX. */
const VECTORS_MAX = 1024;
/** One entry of the list that Rust turns into iovecs: offset, arena handle, length, 0. */
const ENTRY_BYTES = 16;

/** @internal */
export function checkVectors(name: string, buffers: unknown): readonly Uint8Array[] {
  if (!Array.isArray(buffers)) throw invalidType(name, 'an array of buffers', buffers);
  if (buffers.length < 1 || buffers.length > VECTORS_MAX) {
    throw outOfRange(`${name}.length`, `>= 1 and <= ${VECTORS_MAX}`, buffers.length);
  }
  const views = buffers.map((buffer: Bytes, at) => checkBytes(`${name}[${at}]`, buffer, 'refused'));
  const total = views.reduce((sum, view) => sum + view.byteLength, 0);
  if (total > TRANSFER_BYTES_MAX) throw outOfRange(name, `<= ${TRANSFER_BYTES_MAX} bytes in all`, total);
  return views;
}

/** @internal The list of buffers of a vectored operation, and copies of those that JavaScript owns. */
export class VectorPayload implements Payload {
  readonly sizeBytes: number;
  readonly #views: readonly Uint8Array[];
  /** Lengths are read once: a view over a resizable buffer may change under us. */
  readonly #lengths: readonly number[];
  readonly #access: Access;

  constructor(views: readonly Uint8Array[], access: Access) {
    this.#views = views;
    this.#lengths = views.map((view) => view.byteLength);
    this.#access = access;
    // The worst case: every buffer has to be copied.
    this.sizeBytes = this.#lengths.reduce((sum, length) => sum + length, views.length * ENTRY_BYTES);
  }

  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    let copyAt = this.#views.length * ENTRY_BYTES;
    this.#views.forEach((view, at) => {
      const length = this.#lengths[at] ?? 0;
      // Nothing would be copied, and what the block held before would be written.
      if (view.byteLength < length) throw detachedBefore();
      const arena = arenaOf(view);
      const own = arena !== undefined && arena.ring === ring && view.byteLength === length;
      block.view.writeUInt32LE(own ? view.byteOffset : block.offset + copyAt, at * ENTRY_BYTES);
      block.view.writeUInt32LE(own ? arena.handle : block.handle, at * ENTRY_BYTES + 4);
      block.view.writeUInt32LE(length, at * ENTRY_BYTES + 8);
      block.view.writeUInt32LE(0, at * ENTRY_BYTES + 12);
      if (this.#access === 'kernelReads' && !own) block.view.set(view.subarray(0, length), copyAt);
      copyAt += length;
    });
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
    record[base + 6] = this.#views.length;
  }

  finish(block: StagedBlock, res: number): void {
    if (this.#access === 'kernelReads') return;
    let copyAt = this.#views.length * ENTRY_BYTES;
    let left = res;
    this.#views.forEach((view, at) => {
      const length = this.#lengths[at] ?? 0;
      const bytes = Math.min(left, length);
      const copied = block.view.readUInt32LE(at * ENTRY_BYTES + 4) === block.handle;
      if (bytes > 0 && copied && block.view.readUInt32LE(at * ENTRY_BYTES) === block.offset + copyAt) {
        if (view.byteLength < bytes) throw detached(bytes);
        view.set(block.view.subarray(copyAt, copyAt + bytes));
      }
      copyAt += length;
      left -= bytes;
    });
  }
}

function detachedBefore(): UringError {
  const message = 'a buffer was detached or shrunk after the operation was made: make a new one';
  return new UringError('ERR_URING_BUFFER_DETACHED', message);
}

/** @internal */
export function detached(bytes: number): UringError {
  const message = `the buffer was detached or shrunk while ${bytes} bytes were on their way into it, and they are lost`;
  return new UringError(
    'ERR_URING_BUFFER_DETACHED',
    `${message}; use ring.alloc() for memory that cannot go away`,
  );
}
