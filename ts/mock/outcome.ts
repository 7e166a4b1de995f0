// What an answer of a handler comes to in a completion.
import { types } from 'node:util';
import { ADDRESS_BYTES_MAX, checkAddress, type SocketAddressLike } from '../address.ts';
import { Errno } from '../errnos.ts';
import { errnoOf } from '../errors.ts';
import { SLOTS_MAX } from '../files.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from '../flags.ts';
import { EXTRA_LOW_MASK } from '../generated/abi.ts';
import { MessageFlags } from '../message-flags.ts';
import { ADDRESS_AT } from '../ops/address-room.ts';
import type { MockOutcome, MockResult } from './answers.ts';
import type { Asked } from './describe.ts';
import type { Descriptors, MockFile } from './descriptors.ts';
import type { MockGroup, Provided } from './groups.ts';
import { badAnswer } from './refusal.ts';
import type { FileSlots } from './slots.ts';
import { checkStats, encodeStats } from './stats.ts';

const { EBADF, ENOBUFS, ERANGE } = Errno;
/** struct io_uring_recvmsg_out: lengths of name, control messages and payload, flags. */
const MESSAGE_OUT_BYTES = 16;
/** Words of the description of a message: how much room there is, and where the kernel's answer goes. */
const NAME_BYTES_AT = 8;
const NAME_AT = 48;
const CONTROL_BYTES_AT = 20;
const ANSWER_AT = 36;

/** Flags of a completion that a handler may set. */
const FLAGS_ALLOWED = CqeFlags.SOCK_NONEMPTY;

/** The fields of a completion. */
export interface Result {
  readonly res: number;
  readonly flags: number;
  readonly extra: number;
}

/** Where new files go. */
export interface Files {
  readonly descriptors: Descriptors;
  readonly slots: FileSlots;
}

const plain = (res: number, flags = 0, extra = 0): Result => ({ res, flags, extra });

/** A provided buffer was wanted, and there was none: nothing of the answer was used. */
export const NO_BUFFER: Result = plain(-ENOBUFS);

/** The number and the parts of an answer, whatever form it has. */
function partsOf(name: string, answer: MockOutcome): MockResult {
  if (answer === undefined) return {};
  if (typeof answer === 'string') {
    const errno = errnoOf(answer);
    if (errno === undefined) throw badAnswer(name, `'${answer}' is no errno (give bytes as a Buffer)`);
    return { res: -errno };
  }
  if (typeof answer === 'number') {
    if (!Number.isInteger(answer) || answer < -4095 || answer > 0x7fff_ffff)
      throw badAnswer(name, `${answer} is no result of 32 bits`);
    return { res: answer };
  }
  if (answer instanceof Uint8Array) return { data: answer };
  if (types.isNativeError(answer))
    throw badAnswer(name, 'an Error (throw it, or answer the name of an errno)');
  if (typeof answer === 'object' && answer !== null) return answer;
  throw badAnswer(name, answer === null ? 'null' : `a ${typeof answer}`);
}

/** Of what a completion says besides its result, most follows from the rest; saying it falsely would hang the operation. */
function checkFlags(name: string, flags: number): void {
  if (flags !== (flags & FLAGS_ALLOWED))
    throw badAnswer(name, `flags ${flags}, where only SOCK_NONEMPTY (4) is not the mock's`);
}

/** Makes a completion of an answer, and does what the kernel would have done on the way. */
export function encode(asked: Asked, answer: MockOutcome, files: Files): Result {
  const { operation, kind } = asked;
  const parts = partsOf(operation.name, answer);
  checkFlags(operation.name, parts.flags ?? 0);
  if (parts.res !== undefined && parts.res < 0) return plain(parts.res, parts.flags ?? 0);
  const result = ENCODE[kind](asked, parts, files);
  return parts.flags === undefined ? result : { ...result, flags: result.flags | parts.flags };
}

type Encode = (asked: Asked, parts: MockResult, files: Files) => Result;

