import { outOfRange, UringError } from '../errors.ts';
import { arenaIn } from '../memory/arena.ts';
import { checkBytes, TRANSFER_BYTES_MAX } from '../memory/bytes.ts';
import { type Place, PlacedBuffer } from '../memory/placed.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Access, Payload } from '../operation.ts';
import { notRegistered } from '../runtime/rejects.ts';
import { checkList } from '../validate.ts';

/** IOV_MAX. */
const VECTORS_MAX = 1024;
/** One entry of the list that Rust turns into iovecs: offset, arena handle, length, 0. */
const ENTRY_BYTES = 16;

/** @internal */
export function checkVectors(name: string, buffers: unknown): readonly Uint8Array[] {
  const list = checkList(name, buffers, 'an array of buffers', { min: 1, max: VECTORS_MAX });
  const views = list.map((buffer, at) => checkBytes(`${name}[${at}]`, buffer, 'refused'));
  const total = views.reduce((sum, view) => sum + view.byteLength, 0);
  if (total > TRANSFER_BYTES_MAX) throw outOfRange(name, `<= ${TRANSFER_BYTES_MAX} bytes in all`, total);
  return views;
}

/** @internal The list of buffers of a vectored operation, and copies of those that JavaScript owns. */
export class BufferList {
  /** The worst case: every buffer has to be copied. */
  readonly sizeBytes: number;
  readonly transferBytes: number;
  readonly count: number;
  readonly #buffers: readonly PlacedBuffer[];

  constructor(views: readonly Uint8Array[], access: Access) {
    this.#buffers = views.map((view) => new PlacedBuffer(view, access));
    this.count = views.length;
    this.transferBytes = views.reduce((sum, view) => sum + view.byteLength, 0);
    this.sizeBytes = this.#buffers.reduce(
      (sum, buffer) => sum + buffer.sizeBytes,
      views.length * ENTRY_BYTES,
    );
  }

  /** Writes the list at `at` in the block, with the copies behind it; answers where it stands. */
  write(block: StagedBlock, at: number, ring: unknown): Place {
    let copyAt = at + this.count * ENTRY_BYTES;
    let entry = at;
    for (const buffer of this.#buffers) {
      const { offset, handle } = buffer.place(block, copyAt, ring);
      block.view.writeUInt32LE(offset, entry);
      block.view.writeUInt32LE(handle, entry + 4);
      block.view.writeUInt32LE(buffer.sizeBytes, entry + 8);
      block.view.writeUInt32LE(0, entry + 12);
      entry += ENTRY_BYTES;
      copyAt += buffer.sizeBytes;
    }
    return { offset: block.offset + at, handle: block.handle };
  }

  /** Brings `bytes` back to the callers of a list that was written at `at`. */
  bringBack(block: StagedBlock, at: number, bytes: number, ring: unknown): void {
    let copyAt = at + this.count * ENTRY_BYTES;
    let left = bytes;
    for (const buffer of this.#buffers) {
      buffer.bringBack(block, copyAt, Math.min(left, buffer.sizeBytes), ring);
      copyAt += buffer.sizeBytes;
      left -= buffer.sizeBytes;
    }
  }
}

/** @internal A list of buffers as the only argument besides numbers. */
export class VectorPayload implements Payload {
  readonly sizeBytes: number;
  readonly transferBytes: number;
  readonly #list: BufferList;

  constructor(views: readonly Uint8Array[], access: Access) {
    this.#list = new BufferList(views, access);
    this.sizeBytes = this.#list.sizeBytes;
    this.transferBytes = this.#list.transferBytes;
  }

  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const { offset, handle } = this.#list.write(block, 0, ring);
    record[base + 4] = offset;
    record[base + 5] = handle;
    record[base + 6] = this.#list.count;
  }

  finish(block: StagedBlock, res: number, ring: unknown): void {
    this.#list.bringBack(block, 0, res, ring);
  }
}

/** @internal As `VectorPayload`, for buffers that all lie in one registered arena. */
export class FixedVectorPayload extends VectorPayload {
  readonly #views: readonly Uint8Array[];

  constructor(views: readonly Uint8Array[], access: Access) {
    super(views, access);
    this.#views = views;
  }

  override write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const handles = this.#views.map((view) => {
      const arena = arenaIn(view, ring);
      return arena?.registered === true ? arena.handle : undefined;
    });
    if (handles.includes(undefined)) throw notRegistered('use readv and writev');
    if (new Set(handles).size > 1) {
      const message =
        'the buffers are of several arenas: cut them from one ring.alloc(), or use readv and writev';
      throw new UringError('ERR_URING_NOT_REGISTERED', message);
    }
    super.write(block, record, base, ring);
  }
}
