// What composites result in, and what must not compile. Compiled with the tests and never run.
import { expectTypeOf } from 'expect-type';
import {
  type FixedFile,
  type IpSocketAddress,
  type OpenedSocket,
  type Ring,
  type SocketAddress,
  socketAddress,
  type TcpConnectOptions,
  tcpConnect,
  tcpListen,
  type UnixSocketAddress,
  udpConnect,
  unixConnect,
  unixListen,
} from 'uring';

declare const ring: Ring;
declare const options: TcpConnectOptions;
const at = { address: '::1', port: 1 };

expectTypeOf(tcpConnect(ring, at, options)).resolves.toEqualTypeOf<OpenedSocket<IpSocketAddress>>();
expectTypeOf(udpConnect(ring, { host: 'a', port: 1 })).resolves.toEqualTypeOf<
  OpenedSocket<IpSocketAddress>
>();
expectTypeOf(unixConnect(ring, '/a')).resolves.toEqualTypeOf<OpenedSocket<UnixSocketAddress>>();
expectTypeOf(unixListen(ring, { path: '/a' })).resolves.toEqualTypeOf<OpenedSocket<UnixSocketAddress>>();
const direct = tcpListen(ring, { port: 0 }, { direct: true });
expectTypeOf(direct).resolves.toHaveProperty('file').toEqualTypeOf<FixedFile>();
expectTypeOf(socketAddress(1)).toEqualTypeOf<SocketAddress | undefined>();

// @ts-expect-error a direct socket has no descriptor
direct.then(({ fd }) => fd);
// @ts-expect-error a path is for unixConnect
tcpConnect(ring, { path: '/a' });
// @ts-expect-error a host needs a port
tcpConnect(ring, { host: 'a' });
// @ts-expect-error slots are of the kernel's choice
tcpConnect(ring, at, { direct: 1 });
// @ts-expect-error a name that no option has
tcpConnect(ring, at, { socketOptions: { SO_NOTHING: 1 } });
// @ts-expect-error a value of another type
tcpConnect(ring, at, { socketOptions: { TCP_NODELAY: 1 } });
// @ts-expect-error datagram sockets do not listen
unixListen(ring, '/a', { type: 'dgram' });
