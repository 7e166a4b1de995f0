// The descriptors that random operations work on: files, pipes and sockets of their own, new ones for each round.
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  accept,
  bind,
  connect,
  listen,
  pipe,
  type Ring,
  SocketFlags,
  send,
  sendmsg,
  setsockopt,
  socket,
} from 'uring';
import { portOf } from '../_loopback.ts';

/** What a descriptor is of. */
export type Kind =
  | 'file'
  | 'directory'
  | 'device'
  | 'pipeOut'
  | 'pipeIn'
  | 'stream'
  | 'tcp'
  | 'udp'
  | 'datagram'
  | 'listener';

/** SOF_TIMESTAMPING_TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY. */
const TIMESTAMPING = (1 << 1) | (1 << 4) | (1 << 7) | (1 << 11);
const FILE_BYTES = 20_000;
const O_NONBLOCK = 0o4000;
const HOST = '127.0.0.1';

let names = 0;

export class Endpoints {
  readonly #ring: Ring;
  readonly #dir: string;
  readonly #open = new Map<Kind, number[]>();
  /** Of the listening sockets. */
  #all: number[] = [];
  unixName = { path: '' };
  tcpPort = 0;
  udpPort = 0;

  /** @param ring makes the sockets; @param dir holds the files, and is emptied for each round */
  constructor(ring: Ring, dir: string) {
    this.#ring = ring;
    this.#dir = dir;
  }

  of(kind: Kind): readonly number[] {
    return this.#open.get(kind) ?? [];
  }

  get all(): readonly number[] {
    return this.#all;
  }

  /** Closes what there was, and makes everything anew. */
  async renew(): Promise<void> {
    this.close();
    this.#makeFiles();
    await this.#makePipes();
    await this.#makeListeners();
    await Promise.all([this.#connectStreams(), this.#makeDatagrams()]);
  }

  close(): void {
    for (const fd of this.#all) closeSync(fd);
    this.#all = [];
    this.#open.clear();
  }

  #add(kind: Kind, ...fds: number[]): void {
    this.#open.set(kind, [...this.of(kind), ...fds]);
    this.#all.push(...fds);
  }

  #makeFiles(): void {
    const dir = this.#dir;
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(join(dir, 'dir'), { recursive: true });
    symlinkSync('a', join(dir, 'link'));
    for (const name of ['a', 'b', 'dir/x']) writeFileSync(join(dir, name), Buffer.alloc(FILE_BYTES, name));
    this.#add('file', openSync(join(dir, 'a'), 'r+'), openSync(join(dir, 'b'), 'r'));
    this.#add('file', openSync(join(dir, 'dir/x'), 'a+'), openSync(join(dir, 'b'), 'r+'));
    this.#add('directory', openSync(dir, 'r'), openSync(join(dir, 'dir'), 'r'));
    this.#add('device', openSync('/dev/null', 'r+'), openSync('/dev/zero', 'r'));
  }

  async #makePipes(): Promise<void> {
    // Without O_NONBLOCK a write could block the thread.
    for (const pipeFlags of [O_NONBLOCK, O_NONBLOCK]) {
      const { readFd, writeFd } = await this.#ring.exec(pipe({ pipeFlags }));
      this.#add('pipeOut', readFd);
      this.#add('pipeIn', writeFd);
      writeFileSync(writeFd, Buffer.alloc(500, 'pipe'));
    }
  }

  async #socket(domain: 'unix' | 'IPv4', type: 'stream' | 'dgram', blocking = false): Promise<number> {
    const socketFlags = SocketFlags.CLOEXEC | (blocking ? 0 : SocketFlags.NONBLOCK);
    return this.#ring.exec(socket(domain, type, { socketFlags }));
  }

  async #makeListeners(): Promise<void> {
    names += 1;
    this.unixName = { path: `\0uring-random-${process.pid}-${names}` };
    // One of them blocks: the ring then waits by itself.
    const [unix, tcp] = [await this.#socket('unix', 'stream'), await this.#socket('IPv4', 'stream', true)];
    this.#add('listener', unix, tcp);
    await this.#ring.exec(bind(unix, this.unixName));
    await this.#ring.exec(bind(tcp, { address: HOST, port: 0 }));
    await Promise.all([this.#ring.exec(listen(unix)), this.#ring.exec(listen(tcp))]);
    this.tcpPort = portOf(tcp);
  }

  async #connectStreams(): Promise<void> {
    const ring = this.#ring;
    const [unix, tcp] = this.of('listener') as [number, number];
    for (const [kind, domain, listener, to] of [
      ['stream', 'unix', unix, this.unixName],
      ['tcp', 'IPv4', tcp, { address: HOST, port: this.tcpPort }],
    ] as const) {
      const client = await this.#socket(domain, 'stream', domain === 'unix');
      this.#add(kind, client);
      const [server] = await Promise.all([ring.exec(accept(listener)), ring.exec(connect(client, to))]);
      this.#add(kind, server);
      for (const fd of [client, server]) await ring.exec(send(fd, Buffer.alloc(700, kind)));
      // These wait to be accepted.
      for (let left = 2; left > 0; left -= 1) {
        const waiting = await this.#socket(domain, 'stream');
        this.#add(kind, waiting);
        await ring.exec(connect(waiting, to));
      }
    }
    const [client] = this.of('stream') as [number];
    await ring.exec(
      sendmsg(client, { data: Buffer.from('fd'), control: [{ kind: 'descriptors', fds: [client] }] }),
    );
  }

  async #makeDatagrams(): Promise<void> {
    const ring = this.#ring;
    const [udp, stamped] = [await this.#socket('IPv4', 'dgram'), await this.#socket('IPv4', 'dgram')];
    this.#add('udp', udp, stamped);
    await ring.exec(bind(udp, { address: HOST, port: 0 }));
    this.udpPort = portOf(udp);
    await ring.exec(connect(stamped, { address: HOST, port: this.udpPort }));
    await ring.exec(setsockopt(stamped, 'SO_TIMESTAMPING', TIMESTAMPING));
    for (const text of ['one', 'two', '']) await ring.exec(send(stamped, Buffer.from(text)));
    const [one, two] = [await this.#socket('unix', 'dgram'), await this.#socket('unix', 'dgram', true)];
    this.#add('datagram', one, two);
    const name = { path: `${this.unixName.path}d` };
    await ring.exec(bind(one, name));
    await ring.exec(connect(two, name));
    for (const text of ['one', 'two', '']) await ring.exec(send(two, Buffer.from(text)));
  }
}
