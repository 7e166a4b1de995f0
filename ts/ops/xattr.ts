// Extended attributes: small values that a file system keeps with a file, by name.
import { invalidValue, outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { PlacedBuffer } from '../memory/placed.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { checkInteger, isSet } from '../validate.ts';
import {
  type CheckedText,
  checkPath,
  checkText,
  lengthOf,
  type Path,
  roomFor,
  stringOf,
  writeText,
} from './path-arguments.ts';
import { nothing } from './results.ts';

/** XATTR_NAME_MAX and XATTR_SIZE_MAX (include/uapi/linux/limits.h). */
const NAME_BYTES_MAX = 255;
const VALUE_BYTES_MAX = 65536;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

/** The name of an attribute with its namespace, such as `user.comment`. */
export type AttributeName = string | Uint8Array;

/** Whether {@link setxattr} and {@link fsetxattr} may make or replace an attribute. */
export interface SetxattrOptions extends OperationOptions {
  /** Fail with `EEXIST` where there is such an attribute. */
  create?: boolean;
  /** Fail with `ENODATA` where there is none. */
  replace?: boolean;
}

/** How much of an attribute {@link getxattr} and {@link fgetxattr} read. */
export interface GetxattrOptions extends OperationOptions {
  /** Room for the value; a longer one fails with `ERANGE`. Default 65536, which is enough for all. */
  sizeBytes?: number;
  /** Results in the size of the value alone. Default false. */
  sizeOnly?: boolean;
}

function checkAttributeName(name: unknown): CheckedText {
  const text = checkText('name', name, 'of type string or an instance of Buffer');
  if (text.length === 0) throw invalidValue('name', 'is empty: give it a namespace, such as user.comment');
  if (lengthOf(text) > NAME_BYTES_MAX) throw invalidValue('name', `is longer than ${NAME_BYTES_MAX} bytes`);
  return text;
}

function checkValue(value: unknown): Uint8Array {
  const bytes = checkBytes('value', value, 'allowed');
  if (bytes.byteLength > VALUE_BYTES_MAX) {
    throw outOfRange('value.byteLength', `<= ${VALUE_BYTES_MAX}`, bytes.byteLength);
  }
  return bytes;
}

/** Name and path in a block, behind the value. */
class NamesPayload implements Payload {
  readonly sizeBytes: number;
  readonly usesLastWords: boolean;
  protected readonly valueBytes: number;
  readonly #name: CheckedText;
  readonly #path: CheckedText | undefined;

  constructor(valueBytes: number, name: CheckedText, path: CheckedText | undefined) {
    this.valueBytes = valueBytes;
    this.#name = name;
    this.#path = path;
    this.usesLastWords = path !== undefined;
    this.sizeBytes = valueBytes + roomFor(name) + 1 + (path === undefined ? 0 : roomFor(path) + 1);
  }

  write(block: StagedBlock, record: Int32Array, base: number, _ring: unknown): void {
    const next = writeText(block, this.valueBytes, this.#name);
    record[base + 4] = block.offset + this.valueBytes;
    record[base + 5] = block.handle;
    record[base + 6] = this.valueBytes;
    if (this.valueBytes > 0) {
      record[base + 2] = block.offset;
      record[base + 3] = block.handle;
    }
    if (this.#path === undefined) return;
    writeText(block, next, this.#path);
    record[base + 12] = block.offset + next;
    record[base + 13] = block.handle;
  }
}

/** As `NamesPayload`, with a value of the caller's. */
class ValuePayload extends NamesPayload {
  readonly #value: PlacedBuffer;

  constructor(value: Uint8Array, name: CheckedText, path: CheckedText | undefined) {
    super(value.byteLength, name, path);
    this.#value = new PlacedBuffer(value, 'kernelReads');
  }

  override write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    super.write(block, record, base, ring);
    if (this.valueBytes === 0) return;
    const { offset, handle } = this.#value.place(block, 0, ring);
    record[base + 2] = offset;
    record[base + 3] = handle;
  }
}

function withValue(
  operation: Operation<void>,
  path: CheckedText | undefined,
  name: AttributeName,
  value: Bytes,
  options: SetxattrOptions | undefined,
): Operation<void> {
  operation.decode = nothing;
  operation.arguments(new ValuePayload(checkValue(value), checkAttributeName(name), path));
  const create = isSet('options.create', options?.create);
  const replace = isSet('options.replace', options?.replace);
  if (create && replace) throw invalidValue('options.replace', 'cannot be true where create is: give one');
  operation.opFlags = (create ? XATTR_CREATE : 0) | (replace ? XATTR_REPLACE : 0);
  return operation;
}

function copyOfValue({ res, staged }: Outcome): Buffer {
  return Buffer.from(staged?.view.subarray(0, res) ?? []);
}

function wanting(
  operation: Operation<Buffer | number>,
  path: CheckedText | undefined,
  name: AttributeName,
  options: GetxattrOptions | undefined,
): Operation<Buffer | number> {
  const sizeOnly = isSet('options.sizeOnly', options?.sizeOnly);
  const room = checkInteger('options.sizeBytes', options?.sizeBytes ?? VALUE_BYTES_MAX, 1, VALUE_BYTES_MAX);
  if (sizeOnly && options?.sizeBytes !== undefined)
    throw invalidValue('options.sizeBytes', 'has no meaning where only the size is wanted');
  // Without room the kernel answers the size (getxattr(2)).
  operation.arguments(new NamesPayload(sizeOnly ? 0 : room, checkAttributeName(name), path));
  if (!sizeOnly) operation.decode = copyOfValue;
  return operation;
}

function onPath<T>(opcode: number, path: Path, options: OperationOptions | undefined) {
  const operation = new Operation<T>(opcode, options);
  const text = checkPath('path', path);
  operation.path = stringOf(text);
  // Where others name a file; the kernel builds nothing of it.
  operation.fd = 0;
  return { operation, text };
}

/**
 * Gives a file an attribute, or changes it. A symbolic link at the end of the path is followed.
 *
 * Errors are those of setxattr(2): `ENOTSUP` where the file system has none of that namespace, `ENOSPC` or `E2BIG`
 * where the value is too large for it, `EEXIST` with `create`, `ENODATA` with `replace`, `EPERM`. Since Linux 5.19.
 *
 * @param name with its namespace, at most 255 bytes
 * @param value at most 65536 bytes; it may be empty
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_setxattr.3.html io_uring_prep_setxattr(3)}
 * @see {@link https://man7.org/linux/man-pages/man7/xattr.7.html xattr(7)}
 * @example
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { getxattr, Ring, setxattr } from 'uring';
 *
 * await using ring = new Ring();
 * writeFileSync('page', 'text');
 * await ring.exec(setxattr('page', 'user.origin', Buffer.from('https://example.org')));
 * console.log((await ring.exec(getxattr('page', 'user.origin'))).toString());
 * ```
 */
export function setxattr(
  path: Path,
  name: AttributeName,
  value: Bytes,
  options?: SetxattrOptions,
): Operation<void> {
  const { operation, text } = onPath<void>(Op.setxattr, path, options);
  return withValue(operation, text, name, value, options);
}

/**
 * As {@link setxattr}, for an open file. Since Linux 5.19.
 *
 * @param fd descriptor or registered file
 * @param name with its namespace, at most 255 bytes
 * @param value at most 65536 bytes; it may be empty
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fsetxattr.3.html io_uring_prep_fsetxattr(3)}
 * @example
 * ```ts
 * import { close, fsetxattr, openat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('page', { openFlags: 'w' }));
 * await ring.exec(fsetxattr(fd, 'user.seen', Buffer.from('1'), { create: true }));
 * await ring.exec(close(fd));
 * ```
 */
export function fsetxattr(
  fd: Fd,
  name: AttributeName,
  value: Bytes,
  options?: SetxattrOptions,
): Operation<void> {
  const operation = new Operation<void>(Op.fsetxattr, options).on('fd', fd);
  return withValue(operation, undefined, name, value, options);
}

/**
 * Reads an attribute of a file. A symbolic link at the end of the path is followed.
 *
 * Results in a Buffer of exactly the value's bytes, or with `sizeOnly` in their number. Errors are those of getxattr(2):
 * `ENODATA` where there is no such attribute, `ERANGE` where it is longer than `sizeBytes`, `ENOTSUP` where the file
 * system has none of that namespace. Since Linux 5.19.
 *
 * @param name with its namespace, at most 255 bytes
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_getxattr.3.html io_uring_prep_getxattr(3)}
 * @example
 * ```ts
 * import { getxattr, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(getxattr('/etc/hostname', 'user.origin')).catch((error) => error.code); // 'ENODATA'
 * ```
 */
export function getxattr(
  path: Path,
  name: AttributeName,
  options: GetxattrOptions & { sizeOnly: true },
): Operation<number>;
export function getxattr(
  path: Path,
  name: AttributeName,
  options?: GetxattrOptions & { sizeOnly?: false },
): Operation<Buffer>;
export function getxattr(
  path: Path,
  name: AttributeName,
  options?: GetxattrOptions,
): Operation<Buffer> | Operation<number> {
  const { operation, text } = onPath<Buffer | number>(Op.getxattr, path, options);
  return wanting(operation, text, name, options) as Operation<Buffer>;
}

/**
 * As {@link getxattr}, for an open file. Since Linux 5.19.
 *
 * @param fd descriptor or registered file
 * @param name with its namespace, at most 255 bytes
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fgetxattr.3.html io_uring_prep_fgetxattr(3)}
 * @example
 * ```ts
 * import { close, fgetxattr, openat, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(openat('/etc/hostname'));
 * await ring.exec(fgetxattr(fd, 'user.origin', { sizeOnly: true })).catch((error) => error.code); // 'ENODATA'
 * await ring.exec(close(fd));
 * ```
 */
export function fgetxattr(
  fd: Fd,
  name: AttributeName,
  options: GetxattrOptions & { sizeOnly: true },
): Operation<number>;
export function fgetxattr(
  fd: Fd,
  name: AttributeName,
  options?: GetxattrOptions & { sizeOnly?: false },
): Operation<Buffer>;
export function fgetxattr(
  fd: Fd,
  name: AttributeName,
  options?: GetxattrOptions,
): Operation<Buffer> | Operation<number> {
  const operation = new Operation<Buffer | number>(Op.fgetxattr, options).on('fd', fd);
  return wanting(operation, undefined, name, options) as Operation<Buffer>;
}
