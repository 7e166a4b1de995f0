// Connecting by address and by host name, on loopback.
import { closeSync, readFileSync } from 'node:fs';
import net, { type LookupFunction } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import {
  accept,
  close,
  getsockopt,
  type Ring,
  recv,
  SocketFlags,
  send,
  socketAddress,
  type TcpConnectOptions,
  tcpConnect,
  tcpListen,
  UringError,
} from 'uring';
import { received } from './_fixtures.ts';
import { leakCheck, openFds, withRing } from './_helpers.ts';
import { answering } from './_lookup.ts';
import { blackHole, closing, LOOPBACK, listening } from './_loopback.ts';
import { unusedPort } from './_ports.ts';
import { ringWith } from './_steps.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);

async function nodesError(options: net.NetConnectOpts): Promise<Error & AggregateError & UringError> {
  return new Promise((resolve) => {
    net.connect(options).on('error', (error) => resolve(error as Error & AggregateError & UringError));
  });
}

async function assertTalks(t: T, ring: Ring, client: number, server: number): Promise<void> {
  const buffer = Buffer.alloc(5);
  await ring.exec(send(client, Buffer.from('hello')));
  t.is(await ring.exec(recv(server, buffer)), 5);
  t.is(buffer.toString(), 'hello');
}

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`a connection is made to an ${family} address, and is told with it`, async (t) => {
    await withRing({}, async (ring) => {
      const server = await listening(t, ring, family);
      const { fd, address } = await tcpConnect(ring, server.at);
      closing(t, fd);
      t.deepEqual(address, { ...server.at, family });
      const nodes = new net.SocketAddress({ ...server.at, family: family === 'IPv4' ? 'ipv4' : 'ipv6' });
      t.deepEqual(socketAddress(fd, 'peer'), address);
      await assertTalks(t, ring, fd, closing(t, await ring.exec(accept(server.fd))));
      const again = await tcpConnect(ring, nodes);
      closing(t, again.fd);
      t.deepEqual(again.address, address);
    });
  });
}

test('a host that is an IP address is not looked up', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const asked: unknown[] = [];
    const target = { host: '127.0.0.1', port: server.port };
    closing(t, (await tcpConnect(ring, target, { lookup: answering([], asked) })).fd);
    t.deepEqual(asked, []);
  });
});

test('a host name is looked up by the system', async (t) => {
  await withRing({}, async (ring) => {
    const server = await tcpListen(ring, { port: 0 });
    closing(t, server.fd);
    const { fd, address } = await tcpConnect(ring, { host: 'localhost', port: server.address.port });
    closing(t, fd);
    t.true(Object.values(LOOPBACK).includes(address.address as '::1'));
  });
});

test('another lookup gets what dns.lookup gets from node:net', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await listening(t, ring);
    const node: unknown[] = [];
    const ours: unknown[] = [];
    const cases: TcpConnectOptions[] = [{}, { family: 4 }, { hints: 0x0800 }];
    for (const options of cases) {
      const target = { host: 'a.test', port };
      const client = net.connect({ ...target, ...options, lookup: answering(['127.0.0.1'], node) } as never);
      await new Promise((resolve) => client.on('connect', resolve));
      client.destroy();
      const lookup = answering(['127.0.0.1'], ours);
      closing(t, (await tcpConnect(ring, target, { ...options, lookup })).fd);
    }
    const fields = (asked: unknown[]): unknown[] =>
      asked.map((one) => {
        const { host, family, hints } = one as Record<string, unknown>;
        return { host, family: family || 0, hints };
      });
    t.deepEqual(fields(ours), fields(node));
    t.is(ours.length, 3);
  });
});

test('a lookup may answer a single address, as it does without all', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await listening(t, ring);
    const lookup: LookupFunction = (_host, _options, callback) => callback(null, '127.0.0.1', 4);
    const { fd, address } = await tcpConnect(ring, { host: 'a.test', port }, { lookup });
    closing(t, fd);
    t.is(address.address, '127.0.0.1');
  });
});

