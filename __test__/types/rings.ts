// What operations on rings, time, processes and futexes result in, as the compiler sees it. Compiled and never run.
import { expectTypeOf } from 'expect-type';
import {
  asyncCancel,
  type BufferGroup,
  type BufferLease,
  type BufferRing,
  type EpollEvent,
  epollCtl,
  epollWait,
  type FixedFile,
  type FutexWaitResult,
  filesUpdate,
  fixedFdInstall,
  futexWait,
  futexWaitv,
  futexWake,
  linkTimeout,
  type MultishotStream,
  msgRing,
  msgRingFile,
  nop,
  nop128,
  type Operation,
  type ProvidedBuffers,
  pollAdd,
  pollMultishot,
  pollRemove,
  pollUpdate,
  provideBuffers,
  Ring,
  type RingEvent,
  type RingHandle,
  type RingPeer,
  RingWorker,
  raw,
  recv,
  removeBuffers,
  type SharedMemory,
  type Time,
  timeout,
  timeoutMultishot,
  timeoutRemove,
  timeoutUpdate,
  type WaitInfo,
  waitid,
} from 'uring';

declare const ring: Ring;
declare const file: FixedFile;
declare const group: BufferGroup;
declare const words: Int32Array;

expectTypeOf(ring.exec(nop({ fd: file, taskWork: true }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(nop({ extra: [1n, 2n] }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(nop128({ result: 1 }))).toEqualTypeOf<Promise<number>>();
// @ts-expect-error: two numbers of 64 bits
nop({ extra: [1, 2] });
// @ts-expect-error: nop128 names nothing
nop128({ fd: 1 });

expectTypeOf(ring.exec(asyncCancel({ opcode: 'read', all: true }))).toEqualTypeOf<Promise<number>>();
asyncCancel({ opcode: 22 });
asyncCancel({ fd: file, opcode: 'accept' });
// @ts-expect-error: no operation has this name
asyncCancel({ opcode: 'sleep' });

expectTypeOf(pollAdd(0, 1, { level: true })).toEqualTypeOf<Operation<number>>();
expectTypeOf(pollMultishot(0, 1, { level: true })).toEqualTypeOf<Operation<number, 'multishot'>>();
expectTypeOf(ring.exec(pollRemove({ userData: 1 }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(pollUpdate(nop(), { events: 1, userData: 'x' }))).toEqualTypeOf<Promise<void>>();
// @ts-expect-error: an update is one of events
pollUpdate(nop(), { userData: 'x' });
// @ts-expect-error: one poll, and not all of a file
pollRemove({ fd: 1 });

expectTypeOf<Time>().toEqualTypeOf<
  number | bigint | { readonly sec: number | bigint; readonly nsec?: number }
>();
expectTypeOf(ring.exec(timeout(1n, { clock: 'boottime' }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(timeout({ sec: 1 }, { absolute: true, count: 1 }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.multishot(timeoutMultishot(1))).toEqualTypeOf<MultishotStream<void>>();
expectTypeOf(ring.exec(timeoutRemove(timeout(1)))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(timeoutUpdate({ userData: 1 }, 1, { linked: true }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(linkTimeout(1)).toEqualTypeOf<Operation<void>>();
// @ts-expect-error: no such clock
timeout(1, { clock: 'tai' });
// @ts-expect-error: the clock of a timer stays what it was
timeoutUpdate(timeout(1), 1, { clock: 'realtime' });

expectTypeOf(ring.exec(msgRing(ring, { data: 1 }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(msgRingFile(ring.handle, file, { slot: true }))).toEqualTypeOf<Promise<number>>();
// @ts-expect-error: only for files (io_msg_ring_data in io_uring/msg_ring.c)
msgRing(ring, { skipTargetCompletion: true });
// @ts-expect-error: the number of a descriptor may be any file's by the time of the message
msgRing(5);
// @ts-expect-error: files are registered ones
msgRingFile(ring, 5);
expectTypeOf(ring.exec(msgRing({ ringToken: 1 }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.handle).toEqualTypeOf<RingHandle>();
expectTypeOf(new Ring({ attachTo: ring.handle }).setupFlags).toEqualTypeOf<readonly string[]>();
const worker = await RingWorker.spawn(ring, 'file', { ring: { entries: 8 }, workerData: 1 });
expectTypeOf(ring.exec(msgRing(worker.ring))).toEqualTypeOf<Promise<void>>();
expectTypeOf(worker.stop({ timeoutMs: 1 })).toEqualTypeOf<Promise<number>>();
expectTypeOf(worker.join()).toEqualTypeOf<Promise<number>>();
expectTypeOf(RingWorker.current({ onStop: async () => {} }).parent).toEqualTypeOf<RingPeer>();
// @ts-expect-error: workers are attached to their parent
RingWorker.spawn(ring, 'file', { ring: { attachTo: ring } });
expectTypeOf(ring.receive((event) => expectTypeOf(event).toEqualTypeOf<RingEvent>())).toEqualTypeOf<
  () => void
>();

expectTypeOf(ring.exec(waitid('pid', 1))).toEqualTypeOf<Promise<WaitInfo>>();
expectTypeOf(ring.exec(waitid('pidfd', 1, { noHang: false }))).toEqualTypeOf<Promise<WaitInfo>>();
expectTypeOf(ring.exec(waitid('all', 0, { noHang: true }))).toEqualTypeOf<Promise<WaitInfo | null>>();
expectTypeOf<WaitInfo['code']>().toEqualTypeOf<
  'exited' | 'killed' | 'dumped' | 'trapped' | 'stopped' | 'continued'
>();
// @ts-expect-error: no such kind
waitid('child', 1);

expectTypeOf(ring.exec(epollCtl(1, 'add', 2, { data: 3n }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(epollWait(file, 8))).toEqualTypeOf<Promise<EpollEvent[]>>();
// @ts-expect-error: the kernel takes descriptors here
epollCtl(file, 'add', 2);

expectTypeOf(ring.exec(filesUpdate('any', [1]))).toEqualTypeOf<Promise<(FixedFile | undefined)[]>>();
expectTypeOf(ring.exec(fixedFdInstall(file, { cloexec: false }))).toEqualTypeOf<Promise<number>>();
// @ts-expect-error: slots have files
fixedFdInstall(1);

expectTypeOf(ring.exec(futexWait(words, 0, 1))).toEqualTypeOf<Promise<FutexWaitResult>>();
expectTypeOf<FutexWaitResult>().toEqualTypeOf<'ok' | 'not-equal'>();
expectTypeOf(ring.exec(futexWake(new Uint32Array(1), 0))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(futexWaitv([{ words, index: 0, expected: 1 }]))).toEqualTypeOf<
  Promise<number | 'not-equal'>
>();
// @ts-expect-error: words have 32 bits
futexWait(new BigInt64Array(1), 0, 1);
expectTypeOf(ring.allocShared(4)).toEqualTypeOf<SharedMemory>();
expectTypeOf(ring.openShared(4)).toEqualTypeOf<SharedMemory>();

expectTypeOf(ring.createBufferGroup({ provide: 'manually' })).toEqualTypeOf<BufferGroup>();
expectTypeOf<BufferGroup>().toExtend<ProvidedBuffers>();
expectTypeOf<BufferRing>().toExtend<ProvidedBuffers>();
expectTypeOf(ring.exec(provideBuffers(group, { first: 1 }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(removeBuffers(group, 2))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(recv(0, group))).toEqualTypeOf<Promise<BufferLease | null>>();

expectTypeOf(ring.exec(raw({ opcode: 200, addr: { in: words }, off: -1n }))).toEqualTypeOf<Promise<number>>();
// @ts-expect-error: an operation has a number
raw({ len: 1 });
