// @ts-check
// An echo server: node examples/tcp-echo.mjs [PORT [SECONDS]]. It ends after SECONDS (default 10), or on Ctrl-C.
// Try it with: nc 127.0.0.1 7007
import { once } from 'node:events';
import { createServer } from 'node:net';
import { acceptMultishot, close, Ring, recvMultishot, send } from 'uring';

/** @typedef {import('uring').FixedFile} FixedFile */

const port = Number(process.argv[2] ?? 7007);
const seconds = Number(process.argv[3] ?? 10);

const ring = new Ring();
const files = ring.registrar.registerFiles();
const buffers = ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 4096 });

/** Has node:net make the socket; the slot keeps it open when node:net has closed its own descriptor. */
async function listen() {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { _handle: handle } = /** @type {{ _handle: { fd: number } }} */ (/** @type {unknown} */ (server));
  const listener = files.alloc(handle.fd);
  server.close();
  return listener;
}

/** @param {FixedFile} socket @param {Buffer} data */
async function sendAll(socket, data) {
  for (let rest = data; rest.byteLength > 0; ) {
    rest = rest.subarray(await ring.exec(send(socket, rest)));
  }
}

/** @param {FixedFile} socket */
async function echo(socket) {
  let total = 0;
  try {
    // One submission for all that arrives; the kernel takes a buffer when there is data.
    for await (const lease of ring.multishot(recvMultishot(socket, buffers))) {
      if (lease === null) continue;
      total += lease.data.byteLength;
      try {
        await sendAll(socket, lease.data);
      } finally {
        lease.release();
      }
    }
    await ring.exec(close(socket));
    console.log(`echoed ${total} bytes`);
  } catch (error) {
    if (ring.closed) return; // and with it all its sockets
    console.error(`connection lost: ${error instanceof Error ? error.message : error}`);
    await ring.exec(close(socket));
  }
}

// The sockets become registered files, which need no descriptor and end with the ring.
const connections = ring.multishot(acceptMultishot(await listen(), { direct: true }));
const stop = () => void connections.return?.();
const timer = setTimeout(stop, seconds * 1000);
process.once('SIGINT', stop).once('SIGTERM', stop);
console.log(`listening on 127.0.0.1:${port} for ${seconds} s`);
for await (const socket of connections) void echo(socket);
clearTimeout(timer);
await ring.close();
