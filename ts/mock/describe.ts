// What a submission record asks for, as the handlers of a mock see it.
import { decodeAddress } from '../address.ts';
import { SqeFlags } from '../flags.ts';
import { ADDRESS_AT, ADDRESS_ROOM_BYTES } from '../ops/address-room.ts';
import { BUNDLE, RECV_MULTISHOT, VECTORIZED } from '../ops/transfer.ts';
import { STATX_BYTES } from '../stats.ts';
import type { MockCommandName, MockOperationName } from './answers.ts';
import { reserveDescriptor } from './descriptors.ts';
import type { MockGroup, Provided } from './groups.ts';
import type { Memories } from './memory.ts';
import { MockOperation } from './operation.ts';
import { notMocked } from './refusal.ts';
import { LIST_ENTRY_BYTES, type Place, type Sqe } from './sqe.ts';

/** IORING_ACCEPT_MULTISHOT and IORING_POLL_ADD_MULTI. */
const MULTISHOT = 1 << 0;
/** The description of a message: 12 words (crates/core/src/lists.rs). */
const MESSAGE_BYTES = 48;

/** What the mock's own side of an operation needs besides what its handler is told. */
export interface Asked {
  readonly operation: MockOperation;
  /** What answers are turned into. */
  readonly kind: AnswerKind;
  /** Bytes of a full transfer: fewer end a chain. -1 if there is no such thing. */
  readonly fullBytes: number;
  /** Memory for what the kernel answers besides bytes: stats, an address with its length, a message. */
  readonly answerRoom: Buffer | undefined;
  /** The buffers that one is to be taken of. */
  readonly group: MockGroup | undefined;
  /** Several of them at once. */
  readonly isBundle: boolean;
  /** Those that are sent. */
  readonly sent: readonly Provided[];
  /** The slot for a new file, as the kernel has it: number and one, -1 for any; 0 for a descriptor. */
  readonly fileIndex: number;
}

export type AnswerKind =
  | 'nothing'
  | 'number'
  | 'arriving'
  | 'leaving'
  | 'descriptor'
  | 'stats'
  | 'address'
  | 'message'
  | 'pipe';

type Draft = { -readonly [K in keyof Asked]: Asked[K] };

interface Context {
  readonly sqe: Sqe;
  readonly memories: Memories;
  readonly groupOf: (number: number) => MockGroup;
}

type Describe = (draft: Draft, context: Context) => void;

const COMMANDS: Readonly<Record<number, MockCommandName>> = {
  0: 'receiveQueueBytes',
  1: 'sendQueueBytes',
  2: 'getsockopt',
  3: 'setsockopt',
  4: 'txTimestamp',
  5: 'getsockname',
  4608: 'blockDiscard',
};

/** The name that a handler has to have. */
export function mockNameOf(sqe: Sqe): MockOperationName {
  if (sqe.name !== 'uringCmd') return sqe.name as MockOperationName;
  const command = COMMANDS[sqe.off] ?? 'uringCmd';
  return command === 'getsockname' && sqe.fileIndex === 1 ? 'getpeername' : command;
}

function viewOf({ memories }: Context, { offset, handle }: Place, sizeBytes: number): Buffer {
  return memories.view(offset, handle, sizeBytes);
}

function textAt({ memories }: Context, { offset, handle }: Place): string {
  return memories.text(offset, handle);
}

/** The buffers of a list. */
function listAt(context: Context, place: Place, count: number): Buffer[] {
  const list = viewOf(context, place, count * LIST_ENTRY_BYTES);
  return Array.from({ length: count }, (_, at) => {
    const entry = at * LIST_ENTRY_BYTES;
    const [offset, handle] = [list.readUInt32LE(entry), list.readUInt32LE(entry + 4)];
    return viewOf(context, { offset, handle }, list.readUInt32LE(entry + 8));
  });
}

