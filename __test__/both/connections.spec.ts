// Composites of sockets, on the kernel and on the mock.
import test from 'ava';
import {
  accept,
  acceptMultishot,
  bind,
  close,
  PollEvents,
  pollAdd,
  type Ring,
  recv,
  recvExactly,
  recvMultishot,
  recvmsg,
  send,
  sendAll,
  sendmsg,
  shutdown,
  socket,
  tcpConnect,
  tcpListen,
  udpConnect,
  unixConnect,
  unixListen,
} from 'uring';
import { leakCheck } from '../_helpers.ts';
import { unusedPort } from '../_ports.ts';
import { settle, soon } from '../_until.ts';
import { both } from './_backends.ts';

leakCheck(test);

const LOCAL = '127.0.0.1';

interface Ends {
  readonly ring: Ring;
  readonly client: number;
  readonly server: number;
}

/** A listening socket, and a connection to it. */
async function connected(ring: Ring): Promise<Ends & { listening: number; port: number }> {
  const { fd: listening, address } = await tcpListen(ring, { address: LOCAL, port: 0 });
  const accepting = ring.exec(accept(listening));
  const { fd: client } = await tcpConnect(ring, { address: LOCAL, port: address.port }, { noDelay: true });
  return { ring, listening, client, server: await soon(accepting, 'the connection'), port: address.port };
}

async function closeAll(ring: Ring, ...fds: number[]): Promise<void> {
  for (const fd of fds) await ring.exec(close(fd));
}

both('a server that listens is connected to, spoken with, and hung up', async (t, _world, open) => {
  const ring = open();
  const { listening, client, server, port } = await connected(ring);
  t.true(port > 0);
  await sendAll(ring, client, Buffer.from('hello'));
  const buffer = Buffer.alloc(5);
  await recvExactly(ring, server, buffer);
  t.is(buffer.toString(), 'hello');
  await ring.exec(shutdown(client, 'write'));
  t.is(await soon(ring.exec(recv(server, buffer)), 'the end'), 0);
  await closeAll(ring, client, server, listening);
});

both('connections come from an iterator, and what arrives from another', async (t, _world, open) => {
  const ring = open();
  const { fd: listening, address } = await tcpListen(ring, { address: LOCAL, port: 0 });
  const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 64 });
  const seen: string[] = [];
  const serving = (async () => {
    for await (const fd of ring.multishot(acceptMultishot(listening))) {
      for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
        seen.push(lease.data.toString());
        lease.release();
      }
      await ring.exec(close(fd));
      if (seen.length === 3) break;
    }
  })();
  for (const text of ['one', 'two', 'three']) {
    const { fd } = await tcpConnect(ring, { address: LOCAL, port: address.port });
    await ring.exec(send(fd, Buffer.from(text)));
    await ring.exec(close(fd));
  }
  await soon(serving, 'three clients');
  t.deepEqual(seen, ['one', 'two', 'three']);
  t.is(ring.inFlight, 0);
  await ring.exec(close(listening));
});

both(
  'where nobody listens, and where somebody does already, the error says where',
  async (t, _world, open) => {
    const ring = open();
    const { fd, address } = await tcpListen(ring, { address: LOCAL, port: 0 });
    const taken = await t.throwsAsync(tcpListen(ring, { address: LOCAL, port: address.port }));
    t.like(taken, { code: 'EADDRINUSE', address: LOCAL, port: address.port });
    await ring.exec(close(fd));
    const refused = await t.throwsAsync(tcpConnect(ring, { address: LOCAL, port: address.port }));
    t.like(refused, { code: 'ECONNREFUSED', syscall: 'connect', address: LOCAL, port: address.port });
    t.is(ring.inFlight, 0);
  },
);

both('paths are listened on, connected to, and missing', async (t, world, open) => {
  const ring = open();
  const path = world.newPath('socket');
  const missing = await t.throwsAsync(unixConnect(ring, path));
  t.like(missing, { code: 'ENOENT', syscall: 'connect', address: path });
  const { fd: listening, address } = await unixListen(ring, path);
  t.deepEqual(address, { path });
  t.like(await t.throwsAsync(unixListen(ring, path)), { code: 'EADDRINUSE', address: path });
  const accepting = ring.exec(accept(listening));
  const { fd: client } = await unixConnect(ring, path);
  const server = await soon(accepting, 'the connection');
  await sendAll(ring, server, Buffer.from('abc'));
  const buffer = Buffer.alloc(3);
  await recvExactly(ring, client, buffer);
  t.is(buffer.toString(), 'abc');
  await closeAll(ring, client, server, listening);
});

