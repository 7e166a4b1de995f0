// Answers `get KEY` and `set KEY VALUE`, a line each.
import { acceptMultishot, close, recvMultishot, sendAll, tcpListen } from 'uring';

const BUFFERS = { entries: 64, sizeBytes: 1024 };

export class Server {
  #ring;
  #store;
  #buffers;
  #stop = new AbortController();
  #connections = new Set();
  #fd;
  #done;

  static async listen(ring, store, target) {
    const server = new Server(ring, store);
    const { fd, address } = await tcpListen(ring, target);
    server.address = address;
    server.#fd = fd;
    server.#done = server.#serve();
    return server;
  }

  constructor(ring, store) {
    this.#ring = ring;
    this.#store = store;
    this.#buffers = ring.registrar.registerBufferRing(BUFFERS);
  }

  get connections() {
    return this.#connections.size;
  }

  async #serve() {
    const { signal } = this.#stop;
    try {
      for await (const fd of this.#ring.multishot(acceptMultishot(this.#fd), { signal })) {
        const connection = this.#talk(fd, signal).catch(() => {});
        this.#connections.add(connection);
        void connection.then(() => this.#connections.delete(connection));
      }
    } catch (error) {
      if (error.code !== 'ABORT_ERR') throw error;
    }
  }

  async #talk(fd, signal) {
    let text = '';
    try {
      for await (const lease of this.#ring.multishot(recvMultishot(fd, this.#buffers), { signal })) {
        text += lease.data.toString();
        lease.release();
        const lines = text.split('\n');
        text = lines.pop();
        for (const line of lines) await sendAll(this.#ring, fd, Buffer.from(`${await this.#answer(line)}\n`));
      }
    } finally {
      await this.#ring.exec(close(fd));
    }
  }

  async #answer(line) {
    const [verb, key = '', ...words] = line.split(' ');
    if (verb === 'get') return this.#store.get(key) ?? '';
    if (verb !== 'set') return `error: what is ${verb}?`;
    try {
      await this.#store.set(key, words.join(' '));
      return 'ok';
    } catch (error) {
      return `error: ${error.code}`;
    }
  }

  async stop() {
    this.#stop.abort();
    await this.#done;
    await Promise.all(this.#connections);
    await this.#ring.exec(close(this.#fd));
    this.#buffers.unregister();
  }
}
