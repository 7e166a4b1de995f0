// Bad input of the operations on rings, time, processes and futexes: every argument, before anything reaches the kernel.
import test from 'ava';
import {
  asyncCancel,
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
  pollAdd,
  pollMultishot,
  pollRemove,
  pollUpdate,
  provideBuffers,
  type Ring,
  raw,
  removeBuffers,
  timeout,
  timeoutMultishot,
  timeoutRemove,
  timeoutUpdate,
  waitid,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { type Case, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

function declare(title: string, cases: readonly Case[]): void {
  test(title, async (t) => {
    await withRing({ entries: 4 }, async (ring) => {
      for (const each of cases) await refuses(t, ring, each);
    });
  });
}

const target = nop();
const words = new Int32Array(4);

declare('nop takes numbers, files, buffers and pairs of bigints', [
  type('result', () => nop({ result: wrong('1') }), /"options.result"/),
  range('result 2^31', () => nop({ result: 2 ** 31 }), /"options.result"/),
  range('result 0.5', () => nop128({ result: 0.5 }), /"options.result" .* an integer/),
  type('taskWork', () => nop({ taskWork: wrong(1) }), /"options.taskWork" argument must be of type boolean/),
  type('fd', () => nop({ fd: wrong('1') }), /"options.fd"/),
  range('fd -1', () => nop({ fd: -1 }), /"options.fd"/),
  type('buffer', () => nop({ buffer: wrong(5) }), /"options.buffer"/),
  value('no bytes', () => nop({ buffer: Buffer.alloc(0) }), /"options.buffer" is empty/),
  value('buffer and fd', () => nop({ buffer: Buffer.alloc(1), fd: 0 }), /together with fd or extra/),
  value(
    'buffer and extra',
    () => nop({ buffer: Buffer.alloc(1), extra: [1n, 2n] }),
    /together with fd or extra/,
  ),
  type(
    'extra 1',
    () => nop({ extra: wrong(1n) }),
    /"options.extra" argument must be an array of two bigints/,
  ),
  type('extra of one', () => nop({ extra: wrong([1n]) }), /"options.extra"/),
  type('extra of numbers', () => nop({ extra: wrong([1n, 2]) }), /"options.extra" .* Received number/),
  type('options', () => nop(wrong(5)), /"options"/),
  type('options of nop128', () => nop128(wrong(null)), /"options"/),
]);

declare('asyncCancel takes keys that name something', [
  type('opcode', () => asyncCancel({ opcode: wrong(null) }), /"target.opcode"/),
  value(
    'opcode of nothing',
    () => asyncCancel({ opcode: wrong('sleep') }),
    /"target.opcode" is no operation: 'sleep'/,
  ),
  value(
    'opcode toString',
    () => asyncCancel({ opcode: wrong('toString') }),
    /"target.opcode" is no operation/,
  ),
  range('opcode 256', () => asyncCancel({ opcode: 256 }), /"target.opcode"/),
  type('all', () => asyncCancel({ opcode: 'read', all: wrong(1) }), /"target.all"/),
  value(
    'everything and a file',
    () => asyncCancel(wrong({ any: true, fd: 0 })),
    /names everything and something else/,
  ),
  value('one of everything', () => asyncCancel(wrong({ any: true, all: false })), /names everything/),
  value('user data undefined', () => asyncCancel({ userData: undefined }), /"target.userData" is undefined/),
]);

declare('polls take events, and changes of them', [
  range('events 0', () => pollAdd(0, 0), /"events"/),
  type('level', () => pollAdd(0, 1, { level: wrong(1) }), /"options.level"/),
  type('level of a stream', () => pollMultishot(0, 1, { level: wrong('yes') }), /"options.level"/),
  type(
    'no target',
    () => pollRemove(wrong(undefined)),
    /"target" argument must be an operation or { userData }/,
  ),
  type('a number', () => pollUpdate(wrong(5), { events: 1 }), /"target"/),
  value('user data undefined', () => pollRemove({ userData: undefined }), /"target.userData"/),
  type('no changes', () => pollUpdate(target, wrong(undefined)), /"changes.events"/),
  type('changes 5', () => pollUpdate(target, wrong(5)), /"changes" argument must be of type object/),
  type('no events', () => pollUpdate(target, wrong({})), /"changes.events"/),
  range('events 0 of an update', () => pollUpdate(target, { events: 0 }), /"changes.events"/),
]);

declare('times have parts of which none is negative, too large or a fraction of a nanosecond', [
  type('null', () => timeout(wrong(null)), /"time" argument must be milliseconds as a number, nanoseconds/),
  type('true', () => linkTimeout(wrong(true)), /"time"/),
  range('negative', () => timeout(-0.1), /"time" .* milliseconds/),
  range('negative nanoseconds', () => timeout(-1n), /"time" .* nanoseconds/),
  range('2^83 nanoseconds', () => timeout(2n ** 84n), /"time"/),
  type('no seconds', () => timeout(wrong({ nsec: 1 })), /"time.sec"/),
  type('seconds of a string', () => timeout(wrong({ sec: '1' })), /"time.sec"/),
  range('seconds of 0.5', () => timeout({ sec: 0.5 }), /"time.sec" .* an integer/),
  range('seconds of -1', () => timeoutMultishot({ sec: -1 }), /"time.sec"/),
  range('seconds of 2^53', () => timeout({ sec: 2n ** 53n }), /"time.sec"/),
  range('nanoseconds of a second', () => timeout({ sec: 0, nsec: 1e9 }), /"time.nsec"/),
  range('nanoseconds of -1', () => timeoutUpdate(target, { sec: 0, nsec: -1 }), /"time.nsec"/),
  type('nanoseconds null', () => timeout({ sec: 0, nsec: wrong(null) }), /"time.nsec"/),
]);

declare('timers take clocks, counts and targets', [
  value(
    'clock',
    () => timeout(1, { clock: wrong('tai') }),
    /"options.clock" must be one of: monotonic, boottime/,
  ),
  value('clock toString', () => linkTimeout(1, { clock: wrong('toString') }), /"options.clock"/),
  type('absolute', () => timeout(1, { absolute: wrong(1) }), /"options.absolute"/),
  type('etimeSuccess', () => linkTimeout(1, { etimeSuccess: wrong('') }), /"options.etimeSuccess"/),
  range('count', () => timeout(1, { count: 2 ** 32 }), /"options.count"/),
  range('repeat', () => timeoutMultishot(1, { repeat: -1 }), /"options.repeat"/),
  value(
    'a point that repeats',
    () => timeoutMultishot(1, { absolute: true }),
    /not possible for a timer that repeats/,
  ),
  type('no target', () => timeoutRemove(wrong(null)), /"target"/),
  type('an empty target', () => timeoutUpdate(wrong({}), 1), /"target"/),
  type('linked', () => timeoutUpdate(target, 1, { linked: wrong(1) }), /"options.linked"/),
  type('absolute of an update', () => timeoutUpdate(target, 1, { absolute: wrong(0) }), /"options.absolute"/),
  type('options', () => timeout(1, wrong('5')), /"options"/),
]);

/** What a handle looks like. */
const RING = { ringToken: 1 };

declare('messages take rings, and numbers that arrive whole', [
  type('no target', () => msgRing(wrong(undefined)), /"target" argument must be a Ring or its handle/),
  type('null', () => msgRing(wrong(null)), /"target" argument must be a Ring or its handle/),
  type('a descriptor', () => msgRing(wrong(3)), /"target"/),
  type('something with fd', () => msgRing(wrong({ fd: 3 })), /"target"/),
  type('a token that is no number', () => msgRing({ ringToken: wrong('1') }), /"target"/),
  range('data 2^53', () => msgRing(RING, { data: 2 ** 53 }), /"options.data"/),
  range('data -1', () => msgRing(RING, { data: -1 }), /"options.data"/),
  type('data 1n', () => msgRing(RING, { data: wrong(1n) }), /"options.data"/),
  range('res 2^31', () => msgRing(RING, { res: 2 ** 31 }), /"options.res"/),
  range('flags 2^32', () => msgRing(RING, { completionFlags: 2 ** 32 }), /"options.completionFlags"/),
  type('options', () => msgRing(RING, wrong(1)), /"options"/),
  type(
    'no file',
    () => msgRingFile(RING, wrong(5)),
    /"file" argument must be a file descriptor or a FixedFile/,
  ),
]);

declare('files of messages take slots', [
  range('slot 2^20', (ring) => msgRingFile(RING, slot(ring), { slot: 2 ** 20 }), /"options.slot"/),
  type(
    'slot false',
    (ring) => msgRingFile(RING, slot(ring), { slot: wrong(false) }),
    /"options.slot" .* number or true/,
  ),
  range('data 2^32', (ring) => msgRingFile(RING, slot(ring), { data: 2 ** 32 }), /"options.data"/),
  type(
    'skip',
    (ring) => msgRingFile(RING, slot(ring), { skipTargetCompletion: wrong(1) }),
    /skipTargetCompletion/,
  ),
  type('cloexec', (ring) => fixedFdInstall(slot(ring), { cloexec: wrong(0) }), /"options.cloexec"/),
  type('a number', () => fixedFdInstall(wrong(1)), /"file" argument must be a FixedFile/),
]);

/** A registered file, of the ring's one table. */
function slot(ring: Ring) {
  return (ring.registrar.files ?? ring.registrar.registerFiles()).set(0, 0);
}

declare('updates of files take lists of descriptors', [
  type('first', () => filesUpdate(wrong('all'), [1]), /"first" argument must be a number or 'any'/),
  range('first -1', () => filesUpdate(-1, [1]), /"first"/),
  type('no list', () => filesUpdate(0, wrong(1)), /"fds" argument must be an array/),
  range('an empty list', () => filesUpdate(0, []), /"fds.length"/),
  range('-3', () => filesUpdate(0, [1, -3]), /"fds\[1\]"/),
  range('-1 in any slot', () => filesUpdate('any', [-1]), /"fds\[0\]"/),
  type('a hole', () => filesUpdate(0, wrong([undefined])), /"fds\[0\]"/),
]);

declare('waitid takes kinds of children and changes to wait for', [
  value('kind', () => waitid(wrong('child'), 1), /"idType" must be one of: all, pid, pgid, pidfd/),
  type('kind 1', () => waitid(wrong(1), 1), /"idType"/),
  value('kind toString', () => waitid(wrong('toString'), 1), /"idType"/),
  range('id -1', () => waitid('pid', -1), /"id"/),
  type('id undefined', () => waitid('pid', wrong(undefined)), /"id"/),
  value('nothing to wait for', () => waitid('pid', 1, { exited: false }), /waits for nothing/),
  type('exited', () => waitid('pid', 1, { exited: wrong(1) }), /"options.exited"/),
  type('noWait', () => waitid('pid', 1, { noWait: wrong('') }), /"options.noWait"/),
  type('options', () => waitid('pid', 1, wrong(5)), /"options"/),
]);

declare('epoll takes descriptors, changes and numbers of 64 bits', [
  range('epfd -1', () => epollCtl(-1, 'add', 0), /"epfd"/),
  value('change', () => epollCtl(0, wrong('remove'), 0), /"change" must be one of: add, delete, modify/),
  type('change 1', () => epollCtl(0, wrong(1), 0), /"change"/),
  type('fd', () => epollCtl(0, 'add', wrong('0')), /"fd"/),
  range('events', () => epollCtl(0, 'add', 0, { events: 2 ** 32 }), /"options.events"/),
  range('data -1', () => epollCtl(0, 'add', 0, { data: -1 }), /"options.data"/),
  range('data 2^64', () => epollCtl(0, 'modify', 0, { data: 2n ** 64n }), /"options.data"/),
  range('data 0.5', () => epollCtl(0, 'add', 0, { data: 0.5 }), /"options.data" .* an integer/),
  type('data', () => epollCtl(0, 'add', 0, { data: wrong('1') }), /"options.data"/),
  type('epfd of a wait', () => epollWait(wrong('0')), /"epfd"/),
  range('no events', () => epollWait(0, 0), /"eventsMax"/),
  range('too many events', () => epollWait(0, 65_537), /"eventsMax"/),
]);

declare('futexes take words of 32 bits in memory of the ring', [
  type(
    'bytes',
    () => futexWait(wrong(Buffer.alloc(4)), 0, 0),
    /"words" argument must be an Int32Array or Uint32Array/,
  ),
  value('no words', () => futexWake(new Int32Array(0), 0), /"words" is empty/),
  range('index 4', () => futexWait(words, 4, 0), /"index"/),
  range('index -1', () => futexWake(words, -1), /"index"/),
  range('expected 2^32', () => futexWait(words, 0, 2 ** 32), /"expected"/),
  type('expected 0n', () => futexWait(words, 0, wrong(0n)), /"expected"/),
  range('mask 0', () => futexWait(words, 0, 0, { mask: 0 }), /"options.mask" .* at least one bit/),
  range('mask 2^32', () => futexWake(words, 0, 1, { mask: 2 ** 32 }), /"options.mask"/),
  type('private', () => futexWake(words, 0, 1, { private: wrong(1) }), /"options.private"/),
  range('count -1', () => futexWake(words, 0, -1), /"count"/),
  value(
    'memory of nobody',
    (ring) => ring.exec(futexWait(words, 0, 0)),
    /"words" is not memory of this ring/,
  ),
  type('no list', () => futexWaitv(wrong({})), /"waiters" argument must be an array/),
  range('an empty list', () => futexWaitv([]), /"waiters.length"/),
  range('129', () => futexWaitv(Array(129).fill({ words, index: 0, expected: 0 })), /"waiters.length"/),
  type('null', () => futexWaitv(wrong([null])), /"waiters\[0\]"/),
  type('words of one', () => futexWaitv(wrong([{ index: 0, expected: 0 }])), /"waiters\[0\].words"/),
  range('index of one', () => futexWaitv([{ words, index: 9, expected: 0 }]), /"waiters\[0\].index"/),
  range('value of one', () => futexWaitv([{ words, index: 0, expected: 1.5 }]), /"waiters\[0\].expected"/),
  type(
    'private of one',
    () => futexWaitv([{ words, index: 0, expected: 0, private: wrong(0) }]),
    /.private"/,
  ),
  range('allocShared(0)', (ring) => ring.allocShared(0), /"sizeBytes"/),
  range('openShared(0)', (ring) => ring.openShared(0), /"token"/),
  type('openShared of text', (ring) => ring.openShared(wrong('1')), /"token"/),
]);

declare('groups of buffers have sizes, and operations on them buffers', [
  range('entries 0', (ring) => ring.createBufferGroup({ entries: 0 }), /"options.entries"/),
  range('entries 32,769', (ring) => ring.createBufferGroup({ entries: 32_769 }), /"options.entries"/),
  range('sizeBytes 0', (ring) => ring.createBufferGroup({ sizeBytes: 0 }), /"options.sizeBytes"/),
  range(
    'too much in all',
    (ring) => ring.createBufferGroup({ entries: 32_768, sizeBytes: 2 ** 20 }),
    /"options.entries \* options.sizeBytes"/,
  ),
  type('provide', (ring) => ring.createBufferGroup({ provide: wrong(true) }), /"options.provide"/),
  type('options', (ring) => ring.createBufferGroup(wrong(5)), /"options"/),
  type('no group', () => provideBuffers(wrong(undefined)), /"buffers" argument must be a BufferGroup/),
  type('a number', () => removeBuffers(wrong(5)), /"buffers"/),
  range('first', (ring) => provideBuffers(group(ring), { first: 4 }), /"options.first"/),
  range('count', (ring) => provideBuffers(group(ring), { first: 3, count: 2 }), /"options.count"/),
  range('none', (ring) => removeBuffers(group(ring), 0), /"count"/),
  range('more than there are', (ring) => removeBuffers(group(ring), 5), /"count"/),
]);

function group(ring: Ring) {
  return ring.createBufferGroup({ entries: 4, provide: 'manually' });
}

declare('raw takes numbers and blocks, of operations that it knows numbers only', [
  type('nothing', () => raw(wrong(undefined)), /"fields" argument must be of type object/),
  type('no opcode', () => raw(wrong({})), /"fields.opcode"/),
  range('opcode 256', () => raw({ opcode: 256 }), /"fields.opcode"/),
  range('fd -2', () => raw({ opcode: 200, fd: -2 }), /"fields.fd"/),
  range('off 0.5', () => raw({ opcode: 200, off: 0.5 }), /"fields.off" .* an integer/),
  range('addr 2^64', () => raw({ opcode: 200, addr: 2n ** 64n }), /"fields.addr" .* 64 bits/),
  type('addr3 of text', () => raw({ opcode: 200, addr3: wrong('1') }), /"fields.addr3" .* { in: buffer }/),
  type('in and out', () => raw({ opcode: 200, addr: wrong({ in: words, out: words }) }), /"fields.addr"/),
  type('in of a number', () => raw({ opcode: 200, addr: { in: wrong(5) } }), /"fields.addr.in"/),
  value(
    'out of nothing',
    () => raw({ opcode: 200, addr: { out: Buffer.alloc(0) } }),
    /"fields.addr.out" is empty/,
  ),
  range(
    'in too large',
    () => raw({ opcode: 200, off: { in: Buffer.alloc(2 ** 20 + 1) } }),
    /"fields.off.in.byteLength"/,
  ),
  range('len', () => raw({ opcode: 200, len: 2 ** 32 }), /"fields.len"/),
  range('opFlags', () => raw({ opcode: 200, opFlags: -1 }), /"fields.opFlags"/),
  range('ioprio', () => raw({ opcode: 200, ioprio: 65_536 }), /"fields.ioprio"/),
  range('fileIndex', () => raw({ opcode: 200, fileIndex: -2 }), /"fields.fileIndex"/),
  range('bufferGroup', () => raw({ opcode: 200, bufferGroup: 65_536 }), /"fields.bufferGroup"/),
  value(
    'a block for a read',
    () => raw({ opcode: 22, addr: { out: Buffer.alloc(8) } }),
    /knows: use read\(\)/,
  ),
]);

declare('receive takes functions', [
  type('nothing', (ring) => ring.receive(wrong(undefined)), /"listener" argument must be of type function/),
]);
