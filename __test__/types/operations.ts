// What operations result in, as the compiler sees it. Compiled with the tests and never run.
import { expectTypeOf } from 'expect-type';
import {
  accept,
  acceptMultishot,
  asyncCancel,
  type BufferLease,
  type BufferRing,
  type Completion,
  close,
  type FixedFile,
  fsync,
  type MultishotStream,
  nop,
  openat,
  pollAdd,
  pollMultishot,
  type Ring,
  read,
  readFixed,
  readv,
  recv,
  recvMultishot,
  type Stats,
  send,
  statx,
  timeout,
  timeoutMultishot,
  type UringError,
  write,
  writeFixed,
  writev,
} from 'uring';

declare const ring: Ring;
declare const buffers: BufferRing;
declare const file: FixedFile;
declare const memory: Buffer;

// exec promises the operation's own result.
expectTypeOf(ring.exec(nop())).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(read(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(write(file, memory, { offset: 1n }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(readv(0, [memory, new SharedArrayBuffer(1)]))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(writev(0, [new DataView(new ArrayBuffer(1))]))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(readFixed(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(writeFixed(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(fsync(0))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(openat('/'))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(openat('/', { mode: 0o600 }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(openat('/', { direct: true }))).toEqualTypeOf<Promise<FixedFile>>();
expectTypeOf(ring.exec(openat(new URL('file:///'), { direct: 5 }))).toEqualTypeOf<Promise<FixedFile>>();
expectTypeOf(ring.exec(close(file))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(statx('/'))).toEqualTypeOf<Promise<Stats>>();
expectTypeOf(ring.exec(accept(0))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(accept(0, { direct: true }))).toEqualTypeOf<Promise<FixedFile>>();
expectTypeOf(ring.exec(recv(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(recv(0, buffers))).toEqualTypeOf<Promise<BufferLease | null>>();
expectTypeOf(ring.exec(send(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(timeout(1))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(pollAdd(0, 1))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(asyncCancel({ any: true }))).toEqualTypeOf<Promise<number>>();

// multishot iterates over it.
expectTypeOf(ring.multishot(acceptMultishot(0))).toEqualTypeOf<MultishotStream<number>>();
expectTypeOf(ring.multishot(acceptMultishot(0, { direct: true }))).toEqualTypeOf<
  MultishotStream<FixedFile>
>();
expectTypeOf(ring.multishot(recvMultishot(0, buffers))).toEqualTypeOf<MultishotStream<BufferLease>>();
expectTypeOf(ring.multishot(pollMultishot(0, 1))).toEqualTypeOf<MultishotStream<number>>();
expectTypeOf(ring.multishot(timeoutMultishot(1))).toEqualTypeOf<MultishotStream<void>>();

// start calls back with it, and takes both kinds.
ring.start(statx('/'), (error, result, completion) => {
  expectTypeOf(error).toEqualTypeOf<UringError | null>();
  expectTypeOf(result).toEqualTypeOf<Stats>();
  expectTypeOf(completion).toEqualTypeOf<Completion>();
});
ring.start(openat('/', { direct: true }), (_error, result) =>
  expectTypeOf(result).toEqualTypeOf<FixedFile>(),
);
ring.start(acceptMultishot(0), (_error, result) => expectTypeOf(result).toEqualTypeOf<number>());

// prep, chains and cancels take any operation.
expectTypeOf(ring.prep(acceptMultishot(0), Symbol('any userData'))).toEqualTypeOf<boolean>();
expectTypeOf(ring.prepChain([statx('/'), fsync(0), openat('/', { direct: 1 })])).toEqualTypeOf<boolean>();
asyncCancel(acceptMultishot(0));
asyncCancel(statx('/'));

// A multishot operation has no one result, a single one no stream of them.
// @ts-expect-error
void ring.exec(acceptMultishot(0));
// @ts-expect-error
void ring.exec(recvMultishot(0, buffers));
// @ts-expect-error
void ring.exec(pollMultishot(0, 1));
// @ts-expect-error
void ring.exec(timeoutMultishot(1));
// @ts-expect-error
ring.multishot(accept(0));
// @ts-expect-error
ring.multishot(recv(0, buffers));
// @ts-expect-error
ring.multishot(pollAdd(0, 1));
// @ts-expect-error
ring.multishot(timeout(1));
// @ts-expect-error
ring.multishot(nop());

// Arguments.
// @ts-expect-error a string is no memory
write(0, 'text');
// @ts-expect-error a directory is a descriptor, and no registered file
openat('x', { dirFd: file });
// @ts-expect-error acceptMultishot cannot fill one slot again and again
acceptMultishot(0, { direct: 3 });
// @ts-expect-error a multishot receive takes its buffers from a ring
recvMultishot(0, memory);
// @ts-expect-error nothing to cancel
asyncCancel({});
// @ts-expect-error registered files are made by a table
fsync({ slot: 3 });
// @ts-expect-error unknown option
read(0, memory, { position: 0 });