const ENCODE: Readonly<Record<Asked['kind'], Encode>> = {
  nothing: (asked, { res = 0, ...rest }) => {
    refuseParts(asked, rest);
    return plain(res);
  },
  number: (asked, { res, ...rest }) => {
    refuseParts(asked, rest);
    if (res === undefined) throw badAnswer(asked.operation.name, 'nothing, where it results in a number');
    return plain(res);
  },
  leaving: encodeLeaving,
  arriving: encodeArriving,
  descriptor: encodeDescriptor,
  stats: ({ operation, answerRoom }, { stats }) => {
    if (stats === undefined) throw badAnswer(operation.name, 'no { stats }');
    checkStats(operation.name, stats);
    encodeStats(answerRoom as Buffer, stats);
    return plain(0);
  },
  address: ({ operation, answerRoom }, { address }) => {
    if (address === undefined) throw badAnswer(operation.name, 'no { address }');
    writeAddress(answerRoom as Buffer, address);
    return plain(0);
  },
  message: encodeMessage,
  pipe: ({ operation, fileIndex, answerRoom }, _parts, { descriptors, slots }) => {
    const ends = [
      { fd: operation.newFd, what: 'the end of a pipe to read from' },
      { fd: operation.newWriteFd, what: 'the end of a pipe to write to' },
    ];
    for (const [at, file] of ends.entries()) {
      const end = fileIndex === 0 ? descriptors.open(file) : slotHandle(slots, fileIndex, at, file);
      if (end < 0) return plain(end);
      answerRoom?.writeInt32LE(end, 4 * at);
    }
    return plain(0);
  },
};

/** The second end of a pipe goes to the slot behind the first, unless the kernel chooses. */
function slotHandle(slots: FileSlots, fileIndex: number, at: number, file: MockFile): number {
  const { res, generation } = slots.place(fileIndex < 0 ? fileIndex : fileIndex + at, file);
  if (res < 0) return res;
  const slot = fileIndex < 0 ? res : fileIndex - 1 + at;
  return generation * SLOTS_MAX + slot;
}

function refuseParts({ operation }: Asked, parts: MockResult): void {
  const [part] = Object.keys(parts).filter((name) => name !== 'flags');
  if (part !== undefined) throw badAnswer(operation.name, `{ ${part} } is no part of what it results in`);
}

function encodeLeaving(asked: Asked, parts: MockResult): Result {
  const { operation, group, sent } = asked;
  const { res = operation.data.byteLength, ...rest } = parts;
  refuseParts(asked, rest);
  if (res > operation.data.byteLength)
    throw badAnswer(operation.name, `${res} bytes, where there were ${operation.data.byteLength}`);
  if (group === undefined) return plain(res);
  const [first] = sent;
  if (first === undefined) return NO_BUFFER;
  for (const _ of sent) group.take();
  return plain(res, CqeFlags.BUFFER | (first.id << CQE_BUFFER_SHIFT));
}

/** Puts bytes where they belong, as many as fit; answers nothing if a buffer was to be taken and none is there. */
function put(asked: Asked, data: Uint8Array): Result | undefined {
  const { buffers } = asked.operation;
  let left: Uint8Array = data;
  if (asked.group !== undefined) return takeBuffers(asked.group, asked.isBundle, data);
  for (const buffer of buffers) {
    const part = left.subarray(0, buffer.byteLength);
    buffer.set(part);
    left = left.subarray(part.byteLength);
  }
  return plain(data.byteLength - left.byteLength);
}

/** Fills provided buffers: one, or as many as it takes. */
function takeBuffers(group: MockGroup, isBundle: boolean, data: Uint8Array): Result | undefined {
  const taken: Provided[] = [];
  let left = data;
  while (left.byteLength > 0 && (isBundle || taken.length === 0)) {
    const buffer = group.take();
    if (buffer === undefined) break;
    buffer.view.set(left.subarray(0, buffer.view.byteLength));
    left = left.subarray(Math.min(left.byteLength, buffer.view.byteLength));
    taken.push(buffer);
  }
  const [first] = taken;
  if (first === undefined) return undefined;
  if (isBundle) group.bundles.set(first.id, taken);
  return plain(data.byteLength - left.byteLength, CqeFlags.BUFFER | (first.id << CQE_BUFFER_SHIFT));
}

/** With MSG_TRUNC a receive results in the size of a datagram that did not fit (recv(2)). */
function isToldWhole({ name, flags }: Asked['operation']): boolean {
  return (name === 'recv' || name === 'recvmsg') && (flags & MessageFlags.TRUNC) !== 0;
}

