// Operations on rings and what belongs to them; readiness, time, processes, futexes; operations by number.
import {
  asyncCancel,
  EpollEvents,
  epollCtl,
  epollWait,
  filesUpdate,
  fixedFdInstall,
  futexWait,
  futexWaitv,
  futexWake,
  linkTimeout,
  msgRing,
  msgRingFile,
  nop,
  nop128,
  PollEvents,
  pollAdd,
  pollMultishot,
  pollRemove,
  pollUpdate,
  provideBuffers,
  raw,
  removeBuffers,
  SqeFlags,
  timeout,
  timeoutMultishot,
  timeoutRemove,
  timeoutUpdate,
  waitid,
} from 'uring';
import { type FakeRing, parcel, type RecordCase } from '../_records.ts';

const { ASYNC, DRAIN, LINK } = SqeFlags;
const NOBODY = { userData: 'nobody' };

function words(ring: FakeRing): Int32Array {
  const { buffer, byteOffset } = ring.plain(64, 64);
  return new Int32Array(buffer, byteOffset, 16);
}

const nops: readonly RecordCase[] = [
  ['nop by way of task work', () => nop({ taskWork: true, result: 7 })],
  ['nop with a descriptor', () => nop({ fd: 7 })],
  ['nop with a registered file', (ring) => nop({ fd: ring.file, flags: ASYNC })],
  ['nop with a registered buffer', (ring) => nop({ buffer: ring.registered(64, 1), result: -1 })],
  ['nop with a completion of 32 bytes', () => nop({ extra: [1n, 2n ** 64n - 1n] })],
  ['nop128', () => nop128({ result: 9, taskWork: true })],
];

const cancels: readonly RecordCase[] = [
  ['cancel one of a kind', () => asyncCancel({ opcode: 'read' })],
  ['cancel all of a kind on a descriptor', () => asyncCancel({ fd: 7, opcode: 13, all: true })],
];

const polls: readonly RecordCase[] = [
  ['pollAdd of a level', () => pollAdd(7, PollEvents.IN, { level: true })],
  ['pollMultishot of a level', () => pollMultishot(7, PollEvents.IN, { level: true })],
  ['pollUpdate', () => pollUpdate(NOBODY, { events: PollEvents.OUT | PollEvents.EXCLUSIVE, userData: 1 })],
  ['pollRemove', () => pollRemove(NOBODY, { flags: DRAIN })],
];

const timers: readonly RecordCase[] = [
  [
    'timeout at a time of day',
    () => timeout({ sec: 5, nsec: 7 }, { absolute: true, clock: 'realtime', etimeSuccess: true }),
  ],
  ['timeout while the machine sleeps', () => timeout(1_000_000_001n, { clock: 'boottime', count: 2 })],
  ['timeoutMultishot while the machine sleeps', () => timeoutMultishot(1, { clock: 'boottime' })],
  ['timeoutRemove', () => timeoutRemove(NOBODY)],
  ['timeoutUpdate', () => timeoutUpdate(NOBODY, 2.5)],
  ['timeoutUpdate of a linkTimeout', () => timeoutUpdate(NOBODY, 1, { linked: true, absolute: true })],
  ['linkTimeout', () => linkTimeout(20, { clock: 'boottime', etimeSuccess: true })],
];

const messages: readonly RecordCase[] = [
  ['msgRing', ({ target }) => msgRing(target)],
  [
    'msgRing with everything',
    ({ target }) => msgRing(target, { data: 2 ** 53 - 1, res: -3, completionFlags: 9 }),
  ],
  ['a parcel', ({ target }) => parcel(target, 2 ** 32 + 5, 3)],
  ['msgRingFile', ({ target, file }) => msgRingFile(target, file)],
  [
    'msgRingFile into a slot, unsaid',
    ({ target, file }) =>
      msgRingFile(target, file, { slot: 5, data: 2 ** 32 - 1, skipTargetCompletion: true }),
  ],
];

const others: readonly RecordCase[] = [
  ['waitid', () => waitid('pid', 77)],
  [
    'waitid with everything',
    () =>
      waitid('pidfd', 7, {
        stopped: true,
        continued: true,
        noWait: true,
        noHang: true,
        wNoThread: true,
        wAll: true,
        wClone: true,
      }),
  ],
  [
    'epollCtl to add',
    () => epollCtl(7, 'add', 9, { events: EpollEvents.IN | EpollEvents.ONESHOT, data: 5n }),
  ],
  ['epollCtl to modify', () => epollCtl(7, 'modify', 9, { events: EpollEvents.ET, data: 2n ** 64n - 1n })],
  ['epollCtl to delete', () => epollCtl(7, 'delete', 9)],
  ['epollWait', () => epollWait(7, 3)],
  ['epollWait on a registered file', (ring) => epollWait(ring.file, 1)],
  ['filesUpdate', () => filesUpdate(1, [5, -1, -2])],
  ['filesUpdate in slots of the kernel', () => filesUpdate('any', [5, 6])],
  ['fixedFdInstall', (ring) => fixedFdInstall(ring.file)],
  ['fixedFdInstall for programs that are executed', (ring) => fixedFdInstall(ring.file, { cloexec: false })],
  ['futexWait', (ring) => futexWait(words(ring), 2, -1)],
  ['futexWait of other processes too', (ring) => futexWait(words(ring), 0, 5, { private: false, mask: 6 })],
  ['futexWake', (ring) => futexWake(words(ring), 15, 3, { mask: 1 })],
  ['futexWake all', (ring) => futexWake(words(ring), 1)],
  [
    'futexWaitv',
    (ring) =>
      futexWaitv([
        { words: words(ring), index: 1, expected: -2 },
        { words: words(ring), index: 0, expected: 3, private: false },
      ]),
  ],
  ['provideBuffers', (ring) => provideBuffers(ring.group)],
  ['provideBuffers of a part', (ring) => provideBuffers(ring.group, { first: 1, count: 2 })],
  ['removeBuffers', (ring) => removeBuffers(ring.group, 3)],
];

const raws: readonly RecordCase[] = [
  ['raw nop', () => raw({ opcode: 0, opFlags: 1, len: -5, flags: LINK })],
  ['raw with numbers', () => raw({ opcode: 200, off: -1n, addr: 4095, addr3: 2n ** 56n, fileIndex: -1 })],
  [
    'raw with everything',
    () =>
      raw({
        opcode: 200,
        fd: 7,
        off: 3,
        addr: { in: Buffer.from([42, 1, 0, 0, 0, 0, 0, 3]) },
        addr3: { out: Buffer.alloc(16) },
        len: 1,
        opFlags: 2,
        ioprio: 3,
        fileIndex: 4,
        bufferGroup: 5,
        personality: 6,
        flags: ASYNC,
      }),
  ],
];

export const ringRecords: readonly RecordCase[] = [
  nops,
  cancels,
  polls,
  timers,
  messages,
  others,
  raws,
].flat();
