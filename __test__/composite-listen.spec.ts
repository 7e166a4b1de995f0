// Listening, and Unix sockets, as one call each.
import { closeSync, existsSync, lstatSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  accept,
  close,
  getsockopt,
  type ListenTarget,
  nop,
  type Ring,
  recv,
  type SocketAddress,
  send,
  socket,
  socketAddress,
  tcpConnect,
  tcpListen,
  type UnixTarget,
  UringError,
  unixConnect,
  unixListen,
  unlinkat,
} from 'uring';
import { fdOf } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { abstractName, closing, LOOPBACK, listening, unixPair } from './_loopback.ts';
import { ringWith } from './_steps.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);

/** A listening socket of Node's own. */
async function nodeServer(t: T, options: net.ListenOptions): Promise<net.Server> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(options, resolve));
  t.teardown(() => server.close());
  return server;
}

async function nodesError(options: net.ListenOptions): Promise<UringError> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.on('error', (error) => resolve(error as UringError));
    server.on('listening', () => server.close());
    server.listen(options);
  });
}

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`a socket listens on a port of the kernel's choice over ${family}, and says which`, async (t) => {
    await withRing({}, async (ring) => {
      const server = await tcpListen(ring, { address: LOOPBACK[family], port: 0 });
      closing(t, server.fd);
      t.true(server.address.port > 0);
      t.deepEqual(server.address, { address: LOOPBACK[family], port: server.address.port, family });
      t.true(await ring.exec(getsockopt(server.fd, 'SO_ACCEPTCONN')));
      const client = await tcpConnect(ring, server.address);
      closing(t, client.fd);
      const { fd, address } = await ring.exec(accept(server.fd, { withAddress: true }));
      closing(t, fd);
      t.deepEqual(address, socketAddress(client.fd));
    });
  });
}

test('without an address a socket listens on all of both families, as in node:net', async (t) => {
  await withRing({}, async (ring) => {
    const node = (await nodeServer(t, { port: 0 })).address() as net.AddressInfo;
    const { fd, address } = await tcpListen(ring, { port: 0 });
    closing(t, fd);
    t.like(address, { address: node.address, family: node.family as 'IPv6' });
    for (const loopback of ['127.0.0.1', '::1'])
      closing(t, (await tcpConnect(ring, { address: loopback, port: address.port })).fd);
    const only6 = await tcpListen(ring, { port: 0 }, { ipv6Only: true });
    closing(t, only6.fd);
    closing(t, (await tcpConnect(ring, { address: '::1', port: only6.address.port })).fd);
    await t.throwsAsync(tcpConnect(ring, { address: '127.0.0.1', port: only6.address.port }), {
      code: 'ECONNREFUSED',
    });
  });
});

test('where there is no IPv6, it is all addresses of IPv4', async (t) => {
  await withRing({}, async (ring) => {
    let domains = 0;
    const exec = ((operation, options) => {
      if (operation.name === 'socket') {
        domains += 1;
        // AF_MAX: no kernel has it.
        if (domains === 1) operation.fd = 46;
      }
      return ring.exec(operation, options);
    }) as Ring['exec'];
    const without6 = ringWith(ring, { exec });
    const { fd, address } = await tcpListen(without6, { port: 0 });
    closing(t, fd);
    t.like(address, { address: '0.0.0.0', family: 'IPv4' });
    t.is(domains, 2);
    domains = 0;
    await t.throwsAsync(tcpListen(without6, { port: 0 }, { ipv6Only: true }), { code: 'EAFNOSUPPORT' });
  });
});

test.serial('a port that is taken fails as in node:net, and leaves nothing', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await listening(t, ring);
    const before = openFds().size;
    const at = { address: '127.0.0.1', port };
    const { code, errno, syscall } = await nodesError({ host: at.address, port });
    const error = await t.throwsAsync(tcpListen(ring, at), { instanceOf: UringError });
    t.like(error, { code, errno, ...at } as object);
    t.is(code, 'EADDRINUSE');
    // libuv keeps the error of bind until it listens.
    t.is(syscall, 'listen');
    t.is(error.syscall, 'bind');
    await t.throwsAsync(tcpListen(ring, { address: '192.0.2.99', port: 0 }), { code: 'EADDRNOTAVAIL' });
    t.is(openFds().size, before);
  });
});