function fills(draft: Draft, buffers: readonly Buffer[]): void {
  draft.kind = 'arriving';
  draft.operation.buffers = buffers;
  draft.operation.room = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function takes(draft: Draft, buffers: readonly Buffer[]): void {
  draft.kind = 'leaving';
  draft.operation.data = Buffer.concat(buffers);
}

function selects(draft: Draft, { sqe, groupOf }: Context): void {
  draft.kind = 'arriving';
  const group = groupOf(sqe.group);
  draft.group = group;
  draft.operation.room = group.sizeBytes;
}

/** Bytes of files: those that are short end a chain (io_uring/rw.c). */
const ofFile =
  (move: typeof fills, isList: boolean): Describe =>
  (draft, context) => {
    const { sqe } = context;
    draft.operation.offset = sqe.off;
    if (sqe.selectsBuffer) {
      selects(draft, context);
    } else {
      const { addrPlace, len } = sqe;
      move(draft, isList ? listAt(context, addrPlace, len) : [viewOf(context, addrPlace, len)]);
    }
    draft.fullBytes = draft.operation.room + draft.operation.data.byteLength;
  };

const receives: Describe = (draft, context) => {
  const { sqe } = context;
  draft.operation.multishot = (sqe.ioprio & RECV_MULTISHOT) !== 0;
  if (sqe.selectsBuffer) selects(draft, context);
  else fills(draft, [viewOf(context, sqe.addrPlace, sqe.len)]);
  draft.isBundle = (sqe.ioprio & BUNDLE) !== 0;
};

const sends: Describe = (draft, context) => {
  const { sqe } = context;
  if (sqe.fileIndex > 0) {
    const bytes = viewOf(context, sqe.offPlace, sqe.fileIndex);
    draft.operation.address = decodeAddress(bytes, bytes.byteLength);
  }
  if (sqe.selectsBuffer) {
    const group = context.groupOf(sqe.group);
    const count = (sqe.ioprio & BUNDLE) === 0 ? 1 : group.available.length;
    draft.sent = group.available.slice(0, count);
    draft.group = group;
    takes(
      draft,
      draft.sent.map(({ view }) => view),
    );
  } else if ((sqe.ioprio & VECTORIZED) !== 0) {
    takes(draft, listAt(context, sqe.addrPlace, sqe.len));
  } else {
    takes(draft, sqe.len === 0 ? [] : [viewOf(context, sqe.addrPlace, sqe.len)]);
  }
};

/** A message: the words of its description, and the buffers of its bytes. */
function messageAt(context: Context): { words: number[]; description: Buffer; buffers: Buffer[] } {
  const description = viewOf(context, context.sqe.addrPlace, MESSAGE_BYTES);
  const words = Array.from({ length: 9 }, (_, at) => description.readUInt32LE(4 * at));
  const [, , , , , , offset = 0, handle = 0, count = 0] = words;
  return { words, description, buffers: count === 0 ? [] : listAt(context, { offset, handle }, count) };
}

const sendsMessage: Describe = (draft, context) => {
  const { words, buffers } = messageAt(context);
  const [offset = 0, handle = 0, nameBytes = 0, , , controlBytes = 0] = words;
  if (controlBytes > 0) throw notMocked('control messages');
  if (nameBytes > 0)
    draft.operation.address = decodeAddress(viewOf(context, { offset, handle }, nameBytes), nameBytes);
  takes(draft, buffers);
};

const receivesMessage: Describe = (draft, context) => {
  const { sqe } = context;
  const { words, description, buffers } = messageAt(context);
  draft.operation.multishot = (sqe.ioprio & RECV_MULTISHOT) !== 0;
  if (sqe.selectsBuffer) selects(draft, context);
  else fills(draft, buffers);
  draft.kind = 'message';
  const [offset = 0, handle = 0, nameBytes = 0] = words;
  // Description and name in one block, as the payload lays them out.
  draft.answerRoom = sqe.selectsBuffer
    ? description
    : viewOf(context, { ...sqe.addrPlace }, offset - sqe.addrPlace.offset + nameBytes);
  if (handle !== sqe.addrPlace.handle) throw notMocked('messages whose parts are in several arenas');
};

const hasPath: Describe = (draft, context) => {
  draft.operation.path = textAt(context, context.sqe.addrPlace);
  draft.operation.dirFd = context.sqe.fd;
};

const hasTwoPaths: Describe = (draft, context) => {
  hasPath(draft, context);
  draft.operation.newPath = textAt(context, context.sqe.offPlace);
  draft.operation.newDirFd = context.sqe.len;
};

const makesFile: Describe = (draft, { sqe }) => {
  draft.kind = 'descriptor';
  draft.fileIndex = sqe.fileIndex;
  draft.operation.direct = sqe.fileIndex !== 0;
};

const hasAddress: Describe = (draft, context) => {
  const bytes = viewOf(context, context.sqe.addrPlace, context.sqe.off);
  draft.operation.address = decodeAddress(bytes, bytes.byteLength);
};

const isNumber: Describe = (draft) => {
  draft.kind = 'number';
};

/** An extended attribute: its name, its value or room for it, and of those of paths the path. */
const attribute =
  (isRead: boolean, hasPathToo: boolean): Describe =>
  (draft, context) => {
    const { sqe } = context;
    draft.operation.attribute = textAt(context, sqe.addrPlace);
    if (hasPathToo) draft.operation.path = textAt(context, sqe.addr3Place);
    const value = sqe.len === 0 ? [] : [viewOf(context, sqe.offPlace, sqe.len)];
    if (isRead) fills(draft, value);
    else draft.operation.data = Buffer.concat(value);
  };

const DESCRIBE: Readonly<Partial<Record<MockOperationName, Describe>>> = {
  read: ofFile(fills, false),
  readFixed: ofFile(fills, false),
  readv: ofFile(fills, true),
  readvFixed: ofFile(fills, true),
  write: ofFile(takes, false),
  writeFixed: ofFile(takes, false),
  writev: ofFile(takes, true),
  writevFixed: ofFile(takes, true),
  readMultishot: (draft, context) => {
    selects(draft, context);
    draft.operation.multishot = true;
  },
  recv: receives,
  send: sends,
  sendZc: sends,
  sendmsg: sendsMessage,
  sendmsgZc: sendsMessage,
  recvmsg: receivesMessage,
  openat: (draft, context) => {
    hasPath(draft, context);
    makesFile(draft, context);
    draft.operation.mode = context.sqe.len;
  },
  openat2: (draft, context) => {
    hasPath(draft, context);
    makesFile(draft, context);
    const how = viewOf(context, context.sqe.offPlace, context.sqe.len);
    draft.operation.flags = how.readUInt32LE(0);
    draft.operation.mode = how.readUInt32LE(8);
  },
  statx: (draft, context) => {
    hasPath(draft, context);
    draft.kind = 'stats';
    draft.answerRoom = viewOf(context, context.sqe.offPlace, STATX_BYTES);
  },
  mkdirat: (draft, context) => {
    hasPath(draft, context);
    draft.operation.mode = context.sqe.len;
  },
  unlinkat: hasPath,
  renameat: hasTwoPaths,
  linkat: hasTwoPaths,
  symlinkat: (draft, context) => {
    hasTwoPaths(draft, context);
    draft.operation.newDirFd = context.sqe.fd;
  },
  connect: hasAddress,
  bind: hasAddress,
  socket: (draft, context) => {
    const { fd: domain, off, len: protocol } = context.sqe;
    makesFile(draft, context);
    draft.operation.socket = { domain, type: off & 0xf, protocol };
  },
  accept: (draft, context) => {
    const { sqe } = context;
    makesFile(draft, context);
    draft.operation.multishot = (sqe.ioprio & MULTISHOT) !== 0;
    if (sqe.offPlace.handle !== 0)
      draft.answerRoom = viewOf(context, sqe.offPlace, ADDRESS_ROOM_BYTES).subarray(0, ADDRESS_ROOM_BYTES);
  },
  getsockname: addressOf,
  getpeername: addressOf,
  getsockopt: (draft, context) =>
    fills(draft, [viewOf(context, context.sqe.addr3Place, context.sqe.fileIndex)]),
  setsockopt: (draft, context) => {
    draft.operation.data = Buffer.from(viewOf(context, context.sqe.addr3Place, context.sqe.fileIndex));
  },
  fgetxattr: attribute(true, false),
  getxattr: attribute(true, true),
  fsetxattr: attribute(false, false),
  setxattr: attribute(false, true),
  pipe: (draft, context) => {
    draft.kind = 'pipe';
    draft.fileIndex = context.sqe.fileIndex;
    draft.operation.direct = draft.fileIndex !== 0;
    draft.answerRoom = viewOf(context, context.sqe.addrPlace, 8);
  },
  pollAdd: (draft, context) => {
    isNumber(draft, context);
    draft.operation.multishot = (context.sqe.len & MULTISHOT) !== 0;
  },
  fsync: hasRange,
  syncFileRange: hasRange,
  fadvise: hasRange,
  fallocate: (draft, { sqe }) => {
    draft.operation.offset = sqe.off;
    draft.operation.length = sqe.addr;
    draft.operation.flags = sqe.len;
  },
  ftruncate: (draft, { sqe }) => {
    draft.operation.length = sqe.off;
  },
  splice: spliced,
  tee: spliced,
  receiveQueueBytes: isNumber,
  sendQueueBytes: isNumber,
  uringCmd: isNumber,
  futexWake: isNumber,
  futexWaitv: isNumber,
  epollWait: () => {
    throw notMocked('epollWait', 'use pollAdd, or test it with a real ring');
  },
  waitid: () => {
    throw notMocked('waitid');
  },
  recvZc: () => {
    throw notMocked('zero-copy receiving');
  },
  txTimestamp: () => {
    throw notMocked('large completions');
  },
};

function addressOf(draft: Draft, context: Context): void {
  draft.kind = 'address';
  const { offset, handle } = context.sqe.addrPlace;
  draft.answerRoom = viewOf(context, { offset: offset - ADDRESS_AT, handle }, ADDRESS_ROOM_BYTES);
}

function spliced(draft: Draft, context: Context): void {
  isNumber(draft, context);
  draft.fullBytes = context.sqe.len;
  draft.operation.fdIn = context.sqe.fileIndex;
}

function hasRange({ operation }: Draft, { sqe }: Context): void {
  operation.offset = sqe.off;
  operation.length = sqe.len === 0 ? sqe.addr : sqe.len >>> 0;
}

/** Operations whose field for a descriptor is something else, or the directory of a path. */
const WITHOUT_FILE: ReadonlySet<string> = new Set(
  (
    'nop nop128 timeout timeoutRemove linkTimeout asyncCancel pollRemove filesUpdate msgRing provideBuffers ' +
    'removeBuffers openat openat2 statx mkdirat unlinkat renameat linkat symlinkat getxattr setxattr socket pipe ' +
    'madvise futexWait futexWake futexWaitv waitid'
  ).split(' '),
);

/** Takes a record apart. Refuses one that names memory or buffers that are gone. */
export function describe(sqe: Sqe, context: Omit<Context, 'sqe'>): Asked {
  const operation = new MockOperation(mockNameOf(sqe), reserveDescriptor);
  operation.sqeFlags = sqe.flags & ~SqeFlags.BUFFER_SELECT;
  operation.flags = sqe.opFlags;
  operation.length = sqe.len;
  if (!WITHOUT_FILE.has(operation.name)) operation.fd = sqe.fd;
  const draft: Draft = {
    operation,
    kind: 'nothing',
    fullBytes: -1,
    answerRoom: undefined,
    group: undefined,
    isBundle: false,
    sent: [],
    fileIndex: 0,
  };
  DESCRIBE[operation.name]?.(draft, { ...context, sqe });
  return draft;
}
