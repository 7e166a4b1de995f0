// Operations on open files.
import { outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkBoolean, checkInteger, checkOffset, UINT32_MAX } from '../validate.ts';
import { checkVectors, VectorPayload } from './vectors.ts';

export interface ReadWriteOptions extends OperationOptions {
  /**
   * Where in the file, from 0 to 2^53 - 1; `CURRENT_POSITION` (-1, the default) reads or writes at the file's own
   * position and moves it, and is what pipes and sockets want.
   */
  offset?: number | bigint;
  /** `RWF_*` flags, see preadv2(2). */
  rwFlags?: number;
  /** I/O priority, as ioprio_set(2) encodes it. */
  ioprio?: number;
}

function readWrite(opcode: number, fd: Fd, options: ReadWriteOptions | undefined): Operation<number> {
  const operation = new Operation<number>(opcode, options).on('fd', fd);
  operation.offset = -1;
  if (options?.offset !== undefined) operation.offset = checkOffset('options.offset', options.offset);
  if (options?.rwFlags !== undefined) {
    operation.opFlags = checkInteger('options.rwFlags', options.rwFlags, 0, UINT32_MAX);
  }
  if (options?.ioprio !== undefined) {
    operation.priority(checkInteger('options.ioprio', options.ioprio, 0, 0xffff));
  }
  return operation;
}

/**
 * Reads into a buffer. Memory of `ring.alloc()` is read into directly (and by the registered-buffer form of the
 * operation); any other buffer gets its bytes copied in at completion.
 *
 * Results in the number of bytes read, which may be fewer than the buffer holds; 0 is the end of the file. Errors
 * are those of read(2). A short read breaks a `LINK`. Since Linux 5.6.
 *
 * @param fd descriptor or registered file
 * @param buffer memory to fill, at least one byte
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_read.3.html io_uring_prep_read(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, read } from 'uring';
 *
 * await using ring = new Ring();
 * const buffer = ring.alloc(4096);
 * const bytes = await ring.exec(read(openSync('/etc/hostname', 'r'), buffer, { offset: 0 }));
 * console.log(buffer.toString('utf8', 0, bytes));
 * ```
 */
export function read(fd: Fd, buffer: Bytes, options?: ReadWriteOptions): Operation<number> {
  return readWrite(Op.read, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelWrites');
}

/**
 * Writes a buffer. Memory of `ring.alloc()` is written from directly, and must not change until the completion; the
 * bytes of any other buffer are copied when the operation is prepared.
 *
 * Results in the number of bytes written, which may be fewer than given. Errors are those of write(2). A short
 * write breaks a `LINK`. Since Linux 5.6.
 *
 * @param fd descriptor or registered file
 * @param buffer bytes to write, at least one
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_write.3.html io_uring_prep_write(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, write } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(write(openSync('/dev/null', 'w'), Buffer.from('hello')));
 * ```
 */
export function write(fd: Fd, buffer: Bytes, options?: ReadWriteOptions): Operation<number> {
  return readWrite(Op.write, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelReads');
}

/**
 * As {@link read}, but insists on registered memory: fails with `ERR_URING_NOT_REGISTERED` when the buffer is not
 * from `ring.alloc()`, or when its arena could not be registered (see `ring.stats().unregisteredBytes`). Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_read_fixed.3.html io_uring_prep_read_fixed(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, readFixed } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(readFixed(openSync('/dev/zero', 'r'), ring.alloc(4096)));
 * ```
 */
export function readFixed(fd: Fd, buffer: Bytes, options?: ReadWriteOptions): Operation<number> {
  return readWrite(Op.readFixed, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelWrites');
}

/**
 * As {@link write}, but insists on registered memory, like {@link readFixed}. Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_write_fixed.3.html io_uring_prep_write_fixed(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, writeFixed } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(writeFixed(openSync('/dev/null', 'w'), ring.alloc(4096)));
 * ```
 */
export function writeFixed(fd: Fd, buffer: Bytes, options?: ReadWriteOptions): Operation<number> {
  return readWrite(Op.writeFixed, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelReads');
}

/**
 * Reads into several buffers, one after the other, in one operation. Buffers of `ring.alloc()` and others may be
 * mixed.
 *
 * Results in the total number of bytes read. At most 1024 buffers. Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_readv.3.html io_uring_prep_readv(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, readv } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(readv(openSync('/dev/zero', 'r'), [Buffer.alloc(16), ring.alloc(4096)]));
 * ```
 */
export function readv(fd: Fd, buffers: readonly Bytes[], options?: ReadWriteOptions): Operation<number> {
  const operation = readWrite(Op.readv, fd, options);
  operation.arguments(new VectorPayload(checkVectors('buffers', buffers), 'kernelWrites'));
  return operation;
}

/**
 * Writes several buffers, one after the other, in one operation.
 *
 * Results in the total number of bytes written. At most 1024 buffers. Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_writev.3.html io_uring_prep_writev(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, writev } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(writev(openSync('/dev/null', 'w'), [Buffer.from('head'), Buffer.from('body')]));
 * ```
 */
export function writev(fd: Fd, buffers: readonly Bytes[], options?: ReadWriteOptions): Operation<number> {
  const operation = readWrite(Op.writev, fd, options);
  operation.arguments(new VectorPayload(checkVectors('buffers', buffers), 'kernelReads'));
  return operation;
}

export interface FsyncOptions extends OperationOptions {
  /** Only the data and what is needed to read it back, as fdatasync(2). */
  dataOnly?: boolean;
  /** Start of a range to sync. Default 0. */
  offset?: number | bigint;
  /** Size of the range; 0 (the default) means to the end of the file. */
  lengthBytes?: number;
}

/**
 * Makes what was written durable. It does not wait for writes that are still in flight: link it after them.
 *
 * Errors are those of fsync(2). Since Linux 5.1.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fsync.3.html io_uring_prep_fsync(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, fsync } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(fsync(openSync('/etc/hostname', 'r'), { dataOnly: true }));
 * ```
 */
export function fsync(fd: Fd, options?: FsyncOptions): Operation<void> {
  const operation = new Operation<void>(Op.fsync, options).on('fd', fd);
  operation.decode = nothing;
  if (options?.dataOnly !== undefined && checkBoolean('options.dataOnly', options.dataOnly))
    operation.opFlags = 1;
  if (options?.offset !== undefined) {
    operation.offset = checkOffset('options.offset', options.offset);
    if (operation.offset < 0) throw outOfRange('options.offset', '>= 0', options.offset);
  }
  if (options?.lengthBytes !== undefined) {
    operation.length = checkInteger('options.lengthBytes', options.lengthBytes, 0, UINT32_MAX);
  }
  return operation;
}

/** @internal Decoder of operations that result in nothing. */
export function nothing(): void {}
