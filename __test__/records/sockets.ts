// Operations on sockets, for records.spec.ts; crates/core/tests/encoding/sockets.rs has their counterparts.
import {
  accept,
  acceptMultishot,
  bind,
  connect,
  getpeername,
  getsockname,
  getsockopt,
  listen,
  MessageFlags,
  receiveQueueBytes,
  recv,
  recvMultishot,
  recvmsg,
  recvmsgMultishot,
  recvZc,
  SqeFlags,
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
import type { RecordCase } from '../_records.ts';

const { ASYNC, LINK } = SqeFlags;
const { DONTWAIT, MORE, PEEK, TRUNC, WAITALL } = MessageFlags;

const own = (sizeBytes: number): Buffer => Buffer.alloc(sizeBytes, 0x5a);
const ip = { address: '127.0.0.1', port: 8080 } as const;

const connections: readonly RecordCase[] = [
  ['socket', () => socket('IPv4', 'stream')],
  ['socket with everything', () => socket(40, 'seqpacket', { protocol: 262, socketFlags: 0, flags: ASYNC })],
  ['socket into slot 2', () => socket('unix', 'dgram', { direct: 2 })],
  ['socket into a slot of the kernel', () => socket('IPv6', 'raw', { direct: true, socketFlags: 0 })],
  ['bind to IPv4', () => bind(7, ip)],
  [
    'bind a registered file to IPv6',
    (ring) =>
      bind(ring.file, { address: 'fe80::1', port: 1, scopeId: 3, flowLabel: 0x12345 }, { flags: LINK }),
  ],
  ['bind to an abstract name', () => bind(7, { path: '\0name' })],
  ['bind to no name', () => bind(7, { path: '' })],
  ['connect to a path', () => connect(7, { path: '/a' })],
  ['connect to bytes', () => connect(7, { bytes: Uint8Array.of(40, 0, 1, 2, 3) }, { personality: 4 })],
  ['listen', () => listen(7)],
  ['listen with a backlog', (ring) => listen(ring.file, 0x7fff_ffff)],
  ['shutdown for reading', () => shutdown(7, 'read')],
  ['shutdown for writing', (ring) => shutdown(ring.file, 'write', { flags: LINK })],
  ['shutdown for both', () => shutdown(7, 'both')],
  ['accept with the address', () => accept(7, { withAddress: true, dontWait: true })],
  [
    'accept with the address into a slot of the kernel',
    () => accept(7, { withAddress: true, direct: true, pollFirst: true }),
  ],
  [
    'acceptMultishot with both options',
    (ring) => acceptMultishot(ring.file, { dontWait: true, pollFirst: true }),
  ],
];

const sends: readonly RecordCase[] = [
  [
    'send to an address',
    () => send(7, Buffer.from('hello'), { to: ip, pollFirst: true, messageFlags: MORE }),
  ],
  ['send nothing to an address', (ring) => send(ring.file, own(0), { to: { path: '/a' } })],
  ['send a list', (ring) => send(7, [own(3), ring.plain(8, 16), ring.registered(0, 4)], { flags: ASYNC })],
  ['send a list to an address', () => send(7, [own(1), own(2)], { to: ip, pollFirst: true })],
  ['send from a buffer ring', (ring) => send(7, ring.outgoing, { messageFlags: DONTWAIT })],
  ['sendBundle', (ring) => sendBundle(ring.file, ring.outgoing, { pollFirst: true })],
  ['sendZc', (ring) => sendZc(7, ring.plain(128, 512), { messageFlags: MORE })],
  [
    'sendZc of registered memory',
    (ring) => sendZc(ring.file, ring.registered(64, 64), { reportUsage: true }),
  ],
  ['sendZc to an address', (ring) => sendZc(7, ring.registered(0, 8), { to: ip, pollFirst: true })],
  ['sendZc of a list', (ring) => sendZc(7, [ring.plain(0, 1), own(2)], { reportUsage: true })],
  [
    'sendZc of a list in one registered arena',
    (ring) => sendZc(7, [ring.registered(0, 1), ring.registered(100, 5)]),
  ],
];

const receives: readonly RecordCase[] = [
  ['recv with a truncating flag', () => recv(7, own(5), { messageFlags: TRUNC | PEEK, pollFirst: true })],
  ['recv of a bundle', (ring) => recv(7, ring.buffers, { bundle: true, messageFlags: WAITALL })],
  [
    'recvMultishot of bundles',
    (ring) => recvMultishot(ring.file, ring.buffers, { bundle: true, pollFirst: true }),
  ],
  [
    'recvMultishot with limits',
    (ring) => recvMultishot(7, ring.buffers, { totalBytes: 1000, turnBytes: 10 }),
  ],
  ['recvZc', () => recvZc(7, { queue: 3 })],
  ['recvZc with a limit', (ring) => recvZc(ring.file, { queue: 0, totalBytes: 4096, flags: ASYNC })],
];

const messages: readonly RecordCase[] = [
  ['sendmsg', () => sendmsg(7, { data: Buffer.from('hello') })],
  [
    'sendmsg with everything',
    (ring) =>
      sendmsg(
        ring.file,
        {
          data: [own(3), ring.plain(8, 16)],
          to: ip,
          control: [
            { kind: 'descriptors', fds: [5, 6, 7] },
            { kind: 'ttl', value: 9 },
          ],
        },
        { messageFlags: MORE, pollFirst: true, flags: LINK },
      ),
  ],
  ['sendmsg of nothing', () => sendmsg(7, { data: own(0) })],
  ['sendmsgZc', () => sendmsgZc(7, { data: own(4), to: ip }, { reportUsage: true, pollFirst: true })],
  [
    'sendmsgZc of one registered arena',
    (ring) => sendmsgZc(7, { data: [ring.registered(0, 1), ring.registered(9, 2)] }),
  ],
  ['recvmsg', (ring) => recvmsg(7, [own(3), ring.registered(8, 16)], { controlBytes: 24 })],
  ['recvmsg with flags', (ring) => recvmsg(ring.file, own(3), { messageFlags: PEEK, pollFirst: true })],
  ['recvmsgMultishot', (ring) => recvmsgMultishot(7, ring.buffers)],
  [
    'recvmsgMultishot with room for control messages',
    (ring) => recvmsgMultishot(ring.file, ring.buffers, { controlBytes: 30, messageFlags: TRUNC }),
  ],
];

const commands: readonly RecordCase[] = [
  ['receiveQueueBytes', () => receiveQueueBytes(7)],
  ['sendQueueBytes', (ring) => sendQueueBytes(ring.file, { flags: LINK })],
  ['getsockopt', () => getsockopt(7, 'SO_RCVBUF')],
  ['getsockopt of bytes', (ring) => getsockopt(ring.file, { level: 1, option: 28, sizeBytes: 100 })],
  ['setsockopt', () => setsockopt(7, 'TCP_KEEPIDLE', 30)],
  ['setsockopt of bytes', (ring) => setsockopt(ring.file, { level: 41, option: 20 }, Uint8Array.of(1, 2, 3))],
  ['getsockname', () => getsockname(7)],
  ['getpeername', (ring) => getpeername(ring.file)],
  ['txTimestamp', () => txTimestamp(7)],
  ['uringCmd128', (ring) => uringCmd128(ring.file, { command: 0 })],
];

export const socketCases: readonly RecordCase[] = [connections, sends, receives, messages, commands].flat();
