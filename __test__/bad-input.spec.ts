// What is wrong is said before anything reaches the kernel: class, code and message; and the ring goes on.
import test from 'ava';
import {
  acceptMultishot,
  asyncCancel,
  close,
  fsync,
  nop,
  openat,
  pollAdd,
  Ring,
  read,
  readv,
  recv,
  recvMultishot,
  SqeFlags,
  send,
  statx,
  timeout,
  timeoutMultishot,
  write,
  writev,
} from 'uring';
import { assertUsable } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { declare, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

const memory = Buffer.alloc(16);

declare('what is no operation is refused by every method that takes one', [
  type(
    'prep(undefined)',
    (ring) => ring.prep(wrong(undefined)),
    /"operation" argument must be an operation, such as read/,
  ),
  type('prep({})', (ring) => ring.prep(wrong({})), /"operation" .* Received Object/),
  type('prepChain(nop)', (ring) => ring.prepChain(wrong(nop())), /"operations" argument must be an array/),
  type(
    'prepChain([nop, null])',
    (ring) => ring.prepChain(wrong([nop(), null])),
    /"operation" .* Received null/,
  ),
  range('prepChain([])', (ring) => ring.prepChain([]), /"operations.length"/),
  type(
    'prepChain options',
    (ring) => ring.prepChain([nop()], wrong(7)),
    /"options" argument must be of type object/,
  ),
  type('exec("read")', (ring) => ring.exec(wrong('read')), /"operation"/),
  type('exec(function)', (ring) => ring.exec(wrong(nop)), /"operation" .* Received function/),
  type('start(1)', (ring) => ring.start(wrong(1), () => {}), /"operation"/),
  type(
    'start with a callback that is none',
    (ring) => ring.start(nop(), wrong(null)),
    /"callback" argument must be of type function/,
  ),
  type(
    'multishot(null)',
    (ring) => ring.multishot(wrong(null)),
    /"operation" argument must be a multishot operation/,
  ),
  type('forEachCompletion()', (ring) => ring.forEachCompletion(wrong(undefined)), /"callback"/),
]);

declare('descriptors are whole numbers from 0 on, or registered files', [
  type(
    'a string',
    () => read(wrong('3'), memory),
    /"fd" argument must be a file descriptor or a FixedFile. Received string/,
  ),
  type('undefined', () => close(wrong(undefined)), /"fd" .* Received undefined/),
  type('a bigint', () => fsync(wrong(3n)), /"fd" .* Received bigint/),
  type('an object', () => write(wrong({ slot: 1 }), memory), /"fd"/),
  range(
    'negative',
    () => read(-1, memory),
    /"fd" is out of range. It must be >= 0 and <= 2147483647. Received -1/,
  ),
  range('fractional', () => read(1.5, memory), /"fd" .* must be an integer. Received 1.5/),
  range('NaN', () => pollAdd(Number.NaN, 1), /"fd" .* must be an integer. Received NaN/),
  range('too large', () => send(2 ** 31, memory), /"fd" .* Received 2147483648/),
  range('infinite', () => acceptMultishot(Number.POSITIVE_INFINITY), /"fd" .* must be an integer/),
]);

const FD = 0;

declare('offsets are whole numbers from -1 to 2 ** 53 - 1', [
  type(
    'a string',
    () => read(FD, memory, { offset: wrong('0') }),
    /"options.offset" argument must be of type number or bigint/,
  ),
  type('null', () => read(FD, memory, { offset: wrong(null) }), /"options.offset" .* Received null/),
  range(
    '-2',
    () => read(FD, memory, { offset: -2 }),
    /"options.offset" .* >= -1 and <= 2 \*\* 53 - 1. Received -2/,
  ),
  range('-2n', () => read(FD, memory, { offset: -2n }), /"options.offset" .* Received -2/),
  range(
    '0.5',
    () => write(FD, memory, { offset: 0.5 }),
    /"options.offset" .* must be an integer. Received 0.5/,
  ),
  range('NaN', () => readv(FD, [memory], { offset: Number.NaN }), /"options.offset" .* must be an integer/),
  range(
    '2 ** 53',
    () => read(FD, memory, { offset: 2 ** 53 }),
    /<= 2 \*\* 53 - 1. Received 9007199254740992/,
  ),
  range(
    '2n ** 53n',
    () => read(FD, memory, { offset: 2n ** 53n }),
    /<= 2 \*\* 53 - 1. Received 9007199254740992/,
  ),
  range('2n ** 64n', () => writev(FD, [memory], { offset: 2n ** 64n }), /Received 18446744073709551616/),
  range('1e300', () => read(FD, memory, { offset: 1e300 }), /"options.offset"/),
  range('-1 to fsync', () => fsync(FD, { offset: -1 }), /"options.offset" .* must be >= 0. Received -1/),
  range(
    'changed between runs',
    (ring) => {
      const operation = read(FD, memory, { offset: 0 });
      operation.offset = 0.5;
      return ring.exec(operation);
    },
    /"operation.offset" .* an integer from -1 .* Received 0.5/,
  ),
  range(
    'changed to something negative between runs',
    (ring) => {
      const operation = read(FD, memory, { offset: 0 });
      operation.offset = -2;
      return ring.exec(operation);
    },
    /"operation.offset"/,
  ),
]);

declare('buffers are memory, not empty, and not more than one operation can move', [
  type(
    'a string',
    () => write(FD, wrong('text')),
    /"buffer" argument must be a Buffer, TypedArray, DataView, ArrayBuffer or SharedArrayBuffer. Received string/,
  ),
  type('an array', () => write(FD, wrong([1, 2])), /"buffer" .* Received Array/),
  type('null', () => read(FD, wrong(null)), /"buffer" .* Received null/),
  type('undefined', () => send(FD, wrong(undefined)), /"data" .* Received undefined/),
  value(
    'an empty Buffer',
    () => read(FD, Buffer.alloc(0)),
    /"buffer" is empty \(or detached\): give it at least one byte/,
  ),
  value('an empty ArrayBuffer', () => write(FD, new ArrayBuffer(0)), /"buffer" is empty/),
  value('an empty recv', () => recv(FD, new Uint8Array(0)), /"buffer" is empty/),
  type(
    'a list that is none',
    () => readv(FD, wrong(memory)),
    /"buffers" argument must be an array of buffers/,
  ),
  type(
    'a list with a hole',
    () => writev(FD, wrong([memory, undefined])),
    /"buffers\[1\]" .* Received undefined/,
  ),
  value('a list with an empty buffer', () => readv(FD, [memory, Buffer.alloc(0)]), /"buffers\[1\]" is empty/),
  range('an empty list', () => readv(FD, []), /"buffers.length" .* >= 1 and <= 1024. Received 0/),
  range('1025 buffers', () => writev(FD, Array(1025).fill(memory)), /"buffers.length" .* Received 1025/),
  type('no buffer ring', () => recvMultishot(FD, wrong(memory)), /"buffers" argument must be a BufferRing/),
]);

test('buffers of more than 2 GiB less a page are refused, without touching them', async (t) => {
  await withRing({}, async (ring) => {
    // Never touched, so it takes address space only.
    const huge = new ArrayBuffer(0x7fff_f001);
    const message = /<= 2147479552 \(the most one operation moves\). Received 2147479553/;
    await refuses(
      t,
      ring,
      range('one buffer', () => read(FD, huge), message),
    );
    const half = new Uint8Array(huge, 0, 0x4000_0000);
    await refuses(
      t,
      ring,
      range('in all', () => readv(FD, [half, half]), /"buffers" .*<= 2147479552 bytes in all/),
    );
  });
});

declare('paths are strings, bytes or file URLs, without null bytes and not too long', [
  type(
    'a number',
    () => openat(wrong(5)),
    /"path" argument must be of type string or an instance of Buffer or URL. Received number/,
  ),
  type('undefined', () => statx(wrong(undefined)), /"path" .* Received undefined/),
  type('null', () => statx(wrong(null)), /"path" .* Received null/),
  value('a null byte', () => openat('a\0b'), /"path" must not contain null bytes/),
  value('a null byte in a Buffer', () => statx(Buffer.from('a\0')), /"path" must not contain null bytes/),
  value('4096 bytes', () => openat('x'.repeat(4096)), /"path" is longer than 4095 bytes/),
  value('4096 bytes, of fewer characters', () => statx('ü'.repeat(2048)), /"path" is longer than 4095 bytes/),
  [
    'another URL',
    () => openat(new URL('https://example.com/')),
    TypeError,
    'ERR_INVALID_URL_SCHEME',
    /must be of scheme file/,
  ],
]);

declare('options of paths are checked', [
  type('openFlags', () => openat('x', { openFlags: wrong(null) ?? wrong({}) }), /"options.openFlags"/),
  value(
    "openFlags 'rw'",
    () => openat('x', { openFlags: 'rw' }),
    /"options.openFlags" is no file system flag: 'rw'/,
  ),
  value("openFlags ''", () => openat('x', { openFlags: '' }), /"options.openFlags" is no file system flag/),
  // Observed: a name that every object has was found in the table, and the file opened for reading.
  value(
    "openFlags 'constructor'",
    () => openat('x', { openFlags: 'constructor' }),
    /is no file system flag: 'constructor'/,
  ),
  range('openFlags -1', () => openat('x', { openFlags: -1 }), /"options.openFlags"/),
  range('mode 0o10000', () => openat('x', { mode: 0o10000 }), /"options.mode" .* <= 4095/),
  type(
    "mode '644'",
    () => openat('x', { mode: wrong('644') }),
    /"options.mode" argument must be of type number/,
  ),
  range('dirFd -2', () => openat('x', { dirFd: -2 }), /"options.dirFd" .* >= 0/),
  range('dirFd -101', () => statx('x', { dirFd: -101 }), /"options.dirFd"/),
  type(
    "dirFd '.'",
    () => statx('x', { dirFd: wrong('.') }),
    /"options.dirFd" argument must be of type number/,
  ),
  range('direct -1', () => openat('x', { direct: -1 }), /"options.direct" .* <= 1048575. Received -1/),
  range('direct 2 ** 20', () => openat('x', { direct: 2 ** 20 }), /"options.direct" .* Received 1048576/),
  type(
    'direct false',
    () => openat('x', { direct: wrong(false) }),
    /"options.direct" argument must be of type number/,
  ),
  type(
    'followSymlink 1',
    () => statx('x', { followSymlink: wrong(1) }),
    /"options.followSymlink" argument must be of type boolean/,
  ),
  range('mask -1', () => statx('x', { mask: -1 }), /"options.mask"/),
  range('atFlags 2 ** 31', () => statx('x', { atFlags: 2 ** 31 }), /"options.atFlags"/),
]);

declare('options of every operation are checked', [
  type('options 7', () => nop(wrong(7)), /"options" argument must be of type object. Received number/),
  type(
    'options null',
    () => read(FD, memory, wrong(null)),
    /"options" argument must be of type object. Received null/,
  ),
  type('flags', () => nop({ flags: wrong('LINK') }), /"flags" argument must be of type number/),
  range('flags 1.5', () => nop({ flags: 1.5 }), /"flags" .* must be an integer/),
  value('flags', () => nop({ flags: SqeFlags.CQE_SKIP_SUCCESS }), /"flags" has CQE_SKIP_SUCCESS: without/),
  range('flags 32 (BUFFER_SELECT)', () => read(FD, memory, { flags: 32 }), /"flags"/),
  range('flags of prep', (ring) => ring.prep(nop(), undefined, 128), /"flags"/),
  type('flags of prep', (ring) => ring.prep(nop(), undefined, wrong('4')), /"flags"/),
  range('personality', () => nop({ personality: 65_536 }), /"options.personality" .* Received 65536/),
  range('rwFlags', () => read(FD, memory, { rwFlags: -1 }), /"options.rwFlags"/),
  range('ioprio', () => read(FD, memory, { ioprio: 65_536 }), /"options.ioprio"/),
  type(
    'dataOnly',
    () => fsync(FD, { dataOnly: wrong('yes') }),
    /"options.dataOnly" argument must be of type boolean/,
  ),
  range('lengthBytes', () => fsync(FD, { lengthBytes: 2 ** 32 }), /"options.lengthBytes"/),
  range('nop result', () => nop({ result: 2 ** 31 }), /"options.result"/),
  range('messageFlags', () => send(FD, memory, { messageFlags: 2 ** 31 }), /"options.messageFlags"/),
  range('events 0', () => pollAdd(FD, 0), /"events" .* >= 1/),
]);

declare('times are numbers of milliseconds from 0 on', [
  type(
    'a string',
    () => timeout(wrong('5')),
    /"time" argument must be milliseconds as a number, nanoseconds as a bigint or/,
  ),
  range('negative', () => timeout(-1), /"time" .* Received -1/),
  range('NaN', () => timeout(Number.NaN), /"time" .* Received NaN/),
  range('infinite', () => timeoutMultishot(Number.POSITIVE_INFINITY), /"time" .* Received Infinity/),
  range('count -1', () => timeout(1, { count: -1 }), /"options.count"/),
  range('count 2 ** 32', () => timeout(1, { count: 2 ** 32 }), /"options.count"/),
  range(
    'repeat 0.5',
    () => timeoutMultishot(1, { repeat: 0.5 }),
    /"options.(count|repeat)" .* must be an integer/,
  ),
  range('submitAndWait(-1)', (ring) => ring.submitAndWait(-1), /"count" .* Received -1/),
  range('submitAndWait(1.5)', (ring) => ring.submitAndWait(1.5), /"count" .* must be an integer/),
  range('submitAndWait(more than the queue)', (ring) => ring.submitAndWait(4097), /"count" .* <= 4096/),
  type("submitAndWait('1')", (ring) => ring.submitAndWait(wrong('1')), /"count"/),
  range('timeoutMs -1', (ring) => ring.submitAndWait(1, { timeoutMs: -1 }), /"options.timeoutMs"/),
  range('timeoutMs NaN', (ring) => ring.submitAndWait(1, { timeoutMs: Number.NaN }), /"options.timeoutMs"/),
  type("timeoutMs '5'", (ring) => ring.submitAndWait(1, { timeoutMs: wrong('5') }), /"options.timeoutMs"/),
  type('options 5', (ring) => ring.submitAndWait(1, wrong(5)), /"options" argument must be of type object/),
]);

declare('a cancel names a target', [
  type(
    'undefined',
    () => asyncCancel(wrong(undefined)),
    /"target" argument must be an operation, \{ userData \}, \{ fd \}, \{ opcode \} or \{ any: true \}/,
  ),
  type('a number', () => asyncCancel(wrong(5)), /"target"/),
  value('{}', () => asyncCancel(wrong({})), /"target" names nothing/),
  value('{ any: false }', () => asyncCancel(wrong({ any: false })), /"target" names nothing/),
  range('{ fd: -1 }', () => asyncCancel({ fd: -1 }), /"target.fd"/),
  type(
    '{ fd, all: 1 }',
    () => asyncCancel({ fd: 0, all: wrong(1) }),
    /"target.all" argument must be of type boolean/,
  ),
]);

declare('what is registered has sizes that make sense', [
  range('alloc(0)', (ring) => ring.alloc(0), /"sizeBytes" .* >= 1 and <= 2147483648. Received 0/),
  range('alloc(-1)', (ring) => ring.alloc(-1), /"sizeBytes"/),
  range('alloc(1.5)', (ring) => ring.alloc(1.5), /"sizeBytes" .* must be an integer/),
  range('alloc(NaN)', (ring) => ring.alloc(Number.NaN), /"sizeBytes"/),
  range('alloc(2 ** 31 + 1)', (ring) => ring.alloc(2 ** 31 + 1), /"sizeBytes"/),
  type("alloc('1')", (ring) => ring.alloc(wrong('1')), /"sizeBytes"/),
  type('registerFiles(5)', (ring) => ring.registrar.registerFiles(wrong(5)), /"options"/),
  range('slots -1', (ring) => ring.registrar.registerFiles({ slots: -1 }), /"options.slots"/),
  range(
    'slots 2 ** 20 + 1',
    (ring) => ring.registrar.registerFiles({ slots: 2 ** 20 + 1 }),
    /"options.slots"/,
  ),
  range(
    'no slots',
    (ring) => ring.registrar.registerFiles({ slots: 0, kernelSlots: 0 }),
    /"options.slots \+ options.kernelSlots"/,
  ),
  range(
    'entries 3',
    (ring) => ring.registrar.registerBufferRing({ entries: 3 }),
    /"options.entries" .* a power of two \(the next is 4\)/,
  ),
  range(
    'entries 65,536',
    (ring) => ring.registrar.registerBufferRing({ entries: 65_536 }),
    /"options.entries"/,
  ),
  range('sizeBytes 0', (ring) => ring.registrar.registerBufferRing({ sizeBytes: 0 }), /"options.sizeBytes"/),
  range(
    'in all',
    (ring) => ring.registrar.registerBufferRing({ entries: 32_768, sizeBytes: 65_537 }),
    /"options.entries \* options.sizeBytes"/,
  ),
  range('personality 0', (ring) => ring.registrar.unregisterPersonality(0), /"id"/),
]);

test('a ring is not opened with sizes or options that make no sense', async (t) => {
  const sizes: [unknown, RegExp][] = [
    [0, />= 1 and <= 32768. Received 0/],
    [-1, /Received -1/],
    [3, /a power of two \(the next is 4\). Received 3/],
    [40_000, />= 1 and <= 32768. Received 40000/],
    [2 ** 32, /Received 4294967296/],
    [1.5, /an integer/],
    [Number.NaN, /an integer/],
  ];
  for (const [entries, message] of sizes) {
    const expected = { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE', message };
    t.throws(() => new Ring({ entries: wrong(entries) }), expected);
    t.throws(() => new Ring({ entries: 1, cqEntries: wrong(entries) }), {
      ...expected,
      message: /"options.cqEntries"/,
    });
  }
  const types: [object | number | null, RegExp][] = [
    [5, /"options" argument must be of type object/],
    [null, /"options" argument must be of type object/],
    [{ entries: '8' }, /"options.entries" argument must be of type number/],
    [{ iopoll: 1 }, /"options.iopoll" argument must be of type boolean/],
    [{ sqpoll: true }, /"options.sqpoll" argument must be of type object/],
    [{ sqpoll: { idleMs: '5' } }, /"options.sqpoll.idleMs" argument must be of type number/],
    [{ attachTo: {} }, /"options.attachTo" argument must be a Ring/],
    [{ taskrun: 'now' }, /"options.taskrun" argument must be one of defer, coop, none/],
  ];
  for (const [options, message] of types) {
    t.throws(() => new Ring(wrong(options)), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
      message,
    });
  }
  t.throws(() => new Ring({ sqpoll: { idleMs: -1 } }), { code: 'ERR_OUT_OF_RANGE', message: /idleMs/ });
  t.throws(() => new Ring({ sqpoll: { cpu: 0.5 } }), { code: 'ERR_OUT_OF_RANGE', message: /cpu/ });
  await withRing({}, (ring) => assertUsable(t, ring));
});
