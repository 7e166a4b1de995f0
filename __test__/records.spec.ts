// Every operation's 64 bytes as TypeScript writes them, compared with a golden file. crates/core/tests/encoding.rs
// reads the same file and compares what relocation makes of it with what the io-uring crate builds. No kernel is
// needed here: the ring is a plain ArrayBuffer. URING_UPDATE=1 writes the file anew.
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import {
  accept,
  acceptMultishot,
  asyncCancel,
  close,
  fsync,
  nop,
  openat,
  PollEvents,
  pollAdd,
  pollMultishot,
  read,
  readFixed,
  readv,
  recv,
  recvMultishot,
  SqeFlags,
  send,
  statx,
  timeout,
  timeoutMultishot,
  write,
  writeFixed,
  writev,
} from 'uring';
import { entry, FakeRing, type GoldenRecord, type RecordCase, SETUP } from './_records.ts';
import { fileCases } from './records/files.ts';
import { ringRecords } from './records/rings.ts';
import { socketCases as socketOperations } from './records/sockets.ts';

const { ASYNC, DRAIN, FIXED_FILE, HARDLINK, LINK } = SqeFlags;
const TWO_32 = 2 ** 32;
const GOLDEN = new URL('../crates/core/tests/golden/records.json', import.meta.resolve('uring'));

const own = (sizeBytes: number): Buffer => Buffer.alloc(sizeBytes, 0x5a);

const ringCases: readonly RecordCase[] = [
  ['nop', () => nop()],
  ['nop with an injected result', () => nop({ result: -5 })],
  ['nop with drain, async and a personality', () => nop({ flags: DRAIN | ASYNC, personality: 0xfffe })],
  ['nop linked when it is prepared', () => nop(), LINK],
  ['nop hard-linked when it is prepared, async by itself', () => nop({ flags: ASYNC }), HARDLINK],
  ['cancel an operation', (ring) => asyncCancel(ring.earlier)],
  ['cancel by user data', () => asyncCancel({ userData: 'earlier' })],
  ['cancel user data that nobody has', () => asyncCancel({ userData: 'nobody' })],
  ['cancel one on a descriptor', () => asyncCancel({ fd: 7 })],
  ['cancel all on a descriptor', () => asyncCancel({ fd: 7, all: true })],
  ['cancel all on a registered file', (ring) => asyncCancel({ fd: ring.file, all: true })],
  ['cancel everything', () => asyncCancel({ any: true }, { flags: ASYNC })],
];

const readCases: readonly RecordCase[] = [
  ['read at the current position', (ring) => read(7, ring.plain(128, 512))],
  ['read at offset 0', (ring) => read(7, ring.plain(0, 8192), { offset: 0 })],
  ['read at offset 2^31', (ring) => read(7, ring.plain(1, 1), { offset: 2 ** 31 })],
  ['read at offset 2^32 - 1', (ring) => read(7, ring.plain(1, 1), { offset: TWO_32 - 1 })],
  ['read at offset 2^32 + 5', (ring) => read(7, ring.plain(1, 1), { offset: TWO_32 + 5 })],
  ['read at offset 2^53 - 1', (ring) => read(7, ring.plain(1, 1), { offset: 2n ** 53n - 1n })],
  ['read into registered memory', (ring) => read(7, ring.registered(4096, 4096), { offset: 4096 })],
  ["read into JavaScript's memory", () => read(7, own(300), { offset: 1 })],
  ['read from a registered file', (ring) => read(ring.file, ring.registered(0, 64))],
  ['read from a slot by number', (ring) => read(2, ring.plain(0, 64), { flags: FIXED_FILE })],
  [
    'read with everything',
    (ring) =>
      read(ring.file, ring.plain(64, 64), {
        offset: TWO_32 * 3,
        rwFlags: 0x8000_0008,
        ioprio: 0xc007,
        flags: ASYNC | LINK,
        personality: 3,
      }),
    DRAIN,
  ],
  ['readFixed', (ring) => readFixed(7, ring.registered(100, 200), { offset: TWO_32, ioprio: 0x4001 })],
  ['readFixed from a registered file', (ring) => readFixed(ring.file, ring.registered(0, 1), { rwFlags: 8 })],
  [
    'readv into memory of each kind',
    (ring) =>
      readv(7, [ring.plain(8, 16), own(30), ring.registered(0, 40)], { offset: TWO_32 + 1, rwFlags: 4 }),
  ],
  ['readv from a registered file', (ring) => readv(ring.file, [own(1), own(2)], { flags: ASYNC })],
];

const writeCases: readonly RecordCase[] = [
  ['write at the current position', (ring) => write(7, ring.plain(128, 512))],
  ['write at offset 2^32 + 5', (ring) => write(7, ring.plain(1, 1), { offset: TWO_32 + 5 })],
  ['write from registered memory', (ring) => write(7, ring.registered(4096, 4096), { offset: 4096 })],
  ["write from JavaScript's memory", () => write(7, Buffer.from('hello'), { offset: 1 })],
  [
    'write with everything',
    (ring) =>
      write(ring.file, ring.plain(64, 64), {
        offset: 0,
        rwFlags: 0x12,
        ioprio: 0x2001,
        flags: HARDLINK,
        personality: 1,
      }),
    ASYNC,
  ],
  ['writeFixed', (ring) => writeFixed(7, ring.registered(100, 200), { offset: TWO_32, rwFlags: 2 })],
  ['writev from memory of each kind', (ring) => writev(7, [Buffer.from('ab'), ring.plain(0, 3), own(1)])],
  [
    'writev to a registered file',
    (ring) => writev(ring.file, [ring.registered(5, 6)], { offset: 9, ioprio: 0x6002 }),
    LINK,
  ],
  ['fsync', () => fsync(7)],
  [
    'fsync of the data in a range',
    (ring) =>
      fsync(ring.file, { dataOnly: true, offset: TWO_32 + 4096, lengthBytes: TWO_32 - 1, flags: DRAIN }),
  ],
];