test('a port can be had again as soon as its server is closed', async (t) => {
  await withRing({}, async (ring) => {
    const first = await tcpListen(ring, { address: '127.0.0.1', port: 0 });
    const client = await tcpConnect(ring, first.address);
    const peer = await ring.exec(accept(first.fd));
    // The server's end closes first, and stays in TIME_WAIT.
    for (const fd of [peer, first.fd, client.fd]) await ring.exec(close(fd));
    const again = await tcpListen(ring, first.address);
    closing(t, again.fd);
    t.deepEqual(again.address, first.address);
  });
});

test('a port is shared by those that want to', async (t) => {
  await withRing({}, async (ring) => {
    const options = { reusePort: true, backlog: 4 };
    const one = await tcpListen(ring, { address: '127.0.0.1', port: 0 }, options);
    closing(t, one.fd);
    const two = await tcpListen(ring, one.address, options);
    closing(t, two.fd);
    t.deepEqual(two.address, one.address);
    await t.throwsAsync(tcpListen(ring, one.address), { code: 'EADDRINUSE' });
  });
});

test.serial('a direct listener takes a slot and no descriptor, and says its port', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 1, kernelSlots: 4 });
    const before = openFds().size;
    const tcp = await tcpListen(ring, { address: '127.0.0.1', port: 0 }, { direct: true });
    const unix = await unixListen(ring, abstractName(), { direct: true });
    t.is(openFds().size, before);
    const clients = [
      await tcpConnect(ring, tcp.address, { direct: true }),
      await unixConnect(ring, unix.address, { direct: true }),
    ];
    t.is(openFds().size, before);
    closing(t, await ring.exec(accept(tcp.file)));
    closing(t, await ring.exec(accept(unix.file)));
    for (const { file } of [tcp, unix, ...clients]) await ring.exec(close(file));
  });
});

test('on rings that share a polling thread, which cuts chains, they listen and connect one step at a time', async (t) => {
  const sqpoll = { idleMs: 10 };
  await withRing({ sqpoll }, async (first) => {
    await withRing({ sqpoll, attachTo: first }, async (ring) => {
      const server = await tcpListen(first, { address: '127.0.0.1', port: 0 }, { reusePort: true });
      closing(t, server.fd);
      const { fd } = await tcpConnect(ring, server.address, { noDelay: true, timeoutMs: 20_000 });
      closing(t, fd);
      t.deepEqual(socketAddress(fd, 'peer'), server.address);
    });
  });
});

test('where the kernel answers getsockname as an operation, no descriptor is needed for it', async (t) => {
  await withRing({}, async (ring) => {
    const address = { address: '127.0.0.1', port: 7, family: 'IPv4' };
    const exec = ((operation, options) =>
      operation.syscall === 'getsockname'
        ? Promise.resolve(address)
        : ring.exec(operation, options)) as Ring['exec'];
    const newer = ringWith(ring, { exec });
    const server = await tcpListen(newer, { address: '127.0.0.1', port: 0 });
    closing(t, server.fd);
    t.is(server.address as unknown, address);
  });
});

