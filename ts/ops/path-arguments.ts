// What operations on paths have in common: paths, directories that they start from, and their place in memory.
import { fileURLToPath } from 'node:url';
import { invalidType, invalidValue } from '../errors.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { AnyOperation, Payload } from '../operation.ts';
import { checkInteger } from '../validate.ts';

/** The working directory, in place of a directory's descriptor (openat(2)). */
export const AT_FDCWD = -100;
/** PATH_MAX, with the NUL at the end. */
const PATH_BYTES_MAX = 4096;

/** A path, as node:fs takes it. */
export type Path = string | Uint8Array | URL;

/** @internal The bytes of a string that the kernel reads up to its NUL. */
export function checkBytesOfString(name: string, value: unknown, expected: string): Uint8Array {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) throw invalidType(name, expected, value);
  // Copied, so that what was checked is what is used.
  const bytes = Buffer.from(value as string);
  // In UTF-8 a zero byte is a null character and nothing else; a string is searched without a call to C++.
  if (typeof value === 'string' ? value.includes('\0') : bytes.includes(0)) {
    throw invalidValue(name, 'must not contain null bytes');
  }
  return bytes;
}

/** @internal The bytes of a path. */
export function checkPath(name: string, path: unknown): Uint8Array {
  const value = path instanceof URL ? fileURLToPath(path) : path;
  const bytes = checkBytesOfString(name, value, 'of type string or an instance of Buffer or URL');
  if (bytes.byteLength >= PATH_BYTES_MAX)
    throw invalidValue(name, `is longer than ${PATH_BYTES_MAX - 1} bytes`);
  return bytes;
}

/** @internal The directory that a relative path starts from. */
export function checkDirectory(name: string, dirFd: unknown): number {
  if (dirFd === undefined || dirFd === AT_FDCWD) return AT_FDCWD;
  return checkInteger(name, dirFd, 0, 0x7fff_ffff);
}

/** @internal Writes a string with its NUL at `at`; answers where the next may stand. */
export function writeString(block: StagedBlock, at: number, bytes: Uint8Array): number {
  block.view.set(bytes, at);
  block.view[at + bytes.byteLength] = 0;
  return at + bytes.byteLength + 1;
}

/** A path at the end of a block, after `before` bytes for something else. */
class PathPayload implements Payload {
  readonly sizeBytes: number;
  readonly #path: Uint8Array;
  readonly #before: number;
  readonly #argument: Uint8Array | undefined;

  /**
   * @param before what stands before the path and is named in `off`: bytes that the kernel reads, or room for so many
   * that it writes
   */
  constructor(path: Uint8Array, before: number | Uint8Array = 0) {
    this.#path = path;
    this.#before = typeof before === 'number' ? before : before.byteLength;
    this.#argument = typeof before === 'number' ? undefined : before;
    this.sizeBytes = this.#before + path.byteLength + 1;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    if (this.#argument !== undefined) block.view.set(this.#argument);
    writeString(block, this.#before, this.#path);
    record[base + 4] = block.offset + this.#before;
    record[base + 5] = block.handle;
    if (this.#before > 0) {
      record[base + 2] = block.offset;
      record[base + 3] = block.handle;
    }
  }
}

/** Two paths, one after the other: the first in `addr`, the second in `off`. */
class TwoPathsPayload implements Payload {
  readonly sizeBytes: number;
  readonly #first: Uint8Array;
  readonly #second: Uint8Array;

  constructor(first: Uint8Array, second: Uint8Array) {
    this.#first = first;
    this.#second = second;
    this.sizeBytes = first.byteLength + second.byteLength + 2;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    const next = writeString(block, 0, this.#first);
    writeString(block, next, this.#second);
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
    record[base + 2] = block.offset + next;
    record[base + 3] = block.handle;
  }
}

function pathInErrors(path: unknown, bytes: Uint8Array): string {
  return typeof path === 'string' ? path : Buffer.from(bytes).toString();
}

/** @internal Gives an operation its path, in memory and for errors; answers its length. */
export function takePath(
  operation: AnyOperation,
  name: string,
  path: unknown,
  before?: number | Uint8Array,
): number {
  const bytes = checkPath(name, path);
  operation.path = pathInErrors(path, bytes);
  operation.arguments(new PathPayload(bytes, before));
  return bytes.byteLength;
}

/** @internal Gives an operation an old path and a new one; answers the length of the old. */
export function takePaths(
  operation: AnyOperation,
  [oldName, oldPath]: readonly [name: string, path: unknown],
  [newName, newPath]: readonly [name: string, path: unknown],
): number {
  const bytes = checkPath(oldName, oldPath);
  const newBytes = checkPath(newName, newPath);
  operation.path = pathInErrors(oldPath, bytes);
  operation.dest = pathInErrors(newPath, newBytes);
  operation.arguments(new TwoPathsPayload(bytes, newBytes));
  return bytes.byteLength;
}