const pathCases: readonly RecordCase[] = [
  ['openat', () => openat('/etc/hostname')],
  [
    'openat with everything',
    () => openat('naïve', { dirFd: 9, openFlags: 'wx+', mode: 0o4751, flags: ASYNC, personality: 2 }),
  ],
  ['openat into slot 1', () => openat('/a', { direct: 1, openFlags: 0o2 }), LINK],
  ['openat into a slot of the kernel', () => openat('/b', { direct: true, mode: 0 })],
  ['close', () => close(7, { flags: LINK })],
  ['close a registered file', (ring) => close(ring.file)],
  ['statx', () => statx('/etc/hostname')],
  [
    'statx with everything',
    () =>
      statx('a/b', { dirFd: 9, followSymlink: false, atFlags: 0x2000, mask: 0x8000_0fff, personality: 5 }),
  ],
  ['statx of a descriptor', () => statx('', { dirFd: 7 })],
];

const socketCases: readonly RecordCase[] = [
  ['accept', () => accept(7)],
  ['accept with flags on a registered file', (ring) => accept(ring.file, { acceptFlags: 0, flags: ASYNC })],
  ['accept into slot 2', () => accept(7, { direct: 2 })],
  ['accept into a slot of the kernel', () => accept(7, { direct: true, acceptFlags: 0 })],
  ['acceptMultishot', () => acceptMultishot(7, { acceptFlags: 0o4000 })],
  ['acceptMultishot into slots of the kernel', (ring) => acceptMultishot(ring.file, { direct: true })],
  ['recv', (ring) => recv(7, ring.plain(128, 512))],
  ['recv into registered memory', (ring) => recv(ring.file, ring.registered(0, 64), { messageFlags: 0x100 })],
  ["recv into JavaScript's memory", () => recv(7, own(70), { flags: LINK })],
  ['recv into a provided buffer', (ring) => recv(7, ring.buffers, { messageFlags: 0x40, personality: 6 })],
  ['recvMultishot', (ring) => recvMultishot(7, ring.buffers)],
  [
    'recvMultishot from a registered file',
    (ring) => recvMultishot(ring.file, ring.buffers, { messageFlags: 2, flags: ASYNC }),
  ],
  ['send', (ring) => send(7, ring.plain(128, 512))],
  [
    'send registered memory',
    (ring) => send(ring.file, ring.registered(1, 2), { messageFlags: 0x8000 }),
    LINK,
  ],
  ["send JavaScript's memory", () => send(7, Buffer.from('hello'))],
  ['send nothing', () => send(7, new Uint8Array(0))],
];

const pollTimeCases: readonly RecordCase[] = [
  ['pollAdd', () => pollAdd(7, PollEvents.IN | PollEvents.RDHUP)],
  ['pollAdd with every bit', (ring) => pollAdd(ring.file, 0xffff_ffff, { flags: LINK })],
  ['pollMultishot', () => pollMultishot(7, PollEvents.OUT, { flags: ASYNC })],
  ['timeout', () => timeout(1500.25)],
  ['timeout with a count', () => timeout(0, { count: TWO_32 - 1, flags: DRAIN })],
  ['timeoutMultishot', () => timeoutMultishot(86_400_000, { repeat: 3 })],
  ['timeoutMultishot without an end', () => timeoutMultishot(0.1)],
];

const cases = [
  ringCases,
  readCases,
  writeCases,
  pathCases,
  socketCases,
  pollTimeCases,
  fileCases,
  socketOperations,
  ringRecords,
].flat();

const encoded = async ([title, make, flags = 0]: RecordCase): Promise<GoldenRecord> => {
  const ring = await FakeRing.open();
  return entry(title, ring, make(ring), flags);
};

if (process.env['URING_UPDATE'] !== undefined) {
  const records = await Promise.all(cases.map(encoded));
  const ring = await FakeRing.open();
  writeFileSync(GOLDEN, `${JSON.stringify({ ...SETUP, earlier: ring.earlierWords, records }, null, 2)}\n`);
}

const golden = JSON.parse(readFileSync(GOLDEN, 'utf8')) as { earlier: string; records: GoldenRecord[] };

test('the golden file has a record for each case and no other', (t) => {
  t.deepEqual(
    golden.records.map(({ title }) => title),
    cases.map(([title]) => title),
  );
});

test('an operation that is in flight already is written with its own sequence number', async (t) => {
  t.is((await FakeRing.open()).earlierWords, golden.earlier);
});

for (const [at, one] of cases.entries()) {
  test(`${one[0]}: the record is written as it was`, async (t) => {
    t.deepEqual(await encoded(one), golden.records[at]);
  });
}

test('a record leaves nothing of the one that stood in its place before', async (t) => {
  const expected = golden.records[0]!;
  for (const [title, make, flags = 0] of cases) {
    const ring = await FakeRing.open();
    ring.prep(make(ring), flags);
    ring.takeBack();
    ring.prep(nop(), 0);
    const words = ring.words();
    // Sequence numbers count all uses, so this one is ahead of the golden one.
    words[9] = (words[9] ?? 0) - 1;
    t.is(FakeRing.format(words), expected.words, title);
  }
});
