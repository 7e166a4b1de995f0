// Operations on files and paths, for records.spec.ts; crates/core/tests/encoding/file_ops.rs has their counterparts.
import { constants } from 'node:fs';
import {
  blockDiscard,
  FallocateMode,
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
  RwFlags,
  read,
  readMultishot,
  readv,
  readvFixed,
  renameat,
  SpliceFlags,
  SqeFlags,
  SyncFileRangeFlags,
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
import type { RecordCase } from '../_records.ts';

const { ASYNC, DRAIN, LINK } = SqeFlags;
const TWO_32 = 2 ** 32;

const transfers: readonly RecordCase[] = [
  [
    'read into a provided buffer',
    (ring) => read(7, ring.buffers, { offset: TWO_32, rwFlags: RwFlags.NOWAIT }),
  ],
  ['readMultishot', (ring) => readMultishot(7, ring.buffers)],
  [
    'readMultishot from a registered file',
    (ring) => readMultishot(ring.file, ring.buffers, { flags: ASYNC }),
  ],
  [
    'write in a stream, with words for flags and priority',
    (ring) =>
      write(7, ring.plain(0, 64), {
        writeStream: 255,
        rwFlags: RwFlags.APPEND | RwFlags.DSYNC | RwFlags.ATOMIC | RwFlags.DONTCACHE | RwFlags.NOAPPEND,
        ioprio: ioprio({ class: 'realtime', level: 0 }),
      }),
  ],
  ['writeFixed in a stream', (ring) => writeFixed(7, ring.registered(0, 64), { writeStream: 1 })],
  [
    'writev in a stream',
    (ring) => writev(7, [ring.plain(0, 1)], { writeStream: 2, ioprio: ioprio({ class: 'idle' }) }),
  ],
  [
    'readv into one registered arena',
    (ring) => readv(7, [ring.registered(0, 8), ring.registered(100, 9)], { offset: 3 }),
  ],
  [
    'readvFixed',
    (ring) =>
      readvFixed(ring.file, [ring.registered(0, 8), ring.registered(100, 9)], {
        offset: TWO_32 + 3,
        rwFlags: RwFlags.HIPRI,
        ioprio: ioprio({ class: 'bestEffort' }),
      }),
  ],
  [
    'writevFixed',
    (ring) =>
      writevFixed(7, [ring.registered(64, 64)], { writeStream: 9, rwFlags: RwFlags.SYNC, flags: LINK }),
  ],
];

const space: readonly RecordCase[] = [
  ['fallocate', () => fallocate(7, 1)],
  [
    'fallocate with every mode, in 64 bits',
    (ring) =>
      fallocate(ring.file, 2 ** 53 - 1, {
        offset: TWO_32 + 1,
        mode: Object.values(FallocateMode).reduce<number>((all, flag) => all | flag, 0),
        flags: DRAIN,
      }),
  ],
  ['ftruncate', () => ftruncate(7, 2n ** 33n + 5n)],
  ['ftruncate of a registered file', (ring) => ftruncate(ring.file, 0)],
  ['fadvise', () => fadvise(7, 'noreuse', { offset: TWO_32, lengthBytes: TWO_32 - 1 })],
  ['fadvise of 64 bits', (ring) => fadvise(ring.file, 'dontneed', { lengthBytes: TWO_32 + 7 })],
  ['madvise', (ring) => madvise(ring.plain(4096, 4096), 'dontneed')],
  ['madvise of registered memory', (ring) => madvise(ring.registered(0, 8192), 'collapse', { flags: ASYNC })],
  ['syncFileRange', () => syncFileRange(7)],
  [
    'syncFileRange with everything',
    (ring) =>
      syncFileRange(ring.file, {
        offset: TWO_32 + 4096,
        lengthBytes: TWO_32 - 1,
        syncFlags: SyncFileRangeFlags.WRITE,
        flags: LINK,
      }),
  ],
  ['blockDiscard', () => blockDiscard(7, { offset: TWO_32 + 4096, lengthBytes: TWO_32 * 3 })],
];

const pipes: readonly RecordCase[] = [
  ['splice from pipe to pipe', () => splice(7, 9, 65_536)],
  [
    'splice from a registered file, with offsets and every flag',
    (ring) =>
      splice(ring.file, 9, 0x7fff_f000, {
        offsetIn: TWO_32 + 1,
        offsetOut: TWO_32 + 2,
        spliceFlags: SpliceFlags.MOVE | SpliceFlags.NONBLOCK | SpliceFlags.MORE | SpliceFlags.GIFT,
      }),
  ],
  ['splice to a registered file', (ring) => splice(9, ring.file, 1, { offsetIn: 0, offsetOut: null })],
  ['tee', () => tee(7, 9, 4096, { spliceFlags: SpliceFlags.NONBLOCK })],
  ['tee between registered files', (ring) => tee(ring.file, ring.file, 1, { flags: LINK })],
  ['pipe', () => pipe()],
  [
    'pipe with every flag',
    () => pipe({ pipeFlags: constants.O_NONBLOCK | constants.O_DIRECT | constants.O_EXCL, flags: ASYNC }),
  ],
  ['pipe into slots 1 and 2', () => pipe({ direct: 1, pipeFlags: constants.O_NONBLOCK })],
  ['pipe into slots of the kernel', () => pipe({ direct: true })],
];

const names: readonly RecordCase[] = [
  ['openat2', () => openat2('/etc/hostname')],
  [
    'openat2 with everything',
    () =>
      openat2('naïve', {
        dirFd: 9,
        openFlags: 'wx+',
        mode: 0o4751,
        resolve: ['noXdev', 'noMagiclinks', 'noSymlinks', 'beneath', 'cached'],
        flags: ASYNC,
      }),
  ],
  ['openat2 into slot 1', () => openat2('/a', { direct: 1, openFlags: 'r+', resolve: ['inRoot'] })],
  ['openat2 into a slot of the kernel', () => openat2('/a', { direct: true })],
  ['statx of a descriptor by its number', () => statx(7, { mask: 0x3ffff, bigint: true })],
  ['renameat', () => renameat('old', 'new')],
  [
    'renameat between directories, without replacing',
    () => renameat('old', 'new', { oldDirFd: 7, newDirFd: 9, noReplace: true, whiteout: true }),
  ],
  ['renameat exchanging', () => renameat('old', 'new', { exchange: true, flags: LINK })],
  ['unlinkat', () => unlinkat('file')],
  ['unlinkat of a directory', () => unlinkat('dir', { dirFd: 9, removeDirectory: true })],
  ['mkdirat', () => mkdirat('dir')],
  ['mkdirat with a mode', () => mkdirat('dir', { dirFd: 9, mode: 0o1700 })],
  ['symlinkat', () => symlinkat('target', 'link', { dirFd: 9 })],
  ['linkat', () => linkat('old', 'new')],
  [
    'linkat between directories',
    () => linkat('old', 'new', { oldDirFd: 7, newDirFd: 9, followSymlink: true }),
  ],
  ['linkat of a descriptor', () => linkat('', 'new', { oldDirFd: 7 })],
];

const attributes: readonly RecordCase[] = [
  ['setxattr', () => setxattr('/a', 'user.b', Buffer.from('value'))],
  [
    'setxattr from memory of the ring',
    (ring) => setxattr('/a', 'user.b', ring.plain(8, 16), { create: true }),
  ],
  ['setxattr to nothing', () => setxattr('/a', 'user.b', new Uint8Array(0), { replace: true })],
  [
    'fsetxattr',
    (ring) => fsetxattr(ring.file, 'user.b', Buffer.from('value'), { flags: LINK, create: true }),
  ],
  ['getxattr', () => getxattr('/a', 'user.b', { sizeBytes: 40 })],
  ['getxattr of the size', () => getxattr('/a', 'user.b', { sizeOnly: true })],
  ['fgetxattr', () => fgetxattr(7, 'user.b', { sizeBytes: 10 })],
];

export const fileCases: readonly RecordCase[] = [transfers, space, pipes, names, attributes].flat();