function encodeArriving(asked: Asked, { res, data, ...rest }: MockResult): Result {
  const { operation, group, isBundle } = asked;
  refuseParts(asked, rest);
  const isAttribute = operation.attribute !== '';
  const isLimited = !isAttribute && !isBundle && !isToldWhole(operation);
  if (isLimited && res !== undefined && res > operation.room)
    throw badAnswer(operation.name, `${res} bytes, where ${operation.room} fit`);
  if (data === undefined) {
    if (res === undefined)
      throw badAnswer(operation.name, 'nothing, where it results in bytes (0 is the end)');
    if (group !== undefined && res > 0)
      throw badAnswer(operation.name, `${res} without bytes, where a provided buffer is to be filled`);
    return plain(res);
  }
  if (isAttribute && data.byteLength > operation.room)
    return plain(operation.room === 0 ? data.byteLength : -ERANGE);
  if (data.byteLength === 0) return plain(res ?? 0);
  const result = put(asked, data);
  if (result === undefined) return NO_BUFFER;
  return { ...result, res: res ?? (isToldWhole(operation) ? data.byteLength : result.res) };
}

function encodeDescriptor(asked: Asked, parts: MockResult, files: Files): Result {
  const { operation, fileIndex, answerRoom } = asked;
  const { address, res, ...rest } = parts;
  refuseParts(asked, rest);
  const { descriptors, slots } = files;
  const file = { fd: res ?? operation.takeNewFd(), what: operation.summary };
  // Whoever did not ask for the address does not get it.
  if (answerRoom !== undefined) {
    if (address === undefined) answerRoom.writeUInt32LE(0, 0);
    else writeAddress(answerRoom, address);
  }
  if (fileIndex !== 0) {
    const placed = slots.place(fileIndex, file);
    return plain(placed.res, 0, placed.generation & EXTRA_LOW_MASK);
  }
  if (descriptors.has(file.fd)) throw badAnswer(operation.name, `${file.fd}, which is open already`);
  return plain(descriptors.open(file));
}

/** Length and address, as `answeredAddress` reads them. */
function writeAddress(room: Buffer, address: SocketAddressLike): void {
  const { bytes } = checkAddress('address', address);
  room.writeUInt32LE(bytes.byteLength, 0);
  room.set(bytes, ADDRESS_AT);
}

function encodeMessage(asked: Asked, parts: MockResult): Result {
  const { operation, answerRoom } = asked;
  const { data = Buffer.alloc(0), address, messageFlags = 0, res, ...rest } = parts;
  refuseParts(asked, rest);
  const name = address === undefined ? Buffer.alloc(0) : Buffer.from(checkAddress('address', address).bytes);
  const description = answerRoom as Buffer;
  if (asked.group !== undefined)
    return encodeIntoBuffer(asked.group, description, data, name, messageFlags, res);
  if (parts.data === undefined && res === undefined)
    throw badAnswer(operation.name, 'neither bytes nor { data } (0 is the end)');
  if (res !== undefined && res > operation.room && !isToldWhole(operation))
    throw badAnswer(operation.name, `${res} bytes, where ${operation.room} fit`);
  const { res: moved = 0 } = put(asked, data) ?? {};
  description.set(name, NAME_AT);
  description.writeUInt32LE(name.byteLength, ANSWER_AT);
  description.writeUInt32LE(0, ANSWER_AT + 4);
  const isCut = moved < data.byteLength;
  description.writeUInt32LE(messageFlags | (isCut ? MessageFlags.TRUNC : 0), ANSWER_AT + 8);
  return plain(res ?? (isToldWhole(operation) ? data.byteLength : moved));
}

/** A message in a provided buffer, after the lengths of its parts. */
function encodeIntoBuffer(
  group: MockGroup,
  description: Buffer,
  data: Uint8Array,
  name: Buffer,
  messageFlags: number,
  res: number | undefined,
): Result {
  if (data.byteLength === 0 && name.byteLength === 0) return plain(res ?? 0);
  const nameBytes = Math.min(description.readUInt32LE(NAME_BYTES_AT), ADDRESS_BYTES_MAX);
  const dataAt = MESSAGE_OUT_BYTES + nameBytes + description.readUInt32LE(CONTROL_BYTES_AT);
  const message = Buffer.alloc(dataAt + data.byteLength);
  for (const [at, word] of [name.byteLength, 0, data.byteLength, messageFlags].entries())
    message.writeUInt32LE(word, 4 * at);
  message.set(name, MESSAGE_OUT_BYTES);
  message.set(data, dataAt);
  return takeBuffers(group, false, message) ?? NO_BUFFER;
}

/** A descriptor of a mock that is not open any more. */
export const CLOSED: Result = plain(-EBADF);