both('datagrams are sent to whom a socket is connected to', async (t, _world, open) => {
  const ring = open();
  const server = await ring.exec(socket('IPv4', 'dgram'));
  const port = unusedPort();
  await ring.exec(bind(server, { address: LOCAL, port }));
  const { fd, address } = await udpConnect(ring, { address: LOCAL, port });
  t.deepEqual(address, { address: LOCAL, port, family: 'IPv4' });
  t.is(await ring.exec(send(fd, Buffer.from('ping'))), 4);
  const buffer = Buffer.alloc(8);
  t.is(await soon(ring.exec(recv(server, buffer)), 'the datagram'), 4);
  t.is(buffer.toString('utf8', 0, 4), 'ping');
  await closeAll(ring, fd, server);
});

both('messages are sent of several buffers, and received in several', async (t, _world, open) => {
  const ring = open();
  const { listening, client, server } = await connected(ring);
  const sent = await ring.exec(sendmsg(client, { data: [Buffer.from('ab'), Buffer.from('cde')] }));
  t.is(sent, 5);
  const [one, two] = [Buffer.alloc(3), Buffer.alloc(8)];
  const { bytes, truncated, address } = await soon(ring.exec(recvmsg(server, [one, two])), 'the message');
  t.deepEqual({ bytes, truncated, address }, { bytes: 5, truncated: false, address: undefined });
  t.is(`${one} ${two.toString('utf8', 0, 2)}`, 'abc de');
  await closeAll(ring, client, server, listening);
});

both('a transfer that ends early says how far it came', async (t, _world, open) => {
  const ring = open();
  const { listening, client, server } = await connected(ring);
  await sendAll(ring, client, Buffer.from('abc'));
  await ring.exec(shutdown(client, 'write'));
  const early = await t.throwsAsync(soon(recvExactly(ring, server, Buffer.alloc(8)), 'the end'));
  t.like(early, { name: 'TransferError', code: 'ERR_URING_SHORT_TRANSFER', bytes: 3 });
  await closeAll(ring, client, server, listening);
});

both('a transfer has one deadline, and a signal stops it', async (t, world, open) => {
  const ring = open();
  const { listening, client, server } = await connected(ring);
  const late = t.throwsAsync(recvExactly(ring, server, Buffer.alloc(8), { timeoutMs: 20 }));
  await sendAll(ring, client, Buffer.from('abc'));
  await settle();
  await world.pass(40);
  t.like(await soon(late, 'the deadline'), { code: 'ERR_URING_TIMEOUT' });
  const controller = new AbortController();
  const stopped = t.throwsAsync(recvExactly(ring, server, Buffer.alloc(8), { signal: controller.signal }));
  await settle();
  controller.abort();
  t.like(await soon(stopped, 'the abortion'), { code: 'ABORT_ERR' });
  t.is(ring.inFlight, 0);
  await closeAll(ring, client, server, listening);
});

both('waiting to be connected to has a deadline, and leaves nothing', async (t, world, open) => {
  const ring = open();
  const { fd: listening } = await tcpListen(ring, { address: LOCAL, port: 0 });
  const late = t.throwsAsync(ring.exec(accept(listening), { timeoutMs: 10 }), { code: 'ERR_URING_TIMEOUT' });
  await settle();
  await world.pass(20);
  await soon(late, 'the deadline');
  t.is(ring.inFlight, 0);
  await ring.exec(close(listening));
});

both('a poll ends when there is something to read, and takes none of it', async (t, world, open) => {
  const ring = open();
  const { reader: fd, put } = await world.connect(ring);
  const polled = ring.exec(pollAdd(fd, PollEvents.IN));
  await settle();
  t.is(ring.inFlight, 1);
  put('abc');
  t.is((await soon(polled, 'the event')) & PollEvents.IN, PollEvents.IN);
  const buffer = Buffer.alloc(8);
  t.is(await soon(ring.exec(recv(fd, buffer)), 'what was polled for'), 3);
});
