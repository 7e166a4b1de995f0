// Wrong arguments of operations on sockets are refused before anything reaches the kernel.
import test from 'ava';
import {
  accept,
  acceptMultishot,
  bind,
  type ControlMessage,
  connect,
  getpeername,
  getsockname,
  getsockopt,
  listen,
  type OutgoingMessage,
  receiveQueueBytes,
  recv,
  recvMultishot,
  recvmsg,
  recvmsgMultishot,
  recvZc,
  type SocketAddressLike,
  send,
  sendBundle,
  sendmsg,
  sendmsgZc,
  sendQueueBytes,
  sendZc,
  setsockopt,
  shutdown,
  socket,
  txTimestamp,
  uringCmd128,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { type Case, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

/** Whatever is given. */
type Any = ReturnType<typeof wrong>;

const FD = 0;
const memory = Buffer.alloc(16);
const ip = { address: '127.0.0.1', port: 1 } as const;

function declare(title: string, cases: readonly Case[]): void {
  test(title, async (t) => {
    await withRing({ entries: 4 }, async (ring) => {
      for (const each of cases) await refuses(t, ring, each);
    });
  });
}

/** Every operation that works on a socket, with whatever is given for it. */
const onSocket: Readonly<Record<string, (fd: Any, options?: Any) => unknown>> = {
  bind: (fd, options) => bind(fd, ip, options),
  listen: (fd, options) => listen(fd, 1, options),
  connect: (fd, options) => connect(fd, ip, options),
  shutdown: (fd, options) => shutdown(fd, 'read', options),
  accept: (fd, options) => accept(fd, options),
  acceptMultishot: (fd, options) => acceptMultishot(fd, options),
  send: (fd, options) => send(fd, memory, options),
  sendZc: (fd, options) => sendZc(fd, memory, options),
  sendmsg: (fd, options) => sendmsg(fd, { data: memory }, options),
  sendmsgZc: (fd, options) => sendmsgZc(fd, { data: memory }, options),
  recv: (fd, options) => recv(fd, memory, options),
  recvmsg: (fd, options) => recvmsg(fd, memory, options),
  getsockopt: (fd, options) => getsockopt(fd, 'SO_TYPE', options),
  setsockopt: (fd, options) => setsockopt(fd, 'SO_KEEPALIVE', true, options),
  getsockname: (fd, options) => getsockname(fd, options),
  getpeername: (fd, options) => getpeername(fd, options),
  receiveQueueBytes: (fd, options) => receiveQueueBytes(fd, options),
  sendQueueBytes: (fd, options) => sendQueueBytes(fd, options),
  txTimestamp: (fd, options) => txTimestamp(fd, options),
  recvZc: (fd, options) => recvZc(fd, wrong({ queue: 0, ...wrong(options ?? {}) })),
  uringCmd128: (fd, options) => uringCmd128(fd, wrong({ command: 0, ...wrong(options ?? {}) })),
};

declare(
  'every operation on a socket checks its descriptor and the options that all have',
  Object.entries(onSocket).flatMap(([name, make]): Case[] => {
    const spreads = name === 'recvZc' || name === 'uringCmd128';
    const fd = wrong(FD);
    return [
      type(
        `${name} on a string`,
        () => make(wrong('3')),
        /"fd" argument must be a file descriptor or a FixedFile/,
      ),
      type(`${name} on nothing`, () => make(wrong(undefined)), /"fd" .* Received undefined/),
      range(`${name} on -1`, () => make(wrong(-1)), /"fd" is out of range/),
      range(`${name} on 0.5`, () => make(wrong(0.5)), /"fd" .* an integer/),
      range(`${name} on 2^31`, () => make(wrong(2 ** 31)), /"fd" is out of range/),
      type(`${name} with flags of text`, () => make(fd, wrong({ flags: 'x' })), /"flags"/),
      range(`${name} with every flag`, () => make(fd, wrong({ flags: 0x20 })), /"flags".*BUFFER_SELECT/),
      range(
        `${name} with a personality`,
        () => make(fd, wrong({ personality: 65_536 })),
        /"options.personality"/,
      ),
      ...(spreads ? [] : [type(`${name} with options that are none`, () => make(fd, wrong(7)), /"options"/)]),
    ];
  }),
);

/** Each place where an address is taken. */
const places: readonly (readonly [string, string, (address: Any) => unknown])[] = [
  ['bind', 'address', (address) => bind(FD, address)],
  ['connect', 'address', (address) => connect(FD, address)],
  ['send', 'options.to', (to) => send(FD, memory, { to })],
  ['send of a list', 'options.to', (to) => send(FD, [memory], { to })],
  ['sendZc', 'options.to', (to) => sendZc(FD, memory, { to })],
  ['sendmsg', 'message.to', (to) => sendmsg(FD, { to })],
  ['sendmsgZc', 'message.to', (to) => sendmsgZc(FD, { to })],
];

declare(
  'addresses are Node’s objects, and complete',
  places.flatMap(([what, name, act]): Case[] => {
    const of = (address: unknown) => () => act(wrong(address));
    return [
      type(`${what}: text`, of('127.0.0.1:80'), new RegExp(`"${name}" argument must be an address`)),
      type(`${what}: null`, of(null), new RegExp(`"${name}" .* Received null`)),
      value(`${what}: {}`, of({}), /has none of address, path and bytes/),
      type(
        `${what}: number`,
        of({ address: 1, port: 1 }),
        new RegExp(`"${name}.address" .* Received number`),
      ),
      value(`${what}: a name`, of({ address: 'localhost', port: 1 }), /is no IP address: 'localhost'/),
      type(`${what}: no port`, of({ address: '::1' }), new RegExp(`"${name}.port" .* Received undefined`)),
      range(`${what}: port -1`, of({ address: '::1', port: -1 }), new RegExp(`"${name}.port"`)),
      range(`${what}: port 65536`, of({ address: '::1', port: 65_536 }), /<= 65535. Received 65536/),
      range(`${what}: port 0.5`, of({ address: '::1', port: 0.5 }), /an integer/),
      value(`${what}: the other family`, of({ ...ip, family: 'IPv6' }), /is IPv6, but the address is IPv4/),
      value(`${what}: no family`, of({ ...ip, family: 'unix' }), new RegExp(`"${name}.family" is unix`)),
      value(`${what}: family 5`, of({ ...ip, family: 5 }), /is 5, but/),
      value(`${what}: IPv4 with a scope`, of({ ...ip, scopeId: 1 }), /for IPv6 only/),
      value(`${what}: IPv4 with a label`, of({ ...ip, flowLabel: 1 }), /for IPv6 only/),
      type(
        `${what}: scope`,
        of({ address: '::1', port: 1, scopeId: null }),
        /.scopeId" .* Received null|number or/,
      ),
      range(`${what}: scope -1`, of({ address: '::1', port: 1, scopeId: -1 }), /.scopeId"/),
      value(
        `${what}: two scopes`,
        of({ address: 'fe80::1%2', port: 1, scopeId: 3 }),
        /is not the scope of the address/,
      ),
      value(`${what}: no interface`, of({ address: 'fe80::1%nope', port: 1 }), /names the interface 'nope'/),
      range(`${what}: label`, of({ address: '::1', port: 1, flowLabel: 2 ** 28 }), /.flowLabel"/),
      type(`${what}: path`, of({ path: 5 }), new RegExp(`"${name}.path" .* Received number`)),
      value(`${what}: NUL in a path`, of({ path: 'a\0b' }), /must not contain null bytes/),
      value(`${what}: long path`, of({ path: 'x'.repeat(108) }), /longer than 107 bytes/),
      value(`${what}: long name`, of({ path: `\0${'x'.repeat(108)}` }), /longer than 108 bytes/),
      type(`${what}: bytes`, of({ bytes: [1, 2] }), new RegExp(`"${name}.bytes" .* Received Array`)),
      range(`${what}: no bytes`, of({ bytes: new Uint8Array(0) }), /byteLength" .* >= 2/),
      range(`${what}: many bytes`, of({ bytes: new Uint8Array(129) }), /<= 128. Received 129/),
    ];
  }),
);

declare('arguments of making, listening and ending are checked', [
  type('domain', () => socket(wrong(null), 'stream'), /"domain" .* Received null/),
  value('domain name', () => socket(wrong('inet'), 'stream'), /"domain" must be one of: unix, IPv4.*'inet'/),
  value('inherited name', () => socket(wrong('toString'), 'stream'), /"domain"/),
  range('domain -1', () => socket(-1, 'stream'), /"domain"/),
  type('type', () => socket('IPv4', wrong({})), /"type" .* Received Object/),
  value('type name', () => socket('IPv4', wrong('tcp')), /"type" must be one of: stream, dgram.*'tcp'/),
  range('type with flags', () => socket('IPv4', 1 | 0o4000), /"type" .* <= 15/),
  type('protocol', () => socket('IPv4', 'raw', { protocol: wrong('icmp') }), /"options.protocol"/),
  range('protocol -1', () => socket('IPv4', 'raw', { protocol: -1 }), /"options.protocol"/),
  range('socketFlags', () => socket('IPv4', 'raw', { socketFlags: -1 }), /"options.socketFlags"/),
  type('direct', () => socket('IPv4', 'raw', { direct: wrong(false) }), /"options.direct"/),
  range('direct -1', () => socket('IPv4', 'raw', { direct: -1 }), /"options.direct"/),
  type('options', () => socket('IPv4', 'raw', wrong('direct')), /"options"/),
  type('backlog', () => listen(FD, wrong('5')), /"backlog"/),
  range('backlog -1', () => listen(FD, -1), /"backlog"/),
  range('backlog 2^31', () => listen(FD, 2 ** 31), /"backlog"/),
  type('how', () => shutdown(FD, wrong(2)), /"how" .* Received number/),
  value('how to', () => shutdown(FD, wrong('all')), /"how" must be one of: read, write, both.*'all'/),
  value('inherited how', () => shutdown(FD, wrong('valueOf')), /"how"/),
  range('acceptFlags', () => accept(FD, { acceptFlags: -1 }), /"options.acceptFlags"/),
  type('dontWait', () => accept(FD, { dontWait: wrong(1) }), /"options.dontWait" .* boolean/),
  type('pollFirst', () => acceptMultishot(FD, { pollFirst: wrong('yes') }), /"options.pollFirst"/),
  type('withAddress', () => accept(FD, { withAddress: wrong(1) }), /"options.withAddress"/),
  value('shared address', () => acceptMultishot(FD, wrong({ withAddress: true })), /would share one address/),
]);

/** Operations that move bytes, by what their data is called. */
const sends: readonly (readonly [string, string, (data: Any, options?: Any) => unknown])[] = [
  ['send', 'data', (data, options) => send(FD, data, options)],
  ['sendZc', 'data', (data, options) => sendZc(FD, data, options)],
  ['sendmsg', 'message.data', (data, options) => sendmsg(FD, { data }, options)],
  ['sendmsgZc', 'message.data', (data, options) => sendmsgZc(FD, { data }, options)],
  ['recvmsg', 'into', (into, options) => recvmsg(FD, into, options)],
];

declare(
  'what is sent and received is memory, or a list of it',
  sends.flatMap(([what, name, act]): Case[] => {
    const of = (data: unknown, options?: unknown) => () => act(wrong(data), wrong(options));
    return [
      type(`${what}: text`, of('text'), new RegExp(`"${name}" .* Received string`)),
      type(`${what}: null`, of(null), new RegExp(`"${name}" .* Received null`)),
      range(`${what}: no buffers`, of([]), new RegExp(`"${name}.length" .* >= 1 and <= 1024`)),
      range(`${what}: many buffers`, of(Array(1025).fill(memory)), /Received 1025/),
      type(`${what}: a hole`, of([memory, undefined]), new RegExp(`"${name}\\[1\\]"`)),
      value(`${what}: an empty one`, of([memory, Buffer.alloc(0)]), new RegExp(`"${name}\\[1\\]" is empty`)),
      type(`${what}: flags`, of(memory, { messageFlags: 'x' }), /"options.messageFlags"/),
      range(`${what}: compat`, of(memory, { messageFlags: 0x8000_0000 }), /"options.messageFlags"/),
      type(`${what}: pollFirst`, of(memory, { pollFirst: 1 }), /"options.pollFirst"/),
    ];
  }),
);

declare('options of sending and receiving are checked', [
  value('empty zero copy', () => sendZc(FD, Buffer.alloc(0)), /"data" is empty/),
  value('empty zero copy to', () => sendZc(FD, Buffer.alloc(0), { to: ip }), /"data" is empty/),
  value('nothing to receive into', () => recvmsg(FD, Buffer.alloc(0)), /"into" is empty/),
  type('reportUsage', () => sendZc(FD, memory, { reportUsage: wrong(1) }), /"options.reportUsage"/),
  type(
    'reportUsage of a message',
    () => sendmsgZc(FD, {}, { reportUsage: wrong('') }),
    /"options.reportUsage"/,
  ),
  type('controlBytes', () => recvmsg(FD, memory, { controlBytes: wrong('64') }), /"options.controlBytes"/),
  range('controlBytes -1', () => recvmsg(FD, memory, { controlBytes: -1 }), /"options.controlBytes"/),
  range('controlBytes too many', () => recvmsg(FD, memory, { controlBytes: 65_537 }), /<= 65536/),
  type('message', () => sendmsg(FD, wrong(undefined)), /"message" argument must be a message/),
  type('message of bytes', () => sendmsg(FD, wrong(memory)), /"message" .* Received Buffer/),
  type('queue', () => recvZc(FD, wrong({})), /"options.queue"/),
  range('queue -1', () => recvZc(FD, { queue: -1 }), /"options.queue"/),
  range('totalBytes of recvZc', () => recvZc(FD, { queue: 0, totalBytes: 2 ** 32 }), /"options.totalBytes"/),
  value('no options of recvZc', () => recvZc(FD, wrong(undefined)), /name the receive queue/),
  type('command', () => uringCmd128(FD, wrong({})), /"options.command"/),
  range('command -1', () => uringCmd128(FD, { command: -1 }), /"options.command"/),
]);

test('buffer rings are used for what they are for', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const incoming = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    const outgoing = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16, provide: 'manually' });
    const cases: readonly Case[] = [
      value('send', () => send(FD, incoming), /"data" holds buffers to receive into/),
      value('sendBundle', () => sendBundle(FD, incoming), /"buffers" holds buffers to receive into/),
      value('send to', () => send(FD, outgoing, { to: ip }), /connect the socket/),
      type(
        'sendBundle of memory',
        () => sendBundle(FD, wrong(memory)),
        /"buffers" argument must be a BufferRing/,
      ),
      value('recv', () => recv(FD, outgoing), /holds buffers to be sent/),
      value('recvMultishot', () => recvMultishot(FD, outgoing), /holds buffers to be sent/),
      value('recvmsgMultishot', () => recvmsgMultishot(FD, outgoing), /holds buffers to be sent/),
      type('recvMultishot of memory', () => recvMultishot(FD, wrong(memory)), /"buffers" argument must be/),
      type(
        'recvmsgMultishot of memory',
        () => recvmsgMultishot(FD, wrong(memory)),
        /"buffers" argument must be/,
      ),
      type('bundle', () => recv(FD, incoming, { bundle: wrong(1) }), /"options.bundle"/),
      type(
        'totalBytes',
        () => recvMultishot(FD, incoming, { totalBytes: wrong('1') }),
        /"options.totalBytes"/,
      ),
      range('totalBytes 0', () => recvMultishot(FD, incoming, { totalBytes: 0 }), /"options.totalBytes"/),
      range('turnBytes 0', () => recvMultishot(FD, incoming, { turnBytes: 0 }), /"options.turnBytes"/),
      range(
        'turnBytes 2^31',
        () => recvMultishot(FD, incoming, { turnBytes: 2 ** 31 }),
        /"options.turnBytes"/,
      ),
      range('room', () => recvmsgMultishot(FD, incoming, { controlBytes: -1 }), /"options.controlBytes"/),
    ];
    for (const each of cases) await refuses(t, ring, each);
  });
});

