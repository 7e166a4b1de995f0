// Moving exactly as many bytes as there are, however few of them a single operation moves.
import { AbortError, outOfRange, UringError } from '../errors.ts';
import type { ExecOptions } from '../exec-options.ts';
import { SqeFlags } from '../flags.ts';
import { arenaIn } from '../memory/arena.ts';
import { type Bytes, TRANSFER_BYTES_MAX, toBytes } from '../memory/bytes.ts';
import { MessageFlags } from '../message-flags.ts';
import type { Fd, Operation } from '../operation.ts';
import { read, write, writev } from '../ops/file.ts';
import { recv } from '../ops/receive.ts';
import { send } from '../ops/send.ts';
import type { Ring } from '../ring.ts';
import { checkInteger, checkList, checkOffset } from '../validate.ts';
import { checkRing } from './check.ts';
import { OwnPosition } from './own-position.ts';
import { Remaining } from './remaining.ts';

/** What is copied on the way goes in pieces, so that the copies stay small. */
const PIECE_BYTES = 1 << 22;
/** As many as an array can really have, rather than a length that only claims it. */
const PARTS_MAX = 1 << 24;
/** UIO_MAXIOV. */
const VECTORS_MAX = 1024;

/** Where in a file, and for how long. */
export interface FullLengthOptions extends ExecOptions {
  /** Where in the file, from 0 to 2^53 - 1 (give it for registered files); left out, its own position, which moves. */
  offset?: number | bigint;
  /** `RwFlags` of each read or write. */
  rwFlags?: number;
}

/** How to send or receive all, and for how long. */
export interface FullTransferOptions extends ExecOptions {
  /** `MessageFlags` of each send or receive, besides WAITALL. */
  messageFlags?: number;
}

/**
 * A transfer that ended before all bytes were moved. `code`, `errno` and `syscall` are those of what ended it, which is
 * the `cause`; `ERR_URING_SHORT_TRANSFER` when the other side had no more, or took no more.
 *
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, writeAll } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = openSync('/dev/full', 'w');
 * await writeAll(ring, fd, Buffer.from('hello')).catch((error) => {
 *   console.log(error.code, error.bytes); // ENOSPC 0
 * });
 * ```
 */
export class TransferError extends UringError {
  override readonly name = 'TransferError';
  /** Bytes that were moved before. */
  readonly bytes: number;

  /** @internal */
  constructor(cause: UringError, bytes: number, sizeBytes: number) {
    super(cause.code, `${cause.message} (after ${bytes} of ${sizeBytes} bytes)`);
    const { errno, syscall, path } = cause;
    Object.assign(this, { errno, syscall, ...(path === undefined ? {} : { path }), cause });
    this.bytes = bytes;
  }
}

/** @internal What is to be moved, and how one piece of it is. */
export interface Transfer {
  readonly sizeBytes: number;
  /** An operation for what is left after so many bytes; `flags` are {@link SqeFlags}. */
  readonly piece: (done: number, flags: number) => Operation<number>;
  /** EAGAIN comes from a file, where it means that a worker thread is needed. */
  readonly isFile: boolean;
  /** Of the file, where that is where it goes on. */
  readonly position?: OwnPosition | undefined;
}

/** @internal Runs one piece after the other; answers how many bytes were moved before the end. */
export async function moveAll(left: Remaining, transfer: Transfer): Promise<number> {
  const { sizeBytes, piece, isFile, position } = transfer;
  let done = 0;
  let flags = 0;
  while (done < sizeBytes) {
    try {
      const bytes = await left.exec(piece(done, flags));
      if (bytes === 0) break;
      position?.moved(done, done + bytes);
      done += bytes;
      flags = 0;
    } catch (error) {
      const { code } = error as UringError;
      const needsWorker = code === 'EAGAIN' && isFile && flags === 0;
      if (needsWorker) flags = SqeFlags.ASYNC;
      else if (code !== 'EINTR') throw ended(error, done, sizeBytes);
    }
  }
  return done;
}

function ended(error: unknown, done: number, sizeBytes: number): unknown {
  if (error instanceof AbortError) {
    const last = typeof error.result === 'number' ? error.result : 0;
    return new AbortError(error.cause, done + last);
  }
  return error instanceof UringError ? new TransferError(error, done, sizeBytes) : error;
}

function short(syscall: string, problem: string, done: number, sizeBytes: number): TransferError {
  const cause = new UringError('ERR_URING_SHORT_TRANSFER', `${syscall}: ${problem}`, { syscall });
  return new TransferError(cause, done, sizeBytes);
}

/** A part of a buffer that one operation moves. */
function pieceOf(ring: Ring, bytes: Uint8Array, done: number): Uint8Array {
  const most = arenaIn(bytes, ring) === undefined ? PIECE_BYTES : TRANSFER_BYTES_MAX;
  return done === 0 && bytes.length <= most ? bytes : bytes.subarray(done, done + most);
}