for (const type of ['stream', 'seqpacket'] as const) {
  test(`Unix sockets listen and connect, by path and by name, as ${type}`, async (t) => {
    const path = join(tmpDir(t), 'socket');
    const { path: name } = abstractName();
    await withRing({}, async (ring) => {
      for (const target of [path, { path: `${path}2` }, Buffer.from(`${path}3`), name, { path: name + 2 }]) {
        const server = await unixListen(ring, target, { type });
        closing(t, server.fd);
        const { fd, address } = await unixConnect(ring, target, { type });
        closing(t, fd);
        t.deepEqual(address, server.address);
        const peer = closing(t, await ring.exec(accept(server.fd)));
        await ring.exec(send(fd, Buffer.from('hello')));
        t.is(await ring.exec(recv(peer, Buffer.alloc(8))), 5);
      }
      const chosen = await unixListen(ring, '', { type });
      closing(t, chosen.fd);
      t.regex(chosen.address.path, /^\0[0-9a-f]{5}$/);
      closing(t, (await unixConnect(ring, chosen.address, { type })).fd);
    });
  });
}

test('a path that a dead server has left is taken, as in node:net, and is not removed', async (t) => {
  const path = join(tmpDir(t), 'socket');
  await withRing({}, async (ring) => {
    const dead = await unixListen(ring, path);
    await ring.exec(close(dead.fd));
    t.true(lstatSync(path).isSocket());
    const error = await t.throwsAsync(unixListen(ring, path), { instanceOf: UringError });
    const node = await nodesError({ path });
    t.like(error, { code: node.code, errno: node.errno, address: path } as object);
    t.is(error.code, 'EADDRINUSE');
    t.true(existsSync(path));
    const refused = await t.throwsAsync(unixConnect(ring, path), { instanceOf: UringError });
    t.like(refused, { code: 'ECONNREFUSED', syscall: 'connect', address: path });
    await ring.exec(unlinkat(path));
    const missing = await t.throwsAsync(unixConnect(ring, path), { instanceOf: UringError });
    t.like(missing, { code: 'ENOENT', address: path });
    closeSync((await unixListen(ring, path)).fd);
  });
});

test.serial('a path whose socket cannot listen is removed again', async (t) => {
  const path = join(tmpDir(t), 'socket');
  await withRing({}, async (ring) => {
    const before = openFds().size;
    const chain = (([bind], options) => {
      t.is(bind?.name, 'bind');
      const broken = [bind, nop({ result: -5 })] as const;
      return ring.chain(broken as never, options);
    }) as Ring['chain'];
    await t.throwsAsync(unixListen(ringWith(ring, { chain }), path), { code: 'EIO' });
    t.false(existsSync(path));
    t.is(openFds().size, before);
  });
});

test('a Unix socket connects to a datagram socket, and not to one of another type', async (t) => {
  const path = join(tmpDir(t), 'socket');
  await withRing({}, async (ring) => {
    closing(t, (await unixListen(ring, path)).fd);
    await t.throwsAsync(unixConnect(ring, path, { type: 'dgram' }), { code: 'EPROTOTYPE' });
    await t.throwsAsync(unixConnect(ring, path, { type: 'seqpacket' }), { code: 'EPROTOTYPE' });
  });
});

test('a Unix server whose queue is full is EAGAIN, as in node:net', async (t) => {
  const path = join(tmpDir(t), 'socket');
  await withRing({}, async (ring) => {
    closing(t, (await unixListen(ring, path, { backlog: 0 })).fd);
    closing(t, (await unixConnect(ring, path)).fd);
    const ours = await t.throwsAsync(unixConnect(ring, path), { instanceOf: UringError });
    const node = await new Promise((resolve) => {
      net.connect({ path }).on('error', (error) => resolve((error as UringError).code));
    });
    t.is(ours.code, node as string);
    t.is(ours.code, 'EAGAIN');
  });
});