/** Each kind of control message with one thing wrong. */
const controls: readonly (readonly [what: string, control: unknown, Case[2], message: RegExp])[] = [
  ['no list', {}, TypeError, /"message.control" argument must be an array of control messages/],
  ['nothing', [null], TypeError, /"message.control\[0\]" .* Received null/],
  ['no kind', [{}], TypeError, /"message.control\[0\].kind" is no kind of control message/],
  ['a received kind', [{ kind: 'timestamp', nanoseconds: 1n }], TypeError, /to send: 'timestamp'/],
  ['no fds', [{ kind: 'descriptors' }], TypeError, /"message.control\[0\].fds"/],
  ['empty fds', [{ kind: 'descriptors', fds: [] }], RangeError, /fds.length" .* <= 253/],
  ['many fds', [{ kind: 'descriptors', fds: Array(254).fill(0) }], RangeError, /Received 254/],
  ['a bad fd', [{ kind: 'descriptors', fds: [0, -1] }], RangeError, /fds\[1\]"/],
  ['a text fd', [{ kind: 'descriptors', fds: ['1'] }], TypeError, /fds\[0\]" .* Received string/],
  ['pid', [{ kind: 'credentials', uid: 0, gid: 0 }], TypeError, /.pid"/],
  ['uid', [{ kind: 'credentials', pid: 1, uid: -1, gid: 0 }], RangeError, /.uid"/],
  ['gid', [{ kind: 'credentials', pid: 1, uid: 0, gid: 2 ** 32 }], RangeError, /.gid"/],
  ['ttl', [{ kind: 'ttl', value: 0 }], RangeError, /.value" .* >= 1 and <= 255/],
  ['tos', [{ kind: 'tos', value: 256 }], RangeError, /.value"/],
  ['hopLimit', [{ kind: 'hopLimit', value: -1 }], RangeError, /.value"/],
  ['trafficClass', [{ kind: 'trafficClass', value: 'x' }], TypeError, /.value"/],
  ['segmentSize', [{ kind: 'segmentSize', sizeBytes: 0 }], RangeError, /.sizeBytes"/],
  ['interface', [{ kind: 'packetInfo', family: 'IPv4' }], TypeError, /.interfaceIndex"/],
  ['family', [{ kind: 'packetInfo', interfaceIndex: 1 }], TypeError, /.family" is neither/],
  [
    'address',
    [{ kind: 'packetInfo', interfaceIndex: 1, family: 'IPv4', address: '::1' }],
    TypeError,
    /is no IPv4/,
  ],
  ['data', [{ kind: 'other', level: 1, type: 2 }], TypeError, /.data"/],
  ['level', [{ kind: 'other', level: -1, type: 2, data: memory }], RangeError, /.level"/],
  ['type', [{ kind: 'other', level: 1, type: 0.5, data: memory }], RangeError, /.type"/],
  ['rds', [{ kind: 'other', level: 276, type: 1, data: memory }], TypeError, /hold memory addresses/],
  ['long data', [{ kind: 'other', level: 1, type: 2, data: Buffer.alloc(65_537) }], RangeError, /<= 65536/],
  [
    'long in all',
    Array(5).fill({ kind: 'other', level: 1, type: 2, data: Buffer.alloc(20_000) }),
    RangeError,
    /"message.control" .* bytes in all/,
  ],
];

test('control messages are checked, every field of them', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    for (const [what, control, instanceOf, message] of controls) {
      for (const operation of [sendmsg, sendmsgZc]) {
        const wrongMessage = { control: control as ControlMessage[] } satisfies OutgoingMessage;
        const act = () => operation(FD, wrongMessage);
        const error = t.throws(act, { instanceOf, message }, what) as NodeJS.ErrnoException;
        t.regex(error.code ?? '', /^ERR_(INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE)$/, what);
      }
    }
    t.is(ring.sqReady, 0);
  });
});

declare('options of sockets are checked, and those that hold addresses refused', [
  type('no name', () => getsockopt(FD, wrong(undefined)), /"option" .* Received undefined/),
  value('unknown', () => getsockopt(FD, wrong('SO_NOTHING')), /is 'SO_NOTHING', which has no name here/),
  value('inherited', () => setsockopt(FD, wrong('toString'), wrong(1)), /has no name here/),
  value('other level', () => getsockopt(FD, wrong('TCP_NODELAY')), /another level than SOL_SOCKET/),
  value('level 6', () => getsockopt(FD, { level: 6, option: 1, sizeBytes: 4 }), /another level/),
  type('no size', () => getsockopt(FD, wrong({ level: 1, option: 1 })), /"option.sizeBytes"/),
  range('size 0', () => getsockopt(FD, { level: 1, option: 1, sizeBytes: 0 }), /"option.sizeBytes"/),
  range('size', () => getsockopt(FD, { level: 1, option: 1, sizeBytes: 65_537 }), /"option.sizeBytes"/),
  type('level', () => setsockopt(FD, wrong({ option: 1 }), 1), /"option.level"/),
  range('option -1', () => setsockopt(FD, { level: 1, option: -1 }, 1), /"option.option"/),
  type('no value', () => setsockopt(FD, { level: 1, option: 2 }, wrong(undefined)), /"value" .* undefined/),
  type('text', () => setsockopt(FD, { level: 1, option: 2 }, wrong('1')), /"value" .* string/),
  value('no bytes', () => setsockopt(FD, { level: 1, option: 2 }, new Uint8Array(0)), /"value" is empty/),
  value(
    'many bytes',
    () => setsockopt(FD, { level: 1, option: 2 }, Buffer.alloc(65_537)),
    /longer than 65536/,
  ),
  range('number', () => setsockopt(FD, 'SO_RCVBUF', 2 ** 31), /"value"/),
  range('fraction', () => setsockopt(FD, 'SO_RCVBUF', 0.5), /"value" .* integer/),
  type('boolean', () => setsockopt(FD, 'SO_KEEPALIVE', wrong(1)), /"value" .* boolean/),
  type('string', () => setsockopt(FD, 'TCP_CONGESTION', wrong(1)), /"value" .* string/),
  value('NUL', () => setsockopt(FD, 'TCP_CONGESTION', 'a\0b'), /null bytes/),
  value('long', () => setsockopt(FD, 'SO_BINDTODEVICE', 'x'.repeat(16)), /longer than 15 bytes/),
  type('linger', () => setsockopt(FD, 'SO_LINGER', wrong(5)), /"value" .* \{ on, seconds \}/),
  type('linger.on', () => setsockopt(FD, 'SO_LINGER', wrong({ seconds: 1 })), /"value.on"/),
  range('linger.seconds', () => setsockopt(FD, 'SO_LINGER', { on: true, seconds: -1 }), /"value.seconds"/),
  type('timeval', () => setsockopt(FD, 'SO_RCVTIMEO', wrong('1')), /milliseconds/),
  range('negative time', () => setsockopt(FD, 'SO_RCVTIMEO', -1), /"value" .* milliseconds/),
  range('no time', () => setsockopt(FD, 'SO_SNDTIMEO', Number.NaN), /"value"/),
  value('read only', () => setsockopt(FD, 'SO_COOKIE', 1n), /can only be read/),
  value('filter', () => setsockopt(FD, { level: 1, option: 26 }, memory), /holds memory addresses/),
  value('reuseport filter', () => setsockopt(FD, { level: 1, option: 51 }, memory), /holds memory addresses/),
  value('iptables', () => setsockopt(FD, { level: 0, option: 64 }, memory), /holds memory addresses/),
  value('ip6tables', () => setsockopt(FD, { level: 41, option: 65 }, memory), /holds memory addresses/),
  value('SOL_RDS', () => setsockopt(FD, { level: 276, option: 2 }, memory), /may hold memory addresses/),
  value('SOL_PACKET', () => setsockopt(FD, { level: 263, option: 5 }, memory), /may hold memory addresses/),
]);

const hosts: SocketAddressLike[] = [
  { address: '::ffff:1.2.3.4', port: 65_535, family: 'ipv6' },
  { path: '' },
];

test('the edges of what is allowed are allowed', (t) => {
  for (const address of hosts) t.notThrows(() => connect(FD, address));
  t.notThrows(() => listen(FD, 0));
  t.notThrows(() => socket(0, 0, { protocol: 0x7fff_ffff }));
  t.notThrows(() => recvmsg(FD, memory, { controlBytes: 65_536 }));
  t.notThrows(() => sendmsg(FD, { control: [{ kind: 'descriptors', fds: Array(253).fill(0) }] }));
  t.notThrows(() => setsockopt(FD, 'SO_BINDTODEVICE', 'x'.repeat(15)));
});