test("a refused connection fails with node:net's code, errno, syscall, address and port", async (t) => {
  await withRing({}, async (ring) => {
    const port = unusedPort();
    for (const address of ['127.0.0.1', '::1']) {
      const { code, errno, syscall } = await nodesError({ host: address, port });
      const error = await t.throwsAsync(tcpConnect(ring, { address, port }), { instanceOf: UringError });
      t.like(error, { code, errno, syscall, address, port } as object);
      t.is(error.code, 'ECONNREFUSED');
    }
    const lookup = answering(['127.0.0.1']);
    const byName = await t.throwsAsync(tcpConnect(ring, { host: 'a.test', port }, { lookup }));
    t.like(byName, { code: 'ECONNREFUSED', address: '127.0.0.1', port, host: 'a.test' });
  });
});

test("when every address refuses, all errors are told, in node:net's order, with the code of the first", async (t) => {
  await withRing({}, async (ring) => {
    const port = unusedPort();
    const answered = ['127.0.0.1', '127.0.0.2', '127.0.0.1', '::1', '127.0.0.3'];
    const target = { host: 'a.test', port };
    const node = await nodesError({ ...target, lookup: answering(answered) });
    const error = await t.throwsAsync(tcpConnect(ring, target, { lookup: answering(answered) }), {
      instanceOf: AggregateError,
      message: /^none of 4 addresses of a\.test could be connected to/,
    });
    const told = ({ errors }: AggregateError): unknown[] =>
      errors.map(({ code, syscall, address }) => ({ code, syscall, address }));
    t.deepEqual(told(error), told(node));
    t.deepEqual(
      error.errors.map(({ address }) => address),
      ['127.0.0.1', '::1', '127.0.0.2', '127.0.0.3'],
    );
    t.like(error, { code: 'ECONNREFUSED', syscall: 'connect', host: 'a.test', port });
    t.is((error as AggregateError & { code: string }).code, node.code);
  });
});

test('a lookup that fails is the error, as it is', async (t) => {
  await withRing({}, async (ring) => {
    const gone = Object.assign(new Error('getaddrinfo ENOTFOUND a.test'), {
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo',
      hostname: 'a.test',
    });
    const fail = (lookup: LookupFunction): Promise<unknown> =>
      tcpConnect(ring, { host: 'a.test', port: 1 }, { lookup }).catch((error) => error);
    t.is(await fail((_host, _options, callback) => callback(gone, [])), gone);
    const thrown = new Error('at once');
    const throwing = (): never => {
      throw thrown;
    };
    t.is(await fail(throwing), thrown);
    t.like(await fail(answering([])), { code: 'ENOTFOUND', syscall: 'getaddrinfo', host: 'a.test' });
    t.like(await fail(answering(['elsewhere'])), { code: 'ERR_INVALID_IP_ADDRESS' });
  });
});

for (const [first, second] of [
  ['IPv6', 'IPv4'],
  ['IPv4', 'IPv6'],
] as const) {
  test.serial(`where ${first} goes nowhere, ${second} connects, and the loser is closed`, async (t) => {
    await withRing({}, async (ring) => {
      // One port of both: nobody answers at the one, and somebody does at the other.
      const hole = await blackHole(t, ring, first);
      const { fd: server } = await tcpListen(ring, { address: LOOPBACK[second], port: hole.port });
      closing(t, server);
      const before = openFds().size;
      const lookup = answering([LOOPBACK[first], LOOPBACK[second]]);
      const target = { host: 'a.test', port: hole.port };
      const { fd, address } = await tcpConnect(ring, target, { lookup, attemptDelayMs: 1 });
      t.is(address.family, second);
      t.is(ring.inFlight, 0);
      t.is(openFds().size, before + 1);
      closeSync(fd);
    });
  });
}

test('an address that is slow stays in the race, and may win', async (t) => {
  await withRing({}, async (ring) => {
    const hole = await blackHole(t, ring, 'IPv6');
    const other = await tcpListen(ring, { address: '127.0.0.1', port: hole.port }, { backlog: 0 });
    closing(t, other.fd);
    closing(t, (await tcpConnect(ring, other.address)).fd);
    const tried: string[] = [];
    const noting = noted(ring, (operations) => tried.push(...operations));
    const lookup = answering(['::1', '127.0.0.1']);
    const options = { lookup, attemptDelayMs: 1, timeoutMs: 60_000 };
    const connecting = tcpConnect(noting, { host: 'a.test', port: hole.port }, options);
    // Both are on their way; now there is room at the first, which the kernel tries again in a second.
    while (tried.filter((name) => name === 'connect').length < 2)
      await new Promise((resolve) => setTimeout(resolve, 1));
    closing(t, await ring.exec(accept(hole.fd)));
    const { fd, address } = await connecting;
    closing(t, fd);
    t.is(address.address, '::1');
  });
});

