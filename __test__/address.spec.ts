// Addresses and control messages as bytes and as objects, without a kernel.
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import net from 'node:net';
import test from 'ava';
import {
  type ControlMessage,
  type ReceivedControlMessage,
  ReceivedDescriptors,
  type SocketAddressLike,
} from 'uring';
import { gc, leakCheck } from './_helpers.ts';
import { eventually } from './_loopback.ts';

leakCheck(test);

const inside = <T>(path: string): Promise<T> => import(new URL(path, import.meta.resolve('uring')).href);
const { checkAddress, decodeAddress } = await inside<typeof import('../dist/address.js')>('address.js');
const { checkControl, decodeControl } = await inside<typeof import('../dist/control.js')>('control.js');

/** The same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const encode = (address: SocketAddressLike): Uint8Array => checkAddress('address', address).bytes;

function roundTrip(address: SocketAddressLike): unknown {
  const bytes = encode(address);
  // As the kernel answers: more room than the address takes.
  const room = Buffer.alloc(128, 0xee);
  room.set(bytes);
  return decodeAddress(room, bytes.byteLength);
}

test('random IP addresses come back as they were, and as Node writes them', (t) => {
  const next = numbers(1);
  for (let round = 0; round < 5000; round += 1) {
    const isV6 = next(4) > 0;
    const groups = Array.from({ length: 8 }, () => (next(2) === 0 ? 0 : next(0x10000) >>> next(16)));
    const text = isV6
      ? groups.map((group) => group.toString(16)).join(':')
      : Array.from({ length: 4 }, () => next(256)).join('.');
    const family = isV6 ? 'ipv6' : 'ipv4';
    const like = new net.SocketAddress({ address: text, port: next(0x10000), family });
    const scope = isV6 && next(2) === 0 ? { scopeId: 1 + next(0xffff_fffe) } : {};
    const label = isV6 && next(2) === 0 ? { flowLabel: 1 + next(0xf_ffff) } : {};
    const { address, port } = like;
    const expected = { address, port, family: isV6 ? 'IPv6' : 'IPv4', ...scope, ...label };
    t.deepEqual(roundTrip({ address: text, port, ...scope, ...label }), expected, text);
    t.deepEqual(roundTrip(like), { address, port, family: isV6 ? 'IPv6' : 'IPv4' }, text);
  }
});

test('random Unix addresses come back as they were', (t) => {
  const next = numbers(2);
  for (let round = 0; round < 5000; round += 1) {
    const characters = Array.from({ length: next(26) }, () => String.fromCodePoint(1 + next(0xd7ff)));
    const path = (next(2) === 0 ? '\0' : '') + characters.join('');
    t.deepEqual(roundTrip({ path }), { path }, JSON.stringify(path));
    t.deepEqual(roundTrip({ path: Buffer.from(path) }), { path });
  }
});

test('the bytes of an address are those of the kernel', (t) => {
  const hex = (address: SocketAddressLike) => Buffer.from(encode(address)).toString('hex');
  t.is(hex({ address: '127.0.0.1', port: 8080 }), '02001f907f0000010000000000000000');
  t.is(
    hex({ address: '::1', port: 1, family: 6 }),
    `0a000001${'0'.repeat(8)}${'0'.repeat(31)}1${'0'.repeat(8)}`,
  );
  t.is(hex({ address: '::ffff:1.2.3.4%7', port: 1 }).slice(-16), '0102030407000000');
  t.is(hex({ path: '/a' }), '01002f6100');
  t.is(hex({ path: '\0a\0b' }), '010000610062');
  t.is(hex({ path: '' }), '0100');
  t.is(hex({ bytes: Uint8Array.of(16, 0, 9) }), '100009');
});

test('the longest paths and names fit, and one byte more does not', (t) => {
  t.is(encode({ path: 'x'.repeat(107) }).byteLength, 110);
  t.is(encode({ path: `\0${'x'.repeat(107)}` }).byteLength, 110);
  t.throws(() => encode({ path: 'x'.repeat(108) }), { code: 'ERR_INVALID_ARG_VALUE', message: /107 bytes/ });
  t.throws(() => encode({ path: `\0${'x'.repeat(108)}` }), { message: /108 bytes/ });
  t.throws(() => encode({ bytes: new Uint8Array(129) }), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => encode({ bytes: new Uint8Array(1) }), { code: 'ERR_OUT_OF_RANGE' });
});

test('what is no address, or cut off, is nothing or bytes', (t) => {
  t.is(decodeAddress(Buffer.alloc(128), 0), undefined);
  t.is(decodeAddress(Buffer.alloc(128), 1), undefined);
  t.deepEqual(decodeAddress(Buffer.from('0200aabb', 'hex'), 4), { bytes: Buffer.from('0200aabb', 'hex') });
  t.deepEqual(decodeAddress(Buffer.from('1000aabb', 'hex'), 999), { bytes: Buffer.from('1000aabb', 'hex') });
  t.deepEqual(decodeAddress(Buffer.from('0100', 'hex'), 2), { path: '' });
});

test('the name of an interface becomes its number', (t) => {
  const lo = Number(readFileSync('/sys/class/net/lo/ifindex', 'latin1'));
  const expected = { address: 'fe80::1', port: 5, family: 'IPv6', scopeId: lo };
  t.deepEqual(roundTrip({ address: 'fe80::1%lo', port: 5 }), expected);
  t.deepEqual(roundTrip({ address: 'fe80::1', port: 5, scopeId: 'lo' }), expected);
  t.deepEqual(roundTrip({ address: `fe80::1%${lo}`, port: 5, scopeId: lo }), expected);
  for (const scopeId of ['nowhere0', '../lo', 'a/b', '', '.', 'a'.repeat(16)]) {
    t.throws(() => roundTrip({ address: 'fe80::1', port: 5, scopeId }), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /names the interface/,
    });
  }
});

const both: readonly (ControlMessage & ReceivedControlMessage)[] = [
  { kind: 'credentials', pid: 7, uid: 0xffff_fffe, gid: 3 },
  { kind: 'ttl', value: 64 },
  { kind: 'hopLimit', value: 255 },
  { kind: 'tos', value: 0x10 },
  { kind: 'trafficClass', value: 0xb8 },
  { kind: 'packetInfo', family: 'IPv6', interfaceIndex: 2, address: '::1' },
  { kind: 'other', level: 1, type: 61, data: Buffer.from('12345678') },
];

test('control messages of one kind both ways come back as they were', (t) => {
  t.deepEqual(decodeControl(checkControl('control', both)), [...both]);
  t.deepEqual(decodeControl(checkControl('control', [])), []);
  const bytes = checkControl('control', [
    { kind: 'packetInfo', family: 'IPv4', interfaceIndex: 1, address: '127.0.0.2' },
  ]);
  t.deepEqual(decodeControl(bytes), [
    { kind: 'packetInfo', family: 'IPv4', interfaceIndex: 1, localAddress: '127.0.0.2', address: '0.0.0.0' },
  ]);
});

/** One control message as the kernel writes it. */
function header(level: number, type: number, data: Uint8Array, length = data.byteLength): Buffer {
  const bytes = Buffer.alloc(16 + ((data.byteLength + 7) & ~7));
  bytes.writeBigUInt64LE(BigInt(16 + length));
  bytes.writeInt32LE(level, 8);
  bytes.writeInt32LE(type, 12);
  bytes.set(data, 16);
  return bytes;
}

