// Messages: bytes together with an address and control messages.
import {
  ADDRESS_BYTES_MAX,
  checkAddress,
  decodeAddress,
  type SocketAddress,
  type SocketAddressLike,
  withAddress,
} from '../address.ts';
import type { BufferLease } from '../buffer-ring.ts';
import {
  CONTROL_BYTES_MAX,
  type ControlMessage,
  checkControl,
  decodeControl,
  type ReceivedControlMessage,
} from '../control.ts';
import type { ReceivedDescriptors } from '../descriptors.ts';
import { invalidType, UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { MessageFlags } from '../message-flags.ts';
import { type Fd, Operation, type Outcome, type Payload } from '../operation.ts';
import type { ProvidedBuffers } from '../provided-buffers.ts';
import { checkInteger } from '../validate.ts';
import { leaseOf } from './results.ts';
import { applyOptions, checkReceivingBuffers, RECV_MULTISHOT, type TransferOptions } from './transfer.ts';
import { BufferList, checkVectors } from './vectors.ts';

/** The description that Rust makes a struct msghdr of: 12 words (crates/core/src/lists.rs). */
const MESSAGE_BYTES = 48;
/** Words of it where Rust writes how long name and control messages are, and the flags. */
const ANSWER_AT = 36;
/** struct io_uring_recvmsg_out: lengths of name, control messages and payload, flags. */
const RECVMSG_OUT_BYTES = 16;

/** A message to send. */
export interface OutgoingMessage {
  /** The bytes: one buffer, several, or none. An empty buffer is an empty datagram. */
  readonly data?: Bytes | readonly Bytes[];
  /** Where to send a datagram to, from a socket that is not connected. */
  readonly to?: SocketAddressLike;
  /** What travels beside the bytes: descriptors, credentials, a time to live, ... */
  readonly control?: readonly ControlMessage[];
}

const align = (bytes: number): number => (bytes + 7) & ~7;

/** Where the parts of a message stand in its block, and how long they are. */
interface Layout {
  readonly nameBytes: number;
  readonly controlBytes: number;
  readonly list: BufferList | undefined;
}

/** A message in a block: description, name, control messages, list of buffers. */
class MessagePayload implements Payload {
  readonly sizeBytes: number;
  readonly #layout: Layout;
  readonly #controlAt: number;
  readonly #listAt: number;
  /** What is sent; room alone for what is received. */
  readonly #name: Uint8Array | undefined;
  readonly #control: Uint8Array | undefined;

  constructor(layout: Layout, name?: Uint8Array, control?: Uint8Array) {
    this.#layout = layout;
    this.#name = name;
    this.#control = control;
    this.#controlAt = MESSAGE_BYTES + align(layout.nameBytes);
    this.#listAt = this.#controlAt + align(layout.controlBytes);
    this.sizeBytes = this.#listAt + (layout.list?.sizeBytes ?? 0);
  }

  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const { view, offset, handle } = block;
    const { nameBytes, controlBytes, list } = this.#layout;
    view.fill(0, 0, MESSAGE_BYTES);
    writeWords(view, 0, [offset + MESSAGE_BYTES, handle, nameBytes]);
    writeWords(view, 12, [offset + this.#controlAt, handle, controlBytes]);
    if (this.#name !== undefined) view.set(this.#name, MESSAGE_BYTES);
    if (this.#control !== undefined) view.set(this.#control, this.#controlAt);
    if (list !== undefined) {
      const place = list.write(block, this.#listAt, ring);
      writeWords(view, 24, [place.offset, place.handle, list.count]);
    }
    record[base + 4] = offset;
    record[base + 5] = handle;
  }

  finish(block: StagedBlock, res: number, ring: unknown): void {
    try {
      this.#layout.list?.bringBack(block, this.#listAt, res, ring);
    } catch (error) {
      // Nobody gets to see the message.
      closeDescriptors(decodeControl(this.received(block).control));
      throw error;
    }
  }

  /** What the kernel answered besides the bytes. */
  received({ view }: StagedBlock): { name: Buffer; nameBytes: number; control: Buffer; flags: number } {
    const nameBytes = view.readUInt32LE(ANSWER_AT);
    const controlBytes = Math.min(view.readUInt32LE(ANSWER_AT + 4), this.#layout.controlBytes);
    return {
      name: view.subarray(MESSAGE_BYTES, MESSAGE_BYTES + this.#layout.nameBytes),
      nameBytes,
      control: view.subarray(this.#controlAt, this.#controlAt + controlBytes),
      flags: view.readUInt32LE(ANSWER_AT + 8),
    };
  }
}

function closeDescriptors(control: readonly ReceivedControlMessage[]): void {
  for (const message of control) if (message.kind === 'descriptors') message.descriptors.close();
}

function writeWords(view: Buffer, at: number, words: readonly number[]): void {
  for (const [place, word] of words.entries()) view.writeUInt32LE(word, at + 4 * place);
}

/** @internal Makes an operation send a message. */
export function sendsMessage(operation: Operation<unknown>, message: OutgoingMessage): void {
  if (typeof message !== 'object' || message === null || ArrayBuffer.isView(message)) {
    throw invalidType('message', 'a message: { data, to, control }', message);
  }
  const to = message.to === undefined ? undefined : checkAddress('message.to', message.to);
  const list = sentBuffers(message.data);
  const control =
    message.control === undefined ? undefined : checkControl('message.control', message.control);
  const layout = {
    nameBytes: to?.bytes.byteLength ?? 0,
    controlBytes: control?.byteLength ?? 0,
    list,
  };
  operation.length = 1;
  operation.arguments(new MessagePayload(layout, to?.bytes, control));
  if (to !== undefined) operation.traits = { ...operation.traits, explain: withAddress(to) };
}

function sentBuffers(data: OutgoingMessage['data']): BufferList | undefined {
  if (data === undefined) return undefined;
  if (Array.isArray(data)) return new BufferList(checkVectors('message.data', data), 'kernelReads');
  const bytes = checkBytes('message.data', data, 'allowed');
  return bytes.length === 0 ? undefined : new BufferList([bytes], 'kernelReads');
}

/**
 * Sends a message: bytes, an address, and control messages such as descriptors for another process. What is passed
 * must stay open until the send has completed; the receiver gets copies.
 *
 * Results in the number of bytes taken. Errors are those of sendmsg(2), with the `address` and `port` if the message
 * is `to` one. Since Linux 5.3.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_sendmsg.3.html io_uring_prep_sendmsg(3)}
 * @example
 * ```ts
 * import { closeSync } from 'node:fs';
 * import { Ring, bind, recvmsg, sendmsg, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const to = { path: './example.sock' };
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, to));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * const control = [{ kind: 'descriptors', fds: [1] }];
 * await ring.exec(sendmsg(sender, { data: Buffer.from('stdout'), to, control }));
 * const message = await ring.exec(recvmsg(receiver, ring.alloc(64), { controlBytes: 64 }));
 * for (const fd of message.descriptors?.take() ?? []) closeSync(fd);
 * ```
 */
export function sendmsg(fd: Fd, message: OutgoingMessage, options?: TransferOptions): Operation<number> {
  const operation = new Operation<number>(Op.sendmsg, options).on('fd', fd);
  applyOptions(operation, options, MessageFlags.NOSIGNAL);
  sendsMessage(operation, message);
  return operation;
}

/** A message that was received. */
export class ReceivedMessage {
  /** How many bytes were received; with `MessageFlags.TRUNC` the size of the whole datagram. */
  readonly bytes: number;
  /** Where it comes from; undefined on connections, and for senders without an address. */
  readonly address: SocketAddress | undefined;
  /** What came beside the bytes. */
  readonly control: readonly ReceivedControlMessage[];
  /** `MessageFlags` that the kernel set. */
  readonly flags: number;

  /** @internal */
  constructor(bytes: number, address: SocketAddress | undefined, control: Uint8Array, flags: number) {
    this.bytes = bytes;
    this.address = address;
    this.control = decodeControl(control);
    this.flags = flags;
  }

  /** The datagram was longer than its buffers; the rest is lost. */
  get truncated(): boolean {
    return (this.flags & MessageFlags.TRUNC) !== 0;
  }

  /** There were more control messages than room for them; the rest is lost, descriptors among it are closed. */
  get controlTruncated(): boolean {
    return (this.flags & MessageFlags.CTRUNC) !== 0;
  }

  /** The descriptors that came with it; they are closed if nobody takes them. */
  get descriptors(): ReceivedDescriptors | undefined {
    const found = this.control.find((message) => message.kind === 'descriptors');
    return found?.kind === 'descriptors' ? found.descriptors : undefined;
  }

  /** Gives up what came with it and was not taken. */
  [Symbol.dispose](): void {
    this.descriptors?.close();
  }
}

/** Options of {@link recvmsg} and {@link recvmsgMultishot}. */
export interface ReceiveMessageOptions extends TransferOptions {
  /**
   * Room for control messages; default 0, for none. Each takes 16 bytes and its data, in steps of 8: up to four
   * descriptors 32 bytes, credentials 32, a timestamp 32, packet information 32 (IPv6 40).
   */
  controlBytes?: number;
}

function checkControlBytes(options: ReceiveMessageOptions | undefined): number {
  return checkInteger('options.controlBytes', options?.controlBytes ?? 0, 0, CONTROL_BYTES_MAX);
}

/**
 * Receives a message into one buffer or several, with its sender's address and what came beside the bytes. Descriptors
 * in it are close-on-exec, and are closed if nobody takes them: see {@link ReceivedDescriptors}.
 *
 * Results in a {@link ReceivedMessage}; `bytes` of 0 is the end of a stream, or an empty datagram. Errors are those of
 * recvmsg(2). Since Linux 5.3.
 *
 * @param into memory to fill, or a list of up to 1024 of them
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recvmsg.3.html io_uring_prep_recvmsg(3)}
 * @example
 * ```ts
 * import { Ring, bind, recvmsg, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, { path: './receiver.sock' }));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(sender, { path: './sender.sock' }));
 * await ring.exec(send(sender, Buffer.from('hello'), { to: { path: './receiver.sock' } }));
 * const { bytes, address, truncated } = await ring.exec(recvmsg(receiver, ring.alloc(64)));
 * console.log(bytes, address, truncated); // 5 { path: './sender.sock' } false
 * ```
 */
export function recvmsg(
  fd: Fd,
  into: Bytes | readonly Bytes[],
  options?: ReceiveMessageOptions,
): Operation<ReceivedMessage> {
  const operation = new Operation<ReceivedMessage>(Op.recvmsg, options).on('fd', fd);
  applyOptions(operation, options, MessageFlags.CMSG_CLOEXEC);
  const views = Array.isArray(into) ? checkVectors('into', into) : [checkBytes('into', into, 'refused')];
  const payload = new MessagePayload({
    nameBytes: ADDRESS_BYTES_MAX,
    controlBytes: checkControlBytes(options),
    list: new BufferList(views, 'kernelWrites'),
  });
  operation.length = 1;
  operation.arguments(payload);
  operation.decode = ({ res, staged }: Outcome) => {
    const { name, nameBytes, control, flags } = payload.received(staged as StagedBlock);
    return new ReceivedMessage(res, decodeAddress(name, nameBytes), control, flags);
  };
  return operation;
}

/** A message in a provided buffer, which must be given back with `release()`. */
export class LeasedMessage extends ReceivedMessage {
  /** The buffer that it is in. */
  readonly lease: BufferLease;
  readonly #dataAt: number;

  /** @internal */
  constructor(lease: BufferLease, fields: ConstructorParameters<typeof ReceivedMessage>, dataAt: number) {
    super(...fields);
    this.lease = lease;
    this.#dataAt = dataAt;
  }

  /** Its bytes, in that buffer. */
  get data(): Buffer {
    return this.lease.data.subarray(this.#dataAt);
  }

  /** @internal Gives the buffer back, and keeps the bytes. */
  copyOut(): void {
    this.lease.copyOut();
  }

  /** Gives the buffer back to the kernel, and closes descriptors that were not taken. */
  release(): void {
    this.lease.release();
    super[Symbol.dispose]();
  }

  override [Symbol.dispose](): void {
    this.lease[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/** Takes a buffer apart that the kernel has put a message into (struct io_uring_recvmsg_out). */
function leasedMessage(lease: BufferLease, nameBytes: number, controlBytes: number): LeasedMessage {
  const { data } = lease;
  const dataAt = RECVMSG_OUT_BYTES + nameBytes + controlBytes;
  if (data.byteLength < dataAt) {
    throw new UringError('ERR_URING_INVALID_RECORD', `a message of ${data.byteLength} bytes has no header`);
  }
  const nameAt = RECVMSG_OUT_BYTES;
  const controlAt = nameAt + nameBytes;
  const address = decodeAddress(data.subarray(nameAt, controlAt), data.readUInt32LE(0));
  const control = data.subarray(controlAt, controlAt + Math.min(data.readUInt32LE(4), controlBytes));
  const fields = [data.readUInt32LE(8), address, control, data.readUInt32LE(12)] as const;
  return new LeasedMessage(lease, [...fields], dataAt);
}

/**
 * Receives messages until it is stopped, with one submission: each takes a buffer from the ring, and comes with its
 * sender's address and what was sent beside the bytes. For datagram sockets; a stream ends with its data.
 *
 * Each buffer holds 144 bytes and `controlBytes` before the data; what does not fit is cut off (`truncated`).
 *
 * Run it with `ring.multishot()`, which yields a {@link LeasedMessage} for each message and waits when every buffer is
 * lent. Since Linux 6.0.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_recvmsg_multishot.3.html io_uring_prep_recvmsg_multishot(3)}
 * @example
 * ```ts
 * import { Ring, bind, recvmsgMultishot, send, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const receiver = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(bind(receiver, { path: './example.sock' }));
 * const sender = await ring.exec(socket('unix', 'dgram'));
 * await ring.exec(send(sender, Buffer.from('hello'), { to: { path: './example.sock' } }));
 * const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 2048 });
 * for await (const message of ring.multishot(recvmsgMultishot(receiver, buffers))) {
 *   console.log(message.data.toString(), message.address);
 *   message.release();
 *   break;
 * }
 * ```
 */
export function recvmsgMultishot(
  fd: Fd,
  buffers: ProvidedBuffers,
  options?: ReceiveMessageOptions,
): Operation<LeasedMessage | null, 'multishot'> {
  const operation = new Operation<LeasedMessage | null, 'multishot'>(Op.recvmsg, options).on('fd', fd);
  const ring = checkReceivingBuffers('buffers', buffers);
  applyOptions(operation, options, MessageFlags.CMSG_CLOEXEC);
  const controlBytes = align(checkControlBytes(options));
  operation.priority(RECV_MULTISHOT);
  operation.needs('receiving many times', '6.0');
  operation.isMultishot = true;
  operation.length = 1;
  // The kernel writes nothing here, it only wants to know how much room there shall be in each buffer.
  operation.arguments(new MessagePayload({ nameBytes: ADDRESS_BYTES_MAX, controlBytes, list: undefined }));
  operation.takesFrom(ring);
  // An empty datagram has a sender or belongs to a datagram socket; the end of a stream neither.
  operation.traits = {
    isEmpty: (message) =>
      message === null || (message.data.byteLength === 0 && message.address === undefined),
  };
  operation.decode = (outcome) => {
    const lease = leaseOf(ring, outcome);
    return lease === null ? null : leasedMessage(lease, ADDRESS_BYTES_MAX, controlBytes);
  };
  return operation;
}
