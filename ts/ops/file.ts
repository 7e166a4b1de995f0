// Reading and writing open files, pipes, and whatever else has a descriptor.
import type { BufferLease } from '../buffer-ring.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { ProvidedBuffers } from '../provided-buffers.ts';
import { type ReadWriteOptions, readWrite, type WriteOptions, writing } from './read-write-options.ts';
import { takeFrom } from './results.ts';
import { checkReceivingBuffers } from './transfer.ts';
import { checkVectors, FixedVectorPayload, VectorPayload } from './vectors.ts';

/**
 * Reads into a buffer, or into one that the kernel takes from a buffer ring when there is data. Memory of
 * `ring.alloc()` is read into directly (and by the registered-buffer form of the operation); any other buffer gets its
 * bytes copied in at completion.
 *
 * Results in the number of bytes read, which may be fewer than the buffer holds; 0 is the end of the file. With a
 * buffer ring in a lease, or null at the end. Errors are those of read(2), and `ENOBUFS` when every buffer of the ring
 * is lent. A short read breaks a `LINK`. Since Linux 5.6 (buffer rings 5.19).
 *
 * @param fd descriptor or registered file
 * @param buffer memory to fill, at least one byte, or a buffer ring
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
export function read(
  fd: Fd,
  buffers: ProvidedBuffers,
  options?: ReadWriteOptions,
): Operation<BufferLease | null>;
export function read(fd: Fd, buffer: Bytes, options?: ReadWriteOptions): Operation<number>;
export function read(
  fd: Fd,
  into: Bytes | ProvidedBuffers,
  options?: ReadWriteOptions,
): Operation<number> | Operation<BufferLease | null> {
  if (into instanceof ProvidedBuffers) {
    const operation = readWrite<BufferLease | null>(Op.read, fd, options);
    operation.length = into.sizeBytes;
    return untilTheEnd(takeFrom(operation, checkReceivingBuffers('buffers', into)));
  }
  return readWrite(Op.read, fd, options).bytes(checkBytes('buffer', into, 'refused'), 'kernelWrites');
}

/** At the end of the data there may be a buffer all the same (io_uring/rw.c): it goes back unseen. */
function untilTheEnd<T extends Operation<BufferLease | null, 'single' | 'multishot'>>(operation: T): T {
  const lease = operation.decode;
  operation.decode = (outcome) => {
    const taken = lease?.(outcome) ?? null;
    if (outcome.res > 0 || taken === null) return taken;
    taken.release();
    return null;
  };
  return operation;
}

/**
 * Reads until the end of the data, with one submission: each time that there is some, the kernel takes a buffer from
 * the ring. For what can be waited for: pipes, sockets, terminals, eventfds.
 *
 * Run it with `ring.multishot()`, which yields a lease for each read, waits when every buffer is lent, and ends with
 * the data. A regular file is refused with `EBADFD`: use {@link read}. Since Linux 6.7.
 *
 * @param fd descriptor or registered file
 * @param buffers where the kernel takes its buffers from
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_read_multishot.3.html io_uring_prep_read_multishot(3)}
 * @example
 * ```ts
 * import { close, pipe, Ring, readMultishot, write } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 4096 });
 * const { readFd, writeFd } = await ring.exec(pipe());
 * await ring.exec(write(writeFd, Buffer.from('hello')));
 * await ring.exec(close(writeFd));
 * for await (const lease of ring.multishot(readMultishot(readFd, buffers))) {
 *   console.log(lease.data.toString());
 *   lease.release();
 * }
 * await ring.exec(close(readFd));
 * ```
 */
export function readMultishot(
  fd: Fd,
  buffers: ProvidedBuffers,
  options?: OperationOptions,
): Operation<BufferLease | null, 'multishot'> {
  checkReceivingBuffers('buffers', buffers);
  const operation = new Operation<BufferLease | null, 'multishot'>(Op.readMultishot, options).on('fd', fd);
  // The kernel takes the length from the buffers, and wants 0 here (io_uring/rw.c, io_read_mshot_prep).
  operation.offset = -1;
  operation.isMultishot = true;
  return untilTheEnd(takeFrom(operation, buffers));
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
export function write(fd: Fd, buffer: Bytes, options?: WriteOptions): Operation<number> {
  return writing(Op.write, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelReads');
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
export function writeFixed(fd: Fd, buffer: Bytes, options?: WriteOptions): Operation<number> {
  return writing(Op.writeFixed, fd, options).bytes(checkBytes('buffer', buffer, 'refused'), 'kernelReads');
}

/**
 * Reads into several buffers, one after the other, in one operation. Buffers of `ring.alloc()` and others may be
 * mixed; where all are of one registered arena it is the registered-buffer form by itself (6.15).
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
 * Writes several buffers, one after the other, in one operation; by the registered-buffer form where {@link readv}
 * would use it.
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
export function writev(fd: Fd, buffers: readonly Bytes[], options?: WriteOptions): Operation<number> {
  const operation = writing(Op.writev, fd, options);
  operation.arguments(new VectorPayload(checkVectors('buffers', buffers), 'kernelReads'));
  return operation;
}

/**
 * As {@link readv}, but insists on registered memory: fails with `ERR_URING_NOT_REGISTERED` unless all buffers are cut
 * from one arena of `ring.alloc()` that could be registered. `readv` chooses this form by itself where it can be had.
 *
 * Results in the total number of bytes read. At most 1024 buffers. Since Linux 6.15.
 *
 * @param fd descriptor or registered file
 * @param buffers memory to fill; parts of one `ring.alloc()` are surely in one arena
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_readv_fixed.3.html io_uring_prep_readv_fixed(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, readvFixed } from 'uring';
 *
 * await using ring = new Ring();
 * const memory = ring.alloc(8192);
 * const buffers = [memory.subarray(0, 4096), memory.subarray(4096)];
 * await ring.exec(readvFixed(openSync('/dev/zero', 'r'), buffers));
 * ```
 */
export function readvFixed(fd: Fd, buffers: readonly Bytes[], options?: ReadWriteOptions): Operation<number> {
  const operation = readWrite(Op.readvFixed, fd, options);
  operation.arguments(new FixedVectorPayload(checkVectors('buffers', buffers), 'kernelWrites'));
  return operation;
}

/**
 * As {@link writev}, but insists on registered memory, like {@link readvFixed}. Since Linux 6.15.
 *
 * @param fd descriptor or registered file
 * @param buffers bytes to write; parts of one `ring.alloc()` are surely in one arena
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_writev_fixed.3.html io_uring_prep_writev_fixed(3)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, writevFixed } from 'uring';
 *
 * await using ring = new Ring();
 * const memory = ring.alloc(8192);
 * await ring.exec(writevFixed(openSync('/dev/null', 'w'), [memory.subarray(0, 100), memory.subarray(4096)]));
 * ```
 */
export function writevFixed(fd: Fd, buffers: readonly Bytes[], options?: WriteOptions): Operation<number> {
  const operation = writing(Op.writevFixed, fd, options);
  operation.arguments(new FixedVectorPayload(checkVectors('buffers', buffers), 'kernelReads'));
  return operation;
}
