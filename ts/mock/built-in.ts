// Operations of a ring on itself, which need no handler.
import { Errno } from '../errnos.ts';
import { SLOTS_MAX } from '../files.ts';
import { CancelFlags, SqeFlags } from '../flags.ts';
import { EXTRA_IS_EVENT, EXTRA_IS_FILE_EVENT, EXTRA_NUMBER_MASK, Reject } from '../generated/abi.ts';
import type { MockFile } from './descriptors.ts';
import type { Execution } from './execution.ts';
import { notMocked, Refusal } from './refusal.ts';
import type { Request } from './request.ts';
import type { MockRing } from './ring.ts';
import type { Sqe } from './sqe.ts';
import { linkTimeout, timeout, timeoutRemove } from './timers.ts';

const { EALREADY, EBADF, EINVAL, ENOENT, ENXIO } = Errno;
/** IORING_NOP_INJECT_RESULT. */
const INJECT_RESULT = 1 << 0;
/** IORING_POLL_UPDATE_EVENTS. */
const UPDATE_EVENTS = 1 << 1;
/** IORING_MSG_SEND_FD, IORING_MSG_RING_CQE_SKIP and _FLAGS_PASS. */
const SEND_FD = 1;
const CQE_SKIP = 1 << 0;
const FLAGS_PASS = 1 << 1;
/** IORING_FILE_INDEX_ALLOC. */
const ANY_SLOT = 0xffff_ffff;
const TWO_32 = 4_294_967_296;
const FD_BYTES = 4;

/** Answers the result, unless it has completed the operation itself. */
type BuiltIn = (request: Request, ring: MockRing) => number | undefined;

function matches({ sqe }: Request, wanted: Sqe): boolean {
  const { opFlags } = wanted;
  if ((opFlags & CancelFlags.ANY) !== 0) return true;
  if ((opFlags & CancelFlags.OP) !== 0 && sqe.opcode !== wanted.len) return false;
  if ((opFlags & CancelFlags.FD) === 0) return (opFlags & CancelFlags.OP) !== 0;
  const isBySlot = (opFlags & CancelFlags.FD_FIXED) !== 0;
  return sqe.fd === wanted.fd && ((sqe.flags & SqeFlags.FIXED_FILE) !== 0) === isBySlot;
}

/** What a cancel request stops, and what it answers. */
export function cancelled(
  execution: Execution,
  wanted: Pick<Sqe, 'opFlags' | 'fd' | 'len'>,
  others: readonly Request[],
): { res: number; stopped: Request[] } {
  const found = others.filter((one) => one.isRunning && matches(one, wanted as Sqe));
  const stoppable = found.filter((one) => execution.canStop(one) === 0);
  if ((wanted.opFlags & (CancelFlags.ALL | CancelFlags.ANY)) !== 0)
    return { res: stoppable.length, stopped: stoppable };
  const [first] = stoppable;
  if (first !== undefined) return { res: 0, stopped: [first] };
  return { res: found.length > 0 ? -EALREADY : -ENOENT, stopped: [] };
}

const asyncCancel: BuiltIn = (request, { execution }) => {
  const { sqe } = request;
  const isByKey = (sqe.opFlags & (CancelFlags.FD | CancelFlags.OP | CancelFlags.ANY)) !== 0;
  const others = execution.all.filter((one) => one !== request);
  const target = execution.find(sqe.addrPlace.offset | 0, sqe.addrPlace.handle);
  const { res, stopped } = isByKey
    ? cancelled(execution, sqe, others)
    : { res: execution.canStop(target), stopped: target === undefined ? [] : [target] };
  execution.complete(request, { res, flags: 0, extra: 0 });
  for (const one of stopped) execution.stop(one);
  return undefined;
};

const pollRemove: BuiltIn = (request, { execution }) => {
  const { sqe } = request;
  const target = execution.find(sqe.addrPlace.offset | 0, sqe.addrPlace.handle);
  if (target?.isRunning !== true || target.sqe.name !== 'pollAdd') return -ENOENT;
  if ((sqe.len & UPDATE_EVENTS) !== 0) {
    target.asked.operation.flags = sqe.opFlags;
    return 0;
  }
  execution.complete(request, { res: 0, flags: 0, extra: 0 });
  execution.stop(target);
  return undefined;
};

const close: BuiltIn = (request, ring) => {
  const { sqe } = request;
  if (sqe.fileIndex > 0) return ring.slots.clear(sqe.fileIndex - 1);
  const wasOpen = ring.descriptors.close(sqe.fd);
  ring.answering.forgetFile(sqe.fd);
  if (!wasOpen && ring.isOwnDescriptor(sqe.fd)) return -EBADF;
  if (wasOpen && ring.answering.handlers.close === undefined) return 0;
  // Like the kernel's, it is closed whatever the handler answers.
  ring.answering.answer(request, ring);
  return undefined;
};

