// Pipes: making them, and moving bytes through them without copying.
import { constants } from 'node:fs';
import { Errno } from '../errnos.ts';
import { systemError, type UringError } from '../errors.ts';
import { FixedFile, SLOTS_MAX } from '../files.ts';
import { Op } from '../generated/ops.ts';
import { TRANSFER_BYTES_MAX } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { checkFlags, checkInteger, checkSize } from '../validate.ts';
import { type DirectOptions, takeSlot } from './direct.ts';
import { WidePayload } from './wide.ts';

/**
 * Flags of {@link splice} and {@link tee}, to be combined with `|`. `MOVE`: move pages rather than copy them, where that
 * can be done. `NONBLOCK`: do not wait for the pipe. `MORE`: more is coming, for sockets. `GIFT`: means nothing here.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/splice.2.html splice(2)}
 */
export const SpliceFlags = { MOVE: 1, NONBLOCK: 2, MORE: 4, GIFT: 8 } as const;

const SPLICE_ALL = SpliceFlags.MOVE | SpliceFlags.NONBLOCK | SpliceFlags.MORE | SpliceFlags.GIFT;
/** SPLICE_F_FD_IN_FIXED. */
const FROM_SLOT = 1 << 31;

/** Options of {@link tee}. */
export interface TeeOptions extends OperationOptions {
  /** {@link SpliceFlags}. Default 0. */
  spliceFlags?: number;
}

/** Options of {@link splice}. */
export interface SpliceOptions extends TeeOptions {
  /** Where in the source; null (the default) is its own position, and what a pipe wants. */
  offsetIn?: number | bigint | null;
  /** Where in the destination; null (the default) is its own position, and what a pipe wants. */
  offsetOut?: number | bigint | null;
}

/** The kernel's own, which is not to be seen outside (include/linux/errno.h). */
const ERESTARTSYS = 512;

/** What is cancelled while it waits in a worker: io_uring/rw.c makes EINTR of it, io_uring/splice.c does not. */
function interrupted(error: UringError): UringError {
  return error.errno === -ERESTARTSYS ? systemError(-Errno.EINTR, error.syscall ?? '') : error;
}

/** Both name the destination in `fd` and the source in the place of `file_index`. */
function fromTo(
  opcode: number,
  fdIn: Fd,
  fdOut: Fd,
  lengthBytes: number,
  options: TeeOptions | undefined,
): Operation<number> {
  const operation = new Operation<number>(opcode, options);
  const spliceFlags = checkFlags('options.spliceFlags', options?.spliceFlags ?? 0, SPLICE_ALL, 'SpliceFlags');
  if (typeof fdIn === 'number') {
    operation.fileIndex = checkInteger('fdIn', fdIn, 0, 0x7fff_ffff);
    operation.opFlags = spliceFlags;
  } else {
    operation.fileIndex = operation.own('fdIn', fdIn).handle;
    operation.opFlags = spliceFlags | FROM_SLOT;
  }
  operation.traits = { explain: interrupted };
  operation.on('fdOut', fdOut);
  operation.length = checkInteger('lengthBytes', lengthBytes, 1, TRANSFER_BYTES_MAX);
  return operation;
}

function checkPosition(name: string, offset: unknown): number {
  return offset === undefined || offset === null ? -1 : checkSize(name, offset, 0);
}

/**
 * Moves bytes from one file to another inside the kernel; one of the two must be a pipe.
 *
 * Results in the number of bytes moved, which may be fewer than asked for; 0 is the end of the source. Fewer break a
 * `LINK`. Errors are those of splice(2): `EINVAL` where neither is a pipe or the file system cannot do it, `ESPIPE` for
 * an offset in a pipe, `EAGAIN` with `NONBLOCK`; one that waits and is cancelled fails with `EINTR`. Since Linux 5.7.
 *
 * Use sockets that have O_NONBLOCK, as those of this package: while the kernel waits for one that blocks, the pipe is locked,
 * and a thread that writes to it, reads or closes it waits too, also in `submit`.
 *
 * @param fdIn source: descriptor or registered file
 * @param fdOut destination: descriptor or registered file
 * @param lengthBytes most bytes to move, at least 1
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_splice.3.html io_uring_prep_splice(3)}
 * @example
 * ```ts
 * import { close, openat, pipe, Ring, splice } from 'uring';
 *
 * await using ring = new Ring();
 * const { readFd, writeFd } = await ring.exec(pipe());
 * const from = await ring.exec(openat('/etc/hostname'));
 * const to = await ring.exec(openat('copy', { openFlags: 'w' }));
 * const bytes = await ring.exec(splice(from, writeFd, 65536, { offsetIn: 0 }));
 * await ring.exec(splice(readFd, to, bytes, { offsetOut: 0 }));
 * for (const fd of [readFd, writeFd, from, to]) await ring.exec(close(fd));
 * ```
 */
export function splice(fdIn: Fd, fdOut: Fd, lengthBytes: number, options?: SpliceOptions): Operation<number> {
  const operation = fromTo(Op.splice, fdIn, fdOut, lengthBytes, options);
  operation.arguments(new WidePayload(checkPosition('options.offsetIn', options?.offsetIn)));
  operation.offset = checkPosition('options.offsetOut', options?.offsetOut);
  return operation;
}

