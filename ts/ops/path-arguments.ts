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

/**
 * @internal Text that has been checked, and goes to the kernel with a NUL at its end. A string stays what it is until it is
 * written, anything else is a copy.
 */
export type CheckedText = string | Uint8Array;

/** @internal Text without a NUL in it. */
export function checkText(name: string, value: unknown, expected: string): CheckedText {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw invalidValue(name, 'must not contain null bytes');
    return value;
  }
  if (!(value instanceof Uint8Array)) throw invalidType(name, expected, value);
  // Copied, so that what was checked is what is used.
  const bytes = Buffer.from(value);
  if (bytes.includes(0)) throw invalidValue(name, 'must not contain null bytes');
  return bytes;
}

/** @internal A path. */
export function checkPath(name: string, path: unknown): CheckedText {
  const value = path instanceof URL ? fileURLToPath(path) : path;
  const text = checkText(name, value, 'of type string or an instance of Buffer or URL');
  if (roomFor(text) >= PATH_BYTES_MAX && lengthOf(text) >= PATH_BYTES_MAX)
    throw invalidValue(name, `is longer than ${PATH_BYTES_MAX - 1} bytes`);
  return text;
}

/** The most that a UTF-16 unit becomes in UTF-8. */
const BYTES_PER_UNIT_MAX = 3;
/** Text of so many units is counted rather than given the room that it might need. */
const COUNTED_FROM = 128;

/** @internal Bytes of a text. */
export function lengthOf(text: CheckedText): number {
  return typeof text === 'string' ? Buffer.byteLength(text) : text.byteLength;
}

/** @internal Bytes that are enough for a text. */
export function roomFor(text: CheckedText): number {
  if (typeof text === 'string' && text.length < COUNTED_FROM) return text.length * BYTES_PER_UNIT_MAX;
  return lengthOf(text);
}

/** @internal The text as a string, for errors. */
export function stringOf(text: CheckedText): string {
  return typeof text === 'string' ? text : Buffer.from(text).toString();
}

/** A text of up to so many units is written in a loop, which is faster than a call to C++. */
const LOOPED_MAX = 64;

/** Writes a string; answers where it ends. */
function writeUtf8(view: Buffer, at: number, text: string): number {
  if (text.length > LOOPED_MAX) return at + view.write(text, at);
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return at + view.write(text, at);
    view[at + index] = unit;
  }
  return at + text.length;
}

/** @internal Writes text with its NUL at `at`; answers where the next may stand. */
export function writeText(block: StagedBlock, at: number, text: CheckedText): number {
  let end = at;
  if (typeof text === 'string') {
    end = writeUtf8(block.view, at, text);
  } else {
    block.view.set(text, at);
    end += text.byteLength;
  }
  block.view[end] = 0;
  return end + 1;
}

/** @internal The directory that a relative path starts from. */
export function checkDirectory(name: string, dirFd: unknown): number {
  if (dirFd === undefined || dirFd === AT_FDCWD) return AT_FDCWD;
  return checkInteger(name, dirFd, 0, 0x7fff_ffff);
}

/** @internal A path at the end of a block, after `before` bytes for something else. */
export class PathPayload implements Payload {
  sizeBytes = 0;
  #path: CheckedText = '';
  readonly #before: number;
  readonly #argument: Uint8Array | undefined;

  /**
   * @param before what stands before the path and is named in `off`: bytes that the kernel reads, or room for so many
   * that it writes
   */
  constructor(path: CheckedText, before: number | Uint8Array = 0) {
    this.#before = typeof before === 'number' ? before : before.byteLength;
    this.#argument = typeof before === 'number' ? undefined : before;
    this.set(path);
  }

  /** Another path, for an operation that is used again; it must not be in flight. */
  set(path: CheckedText): void {
    this.#path = path;
    this.sizeBytes = this.#before + roomFor(path) + 1;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    if (this.#argument !== undefined) block.view.set(this.#argument);
    writeText(block, this.#before, this.#path);
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
  readonly #first: CheckedText;
  readonly #second: CheckedText;

  constructor(first: CheckedText, second: CheckedText) {
    this.#first = first;
    this.#second = second;
    this.sizeBytes = roomFor(first) + roomFor(second) + 2;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    const next = writeText(block, 0, this.#first);
    writeText(block, next, this.#second);
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
    record[base + 2] = block.offset + next;
    record[base + 3] = block.handle;
  }
}

/** @internal Gives an operation its path, in memory and for errors; answers whether it is empty. */
export function takePath(
  operation: AnyOperation,
  name: string,
  path: unknown,
  before?: number | Uint8Array,
): boolean {
  const text = checkPath(name, path);
  operation.path = stringOf(text);
  operation.arguments(new PathPayload(text, before));
  return text.length === 0;
}

/** @internal Gives an operation an old path and a new one; answers whether the old is empty. */
export function takePaths(
  operation: AnyOperation,
  [oldName, oldPath]: readonly [name: string, path: unknown],
  [newName, newPath]: readonly [name: string, path: unknown],
): boolean {
  const oldText = checkPath(oldName, oldPath);
  const newText = checkPath(newName, newPath);
  operation.path = stringOf(oldText);
  operation.dest = stringOf(newText);
  operation.arguments(new TwoPathsPayload(oldText, newText));
  return oldText.length === 0;
}
