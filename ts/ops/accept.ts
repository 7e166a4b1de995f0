// Accepting connections.
import type { SocketAddress } from '../address.ts';
import { invalidValue } from '../errors.ts';
import type { FixedFile } from '../files.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { isSet } from '../validate.ts';
import { ADDRESS_AT, ADDRESS_ROOM_BYTES, answeredAddress, offerRoom } from './address-room.ts';
import { type DirectOptions, makeDirect } from './direct.ts';
import { checkSocketFlags } from './socket.ts';

/** IORING_ACCEPT_*, in `ioprio`. */
const MULTISHOT = 1 << 0;
const DONTWAIT = 1 << 1;
const POLL_FIRST = 1 << 2;

/** Options of {@link accept} and {@link acceptMultishot}. */
export interface AcceptOptions extends OperationOptions {
  /** Flags of the new socket, `SocketFlags`. Default NONBLOCK | CLOEXEC. */
  acceptFlags?: number;
  /** Fail with `EAGAIN` when no connection waits. Since Linux 6.10. */
  dontWait?: boolean;
  /** Wait for a connection before trying, which saves a try where none is expected to wait. Since Linux 6.10. */
  pollFirst?: boolean;
}

/** A connection and where it comes from. */
export interface AcceptedSocket {
  readonly fd: number;
  /** The peer's address; undefined where the family has none. */
  readonly address: SocketAddress | undefined;
}

/** As {@link AcceptedSocket}, in a slot. */
export interface AcceptedFile {
  readonly file: FixedFile;
  readonly address: SocketAddress | undefined;
}

type Kind = 'single' | 'multishot';
interface AnyAcceptOptions extends AcceptOptions, Partial<DirectOptions> {
  withAddress?: boolean;
}

/** Room for the peer's address. */
const peerPayload: Payload = {
  sizeBytes: ADDRESS_ROOM_BYTES,
  write(block: StagedBlock, record: Int32Array, base: number): void {
    offerRoom(block);
    record[base + 2] = block.offset;
    record[base + 3] = block.handle;
    record[base + 4] = block.offset + ADDRESS_AT;
    record[base + 5] = block.handle;
  },
};

function acceptOn(fd: Fd, options: AnyAcceptOptions | undefined): Operation<unknown, Kind> {
  const operation = new Operation<unknown, Kind>(Op.accept, options).on('fd', fd);
  const direct = options?.direct;
  operation.opFlags = checkSocketFlags('options.acceptFlags', options?.acceptFlags, direct);
  if (direct !== undefined) makeDirect(operation as Operation<FixedFile, Kind>, direct);
  if (isSet('options.dontWait', options?.dontWait)) {
    operation.priority(DONTWAIT);
    operation.needs('options.dontWait', '6.10');
  }
  if (isSet('options.pollFirst', options?.pollFirst)) {
    operation.priority(POLL_FIRST);
    operation.needs('options.pollFirst', '6.10');
  }
  return operation;
}

function addPeer(operation: Operation<unknown, Kind>): void {
  operation.arguments(peerPayload);
  const toFile = operation.decode;
  operation.decode = (outcome): AcceptedSocket | AcceptedFile => {
    const address = answeredAddress(outcome);
    if (toFile === undefined) return { fd: outcome.res, address };
    return { file: toFile(outcome) as FixedFile, address };
  };
  operation.traits = {
    parts: (result) => [
      'file' in (result as object) ? (result as AcceptedFile).file : (result as AcceptedSocket).fd,
    ],
  };
}

/**
 * Accepts one connection on a listening socket.
 *
 * Results in the new socket's descriptor, which is yours to close, or with `direct` in a registered file; with
 * `withAddress` in `{ fd, address }` or `{ file, address }`. Errors are those of accept(2). Since Linux 5.5 (`direct`
 * 5.15).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_accept.3.html io_uring_prep_accept(3)}
 * @example
 * ```ts
 * import { Ring, accept, bind, connect, listen, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const listening = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(listening, { path: './example.sock' }));
 * await ring.exec(listen(listening));
 * const client = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(connect(client, { path: './example.sock' }));
 * const { fd, address } = await ring.exec(accept(listening, { withAddress: true }));
 * console.log(fd, address); // a client without a name: { path: '' }
 * ```
 */
export function accept(
  fd: Fd,
  options: AcceptOptions & DirectOptions & { withAddress: true },
): Operation<AcceptedFile>;
export function accept(fd: Fd, options: AcceptOptions & { withAddress: true }): Operation<AcceptedSocket>;
export function accept(fd: Fd, options: AcceptOptions & DirectOptions): Operation<FixedFile>;
export function accept(fd: Fd, options?: AcceptOptions): Operation<number>;
export function accept(fd: Fd, options?: AnyAcceptOptions): unknown {
  const operation = acceptOn(fd, options);
  if (isSet('options.withAddress', options?.withAddress)) {
    addPeer(operation);
  }
  return operation;
}

/**
 * Accepts connections until it is stopped, with one submission. With `direct: true` they become registered files. It
 * gives no addresses: all connections would write theirs to the same memory.
 *
 * Run it with `ring.multishot()`. Since Linux 5.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_multishot_accept.3.html io_uring_prep_multishot_accept(3)}
 * @example
 * ```ts
 * import { Ring, acceptMultishot, bind, close, connect, listen, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const listening = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(bind(listening, { path: './example.sock' }));
 * await ring.exec(listen(listening));
 * const client = await ring.exec(socket('unix', 'stream'));
 * await ring.exec(connect(client, { path: './example.sock' }));
 * for await (const fd of ring.multishot(acceptMultishot(listening))) {
 *   await ring.exec(close(fd));
 *   break;
 * }
 * ```
 */
export function acceptMultishot(
  fd: Fd,
  options: AcceptOptions & { direct: true },
): Operation<FixedFile, 'multishot'>;
export function acceptMultishot(fd: Fd, options?: AcceptOptions): Operation<number, 'multishot'>;
export function acceptMultishot(
  fd: Fd,
  options?: AcceptOptions & { direct?: true },
): Operation<number, 'multishot'> | Operation<FixedFile, 'multishot'> {
  const operation = acceptOn(fd, options);
  if (options !== undefined && 'withAddress' in options) {
    throw invalidValue(
      'options.withAddress',
      'is for accept: connections of a multishot would share one address',
    );
  }
  operation.priority(MULTISHOT);
  operation.needs('accepting many times', '5.19');
  operation.isMultishot = true;
  return operation as Operation<number, 'multishot'>;
}