/**
 * Copies what is in one pipe to another, without taking it out.
 *
 * Results in the number of bytes copied, which may be fewer than asked for; 0 when there is nothing and nobody writes.
 * Fewer break a `LINK`. Errors are those of tee(2): `EINVAL` where one is no pipe, `EAGAIN` with `NONBLOCK`,
 * `EINTR` when it waits and is cancelled. Since Linux 5.8.
 *
 * @param fdIn source: descriptor or registered file
 * @param fdOut destination: descriptor or registered file
 * @param lengthBytes most bytes to copy, at least 1
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_tee.3.html io_uring_prep_tee(3)}
 * @example
 * ```ts
 * import { close, pipe, Ring, tee, write } from 'uring';
 *
 * await using ring = new Ring();
 * const [one, two] = [await ring.exec(pipe()), await ring.exec(pipe())];
 * await ring.exec(write(one.writeFd, Buffer.from('twice')));
 * console.log(await ring.exec(tee(one.readFd, two.writeFd, 65536))); // 5
 * for (const fd of [one.readFd, one.writeFd, two.readFd, two.writeFd]) await ring.exec(close(fd));
 * ```
 */
export function tee(fdIn: Fd, fdOut: Fd, lengthBytes: number, options?: TeeOptions): Operation<number> {
  return fromTo(Op.tee, fdIn, fdOut, lengthBytes, options);
}

/** The two ends of a pipe: descriptors, or registered files. */
export interface Pipe<T extends Fd = number> {
  readonly readFd: T;
  readonly writeFd: T;
}

/** Options of {@link pipe}. */
export interface PipeOptions extends OperationOptions {
  /**
   * `O_NONBLOCK`, and `O_DIRECT` for a pipe of packets, from `fs.constants`; `O_EXCL` for one of kernel notifications.
   * Default O_NONBLOCK; O_CLOEXEC is always set. Operations of a ring wait for a pipe even so (io_uring/rw.c,
   * io_rw_init_file), unless they have `RwFlags.NOWAIT`. Without O_NONBLOCK a write that finds some room, but not enough,
   * blocks the whole thread inside of the submission (docs/measured.md).
   */
  pipeFlags?: number;
}

const O_CLOEXEC = 0o2000000;
/** Not on Windows, where only mocks run. */
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;
const PIPE_FLAGS = O_NONBLOCK | constants.O_DIRECT | constants.O_EXCL | O_CLOEXEC;
const END_BYTES = 4;

/** Room for the two ends, which Rust answers in. */
const pipePayload: Payload = {
  sizeBytes: 2 * END_BYTES,
  write(block: StagedBlock, record: Int32Array, base: number): void {
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  },
};

/** Descriptors, or handles of slots. */
function endsOf({ staged }: Outcome): readonly [readEnd: number, writeEnd: number] {
  const view = staged?.view ?? Buffer.alloc(2 * END_BYTES);
  return [view.readInt32LE(0), view.readInt32LE(END_BYTES)];
}

/**
 * Makes a pipe.
 *
 * Results in two descriptors, which are yours to close, or with `direct` in two registered files: slots of the kernel's
 * choice, or the slot given and the next one (the ring needs a files table: `ring.registrar.registerFiles()`). Errors
 * are those of pipe2(2), and `ENFILE` when no slot is free. What nobody has taken when the ring closes is closed. Since
 * Linux 6.16.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_pipe.3.html io_uring_prep_pipe(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/pipe.2.html pipe(2)}
 * @example
 * ```ts
 * import { pipe, Ring, read, write } from 'uring';
 *
 * await using ring = new Ring();
 * ring.registrar.registerFiles();
 * const { readFd, writeFd } = await ring.exec(pipe({ direct: true }));
 * await ring.exec(write(writeFd, Buffer.from('hello')));
 * console.log(await ring.exec(read(readFd, ring.alloc(64)))); // 5
 * ```
 */
export function pipe(options: PipeOptions & DirectOptions): Operation<Pipe<FixedFile>>;
export function pipe(options?: PipeOptions): Operation<Pipe>;
export function pipe(
  options?: PipeOptions & Partial<DirectOptions>,
): Operation<Pipe> | Operation<Pipe<FixedFile>> {
  const operation = new Operation<Pipe | Pipe<FixedFile>>(Op.pipe, options);
  // What the kernel gives to no file at all.
  operation.fd = 0;
  operation.arguments(pipePayload);
  operation.traits = { parts: ({ readFd, writeFd }) => [readFd, writeFd] };
  const pipeFlags = checkFlags(
    'options.pipeFlags',
    options?.pipeFlags ?? O_NONBLOCK,
    PIPE_FLAGS,
    'O_* flags of pipe2(2)',
  );
  if (options?.direct === undefined) {
    operation.opFlags = pipeFlags | O_CLOEXEC;
    operation.decode = (outcome) => {
      const [readFd, writeFd] = endsOf(outcome);
      return { readFd, writeFd };
    };
    return operation as Operation<Pipe>;
  }
  // A slot cannot be close-on-exec: the kernel answers -EINVAL.
  operation.opFlags = pipeFlags & ~O_CLOEXEC;
  takeSlot(operation, options.direct, SLOTS_MAX - 2);
  operation.decode = (outcome) => {
    const [readFd, writeFd] = endsOf(outcome);
    return { readFd: new FixedFile(outcome.ring, readFd), writeFd: new FixedFile(outcome.ring, writeFd) };
  };
  return operation as Operation<Pipe<FixedFile>>;
}
