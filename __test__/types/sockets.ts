// What operations on sockets result in, as the compiler sees it. Compiled with the tests and never run.
import net from 'node:net';
import { expectTypeOf } from 'expect-type';
import {
  type AcceptedFile,
  type AcceptedSocket,
  accept,
  acceptMultishot,
  type BufferLease,
  type BufferRing,
  bind,
  connect,
  type FixedFile,
  getpeername,
  getsockname,
  getsockopt,
  type LeasedMessage,
  type Linger,
  listen,
  type MultishotStream,
  type ReceivedDescriptors,
  type ReceivedMessage,
  type Ring,
  receiveQueueBytes,
  recv,
  recvMultishot,
  recvmsg,
  recvmsgMultishot,
  recvZc,
  type SocketAddress,
  send,
  sendBundle,
  sendmsg,
  sendmsgZc,
  sendQueueBytes,
  sendZc,
  setsockopt,
  shutdown,
  socket,
  type TransmitTimestamp,
  txTimestamp,
  uringCmd128,
  type ZeroCopyResult,
} from 'uring';

declare const ring: Ring;
declare const buffers: BufferRing;
declare const file: FixedFile;
declare const memory: Buffer;
declare const address: SocketAddress;

// Connections.
expectTypeOf(ring.exec(socket('IPv4', 'stream'))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(socket(2, 1, { protocol: 6 }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(socket('unix', 'seqpacket', { direct: true }))).toEqualTypeOf<Promise<FixedFile>>();
expectTypeOf(ring.exec(bind(0, { path: '\0name' }))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(listen(file, 5))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(connect(0, address))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(shutdown(0, 'both'))).toEqualTypeOf<Promise<void>>();
expectTypeOf(ring.exec(accept(0))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(accept(0, { withAddress: true }))).toEqualTypeOf<Promise<AcceptedSocket>>();
expectTypeOf(ring.exec(accept(0, { direct: true }))).toEqualTypeOf<Promise<FixedFile>>();
expectTypeOf(ring.exec(accept(0, { direct: 1, withAddress: true }))).toEqualTypeOf<Promise<AcceptedFile>>();

// Addresses of Node's own kinds.
connect(0, new net.SocketAddress({ address: '::1', port: 1, family: 'ipv6' }));
connect(0, net.createServer().address() as net.AddressInfo);
bind(0, { path: Buffer.from('path') });
bind(0, { bytes: new Uint8Array(16) });

// Sending and receiving.
expectTypeOf(ring.exec(send(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(send(0, [memory, new ArrayBuffer(1)], { to: address }))).toEqualTypeOf<
  Promise<number>
>();
expectTypeOf(ring.exec(send(0, buffers))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.multishot(sendBundle(0, buffers))).toEqualTypeOf<MultishotStream<number>>();
expectTypeOf(ring.exec(sendZc(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(sendZc(0, [memory], { reportUsage: true }))).toEqualTypeOf<Promise<ZeroCopyResult>>();
expectTypeOf(ring.exec(recv(0, memory))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(recv(0, buffers))).toEqualTypeOf<Promise<BufferLease | null>>();
expectTypeOf(ring.exec(recv(0, buffers, { bundle: true }))).toEqualTypeOf<Promise<BufferLease[]>>();
expectTypeOf(ring.multishot(recvMultishot(0, buffers))).toEqualTypeOf<MultishotStream<BufferLease>>();
expectTypeOf(ring.multishot(recvMultishot(0, buffers, { bundle: true, totalBytes: 5 }))).toEqualTypeOf<
  MultishotStream<BufferLease[]>
>();
expectTypeOf(ring.multishot(recvZc(0, { queue: 0 }))).toEqualTypeOf<MultishotStream<number>>();

// Messages.
expectTypeOf(ring.exec(sendmsg(0, { data: memory, to: address }))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(sendmsgZc(0, {}))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(sendmsgZc(0, {}, { reportUsage: true }))).toEqualTypeOf<Promise<ZeroCopyResult>>();
expectTypeOf(ring.exec(recvmsg(0, [memory]))).toEqualTypeOf<Promise<ReceivedMessage>>();
expectTypeOf(ring.multishot(recvmsgMultishot(0, buffers))).toEqualTypeOf<MultishotStream<LeasedMessage>>();
expectTypeOf<ReceivedMessage['address']>().toEqualTypeOf<SocketAddress | undefined>();
expectTypeOf<ReceivedMessage['descriptors']>().toEqualTypeOf<ReceivedDescriptors | undefined>();
sendmsg(0, { control: [{ kind: 'descriptors', fds: [1, 2] }] });

// Options have the types of their values.
expectTypeOf(ring.exec(getsockopt(0, 'SO_RCVBUF'))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(getsockopt(0, 'SO_KEEPALIVE'))).toEqualTypeOf<Promise<boolean>>();
expectTypeOf(ring.exec(getsockopt(0, 'SO_COOKIE'))).toEqualTypeOf<Promise<bigint>>();
expectTypeOf(ring.exec(getsockopt(0, 'SO_LINGER'))).toEqualTypeOf<Promise<Linger>>();
expectTypeOf(ring.exec(getsockopt(0, { level: 1, option: 2, sizeBytes: 4 }))).toEqualTypeOf<
  Promise<Buffer>
>();
expectTypeOf(ring.exec(setsockopt(0, 'TCP_NODELAY', true))).toEqualTypeOf<Promise<void>>();
setsockopt(0, { level: 6, option: 1 }, memory);

// Questions.
expectTypeOf(ring.exec(receiveQueueBytes(0))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(sendQueueBytes(0))).toEqualTypeOf<Promise<number>>();
expectTypeOf(ring.exec(getsockname(0))).toEqualTypeOf<Promise<SocketAddress | undefined>>();
expectTypeOf(ring.exec(getpeername(0))).toEqualTypeOf<Promise<SocketAddress | undefined>>();
expectTypeOf(ring.multishot(txTimestamp(0))).toEqualTypeOf<MultishotStream<TransmitTimestamp>>();
expectTypeOf(ring.exec(uringCmd128(0, { command: 0 }))).toEqualTypeOf<Promise<number>>();

// A multishot operation has no one result, a single one no stream of them.
// @ts-expect-error
void ring.exec(recvmsgMultishot(0, buffers));
// @ts-expect-error
void ring.exec(sendBundle(0, buffers));
// @ts-expect-error
void ring.exec(txTimestamp(0));
// @ts-expect-error
ring.multishot(recvmsg(0, memory));
// @ts-expect-error
ring.multishot(sendZc(0, memory));

// Arguments.
// @ts-expect-error no such domain
socket('inet', 'stream');
// @ts-expect-error no such type
socket('IPv4', 'tcp');
// @ts-expect-error a host and port are no address
connect(0, 'localhost:80');
// @ts-expect-error an address has a port
connect(0, { address: '::1' });
// @ts-expect-error how is a word
shutdown(0, 2);
// @ts-expect-error connections of a multishot share one address
acceptMultishot(0, { withAddress: true });
// @ts-expect-error bundles need a ring of buffers
recv(0, memory, { bundle: true });
// @ts-expect-error a zero-copy send takes memory
sendZc(0, buffers);
// @ts-expect-error text is no memory
send(0, 'text');
// @ts-expect-error messages are received into a ring of buffers
recvmsgMultishot(0, memory);
// @ts-expect-error timestamps are received, not sent
sendmsg(0, { control: [{ kind: 'timestamp', nanoseconds: 1n }] });
// @ts-expect-error descriptors are numbers
sendmsg(0, { control: [{ kind: 'descriptors', fds: [file] }] });
// @ts-expect-error only options of the socket level can be read
getsockopt(0, 'TCP_NODELAY');
// @ts-expect-error a boolean
setsockopt(0, 'TCP_NODELAY', 1);
// @ts-expect-error no such option
setsockopt(0, 'SO_NOTHING', 1);
// @ts-expect-error a queue must be named
recvZc(0, {});
