// Makers of operations on sockets, all of them on this machine.
import { getgid, getuid, pid } from 'node:process';
import * as u from 'uring';
import type { World } from '../world.ts';
import type { Makers } from './index.ts';

const HOST = '127.0.0.1';
/** Port of the discard protocol, where nobody listens. */
const NOBODY = 9;

const connected = (w: World): u.Fd => w.of('stream', 'tcp', 'udp', 'datagram');

/** An address of ours, of nobody, or one that is wrong. */
function address(w: World): u.SocketAddressLike {
  const { tcpPort, udpPort, unixName } = w.endpoints;
  return w.rather(
    w.pick<u.SocketAddressLike>([
      { address: HOST, port: w.ratherNumber(udpPort) },
      { address: HOST, port: tcpPort },
      { address: HOST, port: NOBODY },
      { address: '::1', port: NOBODY, scopeId: w.ratherNumber(0) },
      { path: unixName.path },
      { path: w.path() },
      { path: '' },
      { bytes: Buffer.from([w.int(0, 1), 0, 0]) },
      { bytes: Buffer.alloc(w.int(0, 200)) },
      { address: 'localhost', port: 1 },
    ]),
  );
}

/** Where something may be bound to. */
const name = (w: World): u.SocketAddressLike =>
  w.rather(
    w.pick<u.SocketAddressLike>([
      { path: '' },
      { path: w.path() },
      { address: HOST, port: 0 },
      { address: '::1', port: 0 },
    ]),
  );

const { PEEK, DONTWAIT, WAITALL, TRUNC, ERRQUEUE, OOB, MORE } = u.MessageFlags;

const receiving = (w: World, more: Record<string, unknown> = {}): never =>
  w.options({
    messageFlags: w.rather(w.pick([0, 0, PEEK, DONTWAIT, WAITALL, TRUNC, ERRQUEUE, OOB])),
    pollFirst: w.bool(),
    ...more,
  });

const sending = (w: World, more: Record<string, unknown> = {}): never =>
  w.options({ messageFlags: w.rather(w.pick([0, 0, DONTWAIT, MORE, OOB])), pollFirst: w.bool(), ...more });

const connections: Makers = {
  accept: (w) => u.accept(w.of('listener'), w.options({ dontWait: w.bool(), pollFirst: w.bool() })),
  'accept:address': (w) =>
    u.accept(w.of('listener'), { ...(w.options({ direct: w.direct() }) as object), withAddress: true }),
  'accept:direct': (w) => u.accept(w.of('listener'), { ...(w.options() as object), direct: w.direct() }),
  // Those of IP would be reached from other machines, if they had no address yet.
  listen: (w) => u.listen(w.oneIn(9) ? w.noFd() : w.steady('listener'), w.rather(w.int(0, 99)), w.options()),
  bind: (w) => u.bind(w.fd(), name(w), w.options()),
  connect: (w) => u.connect(w.fd(), address(w), w.options()),
  'connect:datagram': (w) =>
    u.connect(w.of('udp'), { address: HOST, port: w.ratherNumber(w.endpoints.udpPort) }, w.options()),
  socket: (w) =>
    u.socket(
      w.ratherNumber(w.pick<u.SocketDomain>(['unix', 'IPv4', 'IPv6', 0, 0xffff])),
      w.rather(w.pick<u.SocketType>(['stream', 'dgram', 'seqpacket', 9])),
      w.options({ protocol: w.rather(0), socketFlags: w.rather(0o4000) }),
    ),
  'socket:direct': (w) =>
    u.socket('unix', w.pick(['stream', 'dgram']), { ...(w.options() as object), direct: w.direct() }),
  shutdown: (w) =>
    u.shutdown(w.of('stream', 'tcp'), w.rather(w.pick(['read', 'write', 'both'])), w.options()),
};

const receives: Makers = {
  recv: (w) => u.recv(connected(w), w.bytes(), receiving(w)),
  'recv:group': (w) => u.recv(connected(w), w.group(), receiving(w)),
  'recv:bundle': (w) => u.recv(connected(w), w.group(), { ...(receiving(w) as object), bundle: true }),
  recvmsg: (w) =>
    u.recvmsg(
      connected(w),
      w.oneIn(2) ? w.list() : w.bytes(),
      receiving(w, { controlBytes: w.rather(w.pick([64, 256, 65_536])) }),
    ),
};

/** What travels beside the bytes. */
function control(w: World): u.ControlMessage {
  return w.rather(
    w.pick<u.ControlMessage>([
      { kind: 'descriptors', fds: w.rather([w.steady('file'), w.steady('pipeIn')]) },
      { kind: 'credentials', pid, uid: getuid?.() ?? 0, gid: getgid?.() ?? 0 },
      { kind: 'ttl', value: w.rather(9) },
      { kind: 'tos', value: w.rather(8) },
      { kind: 'hopLimit', value: w.rather(9) },
      { kind: 'trafficClass', value: w.rather(8) },
      { kind: 'segmentSize', sizeBytes: w.rather(100) },
      { kind: 'packetInfo', family: 'IPv4', interfaceIndex: w.ratherNumber(0), address: HOST },
      { kind: 'packetInfo', family: 'IPv6', interfaceIndex: 0, address: w.ratherNumber('::1') },
      { kind: 'other', level: w.rather(276), type: w.rather(1), data: Buffer.alloc(w.int(0, 20)) },
    ]),
  );
}

