// Making sockets, binding, listening, connecting, accepting with addresses, shutting down.
import { closeSync, existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  type AcceptedSocket,
  accept,
  acceptMultishot,
  asyncCancel,
  bind,
  connect,
  type FixedFile,
  type IpSocketAddress,
  listen,
  type Operation,
  type Ring,
  recv,
  SocketFlags,
  send,
  shutdown,
  socket,
  type UringError,
} from 'uring';
import { FORMS, runAs } from './_fixtures.ts';
import { leakCheck, skipUnless, tmpDir, withRing } from './_helpers.ts';
import { abstractName, closing, eventually, listening, open, portOf, tcpPair } from './_loopback.ts';

leakCheck(test);

const NO_FD = 0x7fff_fff0;

async function failure(t: ExecutionContext, ring: Ring, operation: Operation<unknown>): Promise<UringError> {
  return (await t.throwsAsync<UringError>(ring.exec(operation))) as UringError;
}

function flagsOf(fd: number): number {
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  return Number.parseInt(flags ?? '', 8);
}

for (const form of FORMS) {
  test(`a connection is made from nothing, by ${form}`, async (t) => {
    await withRing({}, async (ring) => {
      const run = <R>(operation: Operation<R>): Promise<R> => runAs(form, ring, operation);
      const server = closing(t, await run(socket('IPv4', 'stream')));
      t.is(await run(bind(server, { address: '127.0.0.1', port: 0 })), undefined);
      t.is(await run(listen(server, 5)), undefined);
      const client = closing(t, await run(socket('IPv4', 'stream', { protocol: 6 })));
      t.is(await run(connect(client, { address: '127.0.0.1', port: portOf(server) })), undefined);
      const { fd, address } = await run(accept(server, { withAddress: true }));
      closing(t, fd);
      t.deepEqual(address, { address: '127.0.0.1', port: portOf(client), family: 'IPv4' });
      t.is(await run(send(client, Buffer.from('hello'))), 5);
      t.is(await run(shutdown(client, 'write')), undefined);
      const buffer = Buffer.alloc(16);
      t.is(await run(recv(fd, buffer)), 5);
      t.is(await run(recv(fd, buffer)), 0);
    });
  });
}

test('sockets are close-on-exec and do not block, unless other flags are given', async (t) => {
  await withRing({}, async (ring) => {
    const both = SocketFlags.NONBLOCK | SocketFlags.CLOEXEC;
    t.is(flagsOf(await open(t, ring, 'IPv4', 'dgram')) & both, both);
    const plain = closing(t, await ring.exec(socket(2, 2, { socketFlags: 0 })));
    t.is(flagsOf(plain) & both, 0);
    const half = closing(
      t,
      await ring.exec(socket('unix', 'seqpacket', { socketFlags: SocketFlags.CLOEXEC })),
    );
    t.is(flagsOf(half) & both, SocketFlags.CLOEXEC);
  });
});

test('socket with direct makes a registered file, which every operation takes', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 2, kernelSlots: 4 });
    const name = abstractName();
    const server: FixedFile = await ring.exec(socket('unix', 'stream', { direct: 1 }));
    t.is(server.slot, 1);
    await ring.exec(bind(server, name));
    await ring.exec(listen(server));
    const client = await ring.exec(socket('unix', 'stream', { direct: true }));
    await ring.exec(connect(client, name));
    const { file, address } = await ring.exec(accept(server, { direct: true, withAddress: true }));
    t.deepEqual(address, { path: '' });
    await ring.exec(send(client, Buffer.from('direct')));
    t.is(await ring.exec(recv(file, Buffer.alloc(8))), 6);
    await ring.exec(shutdown(file, 'both'));
    t.is(await ring.exec(recv(client, Buffer.alloc(8))), 0);
  });
});

test('IPv6 connections have IPv6 addresses', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring, 'IPv6');
    const client = await open(t, ring, 'IPv6', 'stream');
    await ring.exec(
      connect(client, new net.SocketAddress({ family: 'ipv6', address: '::1', port: server.port })),
    );
    const { fd, address } = await ring.exec(accept(server.fd, { withAddress: true }));
    closing(t, fd);
    t.deepEqual(address, { address: '::1', port: portOf(client), family: 'IPv6' });
  });
});

const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
  (addresses ?? [])
    .filter(({ address }) => address.startsWith('fe80:'))
    .map(({ address }) => ({ name, address })),
)[0];

