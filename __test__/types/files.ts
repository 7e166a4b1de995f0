// What operations on files and paths result in, and what must not compile. Compiled with the tests and never run.
import { expectTypeOf } from 'expect-type';
import {
  type BigIntStats,
  type BufferLease,
  type BufferRing,
  blockDiscard,
  type FileAdvice,
  type FixedFile,
  fadvise,
  fallocate,
  fgetxattr,
  fsetxattr,
  ftruncate,
  getxattr,
  ioprio,
  linkat,
  type MemoryAdvice,
  type MultishotStream,
  madvise,
  mkdirat,
  type Operation,
  openat2,
  type Pipe,
  pipe,
  type Ring,
  read,
  readMultishot,
  readvFixed,
  renameat,
  type Stats,
  setxattr,
  splice,
  statx,
  symlinkat,
  syncFileRange,
  tee,
  unlinkat,
  write,
  writeFixed,
  writev,
  writevFixed,
} from 'uring';

declare const ring: Ring;
declare const buffers: BufferRing;
declare const file: FixedFile;
declare const memory: Buffer;

// Reading and writing.
expectTypeOf(read(0, buffers)).toEqualTypeOf<Operation<BufferLease | null>>();
expectTypeOf(read(file, memory, { rwFlags: 1 })).toEqualTypeOf<Operation<number>>();
expectTypeOf(readMultishot(file, buffers)).toEqualTypeOf<Operation<BufferLease | null, 'multishot'>>();
expectTypeOf(ring.multishot(readMultishot(0, buffers))).toEqualTypeOf<MultishotStream<BufferLease>>();
expectTypeOf(readvFixed(0, [memory], { offset: 1n })).toEqualTypeOf<Operation<number>>();
expectTypeOf(writevFixed(file, [memory], { writeStream: 1 })).toEqualTypeOf<Operation<number>>();
expectTypeOf(ioprio({ class: 'realtime', level: 3 })).toEqualTypeOf<number>();

// Space, advice, syncing.
expectTypeOf(fallocate(file, 1n, { mode: 1 })).toEqualTypeOf<Operation<void>>();
expectTypeOf(ftruncate(0, 1)).toEqualTypeOf<Operation<void>>();
expectTypeOf(fadvise(0, 'willneed', { lengthBytes: 2n ** 40n })).toEqualTypeOf<Operation<void>>();
expectTypeOf(madvise(memory, 'populateRead')).toEqualTypeOf<Operation<void>>();
expectTypeOf(syncFileRange(file, { syncFlags: 2 })).toEqualTypeOf<Operation<void>>();
expectTypeOf(blockDiscard(0, { offset: 0n, lengthBytes: 512 })).toEqualTypeOf<Operation<void>>();
expectTypeOf<'noreuse'>().toExtend<FileAdvice>();
expectTypeOf<'noreuse'>().not.toExtend<MemoryAdvice>();

// Pipes.
expectTypeOf(pipe()).toEqualTypeOf<Operation<Pipe>>();
expectTypeOf(pipe({ direct: true })).toEqualTypeOf<Operation<Pipe<FixedFile>>>();
expectTypeOf(pipe({ direct: 3, pipeFlags: 0 })).toEqualTypeOf<Operation<Pipe<FixedFile>>>();
expectTypeOf<Pipe['readFd']>().toEqualTypeOf<number>();
expectTypeOf<Pipe<FixedFile>['writeFd']>().toEqualTypeOf<FixedFile>();
expectTypeOf(splice(file, 0, 1, { offsetIn: null, offsetOut: 5n })).toEqualTypeOf<Operation<number>>();
expectTypeOf(tee(0, file, 1, { spliceFlags: 2 })).toEqualTypeOf<Operation<number>>();

// Names.
expectTypeOf(openat2('/', { resolve: ['beneath', 'noXdev'] })).toEqualTypeOf<Operation<number>>();
expectTypeOf(openat2('/', { direct: true })).toEqualTypeOf<Operation<FixedFile>>();
expectTypeOf(renameat('a', new URL('file:///b'), { exchange: true })).toEqualTypeOf<Operation<void>>();
expectTypeOf(unlinkat(memory, { removeDirectory: true })).toEqualTypeOf<Operation<void>>();
expectTypeOf(mkdirat('a', { mode: 0o700, dirFd: 3 })).toEqualTypeOf<Operation<void>>();
expectTypeOf(symlinkat('a', 'b')).toEqualTypeOf<Operation<void>>();
expectTypeOf(linkat('', 'b', { oldDirFd: 3, followSymlink: true })).toEqualTypeOf<Operation<void>>();

