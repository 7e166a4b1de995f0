// What composites on sockets are given: which ring, and where to.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { accept, close, Ring, tcpConnect, tcpListen, udpConnect, unixConnect, unixListen } from 'uring';
import { leakCheck, tmpDir, withRing } from './_helpers.ts';
import { answering } from './_lookup.ts';
import { closing } from './_loopback.ts';
import { ringWith } from './_steps.ts';

leakCheck(test);

test('tcpListen refuses a host name rather than listen everywhere', async (t) => {
  await withRing({}, async (ring) => {
    const { submitted } = ring.stats();
    for (const host of ['127.0.0.1', 'localhost'])
      await t.throwsAsync(tcpListen(ring, { host, port: 0 } as never), {
        code: 'ERR_INVALID_ARG_VALUE',
        message: /look it up/,
        any: true,
      });
    t.is(ring.stats().submitted, submitted);
  });
});

test('a target that is changed after the call does not matter: tcpListen and tcpConnect', async (t) => {
  await withRing({}, async (ring) => {
    const where = { address: '127.0.0.1', port: 0 };
    const starting = tcpListen(ring, where);
    where.address = '0.0.0.0';
    const server = await starting;
    closing(t, server.fd);
    t.is(server.address.address, '127.0.0.1');
    const target = { host: 'a.test', port: server.address.port };
    const connecting = tcpConnect(ring, target, { lookup: answering(['127.0.0.1']) });
    target.port = 1;
    target.host = 'b.test';
    const client = await connecting;
    closing(t, client.fd);
    t.is(client.address.port, server.address.port);
    const address = { address: '127.0.0.1', port: server.address.port };
    const again = tcpConnect(ring, address);
    address.port = 1;
    closing(t, (await again).fd);
    for (let count = 0; count < 2; count += 1) closing(t, await ring.exec(accept(server.fd)));
  });
});

test('a path whose buffer is used again after the call does not matter: unixListen and unixConnect', async (t) => {
  const dir = tmpDir(t);
  const path = join(dir, 'a');
  await withRing({}, async (ring) => {
    const shared = Buffer.from(path);
    const starting = unixListen(ring, shared);
    shared.write('b', shared.length - 1);
    const server = await starting;
    closing(t, server.fd);
    t.deepEqual(server.address, { path });
    t.false(existsSync(join(dir, 'b')));
    shared.write('a', shared.length - 1);
    const connecting = unixConnect(ring, { path: shared });
    shared.write('b', shared.length - 1);
    const client = await connecting;
    closing(t, client.fd);
    t.deepEqual(client.address, { path });
    closing(t, await ring.exec(accept(server.fd)));
  });
});

test('a port that is taken between bind and listen fails with the address and the port', async (t) => {
  await withRing({}, async (ring) => {
    const { address, fd } = await tcpListen(ring, { address: '127.0.0.1', port: 0 });
    await ring.exec(close(fd));
    // SO_REUSEADDR lets both bind, and only one listen.
    const both = await Promise.allSettled([tcpListen(ring, address), tcpListen(ring, address)]);
    const [done] = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    closing(t, done?.fd as number);
    const [error] = both.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    const { port } = address;
    t.like(error, { code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port });
  });
});

test('an error of listen on a Unix socket carries the path', async (t) => {
  const path = join(tmpDir(t), 'socket');
  await withRing({}, async (ring) => {
    const chain = ((operations, options) => {
      // A descriptor that nobody has.
      const last = operations.at(-1) as { fd: number };
      last.fd = 1_000_000;
      return ring.chain(operations, options);
    }) as Ring['chain'];
    const error = await t.throwsAsync(unixListen(ringWith(ring, { chain }), path));
    t.like(error, { code: 'EBADF', syscall: 'listen', address: path } as object);
    t.false(existsSync(path));
  });
});

const STARTS: readonly (readonly [name: string, start: (ring: Ring) => Promise<unknown>])[] = [
  ['tcpConnect', (ring) => tcpConnect(ring, { host: 'localhost', port: 1 })],
  ['udpConnect', (ring) => udpConnect(ring, { address: '127.0.0.1', port: 1 })],
  ['unixConnect', (ring) => unixConnect(ring, '/nowhere')],
  ['tcpListen', (ring) => tcpListen(ring, { port: 0 })],
  ['unixListen', (ring) => unixListen(ring, '')],
];

for (const [name, start] of STARTS) {
  test(`${name} refuses what is no ring, and a ring that is closed`, async (t) => {
    for (const ring of [undefined, {}])
      await t.throwsAsync(start(ring as Ring), {
        code: 'ERR_INVALID_ARG_TYPE',
        message: /"ring"/,
        any: true,
      });
    const ring = new Ring();
    await ring.close();
    await t.throwsAsync(start(ring), { code: 'ERR_URING_CLOSED' });
  });
}