interface Place {
  /** Where a piece starts. */
  readonly at: (done: number) => number;
  readonly isOwn: boolean;
  readonly rwFlags: number;
}

function checkPlace({ offset, rwFlags }: FullLengthOptions): Place {
  const start = offset === undefined ? -1 : checkOffset('options.offset', offset);
  // Operations have -1 for the file's own position, which is no offset to go on from.
  if (offset !== undefined && start < 0)
    throw outOfRange('options.offset', '>= 0 and <= 2 ** 53 - 1', offset);
  return {
    at: (done) => (start < 0 ? start : start + done),
    isOwn: start < 0,
    rwFlags: checkInteger('options.rwFlags', rwFlags ?? 0, 0, 0xffff_ffff),
  };
}

/**
 * Reads until the buffer is full, or until the end of the file, however many reads that takes. Since Linux 5.6.
 *
 * @param buffer memory to fill; nothing is read into an empty one
 * @returns the number of bytes, which is smaller than the buffer at the end of the file only. Rejects with a
 * {@link TransferError}, or an {@link AbortError} whose `result` it is: both tell how many bytes were read before
 * @see {@link https://man7.org/linux/man-pages/man2/read.2.html read(2)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { readFully, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * const header = ring.alloc(16);
 * const bytes = await readFully(ring, openSync('/etc/passwd', 'r'), header, { offset: 0, timeoutMs: 1000 });
 * if (bytes < header.length) console.log('the file is shorter than its header');
 * ```
 */
export async function readFully(
  ring: Ring,
  fd: Fd,
  buffer: Bytes,
  options: FullLengthOptions = {},
): Promise<number> {
  const left = new Remaining(checkRing(ring), 'readFully', options);
  const bytes = toBytes('buffer', buffer);
  const { at, isOwn, rwFlags } = checkPlace(options);
  return moveAll(left, {
    sizeBytes: bytes.length,
    piece: (done, flags) => read(fd, pieceOf(ring, bytes, done), { offset: at(done), rwFlags, flags }),
    isFile: true,
    position: isOwn ? OwnPosition.of(ring, fd, false) : undefined,
  });
}

/** Buffers as if they were one. */
class Parts {
  readonly sizeBytes: number;
  readonly #parts: readonly Uint8Array[];
  readonly #ring: Ring;
  /** The first that is not moved whole, and where it starts. */
  #first = 0;
  #start = 0;

  constructor(ring: Ring, parts: readonly Uint8Array[]) {
    this.#ring = ring;
    this.#parts = parts.filter(({ length }) => length > 0);
    this.sizeBytes = this.#parts.reduce((sum, { length }) => sum + length, 0);
  }