function message(w: World): u.OutgoingMessage {
  const controls = Array.from({ length: w.int(1, 2) }, () => control(w));
  const data = w.oneIn(2) ? w.list() : w.bytes();
  return w.rather({ data, ...w.some({ to: address(w), control: w.rather(controls) }) });
}

const data = (w: World): u.Bytes => (w.oneIn(3) ? (w.list() as never) : w.bytes());

const sends: Makers = {
  send: (w) => u.send(connected(w), data(w), sending(w)),
  'send:to': (w) => u.send(w.of('udp', 'datagram'), data(w), { ...(sending(w) as object), to: address(w) }),
  'send:group': (w) => u.send(connected(w), w.outgoing(), sending(w)),
  sendmsg: (w) => u.sendmsg(connected(w), message(w), sending(w)),
  sendZc: (w) => u.sendZc(w.of('tcp', 'udp'), data(w), sending(w, { reportUsage: w.bool() })),
  'sendZc:to': (w) => u.sendZc(w.of('udp'), data(w), { ...(sending(w) as object), to: address(w) }),
  sendmsgZc: (w) => u.sendmsgZc(w.of('tcp', 'udp'), message(w), sending(w, { reportUsage: w.bool() })),
};

/** Names of options with a value of each type; SO_LINGER would make closing wait. */
const OPTIONS: readonly (readonly [name: u.SocketOptionName, value: unknown])[] = [
  ['SO_KEEPALIVE', true],
  ['SO_RCVBUF', 4096],
  ['SO_SNDBUF', 1 << 20],
  ['SO_RCVTIMEO', 50.5],
  ['SO_LINGER', { on: false, seconds: 0 }],
  ['SO_BINDTODEVICE', 'lo'],
  ['SO_PASSCRED', true],
  ['SO_TIMESTAMPNS', true],
  ['SO_TYPE', 1],
  ['TCP_NODELAY', true],
  ['TCP_CONGESTION', 'reno'],
  ['IP_TTL', 9],
  ['IP_RECVTTL', true],
  ['IP_RECVTOS', true],
  ['IPV6_V6ONLY', true],
  ['UDP_GRO', true],
];

const settings: Makers = {
  setsockopt: (w) => {
    const [option, value] = w.pick(OPTIONS);
    return u.setsockopt(connected(w), w.rather(option), w.rather(value) as never, w.options());
  },
  'setsockopt:number': (w) => {
    const [level, option] = w.pick([
      [1, 9],
      [1, 8],
      [6, 1],
      [1, 26],
      [17, 103],
      [0, 64],
      [270, 1],
    ] as const);
    return u.setsockopt(
      connected(w),
      { level, option },
      w.rather(w.pick<number | u.Bytes>([1, Buffer.alloc(4)])),
      w.options(),
    );
  },
  getsockopt: (w) => u.getsockopt(connected(w), w.rather(w.pick(OPTIONS)[0]) as never, w.options()),
  // From 77 on (SO_PEERPIDFD) an option may be a new descriptor.
  'getsockopt:number': (w) =>
    u.getsockopt(
      connected(w),
      { level: 1, option: w.ratherNumber(w.int(1, 76)), sizeBytes: w.rather(w.int(1, 200)) },
      w.options(),
    ),
  receiveQueueBytes: (w) => u.receiveQueueBytes(w.of('tcp', 'udp'), w.options()),
  sendQueueBytes: (w) => u.sendQueueBytes(w.of('tcp', 'udp'), w.options()),
  getsockname: (w) => u.getsockname(connected(w), w.options()),
  getpeername: (w) => u.getpeername(connected(w), w.options()),
  uringCmd128: (w) => u.uringCmd128(w.of('udp'), { ...(w.options() as object), command: w.rather(0) }),
};

export const sockets: Makers = { ...connections, ...receives, ...sends, ...settings };

const ofGroup = (w: World): never =>
  receiving(w, { totalBytes: w.rather(w.int(1, 999)), turnBytes: w.rather(w.int(1, 99)) });

/** Operations that complete more than once. */
export const socketStreams: Makers = {
  acceptMultishot: (w) => u.acceptMultishot(w.of('listener'), w.options({ dontWait: w.bool() })),
  'acceptMultishot:direct': (w) =>
    u.acceptMultishot(w.of('listener'), { ...(w.options() as object), direct: w.rather(true) }),
  recvMultishot: (w) => u.recvMultishot(connected(w), w.group(), ofGroup(w)),
  'recvMultishot:bundle': (w) =>
    u.recvMultishot(connected(w), w.group(), { ...(ofGroup(w) as object), bundle: true }),
  recvmsgMultishot: (w) =>
    u.recvmsgMultishot(connected(w), w.group(), receiving(w, { controlBytes: w.rather(w.int(0, 128)) })),
  sendBundle: (w) => u.sendBundle(w.of('stream', 'tcp'), w.outgoing(), sending(w)),
  txTimestamp: (w) => u.txTimestamp(w.of('udp'), w.options()),
  recvZc: (w) =>
    u.recvZc(connected(w), { ...(w.options({ totalBytes: w.rather(9) }) as object), queue: w.rather(0) }),
};