skipUnless(linkLocal !== undefined, 'a link-local address')(
  'the scope of a link-local address is the name or the number of an interface',
  async (t) => {
    await withRing({}, async (ring) => {
      const { name, address } = linkLocal as { name: string; address: string };
      const index = Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'latin1'));
      const receiver = await open(t, ring, 'IPv6', 'dgram');
      await ring.exec(bind(receiver, { address: `${address}%${name}`, port: 0 }));
      const port = portOf(receiver);
      const sender = await open(t, ring, 'IPv6', 'dgram');
      for (const to of [
        { address: `${address}%${name}`, port },
        { address: `${address}%${index}`, port },
        { address, port, scopeId: index },
        { address, port, scopeId: name },
      ]) {
        t.is(await ring.exec(send(sender, Buffer.from('x'), { to })), 1);
        t.is(await ring.exec(recv(receiver, Buffer.alloc(4))), 1);
      }
      const withoutScope = await failure(t, ring, bind(sender, { address, port: 0 }));
      t.is(withoutScope.code, 'EINVAL');
    });
  },
);

test('Unix sockets have paths, abstract names, or no name', async (t) => {
  await withRing({}, async (ring) => {
    const path = join(tmpDir(t), 'näme.sock');
    for (const at of [{ path }, { path: Buffer.from(`${path}2`) }, abstractName()]) {
      const server = await open(t, ring, 'unix', 'stream');
      await ring.exec(bind(server, at));
      await ring.exec(listen(server));
      const client = await open(t, ring, 'unix', 'stream');
      await ring.exec(bind(client, { path: '' }));
      await ring.exec(connect(client, at));
      const { fd, address } = await ring.exec(accept(server, { withAddress: true }));
      closing(t, fd);
      // Bound to nothing: the kernel has chosen an abstract name of five digits (man 7 unix).
      t.regex((address as { path: string }).path, /^\0[0-9a-f]{5}$/);
    }
    t.true(existsSync(path));
  });
});

test('an address can be taken out of one answer and given to the next operation', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const client = await open(t, ring, 'IPv4', 'stream');
    await ring.exec(connect(client, server.at));
    const { fd, address } = (await ring.exec(accept(server.fd, { withAddress: true }))) as AcceptedSocket;
    closing(t, fd);
    const third = await open(t, ring, 'IPv4', 'stream');
    // The client listens nowhere.
    const refused = await failure(t, ring, connect(third, address as IpSocketAddress));
    t.is(refused.code, 'ECONNREFUSED');
    t.is(refused.port, portOf(client));
  });
});

test('a refused connection says where, as those of node:net do', async (t) => {
  await withRing({}, async (ring) => {
    const client = await open(t, ring, 'IPv4', 'stream');
    const error = await failure(t, ring, connect(client, { address: '127.0.0.1', port: 1 }));
    const { code, errno, syscall, address, port, message } = error;
    t.deepEqual(
      { code, syscall, address, port },
      {
        code: 'ECONNREFUSED',
        syscall: 'connect',
        address: '127.0.0.1',
        port: 1,
      },
    );
    t.is(errno, -111);
    t.is(message, 'ECONNREFUSED: connection refused, connect 127.0.0.1:1');
    const unix = await open(t, ring, 'unix', 'stream');
    const missing = await failure(t, ring, connect(unix, { path: '/nowhere.sock' }));
    t.is(missing.code, 'ENOENT');
    t.is(missing.address, '/nowhere.sock');
    t.is(missing.port, undefined);
  });
});

test('an address that is taken says which', async (t) => {
  await withRing({}, async (ring) => {
    const { at } = await listening(t, ring);
    const second = await open(t, ring, 'IPv4', 'stream');
    const error = await failure(t, ring, bind(second, at));
    t.is(error.code, 'EADDRINUSE');
    t.is(error.address, at.address);
    t.is(error.port, at.port);
    t.true(error.message.endsWith(`, bind 127.0.0.1:${at.port}`));
  });
});