/** The ring, whose chains are told of. */
function noted(ring: Ring, note: (names: string[]) => void): Ring {
  const chain = ((operations, options) => {
    note(operations.map(({ name }) => name));
    return ring.chain(operations, options);
  }) as Ring['chain'];
  return ringWith(ring, { chain });
}

test.serial('of two that connect at the same time one is given, and the other is closed', async (t) => {
  await withRing({}, async (ring) => {
    const server = await tcpListen(ring, { port: 0 });
    closing(t, server.fd);
    const before = openFds().size;
    // What has connected already is not in flight, and the delay alone keeps nothing alive.
    const alive = setInterval(() => {}, 1000);
    t.teardown(() => clearInterval(alive));
    let both: () => void = () => {};
    const areBoth = new Promise<void>((resolve) => {
      both = resolve;
    });
    let connected = 0;
    const chain = (async (operations, options) => {
      const results = await ring.chain(operations, options);
      connected += 1;
      if (connected === 2) both();
      await areBoth;
      return results;
    }) as Ring['chain'];
    const together = ringWith(ring, { chain });
    const lookup = answering(['127.0.0.1', '127.0.0.2']);
    const target = { host: 'a.test', port: server.address.port };
    const { fd } = await tcpConnect(together, target, { lookup, attemptDelayMs: 0 });
    t.is(connected, 2);
    t.is(openFds().size, before + 1);
    closeSync(fd);
  });
});

test('a delay longer than any timer of Node means one address after the other', async (t) => {
  await withRing({}, async (ring) => {
    const hole = await blackHole(t, ring, 'IPv6');
    closing(t, (await tcpListen(ring, { address: '127.0.0.1', port: hole.port })).fd);
    const lookup = answering(['::1', '127.0.0.1']);
    for (const attemptDelayMs of [2 ** 31, Number.POSITIVE_INFINITY]) {
      const options = { lookup, attemptDelayMs, attemptTimeoutMs: attemptDelayMs, timeoutMs: 50 };
      await t.throwsAsync(tcpConnect(ring, { host: 'a.test', port: hole.port }, options), {
        code: 'ERR_URING_TIMEOUT',
      });
    }
  });
});

test('without autoSelectFamily only the first address is tried', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await listening(t, ring, 'IPv4');
    const lookup = answering(['::1', '127.0.0.1']);
    const target = { host: 'a.test', port };
    const options = { lookup, autoSelectFamily: false };
    await t.throwsAsync(tcpConnect(ring, target, options), { code: 'ECONNREFUSED', instanceOf: UringError });
    closing(t, (await tcpConnect(ring, target, { lookup })).fd);
  });
});

test('an address may take only so long, and counts as timed out', async (t) => {
  await withRing({}, async (ring) => {
    const hole = await blackHole(t, ring, 'IPv6');
    const options = { attemptTimeoutMs: 5, attemptDelayMs: Number.POSITIVE_INFINITY };
    const error = await t.throwsAsync(tcpConnect(ring, hole.at, options), { instanceOf: UringError });
    t.like(error, { code: 'ETIMEDOUT', errno: -110, syscall: 'connect', ...hole.at });
    closing(t, (await tcpListen(ring, { address: '127.0.0.1', port: hole.port })).fd);
    const lookup = answering(['::1', '127.0.0.1']);
    const target = { host: 'a.test', port: hole.port };
    const { fd, address } = await tcpConnect(ring, target, { ...options, lookup });
    closing(t, fd);
    t.is(address.family, 'IPv4');
  });
});

test('a connection comes from the local address and port that were asked for', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const localPort = unusedPort();
    const { fd } = await tcpConnect(ring, server.at, { localAddress: '127.0.0.2', localPort });
    closing(t, fd);
    t.deepEqual(socketAddress(fd), { address: '127.0.0.2', port: localPort, family: 'IPv4' });
    const other = await tcpConnect(ring, server.at, { localAddress: '127.0.0.3' });
    closing(t, other.fd);
    t.like(socketAddress(other.fd), { address: '127.0.0.3' });
    const anywhere = await tcpConnect(ring, server.at, { localPort: unusedPort() });
    closing(t, anywhere.fd);
    t.like(socketAddress(anywhere.fd), { address: '127.0.0.1' });
    // The server's own.
    const options = { localAddress: '127.0.0.1', localPort: server.port };
    const error = await t.throwsAsync(tcpConnect(ring, server.at, options), { code: 'EADDRINUSE' });
    t.like(error, { syscall: 'bind', address: '127.0.0.1', port: server.port });
  });
});

