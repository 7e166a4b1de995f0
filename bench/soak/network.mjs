// @ts-check
// An echo server on multishot accepts and receives with provided buffers, and clients on another ring, some of which reset.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  acceptMultishot,
  close,
  recvExactly,
  recvMultishot,
  sendAll,
  setsockopt,
  tcpConnect,
  tcpListen,
} from 'uring';
import { scribble, Tally } from './common.mjs';

/** @typedef {import('uring').Ring} Ring @typedef {import('./common.mjs').Work} Work @typedef {import('./common.mjs').Dice} Dice */

const CLIENTS = 6;
const MESSAGES_MAX = 40;
const MESSAGE_BYTES_MAX = 32 << 10;
/** So long a connection may take to end after its client has; what is left then is counted. */
const SETTLE_MS = 5000;
/** What becomes of the server's end when the client resets. */
const LOST = new Set(['ECONNRESET', 'EPIPE']);

/** @param {Ring} ring @param {Ring} clients @param {Dice} roll @returns {Promise<Work>} */
export async function echo(ring, clients, roll) {
  const tally = new Tally();
  ring.registrar.registerFiles({ slots: 8, kernelSlots: 64 });
  const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 2048 });
  // Connections have it from the socket that they were accepted on.
  const socketOptions = { TCP_NODELAY: true };
  const listener = await tcpListen(ring, { address: '127.0.0.1', port: 0 }, { socketOptions });
  const connections = ring.multishot(acceptMultishot(listener.fd, { direct: true }));
  /** @type {Set<Promise<void>>} */
  const served = new Set();
  /** @type {unknown[]} */
  const errors = [];

  /** @param {import('uring').FixedFile} file */
  const serve = async (file) => {
    try {
      for await (const lease of ring.multishot(recvMultishot(file, buffers))) {
        const part = Buffer.from(lease.data);
        lease.release();
        await sendAll(ring, file, part);
      }
    } catch (error) {
      if (!LOST.has(/** @type {{ code: string }} */ (error).code)) errors.push(error);
    }
    await ring.exec(close(file));
  };
  const serving = (async () => {
    for await (const file of connections) {
      /** @type {Promise<void>} */
      const one = serve(file).finally(() => served.delete(one));
      served.add(one);
    }
  })();

  return {
    name: 'echo over TCP',
    tally,
    lanes: CLIENTS,
    async round() {
      const { fd } = await tcpConnect(clients, listener.address, { noDelay: true });
      for (let left = roll(MESSAGES_MAX); left > 0; left -= 1) {
        const message = scribble(clients.alloc(1 + roll(MESSAGE_BYTES_MAX)), roll);
        const back = clients.alloc(message.length);
        const [bytes] = await Promise.all([recvExactly(clients, fd, back), sendAll(clients, fd, message)]);
        tally.check(
          back.equals(message),
          () => `an echo of ${bytes} bytes is another message`,
          message.length * 2,
        );
      }
      if (roll(4) === 0) {
        await clients.exec(setsockopt(fd, 'SO_LINGER', { on: true, seconds: 0 }));
        await sendAll(clients, fd, Buffer.alloc(1000));
      }
      await clients.exec(close(fd));
      tally.check(errors.length === 0, () => `the server: ${errors[0]}`);
    },
    async settle() {
      const deadline = Date.now() + SETTLE_MS;
      while (served.size > 0 && Date.now() < deadline) await sleep(2);
    },
    async end() {
      await connections.return();
      await serving;
      await ring.exec(close(listener.fd));
    },
  };
}
