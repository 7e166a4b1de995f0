// A network in memory, for the mock: streams and datagrams of one machine.
import type { SocketAddress } from 'uring';
import type { MockHandlers, MockOperation } from 'uring/mock';
import { MockPipe } from './_pipe.ts';

const SOCK_STREAM = 1;
const AF_UNIX = 1;

class MockSocket {
  readonly arriving = new MockPipe();
  readonly isStream: boolean;
  readonly isUnix: boolean;
  peer: MockSocket | undefined;
  address: SocketAddress | undefined;
  /** Connections that nobody has accepted. */
  readonly backlog: MockSocket[] = [];
  /** One byte for each of them. */
  readonly knocks = new MockPipe();

  constructor(isStream: boolean, isUnix: boolean) {
    this.isStream = isStream;
    this.isUnix = isUnix;
  }
}

const nameOf = (address: SocketAddress | undefined): string =>
  address === undefined
    ? ''
    : 'path' in address
      ? `${address.path}`
      : `${(address as { port: number }).port}`;

export class MockNetwork {
  readonly #sockets = new Map<number, MockSocket>();
  readonly #bound = new Map<string, MockSocket>();
  #nextPort = 40_000;

  /** A connection, of which the test has the other end. */
  connected(fd: number): MockSocket {
    const [socket, peer] = [new MockSocket(true, false), new MockSocket(true, false)];
    [socket.peer, peer.peer] = [peer, socket];
    this.#sockets.set(fd, socket);
    return peer;
  }

  #at(fd: number): MockSocket {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) throw new Error(`${fd} is no socket`);
    return socket;
  }

  /** What a socket has received. */
  arriving(fd: number): MockPipe {
    return this.#at(fd).arriving;
  }

  readonly handlers: MockHandlers = {
    socket: ({ newFd, socket }) => {
      const made = new MockSocket(socket?.type === SOCK_STREAM, socket?.domain === AF_UNIX);
      this.#sockets.set(newFd, made);
    },
    setsockopt: 0,
    bind: ({ fd, address }) => this.#bind(this.#at(fd), address),
    listen: 0,
    connect: ({ fd, address }) => this.#connect(this.#at(fd), address),
    getsockname: ({ fd }) => ({ address: this.#at(fd).address ?? { address: '127.0.0.1', port: 1 } }),
    accept: (operation) => (operation.multishot ? this.#accepting(operation) : this.#accept(operation)),
    send: (operation) => this.#send(operation),
    sendmsg: (operation) => this.#send(operation),
    recvmsg: (operation) => this.#at(operation.fd).arriving.read(operation),
    recv: (operation) => {
      const { arriving } = this.#at(operation.fd);
      return operation.multishot ? arriving.arriving(operation) : arriving.read(operation);
    },
    shutdown: ({ fd }) => this.#at(fd).peer?.arriving.hangUp(),
    close: ({ fd }) => this.#close(fd),
  };

  #bind(socket: MockSocket, wanted: SocketAddress | undefined): 'EADDRINUSE' | 0 {
    const isAny = wanted !== undefined && 'port' in wanted && wanted.port === 0;
    const address = isAny ? { ...wanted, port: this.#nextPort++ } : wanted;
    if (this.#bound.has(nameOf(address))) return 'EADDRINUSE';
    socket.address = address;
    this.#bound.set(nameOf(address), socket);
    return 0;
  }

  #connect(socket: MockSocket, to: SocketAddress | undefined): string | 0 {
    const target = this.#bound.get(nameOf(to));
    if (target === undefined) return socket.isUnix ? 'ENOENT' : 'ECONNREFUSED';
    if (!socket.isStream) {
      socket.peer = target;
      return 0;
    }
    const peer = new MockSocket(true, socket.isUnix);
    [socket.peer, peer.peer] = [peer, socket];
    target.backlog.push(peer);
    target.knocks.put('!');
    return 0;
  }

  #send({ fd, data }: MockOperation): number | 'EPIPE' {
    const { peer } = this.#at(fd);
    if (peer === undefined) return 'EPIPE';
    peer.arriving.put(data);
    return data.byteLength;
  }

  async #accept(operation: MockOperation): Promise<undefined> {
    const { knocks, backlog } = this.#at(operation.fd);
    if (!(await knocks.ready(operation.signal))) return;
    knocks.take(1);
    this.#sockets.set(operation.newFd, backlog.shift() as MockSocket);
  }

  async *#accepting(operation: MockOperation): AsyncGenerator<undefined, undefined> {
    for (;;) {
      await this.#accept(operation);
      if (operation.signal.aborted) return;
      yield;
    }
  }

  #close(fd: number): void {
    const socket = this.#sockets.get(fd);
    this.#sockets.delete(fd);
    socket?.peer?.arriving.hangUp();
    // A path stays.
    if (socket !== undefined && !socket.isUnix && this.#bound.get(nameOf(socket.address)) === socket)
      this.#bound.delete(nameOf(socket.address));
  }
}