  /** What one operation moves after `done` bytes: at least one buffer. */
  piece(done: number): Uint8Array[] {
    while (done - this.#start >= (this.#parts[this.#first]?.length ?? Number.POSITIVE_INFINITY)) {
      this.#start += this.#parts[this.#first]?.length ?? 0;
      this.#first += 1;
    }
    const [first, ...rest] = this.#parts.slice(this.#first, this.#first + VECTORS_MAX);
    const piece = [pieceOf(this.#ring, first as Uint8Array, done - this.#start)];
    let bytes = piece[0]?.length ?? 0;
    if (bytes < (first?.length ?? 0) - (done - this.#start)) return piece;
    for (const part of rest) {
      bytes += part.length;
      if (bytes > PIECE_BYTES) break;
      piece.push(part);
    }
    return piece;
  }
}

/** @internal Writes of a file, whose bytes are all to be there in the end. */
export function writing(
  ring: Ring,
  fd: Fd,
  data: readonly Uint8Array[],
  options: FullLengthOptions,
  path?: string,
): Transfer {
  const parts = new Parts(ring, data);
  const { at, isOwn, rwFlags } = checkPlace(options);
  return {
    sizeBytes: parts.sizeBytes,
    piece: (done, flags) => {
      const piece = parts.piece(done);
      const where = { offset: at(done), rwFlags, flags };
      const isOne = piece.length === 1;
      const operation = isOne ? write(fd, piece[0] as Uint8Array, where) : writev(fd, piece, where);
      operation.path = path;
      return operation;
    },
    isFile: true,
    position: isOwn ? OwnPosition.of(ring, fd, true) : undefined,
  };
}

/** @internal One buffer or several. */
export function checkParts(name: string, data: unknown): Uint8Array[] {
  if (!Array.isArray(data)) return [toBytes(name, data)];
  const parts = checkList(name, data, 'an array of buffers', { max: PARTS_MAX });
  return parts.map((part, at) => toBytes(`${name}[${at}]`, part));
}

/**
 * Writes all of a buffer, or of several one after the other, however many writes that takes. Since Linux 5.6.
 *
 * @param data bytes to write; they must not change until it is done
 * @returns rejects with a {@link TransferError}, or an {@link AbortError} whose `result` it is: both tell how many bytes
 * were written before
 * @see {@link https://man7.org/linux/man-pages/man2/write.2.html write(2)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { Ring, writeAll } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = openSync('./example.log', 'a');
 * await writeAll(ring, fd, [Buffer.from('one\n'), Buffer.from('two\n')]);
 * ```
 */
export async function writeAll(
  ring: Ring,
  fd: Fd,
  data: Bytes | readonly Bytes[],
  options: FullLengthOptions = {},
): Promise<void> {
  const left = new Remaining(checkRing(ring), 'writeAll', options);
  const transfer = writing(ring, fd, checkParts('data', data), options);
  await writeWhole(left, transfer);
}

/** @internal */
export async function writeWhole(left: Remaining, transfer: Transfer): Promise<void> {
  const done = await moveAll(left, transfer);
  if (done < transfer.sizeBytes)
    throw short('write', 'no more bytes were taken, and no reason given', done, transfer.sizeBytes);
}

function checkMessageFlags({ messageFlags }: FullTransferOptions): number {
  const flags = checkInteger('options.messageFlags', messageFlags ?? 0, 0, 0x7fff_ffff);
  // The kernel goes on by itself after a part (io_uring/net.c), which saves the way back and forth.
  return flags | MessageFlags.WAITALL;
}

/**
 * Sends all of a buffer on a stream socket, however much of it the socket takes at a time. Since Linux 5.6.
 *
 * Sends of one socket that run at the same time may be mixed with each other: wait for one before the next.
 *
 * @param data bytes to send; they must not change until it is done
 * @returns rejects with a {@link TransferError} (`EPIPE` or `ECONNRESET` when the connection is gone), or an
 * {@link AbortError} whose `result` it is: both tell how many bytes were sent before
 * @see {@link https://man7.org/linux/man-pages/man2/send.2.html send(2)}
 * @example
 * ```ts
 * import { accept, bind, connect, listen, recvExactly, Ring, sendAll, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const listening = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(listening, { path: './example.sock' }));
 * await ring.exec(listen(listening));
 * const client = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(connect(client, { path: './example.sock' }));
 * const server = await ring.exec(accept(listening));
 * const sending = sendAll(ring, client, Buffer.alloc(1_000_000), { timeoutMs: 1000 });
 * const header = Buffer.alloc(4);
 * await recvExactly(ring, server, header);
 * await Promise.all([sending, recvExactly(ring, server, Buffer.alloc(1_000_000 - header.length))]);
 * ```
 */
export async function sendAll(
  ring: Ring,
  fd: Fd,
  data: Bytes,
  options: FullTransferOptions = {},
): Promise<void> {
  const left = new Remaining(checkRing(ring), 'sendAll', options);
  const bytes = toBytes('data', data);
  const messageFlags = checkMessageFlags(options);
  const done = await moveAll(left, {
    sizeBytes: bytes.length,
    piece: (from, flags) => send(fd, pieceOf(ring, bytes, from), { messageFlags, flags }),
    isFile: false,
  });
  if (done < bytes.length) throw short('send', 'no more bytes were taken', done, bytes.length);
}

/**
 * Receives exactly as many bytes from a stream socket as the buffer holds, however they arrive. Since Linux 5.6.
 *
 * @param buffer memory to fill; nothing is received into an empty one
 * @returns rejects with a {@link TransferError}, whose code is `ERR_URING_SHORT_TRANSFER` when the other side has sent
 * its last byte before, or an {@link AbortError} whose `result` it is: both tell how many bytes were received before
 * @see {@link https://man7.org/linux/man-pages/man2/recv.2.html recv(2)}
 * @example
 * ```ts
 * import { accept, bind, connect, listen, recvExactly, Ring, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const listening = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(listening, { path: './example.sock' }));
 * await ring.exec(listen(listening));
 * const client = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(connect(client, { path: './example.sock' }));
 * const server = await ring.exec(accept(listening));
 * await ring.exec(send(client, Buffer.from([0, 0, 0, 5])));
 * await ring.exec(send(client, Buffer.from('hello')));
 * const header = Buffer.alloc(4);
 * await recvExactly(ring, server, header, { timeoutMs: 1000 });
 * const message = Buffer.alloc(header.readUInt32BE());
 * await recvExactly(ring, server, message, { timeoutMs: 1000 });
 * console.log(message.toString()); // hello
 * ```
 */
export async function recvExactly(
  ring: Ring,
  fd: Fd,
  buffer: Bytes,
  options: FullTransferOptions = {},
): Promise<void> {
  const left = new Remaining(checkRing(ring), 'recvExactly', options);
  const bytes = toBytes('buffer', buffer);
  const messageFlags = checkMessageFlags(options);
  const done = await moveAll(left, {
    sizeBytes: bytes.length,
    piece: (from, flags) => recv(fd, pieceOf(ring, bytes, from), { messageFlags, flags }),
    isFile: false,
  });
  if (done < bytes.length) throw short('recv', 'the other side has ended', done, bytes.length);
}