/** Sends a number, or a file, to another mock ring. */
const msgRing: BuiltIn = ({ sqe }, ring) => {
  const target = ring.ringOf(sqe.token);
  if (target === undefined) return -EBADF;
  const low = (sqe.off % TWO_32) | 0;
  if (sqe.addr !== SEND_FD) {
    const extra = EXTRA_IS_EVENT | (Math.floor(sqe.off / TWO_32) & EXTRA_NUMBER_MASK);
    const flags = (sqe.opFlags & FLAGS_PASS) === 0 ? 0 : sqe.fileIndex;
    target.receive({ index: low, res: sqe.len, flags, extra });
    return 0;
  }
  if (target === ring) return -EINVAL;
  const file = ring.slots.resolve(sqe.addr3Place.offset | 0);
  const { res, generation } = target.placeFromOutside(sqe.fileIndex, file);
  if (res < 0) return res === -EBADF ? -ENXIO : res;
  const slot = sqe.fileIndex < 0 ? res : sqe.fileIndex - 1;
  const extra = EXTRA_IS_EVENT | EXTRA_IS_FILE_EVENT | generation;
  if ((sqe.opFlags & CQE_SKIP) === 0) target.receive({ index: low, res: slot, flags: 0, extra });
  return res;
};

const provideBuffers: BuiltIn = ({ sqe }, { groups, memories }) => {
  const group = groups.get(sqe.group);
  const { offset, handle } = sqe.addrPlace;
  group.sizeBytes = sqe.len;
  for (let at = 0; at < sqe.fd; at += 1) {
    const id = sqe.off + at;
    const view = memories.view(offset + at * sqe.len, handle, sqe.len);
    group.out.delete(id);
    group.available.push({ id, view });
  }
  return 0;
};

const removeBuffers: BuiltIn = ({ sqe }, { groups }) => {
  const { length } = groups.get(sqe.group).available.splice(0, sqe.fd);
  return length === 0 ? -ENOENT : length;
};

/** Fills slots; answers their handles in the place of the descriptors. */
const filesUpdate: BuiltIn = ({ sqe }, { slots, memories, fileOf }) => {
  const { offset, handle } = sqe.addrPlace;
  const list = memories.view(offset, handle, sqe.len * FD_BYTES);
  const fds = Array.from({ length: sqe.len }, (_, at) => list.readInt32LE(at * FD_BYTES));
  const handles = sqe.off === ANY_SLOT ? placed(fds, slots, fileOf) : slots.update(sqe.off, fds);
  const [first = 0] = handles;
  if (first < 0) return first;
  for (const [at, one] of handles.entries()) list.writeInt32LE(one, at * FD_BYTES);
  return handles.length;
};

function placed(
  fds: readonly number[],
  slots: MockRing['slots'],
  fileOf: (fd: number) => MockFile | undefined,
): number[] {
  const handles: number[] = [];
  for (const fd of fds) {
    const file = fileOf(fd);
    const { res, generation } = file === undefined ? { res: -EBADF, generation: 0 } : slots.place(-1, file);
    if (res < 0) return handles.length === 0 ? [res] : handles;
    handles.push(generation * SLOTS_MAX + res);
  }
  return handles;
}

const fixedFdInstall: BuiltIn = ({ sqe }, { slots, descriptors }) =>
  descriptors.open(descriptors.make(slots.resolve(sqe.fd).what));

const BUILT_IN: Readonly<Record<string, BuiltIn>> = {
  nop: ({ sqe }) => ((sqe.opFlags & INJECT_RESULT) === 0 ? 0 : sqe.len),
  nop128: () => {
    throw notMocked('large submission entries');
  },
  asyncCancel,
  pollRemove,
  close,
  msgRing,
  provideBuffers,
  removeBuffers,
  filesUpdate,
  fixedFdInstall,
  timeout: (request, ring) => void timeout(request, ring),
  timeoutRemove: (request, ring) => void timeoutRemove(request, ring),
  linkTimeout: (request, ring) => void linkTimeout(request, ring),
};

/** Runs an operation that needs no handler; answers whether it is one. */
export function runBuiltIn(request: Request, ring: MockRing): boolean {
  const run = BUILT_IN[request.sqe.name];
  if (run === undefined) return false;
  const res = run(request, ring);
  if (res !== undefined) ring.execution.complete(request, { res, flags: 0, extra: 0 });
  return true;
}

/** Throws for a record that Rust would refuse: it names a file or a place that is not there. */
export function checkFiles(sqe: Sqe, ring: MockRing, makesFile: boolean): void {
  const { flags, fd, fileIndex, name } = sqe;
  const isHandle = (handle: number): boolean => handle >= SLOTS_MAX;
  if ((flags & SqeFlags.FIXED_FILE) !== 0 && isHandle(fd)) ring.slots.resolve(fd);
  if (name === 'msgRing' && ring.ringOf(sqe.token) === undefined) throw new Refusal(Reject.staleRing);
  if (name === 'close' && isHandle(fileIndex - 1)) ring.slots.resolve(fileIndex - 1);
  if (makesFile && fileIndex !== 0) ring.slots.checkPlace(fileIndex);
}
