// Every argument of every operation on files, given wrong: refused before anything reaches the kernel.
import test from 'ava';
import {
  type BufferRing,
  blockDiscard,
  fadvise,
  fallocate,
  fgetxattr,
  fsetxattr,
  ftruncate,
  getxattr,
  ioprio,
  linkat,
  madvise,
  mkdirat,
  openat2,
  pipe,
  type Ring,
  read,
  readMultishot,
  readvFixed,
  renameat,
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
import { leakCheck } from './_helpers.ts';
import { declare, each, range, type, value, wrong } from './_refusals.ts';

leakCheck(test);

const FD = 0;
const memory = Buffer.alloc(16);

const rings = new WeakMap<Ring, BufferRing>();

/** One buffer ring for each ring. */
function ringBuffers(ring: Ring): BufferRing {
  const buffers = rings.get(ring) ?? ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
  rings.set(ring, buffers);
  return buffers;
}

declare(
  'descriptors',
  each(
    [
      ['readMultishot', 'fd', (fd, ring) => readMultishot(wrong(fd), ringBuffers(ring))],
      ['read from a buffer ring', 'fd', (fd, ring) => read(wrong(fd), ringBuffers(ring))],
      ['readvFixed', 'fd', (fd) => readvFixed(wrong(fd), [memory])],
      ['writevFixed', 'fd', (fd) => writevFixed(wrong(fd), [memory])],
      ['fallocate', 'fd', (fd) => fallocate(wrong(fd), 1)],
      ['ftruncate', 'fd', (fd) => ftruncate(wrong(fd), 1)],
      ['fadvise', 'fd', (fd) => fadvise(wrong(fd), 'normal')],
      ['syncFileRange', 'fd', (fd) => syncFileRange(wrong(fd))],
      ['splice', 'fdIn', (fd) => splice(wrong(fd), FD, 1)],
      ['splice', 'fdOut', (fd) => splice(FD, wrong(fd), 1)],
      ['tee', 'fdIn', (fd) => tee(wrong(fd), FD, 1)],
      ['tee', 'fdOut', (fd) => tee(FD, wrong(fd), 1)],
      ['fsetxattr', 'fd', (fd) => fsetxattr(wrong(fd), 'user.a', memory)],
      ['fgetxattr', 'fd', (fd) => fgetxattr(wrong(fd), 'user.a')],
      ['blockDiscard', 'fd', (fd) => blockDiscard(wrong(fd), { offset: 0, lengthBytes: 512 })],
    ],
    [
      ['3', type],
      [undefined, type],
      [3n, type],
      [{ slot: 1 }, type],
      [-1, range],
      [1.5, range],
      [Number.NaN, range],
      [2 ** 31, range],
    ],
  ),
);

const ranges: Parameters<typeof each>[0] = [
  ['fallocate', 'lengthBytes', (length) => fallocate(FD, wrong(length))],
  ['fallocate', 'options.offset', (offset) => fallocate(FD, 1, { offset: wrong(offset) })],
  ['ftruncate', 'lengthBytes', (length) => ftruncate(FD, wrong(length))],
  ['fadvise', 'options.offset', (offset) => fadvise(FD, 'random', { offset: wrong(offset) })],
  ['fadvise', 'options.lengthBytes', (length) => fadvise(FD, 'random', { lengthBytes: wrong(length) })],
  ['syncFileRange', 'options.offset', (offset) => syncFileRange(FD, { offset: wrong(offset) })],
  ['splice', 'options.offsetIn', (offsetIn) => splice(FD, FD, 1, { offsetIn: wrong(offsetIn) })],
  ['splice', 'options.offsetOut', (offsetOut) => splice(FD, FD, 1, { offsetOut: wrong(offsetOut) })],
  [
    'blockDiscard',
    'options.offset',
    (offset) => blockDiscard(FD, { offset: wrong(offset), lengthBytes: 512 }),
  ],
  [
    'blockDiscard',
    'options.lengthBytes',
    (length) => blockDiscard(FD, { offset: 0, lengthBytes: wrong(length) }),
  ],
];

declare(
  'offsets and lengths of 64 bits',
  each(
    [
      [
        'read from a buffer ring',
        'options.offset',
        (offset, ring) => read(FD, ringBuffers(ring), { offset: wrong(offset) }),
      ],
      ...ranges,
    ],
    [
      ['0', type],
      [{}, type],
      [-2, range],
      [-2n, range],
      [0.5, range],
      [Number.NaN, range],
      [2 ** 53, range],
      [2n ** 64n, range],
    ],
  ),
);

// What stands for the present position elsewhere, and no length at all.
declare('offsets and lengths that must not be negative, or nothing', [
  ...each(ranges, [
    [-1, range],
    [-1n, range],
  ]),
  range('fallocate of nothing', () => fallocate(FD, 0), /"lengthBytes" .* >= 1/),
  range(
    'blockDiscard of nothing',
    () => blockDiscard(FD, { offset: 0, lengthBytes: 0 }),
    /"options.lengthBytes" .* >= 1/,
  ),
  type('blockDiscard without a range', () => blockDiscard(FD, wrong(undefined)), /"options.offset"/),
  type(
    'blockDiscard without a length',
    () => blockDiscard(FD, wrong({ offset: 0 })),
    /"options.lengthBytes"/,
  ),
]);

declare(
  'numbers of 32 bits and less',
  each(
    [
      ['syncFileRange', 'options.lengthBytes', (bytes) => syncFileRange(FD, { lengthBytes: wrong(bytes) })],
      ['syncFileRange', 'options.syncFlags', (flags) => syncFileRange(FD, { syncFlags: wrong(flags) })],
      ['fallocate', 'options.mode', (mode) => fallocate(FD, 1, { mode: wrong(mode) })],
      ['splice', 'lengthBytes', (bytes) => splice(FD, FD, wrong(bytes))],
      ['splice', 'options.spliceFlags', (flags) => splice(FD, FD, 1, { spliceFlags: wrong(flags) })],
      ['tee', 'lengthBytes', (bytes) => tee(FD, FD, wrong(bytes))],
      ['tee', 'options.spliceFlags', (flags) => tee(FD, FD, 1, { spliceFlags: wrong(flags) })],
      ['pipe', 'options.pipeFlags', (flags) => pipe({ pipeFlags: wrong(flags) })],
      ['openat2', 'options.mode', (mode) => openat2('x', { openFlags: 'w', mode: wrong(mode) })],
      ['mkdirat', 'options.mode', (mode) => mkdirat('x', { mode: wrong(mode) })],
      ['statx', 'options.mask', (mask) => statx('x', { mask: wrong(mask) })],
      ['statx', 'options.atFlags', (flags) => statx('x', { atFlags: wrong(flags) })],
      ['getxattr', 'options.sizeBytes', (bytes) => getxattr('x', 'user.a', { sizeBytes: wrong(bytes) })],
      ['fgetxattr', 'options.sizeBytes', (bytes) => fgetxattr(FD, 'user.a', { sizeBytes: wrong(bytes) })],
      ['write', 'options.writeStream', (stream) => write(FD, memory, { writeStream: wrong(stream) })],
      [
        'writeFixed',
        'options.writeStream',
        (stream) => writeFixed(FD, memory, { writeStream: wrong(stream) }),
      ],
      ['writev', 'options.writeStream', (stream) => writev(FD, [memory], { writeStream: wrong(stream) })],
      [
        'writevFixed',
        'options.writeStream',
        (stream) => writevFixed(FD, [memory], { writeStream: wrong(stream) }),
      ],
      ['writevFixed', 'options.rwFlags', (flags) => writevFixed(FD, [memory], { rwFlags: wrong(flags) })],
      ['readvFixed', 'options.ioprio', (priority) => readvFixed(FD, [memory], { ioprio: wrong(priority) })],
      [
        'ioprio',
        'priority.level',
        (level) => read(FD, memory, { ioprio: ioprio({ class: 'realtime', level: wrong(level) }) }),
      ],
    ],
    [
      ['1', type],
      [1n, type],
      [-1, range],
      [0.5, range],
      [2 ** 32, range],
    ],
  ),
);

declare('flags that mean nothing', [
  range('syncFileRange', () => syncFileRange(FD, { syncFlags: 8 }), /a combination of SyncFileRangeFlags/),
  range('fallocate', () => fallocate(FD, 1, { mode: 4 }), /a combination of FallocateMode. Received 4/),
  range('splice', () => splice(FD, FD, 1, { spliceFlags: 16 }), /a combination of SpliceFlags/),
  range('splice from a slot', () => splice(FD, FD, 1, { spliceFlags: 2 ** 31 }), /SpliceFlags/),
  range('tee', () => tee(FD, FD, 1, { spliceFlags: 16 }), /a combination of SpliceFlags/),
  range('pipe', () => pipe({ pipeFlags: 1 }), /a combination of O_\* flags of pipe2\(2\)/),
  range('splice of nothing', () => splice(FD, FD, 0), /"lengthBytes"/),
  range('write stream 256', () => write(FD, memory, { writeStream: 256 }), /<= 255. Received 256/),
  range('getxattr without room', () => getxattr('x', 'user.a', { sizeBytes: 0 }), /"options.sizeBytes"/),
]);

declare(
  'names of advice, classes and rules',
  each(
    [
      ['fadvise', 'advice', (advice) => fadvise(FD, wrong(advice))],
      ['madvise', 'advice', (advice) => madvise(new ArrayBuffer(4096), wrong(advice))],
      ['ioprio', 'priority.class', (name) => read(FD, memory, { ioprio: ioprio({ class: wrong(name) }) })],
      ['openat2', 'options.resolve[0]', (rule) => openat2('x', { resolve: [wrong(rule)] })],
    ],
    [
      [3, type],
      [undefined, type],
      ['', value],
      ['Normal', value],
      ['toString', value],
      ['__proto__', value],
    ],
  ),
);

declare('what goes together and what does not', [
  value(
    'a list of advice',
    () => fadvise(FD, wrong('all')),
    /must be one of: normal, random, sequential, .*'all'/,
  ),
  type(
    'no rules',
    () => openat2('x', { resolve: wrong('beneath') }),
    /"options.resolve" .* an array of rules/,
  ),
  value(
    'two roots',
    () => openat2('x', { resolve: ['beneath', 'inRoot'] }),
    /"options.resolve" has both 'beneath' and 'inRoot'/,
  ),
  value(
    'permissions of nothing new',
    () => openat2('x', { mode: 0o600 }),
    /"options.mode" is for files that are created: give O_CREAT or O_TMPFILE too/,
  ),
  value('an unknown flag in words', () => openat2('x', { openFlags: 'rw' }), /"options.openFlags"/),
  value(
    'exchanging without replacing',
    () => renameat('x', 'y', { exchange: true, noReplace: true }),
    /"options.exchange" goes with neither noReplace nor whiteout/,
  ),
  value(
    'exchanging into a whiteout',
    () => renameat('x', 'y', { exchange: true, whiteout: true }),
    /exchange/,
  ),
  value('a directory of a descriptor', () => statx(3, { dirFd: 4 }), /"options.dirFd" has no meaning/),
  range('a descriptor below 0', () => statx(-1), /"path"/),
  type('a priority that is none', () => read(FD, memory, { ioprio: ioprio(wrong(4)) }), /"priority"/),
  range(
    'a level of 8',
    () => write(FD, memory, { ioprio: ioprio({ class: 'idle', level: 8 } as never) }),
    /level/,
  ),
]);

declare('buffers', [
  type('no buffer ring', () => readMultishot(FD, wrong(memory)), /"buffers" argument must be a BufferRing/),
  type('no list', () => readvFixed(FD, wrong(memory)), /"buffers" argument must be an array of buffers/),
  range('an empty list', () => writevFixed(FD, []), /"buffers.length"/),
  range('1025 buffers', () => readvFixed(FD, Array(1025).fill(memory)), /"buffers.length"/),
  value('an empty buffer', () => writevFixed(FD, [memory, Buffer.alloc(0)]), /"buffers\[1\]" is empty/),
  type('advice for text', () => madvise(wrong('text'), 'cold'), /"buffer"/),
  value('advice for nothing', () => madvise(Buffer.alloc(0), 'cold'), /"buffer" is empty/),
  value(
    'advice inside a page',
    (ring) => ring.exec(madvise(ring.alloc(8192).subarray(64), 'cold')),
    /"buffer" starts inside a page: its byteOffset must be a multiple of 4096/,
  ),
  range(
    'advice for a part of a page',
    (ring) => ring.exec(madvise(ring.alloc(4096).subarray(0, 100), 'cold')),
    /"buffer.byteLength" .* a multiple of 4096. Received 100/,
  ),
]);

declare(
  'options',
  each(
    [
      ['readMultishot', 'options', (options, ring) => readMultishot(FD, ringBuffers(ring), wrong(options))],
      ['readvFixed', 'options', (options) => readvFixed(FD, [memory], wrong(options))],
      ['writevFixed', 'options', (options) => writevFixed(FD, [memory], wrong(options))],
      ['fallocate', 'options', (options) => fallocate(FD, 1, wrong(options))],
      ['ftruncate', 'options', (options) => ftruncate(FD, 1, wrong(options))],
      ['fadvise', 'options', (options) => fadvise(FD, 'random', wrong(options))],
      ['madvise', 'options', (options) => madvise(memory, 'cold', wrong(options))],
      ['syncFileRange', 'options', (options) => syncFileRange(FD, wrong(options))],
      ['splice', 'options', (options) => splice(FD, FD, 1, wrong(options))],
      ['tee', 'options', (options) => tee(FD, FD, 1, wrong(options))],
      ['pipe', 'options', (options) => pipe(wrong(options))],
      ['openat2', 'options', (options) => openat2('x', wrong(options))],
      ['statx', 'options', (options) => statx('x', wrong(options))],
      ['renameat', 'options', (options) => renameat('x', 'y', wrong(options))],
      ['linkat', 'options', (options) => linkat('x', 'y', wrong(options))],
      ['symlinkat', 'options', (options) => symlinkat('x', 'y', wrong(options))],
      ['unlinkat', 'options', (options) => unlinkat('x', wrong(options))],
      ['mkdirat', 'options', (options) => mkdirat('x', wrong(options))],
      ['setxattr', 'options', (options) => setxattr('x', 'user.a', memory, wrong(options))],
      ['fsetxattr', 'options', (options) => fsetxattr(FD, 'user.a', memory, wrong(options))],
      ['getxattr', 'options', (options) => getxattr('x', 'user.a', wrong(options))],
      ['fgetxattr', 'options', (options) => fgetxattr(FD, 'user.a', wrong(options))],
      ['blockDiscard', 'options', (options) => blockDiscard(FD, wrong(options))],
    ],
    [
      [7, type],
      ['text', type],
      [null, type],
    ],
  ),
);
