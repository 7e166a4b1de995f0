// An echo server: multishot accept and receive, sockets as registered files, buffers that the kernel takes when data
// arrives. Two clients of its own talk to it; then it ends, or serves others for SECONDS or until Ctrl-C. Linux 6.11.
//
//   npm run example -- tcp_echo [PORT [SECONDS]]
//   nc 127.0.0.1 7007
import { once } from 'node:events';
import {
  acceptMultishot,
  bind,
  close,
  connect,
  type FixedFile,
  listen,
  Ring,
  recv,
  recvMultishot,
  send,
  setsockopt,
  shutdown,
  socket,
  timeout,
} from 'uring';

const port = Number(process.argv[2] ?? 7007);
const seconds = Number(process.argv[3] ?? 0);
const address = { address: '127.0.0.1', port };

const ring = new Ring();
// Sockets become registered files, which need no descriptor and end with the ring.
ring.registrar.registerFiles();
const buffers = ring.registrar.registerBufferRing({ entries: 256, sizeBytes: 4096 });

/** A send may be short. */
async function sendAll(to: FixedFile, data: Uint8Array): Promise<void> {
  for (let rest = data; rest.byteLength > 0; ) rest = rest.subarray(await ring.exec(send(to, rest)));
}

async function echo(from: FixedFile): Promise<void> {
  let total = 0;
  try {
    // One submission for all that arrives. The kernel takes a buffer when there is data, so idle connections hold none.
    for await (const lease of ring.multishot(recvMultishot(from, buffers))) {
      total += lease.data.byteLength;
      try {
        await sendAll(from, lease.data);
      } finally {
        lease.release();
      }
    }
    console.log(`server: echoed ${total} bytes`);
    // The client learns of the end at once: up to Linux 6.12 a registered file that was closed stays open while operations
    // that came before are in flight on any other.
    await ring.exec(shutdown(from, 'write'));
  } catch (error) {
    if (ring.closed) return; // and with it all its sockets
    console.error(`server: connection lost: ${error instanceof Error ? error.message : error}`);
  }
  await ring.exec(close(from));
}

/** Says something and prints what comes back. */
async function say(words: string): Promise<void> {
  const client = await ring.exec(socket('IPv4', 'stream', { direct: true }));
  await ring.exec(connect(client, address));
  await sendAll(client, Buffer.from(words));
  await ring.exec(shutdown(client, 'write'));
  const buffer = ring.alloc(64);
  let answer = '';
  for (;;) {
    const bytes = await ring.exec(recv(client, buffer));
    if (bytes === 0) break; // the end: the server has closed the connection
    answer += buffer.toString('latin1', 0, bytes);
  }
  await ring.exec(close(client));
  console.log(`client: ${answer}`);
}

const listener = await ring.exec(socket('IPv4', 'stream', { direct: true }));
await ring.exec(setsockopt(listener, 'SO_REUSEADDR', true));
await ring.exec(bind(listener, address));
await ring.exec(listen(listener));
console.log(`server: listening on ${address.address}:${port}`);

const connections = ring.multishot(acceptMultishot(listener, { direct: true }));
async function serve(): Promise<void> {
  for await (const connection of connections) void echo(connection);
}
const served = serve();

await say('hello');
await say('hello again');
if (seconds > 0) {
  console.log(`server: ${seconds} more seconds`);
  await Promise.race([ring.exec(timeout(seconds * 1000)), once(process, 'SIGINT')]);
}
await connections.return();
await served;
await ring.close();