test('what is no socket, or not in the right state, has the errors of the system calls', async (t) => {
  await withRing({}, async (ring) => {
    const fresh = await open(t, ring, 'IPv4', 'stream');
    const dgram = await open(t, ring, 'IPv4', 'dgram');
    const at = { address: '127.0.0.1', port: 0 } as const;
    const cases: readonly [operation: Operation<unknown>, code: string, syscall: string][] = [
      [socket(9999, 'stream'), 'EAFNOSUPPORT', 'socket'],
      [socket('IPv4', 'stream', { socketFlags: 1 << 20 }), 'EINVAL', 'socket'],
      [bind(NO_FD, at), 'EBADF', 'bind'],
      [bind(fresh, { address: '::1', port: 0 }), 'EAFNOSUPPORT', 'bind'],
      [listen(dgram), 'ENOTSUP', 'listen'],
      [listen(NO_FD), 'EBADF', 'listen'],
      [connect(NO_FD, { ...at, port: 1 }), 'EBADF', 'connect'],
      [shutdown(fresh, 'both'), 'ENOTCONN', 'shutdown'],
      [shutdown(NO_FD, 'read'), 'EBADF', 'shutdown'],
      [accept(fresh, { withAddress: true }), 'EINVAL', 'accept'],
    ];
    for (const [operation, code, syscall] of cases) {
      const error = await failure(t, ring, operation);
      t.is(error.code, code, syscall);
      t.is(error.syscall, syscall);
    }
  });
});

test('shutdown ends the direction that it is told to', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    await ring.exec(shutdown(server, 'read'));
    t.is(await ring.exec(recv(server, Buffer.alloc(4))), 0);
    t.is(await ring.exec(send(server, Buffer.from('still'))), 5);
    await ring.exec(shutdown(server, 'write'));
    const error = await failure(t, ring, send(server, Buffer.from('x')));
    t.is(error.code, 'EPIPE');
    const buffer = Buffer.alloc(8);
    t.is(await ring.exec(recv(client, buffer)), 5);
    t.is(await ring.exec(recv(client, buffer)), 0);
  });
});

test('accept with dontWait does not wait, and with pollFirst still gets what is there', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const nobody = await failure(t, ring, accept(server.fd, { dontWait: true }));
    t.is(nobody.code, 'EAGAIN');
    const client = await open(t, ring, 'IPv4', 'stream');
    await ring.exec(connect(client, server.at));
    closing(t, await ring.exec(accept(server.fd, { pollFirst: true })));
  });
});

test('acceptMultishot with pollFirst takes every connection', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const stream = ring.multishot(acceptMultishot(server.fd, { pollFirst: true }));
    for (let count = 0; count < 3; count += 1) {
      await ring.exec(connect(await open(t, ring, 'IPv4', 'stream'), server.at));
      const { value } = await stream.next();
      closing(t, value as number);
    }
    await stream.return();
    t.is(ring.inFlight, 0);
  });
});

test('a connection with its address that nobody reads is closed with the ring', async (t) => {
  for (const direct of [undefined, true] as const) {
    await withRing({}, async (ring) => {
      ring.registrar.registerFiles();
      const server = await listening(t, ring);
      const client = await open(t, ring, 'IPv4', 'stream');
      const operation =
        direct === undefined
          ? accept(server.fd, { withAddress: true })
          : accept(server.fd, { withAddress: true, direct });
      ring.prep(operation);
      ring.submit();
      await ring.exec(connect(client, server.at));
      // The loop finds the completion, and keeps it for a reader who never comes.
      await eventually(() => ring.cqReady === 1);
      await ring.close();
      await withRing({}, async (other) => {
        t.is(await other.exec(recv(client, Buffer.alloc(1))), 0);
      });
    });
  }
});

test('a cancelled connect is cancelled, and the ring goes on', async (t) => {
  await withRing({}, async (ring) => {
    // A queue of one, which the first connections fill: the next one waits.
    const server = await listening(t, ring, 'IPv4', { backlog: 0 });
    const clients = await Promise.all(Array.from({ length: 4 }, () => open(t, ring, 'IPv4', 'stream')));
    const operations = clients.map((client) => connect(client, server.at));
    const ends = operations.map((operation) =>
      ring.exec(operation).then(
        () => 'connected',
        (error: UringError) => error.code,
      ),
    );
    await Promise.race(ends);
    for (const operation of operations) {
      await ring.exec(asyncCancel(operation)).catch((error: UringError) => t.is(error.code, 'ENOENT'));
    }
    const codes = await Promise.all(ends);
    t.true(codes.includes('connected'));
    t.true(codes.includes('ECANCELED'));
    closeSync(await ring.exec(accept(server.fd)));
  });
});