// Stats.
declare const either: boolean;
expectTypeOf(statx('/')).toEqualTypeOf<Operation<Stats>>();
expectTypeOf(statx(3, { bigint: false })).toEqualTypeOf<Operation<Stats>>();
expectTypeOf(statx('/', { bigint: true })).toEqualTypeOf<Operation<BigIntStats>>();
expectTypeOf(statx('/', { bigint: either })).toEqualTypeOf<Operation<Stats | BigIntStats>>();
expectTypeOf<Stats['size']>().toEqualTypeOf<number>();
expectTypeOf<BigIntStats['size']>().toEqualTypeOf<bigint>();
expectTypeOf<BigIntStats['mtimeMs']>().toEqualTypeOf<bigint>();
expectTypeOf<Stats['mtimeNs']>().toEqualTypeOf<bigint>();
expectTypeOf<Stats['mtime']>().toEqualTypeOf<Date>();

// Attributes.
expectTypeOf(setxattr('/', 'user.a', memory, { create: true })).toEqualTypeOf<Operation<void>>();
expectTypeOf(fsetxattr(file, memory, new Uint8Array(0))).toEqualTypeOf<Operation<void>>();
expectTypeOf(getxattr('/', 'user.a')).toEqualTypeOf<Operation<Buffer>>();
expectTypeOf(getxattr('/', 'user.a', { sizeOnly: true })).toEqualTypeOf<Operation<number>>();
expectTypeOf(fgetxattr(file, 'user.a', { sizeBytes: 10 })).toEqualTypeOf<Operation<Buffer>>();
expectTypeOf(fgetxattr(0, 'user.a', { sizeOnly: true })).toEqualTypeOf<Operation<number>>();

// @ts-expect-error a multishot read has no one result
void ring.exec(readMultishot(0, buffers));
// @ts-expect-error one read has no stream of them
ring.multishot(read(0, buffers));
// @ts-expect-error a multishot read takes its buffers from a ring
readMultishot(0, memory);
// @ts-expect-error and has no offset: what can be waited for has none
readMultishot(0, buffers, { offset: 0 });
// @ts-expect-error a buffer ring is for reading
write(0, buffers);
// @ts-expect-error a list of buffers, not one
readvFixed(0, memory);
// @ts-expect-error only writes go to a stream
read(0, memory, { writeStream: 1 });
// @ts-expect-error only writes go to a stream
readvFixed(0, [memory], { writeStream: 1 });
// @ts-expect-error a stream is a number
writeFixed(0, memory, { writeStream: '1' });
// @ts-expect-error a priority is a number, from ioprio()
writev(0, [memory], { ioprio: { class: 'idle' } });
// @ts-expect-error no such class
ioprio({ class: 'urgent' });
// @ts-expect-error the idle class has no levels
ioprio({ class: 'idle', level: 3 });
// @ts-expect-error how much is not optional
fallocate(0);
// @ts-expect-error no such advice about files
fadvise(0, 'populateRead');
// @ts-expect-error advice that would make memory unusable
madvise(memory, 'guardInstall');
// @ts-expect-error memory, not a descriptor
madvise(0, 'cold');
// @ts-expect-error a range has a length
blockDiscard(0, { offset: 0 });
// @ts-expect-error tee has no offsets: both ends are pipes
tee(0, 0, 1, { offsetIn: 0 });
// @ts-expect-error how much is not optional
splice(0, 0);
// @ts-expect-error `direct` is true or a slot
pipe({ direct: false });
// @ts-expect-error no such rule
openat2('/', { resolve: ['above'] });
// @ts-expect-error a list of rules
openat2('/', { resolve: 'beneath' });
// @ts-expect-error a directory is a descriptor, and no registered file
mkdirat('x', { dirFd: file });
// @ts-expect-error the kernel takes no registered file here
statx(file);
// @ts-expect-error renaming has two directories
renameat('a', 'b', { dirFd: 3 });
// @ts-expect-error two paths
linkat('a');
// @ts-expect-error the value is bytes
setxattr('/', 'user.a', 'text');
// @ts-expect-error an attribute has a name
getxattr('/');
// @ts-expect-error creating is for setting
fgetxattr(0, 'user.a', { create: true });
