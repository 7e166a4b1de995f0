// Accepts connections, and gives each to a protocol of its own.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  acceptMultishot,
  type BufferRing,
  bind,
  type FixedFile,
  listen,
  type MultishotStream,
  Ring,
  setsockopt,
  socket,
} from 'uring';
import { Connection, type Protocol } from './connection.ts';

const BACKLOG = 4096;
/** How long connections may take to send what is left when the server stops. */
const STOP_MS = 2000;
const AGAIN_MS = 100;

/** One submission accepts all connections, one receives all that a connection sends; idle ones hold no buffer. Linux 6.11. */
export class Server {
  readonly ring = new Ring({ cqEntries: 8192 });
  readonly #makeProtocol: () => Protocol;
  readonly #buffers: BufferRing;
  readonly #connections = new Set<Connection>();
  #accepting: MultishotStream<FixedFile> | undefined;
  #accepted: Promise<void> | undefined;
  #stopped = false;
  /** Connections so far. */
  count = 0;

  constructor(makeProtocol: () => Protocol) {
    this.#makeProtocol = makeProtocol;
    // Not more than RLIMIT_NOFILE has by default.
    this.ring.registrar.registerFiles({ slots: 1, kernelSlots: 1000 });
    this.#buffers = this.ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 16 * 1024 });
  }

  /** Connections that are open. */
  get open(): number {
    return this.#connections.size;
  }

  /** Starts to accept connections. */
  async listen(port: number, address = '127.0.0.1'): Promise<void> {
    const { ring } = this;
    const listener = await ring.exec(socket('IPv4', 'stream', { direct: true }));
    await ring.exec(setsockopt(listener, 'SO_REUSEADDR', true));
    // Inherited by what is accepted.
    await ring.exec(setsockopt(listener, 'TCP_NODELAY', true));
    await ring.exec(bind(listener, { address, port }));
    await ring.exec(listen(listener, BACKLOG));
    this.#accepted = this.#accept(listener);
  }

  async #accept(listener: FixedFile): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#accepting = this.ring.multishot(acceptMultishot(listener, { direct: true }));
        for await (const fd of this.#accepting) this.#connected(fd);
      } catch {
        // No slot is free, or memory is short. Each time the kernel closes a connection that it had accepted already.
        await sleep(AGAIN_MS);
      }
    }
  }

  #connected(fd: FixedFile): void {
    this.count += 1;
    const onClosed = (connection: Connection): boolean => this.#connections.delete(connection);
    this.#connections.add(new Connection(this.ring, fd, this.#buffers, this.#makeProtocol(), onClosed));
  }

  /** Accepts no more, sends what is to be sent, and closes everything. Says what is left: nothing. */
  async stop(): Promise<string> {
    this.#stopped = true;
    await this.#accepting?.return();
    await this.#accepted;
    for (const connection of this.#connections) connection.end();
    const deadline = Date.now() + STOP_MS;
    while (this.#connections.size > 0) {
      if (Date.now() > deadline) for (const connection of this.#connections) connection.destroy();
      await sleep(5);
    }
    // What a connection had in flight comes back after it.
    while (this.ring.inFlight > 0 && Date.now() < deadline) await sleep(5);
    const left = `${this.#buffers.lent} buffers lent, ${this.ring.inFlight} in flight`;
    await this.ring.close();
    return left;
  }
}