test('timestamps come in nanoseconds, whatever the kernel counts in', (t) => {
  const words = (...numbers: bigint[]) => Buffer.from(BigInt64Array.from(numbers).buffer);
  const decoded = (type: number, ...numbers: bigint[]) => decodeControl(header(1, type, words(...numbers)));
  for (const type of [29, 63])
    t.deepEqual(decoded(type, 2n, 3n), [{ kind: 'timestamp', nanoseconds: 2_000_003_000n }]);
  for (const type of [35, 64])
    t.deepEqual(decoded(type, 2n, 3n), [{ kind: 'timestamp', nanoseconds: 2_000_000_003n }]);
  for (const type of [37, 65]) {
    t.deepEqual(decoded(type, 1n, 2n, 9n, 9n, 0n, 5n), [
      { kind: 'timestamping', software: 1_000_000_002n, hardware: 5n },
    ]);
  }
});

test('control messages that are cut off or nonsense never lead outside', (t) => {
  const next = numbers(3);
  for (let round = 0; round < 5000; round += 1) {
    const bytes = Buffer.from(Array.from({ length: next(80) }, () => (next(3) === 0 ? next(256) : next(2))));
    // No descriptors: these numbers would be closed.
    for (let at = 0; at + 16 <= bytes.byteLength; at += 8)
      bytes.writeInt32LE(77, Math.min(at + 8, bytes.byteLength - 4));
    t.notThrows(() => decodeControl(bytes), bytes.toString('hex'));
  }
  t.deepEqual(decodeControl(header(1, 99, Buffer.from('ab'), 1000)), [
    { kind: 'other', level: 1, type: 99, data: Buffer.from('ab\0\0\0\0\0\0') },
  ]);
});

const isOpen = (fd: number): boolean => {
  try {
    return fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
};

function received(): { fds: number[]; descriptors: ReceivedDescriptors } {
  const fds = [openSync('/dev/zero', 'r'), openSync('/dev/zero', 'r')];
  const data = Buffer.from(Int32Array.from(fds).buffer);
  const [message] = decodeControl(header(1, 1, data));
  if (message?.kind !== 'descriptors') throw new Error('no descriptors');
  return { fds, descriptors: message.descriptors };
}

test('received descriptors are taken once, and are the taker’s then', (t) => {
  const { fds, descriptors } = received();
  t.true(descriptors instanceof ReceivedDescriptors);
  t.is(descriptors.count, 2);
  t.deepEqual(descriptors.take(), fds);
  t.throws(() => descriptors.take(), { code: 'ERR_URING_STALE_HANDLE' });
  descriptors.close();
  for (const fd of fds) {
    t.true(isOpen(fd));
    closeSync(fd);
  }
});

test('received descriptors that nobody takes are closed: at once, or when they are collected', async (t) => {
  const closed = received();
  closed.descriptors[Symbol.dispose]();
  t.deepEqual(closed.fds.map(isOpen), [false, false]);
  t.throws(() => closed.descriptors.take(), { code: 'ERR_URING_STALE_HANDLE' });
  const { fds } = received();
  t.deepEqual(fds.map(isOpen), [true, true]);
  await eventually(async () => {
    await gc();
    return !fds.some(isOpen);
  });
  t.deepEqual(fds.map(isOpen), [false, false]);
});