test('with a local address only addresses of its family are tried', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await listening(t, ring);
    const asked: unknown[] = [];
    const lookup = answering(['::1', '127.0.0.1'], asked);
    const { fd, address } = await tcpConnect(
      ring,
      { host: 'a.test', port },
      { lookup, localAddress: '127.0.0.1' },
    );
    closing(t, fd);
    t.is(address.family, 'IPv4');
    t.like(asked[0], { family: 4 });
  });
});

test('a socket has its options before it connects', async (t) => {
  await withRing({}, async (ring) => {
    const { at } = await listening(t, ring);
    const options = {
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelayMs: 59_001,
      socketOptions: { SO_PRIORITY: 3 },
    };
    const chains: string[][] = [];
    const { fd } = await tcpConnect(
      noted(ring, (names) => chains.push(names)),
      at,
      options,
    );
    closing(t, fd);
    t.deepEqual(chains, [[...Array(4).fill('setsockopt'), 'connect']]);
    t.true(await ring.exec(getsockopt(fd, 'SO_KEEPALIVE')));
    t.is(await ring.exec(getsockopt(fd, 'SO_PRIORITY')), 3);
    const plain = closing(t, (await tcpConnect(ring, at)).fd);
    t.false(await ring.exec(getsockopt(plain, 'SO_KEEPALIVE')));
  });
});

test('the descriptor does not block and is not inherited; one of node:net can take it over', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const { fd } = await tcpConnect(ring, server.at);
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    const wanted = SocketFlags.NONBLOCK | SocketFlags.CLOEXEC;
    t.is(Number.parseInt(flags ?? '', 8) & wanted, wanted);
    const socket = new net.Socket({ fd });
    const peer = closing(t, await ring.exec(accept(server.fd)));
    const hello = received(socket, 5);
    await ring.exec(send(peer, Buffer.from('hello')));
    t.is((await hello).toString(), 'hello');
    socket.write('goodbye');
    const buffer = Buffer.alloc(16);
    t.is(await ring.exec(recv(peer, buffer)), 7);
    t.like(socket, { remotePort: server.port, remoteAddress: '127.0.0.1' });
    await new Promise<void>((resolve) => socket.once('close', () => resolve()).destroy());
    t.is(await ring.exec(recv(peer, buffer)), 0);
  });
});

test.serial('a direct connection takes a slot and no descriptor', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 1, kernelSlots: 2 });
    const server = await listening(t, ring);
    const before = openFds().size;
    const { file, address } = await tcpConnect(ring, server.at, { direct: true });
    t.is(openFds().size, before);
    t.deepEqual(address, { ...server.at, family: 'IPv4' });
    const peer = closing(t, await ring.exec(accept(server.fd)));
    t.is(await ring.exec(send(file, Buffer.from('hello'))), 5);
    t.is(await ring.exec(recv(peer, Buffer.alloc(8))), 5);
    await t.throwsAsync(tcpConnect(ring, { ...server.at, port: unusedPort() }, { direct: true }), {
      code: 'ECONNREFUSED',
    });
    // The slot of the one that was refused is free again: both can be had.
    const second = await tcpConnect(ring, server.at, { direct: true });
    await t.throwsAsync(tcpConnect(ring, server.at, { direct: true }), { code: 'ENFILE' });
    for (const one of [file, second.file]) await ring.exec(close(one));
  });
});

test('a ring of a few entries connects with all options, in several chains', async (t) => {
  await withRing({ entries: 2 }, async (ring) => {
    const { at } = await listening(t, ring);
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelayMs: 1000, localPort: 0 };
    closing(t, (await tcpConnect(ring, at, options)).fd);
    const port = unusedPort();
    await t.throwsAsync(tcpConnect(ring, { ...at, port }, options), { code: 'ECONNREFUSED' });
  });
});
