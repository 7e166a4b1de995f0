import { invalidType, invalidValue, outOfRange } from '../errors.ts';

/** Memory that an operation can read from or write to. */
export type Bytes = NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer;

/** MAX_RW_COUNT: the most that one read or write moves (include/linux/fs.h). */
export const TRANSFER_BYTES_MAX = 0x7fff_f000;

/** The bytes of a buffer, as a view; an ArrayBuffer stands for all of its bytes. */
export function checkBytes(name: string, value: unknown, empty: 'allowed' | 'refused'): Uint8Array {
  const bytes = toBytes(name, value);
  // `length`, not `byteLength`: the same for bytes, and inlined by V8 where the other is a call.
  const sizeBytes = bytes.length;
  if (sizeBytes > TRANSFER_BYTES_MAX) {
    throw outOfRange(
      `${name}.byteLength`,
      `<= ${TRANSFER_BYTES_MAX} (the most one operation moves)`,
      sizeBytes,
    );
  }
  if (sizeBytes === 0 && empty === 'refused') {
    throw invalidValue(name, 'is empty (or detached): give it at least one byte');
  }
  return bytes;
}

/** As `checkBytes`, of any size. */
export function toBytes(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
  throw invalidType(name, 'a Buffer, TypedArray, DataView, ArrayBuffer or SharedArrayBuffer', value);
}