const REFUSED: readonly (readonly [what: string, start: (ring: Ring) => Promise<unknown>, code: string])[] = [
  ['no target', (ring) => tcpListen(ring, undefined as unknown as ListenTarget), 'ERR_INVALID_ARG_TYPE'],
  ['no port', (ring) => tcpListen(ring, {} as ListenTarget), 'ERR_INVALID_ARG_TYPE'],
  ['a host name', (ring) => tcpListen(ring, { address: 'localhost', port: 0 }), 'ERR_INVALID_ARG_VALUE'],
  ['a path for TCP', (ring) => tcpListen(ring, { path: '/a' } as never), 'ERR_INVALID_ARG_VALUE'],
  ['a port beyond the last', (ring) => tcpListen(ring, { port: 65_536 }), 'ERR_OUT_OF_RANGE'],
  ['a backlog below 0', (ring) => tcpListen(ring, { port: 0 }, { backlog: -1 }), 'ERR_OUT_OF_RANGE'],
  [
    'ipv6Only for IPv4',
    (ring) => tcpListen(ring, { address: '0.0.0.0', port: 0 }, { ipv6Only: true }),
    'ERR_INVALID_ARG_VALUE',
  ],
  [
    'reusePort that is no boolean',
    (ring) => tcpListen(ring, { port: 0 }, { reusePort: 1 as never }),
    'ERR_INVALID_ARG_TYPE',
  ],
  ['a path that is too long', (ring) => unixListen(ring, 'a'.repeat(108)), 'ERR_INVALID_ARG_VALUE'],
  ['a path with a null byte', (ring) => unixConnect(ring, 'a\0b'), 'ERR_INVALID_ARG_VALUE'],
  ['a path that is none', (ring) => unixConnect(ring, 7 as unknown as UnixTarget), 'ERR_INVALID_ARG_TYPE'],
  ['an address for Unix', (ring) => unixConnect(ring, { port: 1 } as never), 'ERR_INVALID_ARG_VALUE'],
  [
    'a type that is none',
    (ring) => unixConnect(ring, '/a', { type: 'raw' as never }),
    'ERR_INVALID_ARG_VALUE',
  ],
  [
    'a datagram listener',
    (ring) => unixListen(ring, '/a', { type: 'dgram' as never }),
    'ERR_INVALID_ARG_VALUE',
  ],
  ['options that are none', (ring) => unixListen(ring, '/a', 7 as never), 'ERR_INVALID_ARG_TYPE'],
];

for (const [what, start, code] of REFUSED) {
  test(`${what} is refused before anything starts`, async (t) => {
    await withRing({}, async (ring) => {
      const { submitted } = ring.stats();
      await t.throwsAsync(start(ring), { code, any: true });
      t.is(ring.stats().submitted, submitted);
    });
  });
}

test('socketAddress says what both ends of a connection are called', async (t) => {
  await withRing({}, async (ring) => {
    const server = await nodeServer(t, { port: 0, host: '127.0.0.1' });
    const { address, port } = server.address() as net.AddressInfo;
    t.deepEqual(socketAddress(fdOf(server)), { address, port, family: 'IPv4' });
    const client = closing(t, (await tcpConnect(ring, { address, port })).fd);
    t.deepEqual(socketAddress(client, 'peer'), { address, port, family: 'IPv4' });
    const name = abstractName();
    closing(t, (await unixListen(ring, name)).fd);
    const unix = closing(t, (await unixConnect(ring, name)).fd);
    t.deepEqual<(SocketAddress | undefined)[], unknown[]>(
      [socketAddress(unix), socketAddress(unix, 'peer')],
      [{ path: '' }, name],
    );
    const [one] = await unixPair(t, ring);
    t.deepEqual(socketAddress(one), { path: '' });
  });
});

test('socketAddress fails as the system calls do, and takes nothing but descriptors', async (t) => {
  await withRing({}, async (ring) => {
    const fd = closing(t, await ring.exec(socket('IPv4', 'stream')));
    t.throws(() => socketAddress(fd, 'peer'), { code: 'ENOTCONN', message: /getpeername$/ });
    t.throws(() => socketAddress(ring.fd), { code: 'ENOTSOCK', message: /getsockname$/ });
    t.throws(() => socketAddress(1_000_000), { code: 'EBADF' });
    t.throws(() => socketAddress(-1), { code: 'ERR_OUT_OF_RANGE' });
    t.throws(() => socketAddress('0' as never), { code: 'ERR_INVALID_ARG_TYPE' });
    t.throws(() => socketAddress(fd, 'both' as never), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
