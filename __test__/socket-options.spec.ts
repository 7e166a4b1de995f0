// Options of sockets and questions to them, by commands.
import { closeSync, openSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import {
  getpeername,
  getsockname,
  getsockopt,
  MessageFlags,
  type Operation,
  type ReadableSocketOptionName,
  type Ring,
  receiveQueueBytes,
  recv,
  send,
  sendQueueBytes,
  setsockopt,
  txTimestamp,
  type UringError,
  uringCmd128,
} from 'uring';
import { FORMS, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { bound, eventually, listening, open, tcpPair, unixPair } from './_loopback.ts';

leakCheck(test);

async function failure(t: ExecutionContext, ring: Ring, operation: Operation<unknown>): Promise<UringError> {
  return (await t.throwsAsync<UringError>(ring.exec(operation))) as UringError;
}

for (const form of FORMS) {
  test(`options are set and read by name, by ${form}`, async (t) => {
    await withRing({}, async (ring) => {
      const run = <R>(operation: Operation<R>): Promise<R> => runAs(form, ring, operation);
      const fd = await open(t, ring, 'IPv4', 'stream');
      t.is(await run(setsockopt(fd, 'SO_KEEPALIVE', true)), undefined);
      t.is(await run(getsockopt(fd, 'SO_KEEPALIVE')), true);
      await run(setsockopt(fd, 'SO_KEEPALIVE', false));
      t.is(await run(getsockopt(fd, 'SO_KEEPALIVE')), false);
      await run(setsockopt(fd, 'SO_RCVBUF', 10_000));
      // The kernel doubles it (man 7 socket).
      t.is(await run(getsockopt(fd, 'SO_RCVBUF')), 20_000);
      await run(setsockopt(fd, 'SO_LINGER', { on: true, seconds: 5 }));
      t.deepEqual(await run(getsockopt(fd, 'SO_LINGER')), { on: true, seconds: 5 });
      await run(setsockopt(fd, 'SO_RCVTIMEO', 1_500));
      t.is(await run(getsockopt(fd, 'SO_RCVTIMEO')), 1_500);
      t.is(await run(getsockopt(fd, 'SO_TYPE')), 1);
      t.is(await run(getsockopt(fd, 'SO_PROTOCOL')), 6);
    });
  });
}

test('every option that can be read is read, in its own type', async (t) => {
  await withRing({}, async (ring) => {
    const [client] = await tcpPair(t, ring);
    const types: Readonly<Record<ReadableSocketOptionName, string | undefined>> = {
      SO_REUSEADDR: 'boolean',
      SO_TYPE: 'number',
      SO_ERROR: 'number',
      SO_DONTROUTE: 'boolean',
      SO_BROADCAST: 'boolean',
      SO_SNDBUF: 'number',
      SO_RCVBUF: 'number',
      SO_KEEPALIVE: 'boolean',
      SO_OOBINLINE: 'boolean',
      SO_PRIORITY: 'number',
      SO_LINGER: 'object',
      SO_REUSEPORT: 'boolean',
      // Of Unix sockets: refused, or nobody's.
      SO_PASSCRED: undefined,
      SO_PEERCRED: 'object',
      SO_RCVLOWAT: 'number',
      SO_RCVTIMEO: 'number',
      SO_SNDTIMEO: 'number',
      SO_BINDTODEVICE: 'string',
      SO_TIMESTAMP: 'boolean',
      SO_ACCEPTCONN: 'boolean',
      // Can only be set.
      SO_SNDBUFFORCE: undefined,
      SO_RCVBUFFORCE: undefined,
      SO_TIMESTAMPNS: 'boolean',
      SO_MARK: 'number',
      SO_TIMESTAMPING: 'number',
      SO_PROTOCOL: 'number',
      SO_DOMAIN: 'number',
      SO_BUSY_POLL: 'number',
      SO_INCOMING_CPU: 'number',
      SO_INCOMING_NAPI_ID: 'number',
      SO_COOKIE: 'bigint',
      SO_ZEROCOPY: 'boolean',
      SO_PREFER_BUSY_POLL: 'boolean',
    };
    for (const [name, type] of Object.entries(types)) {
      const value = await ring
        .exec(getsockopt(client, name as ReadableSocketOptionName))
        .catch((error) => error.code);
      if (type === undefined) t.regex(String(value), /^(ENOPROTOOPT|ENOTSUP|false|true)$/, name);
      else t.true(typeof value === type, `${name}: ${value}`);
    }
  });
});

test('options of other levels are set, and what they do is seen', async (t) => {
  await withRing({}, async (ring) => {
    const fd = await open(t, ring, 'IPv4', 'stream');
    await ring.exec(setsockopt(fd, 'TCP_NODELAY', true));
    await ring.exec(setsockopt(fd, 'TCP_CONGESTION', 'reno'));
    await ring.exec(setsockopt(fd, 'IP_TTL', 5));
    await ring.exec(setsockopt(fd, { level: 6, option: 4 }, 30));
    await ring.exec(setsockopt(fd, { level: 6, option: 4 }, Uint8Array.of(31, 0, 0, 0)));
    for (const operation of [
      setsockopt(fd, 'IP_TTL', 256),
      setsockopt(fd, 'TCP_CONGESTION', 'nothing'),
      setsockopt(fd, { level: 1, option: 9999 }, 1),
      setsockopt(fd, { level: 6, option: 4 }, 0),
    ]) {
      const error = await failure(t, ring, operation);
      t.regex(error.code, /^(EINVAL|ENOENT|ENOPROTOOPT)$/);
      t.is(error.syscall, 'setsockopt');
    }
  });
});

test('options are read by number, as bytes', async (t) => {
  await withRing({}, async (ring) => {
    const fd = await open(t, ring, 'IPv6', 'dgram');
    const bytes = await ring.exec(getsockopt(fd, { level: 1, option: 39, sizeBytes: 4 }));
    t.deepEqual(bytes, Buffer.from([10, 0, 0, 0]));
    // More room than the value takes, and less.
    t.is((await ring.exec(getsockopt(fd, { level: 1, option: 39, sizeBytes: 100 }))).byteLength, 4);
    t.is((await ring.exec(getsockopt(fd, { level: 1, option: 39, sizeBytes: 1 }))).byteLength, 1);
    const unknown = await failure(t, ring, getsockopt(fd, { level: 1, option: 9999, sizeBytes: 4 }));
    t.is(unknown.code, 'ENOPROTOOPT');
    t.is(unknown.syscall, 'getsockopt');
  });
});

test('an option can be set in a chain, before the connection is used', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    ring.prepChain([setsockopt(client, 'TCP_NODELAY', true), send(client, Buffer.from('set and sent'))]);
    ring.submit();
    waitFor(ring, 2);
    t.deepEqual(
      reap(ring).map(({ result }) => result),
      [undefined, 12],
    );
    t.is(await ring.exec(recv(server, Buffer.alloc(16))), 12);
    const failing = setsockopt(client, { level: 1, option: 9999 }, 1);
    ring.prepChain([failing, send(client, Buffer.from('never'))]);
    ring.submit();
    waitFor(ring, 2);
    t.deepEqual(
      reap(ring).map(({ error }) => error?.code),
      ['ENOPROTOOPT', 'ECANCELED'],
    );
  });
});

test('queues are asked how many bytes they hold', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    t.is(await ring.exec(receiveQueueBytes(server)), 0);
    t.is(await ring.exec(sendQueueBytes(client)), 0);
    await ring.exec(send(client, pattern(1234)));
    await eventually(async () => (await ring.exec(receiveQueueBytes(server))) === 1234);
    await ring.exec(recv(server, Buffer.alloc(1000)));
    t.is(await ring.exec(receiveQueueBytes(server)), 234);
    // Until the receiver's buffer is full, and then the sender's.
    const messageFlags = MessageFlags.DONTWAIT;
    for (;;) {
      const bytes = await ring.exec(send(client, pattern(100_000), { messageFlags })).catch(() => 0);
      if (bytes === 0) break;
    }
    t.true((await ring.exec(sendQueueBytes(client))) > 0);
    const { fd, at } = await bound(t, ring);
    await ring.exec(send(await open(t, ring, 'IPv4', 'dgram'), pattern(77), { to: at }));
    t.is(await ring.exec(receiveQueueBytes(fd)), 77);
  });
});

test('what is no socket takes no commands, and says so with a hint', async (t) => {
  await withRing({}, async (ring) => {
    const [client] = await unixPair(t, ring);
    const fd = openSync(new URL(import.meta.url), 'r');
    t.teardown(() => closeSync(fd));
    const cases: readonly (readonly [Operation<unknown>, string, RegExp])[] = [
      [getsockopt(fd, 'SO_TYPE'), 'getsockopt', /it is no socket/],
      [setsockopt(fd, 'SO_PASSCRED', true), 'setsockopt', /it is no socket/],
      [receiveQueueBytes(client), 'receiveQueueBytes', /queues of TCP, UDP and raw sockets/],
      [sendQueueBytes(client), 'sendQueueBytes', /queues of TCP, UDP and raw sockets/],
    ];
    for (const [operation, syscall, message] of cases) {
      const error = await failure(t, ring, operation);
      t.is(error.code, 'ENOTSUP');
      t.is(error.syscall, syscall);
      t.regex(error.message, message);
    }
    const server = await listening(t, ring);
    t.is((await failure(t, ring, receiveQueueBytes(server.fd))).code, 'EINVAL');
    t.is((await failure(t, ring, getsockopt(0x7fff_fff0, 'SO_TYPE'))).code, 'EBADF');
  });
});

test('the names of a socket are asked for, or the kernel is said to be too old', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    const asked = await ring.exec(getsockname(client)).catch((error: UringError) => error.code);
    if (asked === 'ERR_URING_UNSUPPORTED_OP') {
      for (const operation of [getsockname(client), getpeername(client)]) {
        const error = await failure(t, ring, operation);
        t.regex(
          error.message,
          /this kernel does not have get(sock|peer)name \(it needs Linux 6\.19 or later\)/,
        );
      }
    } else {
      t.like(asked, { address: '127.0.0.1', family: 'IPv4' });
      t.deepEqual(await ring.exec(getpeername(server)), asked as never);
    }
  });
});

test('uringCmd128 says that the kernel is too old, or that the entries are too small', async (t) => {
  await withRing({}, async (ring) => {
    const fd = await open(t, ring, 'IPv4', 'dgram');
    const error = await failure(t, ring, uringCmd128(fd, { command: 0 }));
    t.regex(error.code, /^ERR_URING_(UNSUPPORTED_OP|INVALID_RECORD|ENTRY_TOO_SMALL)$/);
    if (!ring.operations.includes('uringCmd128')) {
      t.is(error.code, 'ERR_URING_UNSUPPORTED_OP');
      t.regex(error.message, /6\.19/);
    }
  });
});

// SOF_TIMESTAMPING_TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY (Documentation/networking/timestamping.rst).
const TIMESTAMPING = (1 << 1) | (1 << 4) | (1 << 7) | (1 << 11);

for (const cqeBytes of [32, 'mixed'] as const) {
  test(`txTimestamp tells when each datagram left, with completions of ${cqeBytes} bytes`, async (t) => {
    await withRing({ cqeBytes }, async (ring) => {
      const { at } = await bound(t, ring);
      const sender = await open(t, ring, 'IPv4', 'dgram');
      await ring.exec(setsockopt(sender, 'SO_TIMESTAMPING', TIMESTAMPING));
      const before = BigInt(Date.now() - 1000) * 1_000_000n;
      const stream = ring.multishot(txTimestamp(sender));
      for (let key = 0; key < 3; key += 1) {
        await ring.exec(send(sender, Buffer.from('x'), { to: at }));
        const { value } = await stream.next();
        t.like(value, { key, type: 'sent', hardware: false });
        t.true((value?.nanoseconds ?? 0n) > before);
      }
      await stream.return();
      t.is(ring.inFlight, 0);
    });
  });
}

test('txTimestamp is refused by a ring whose completions are too small', async (t) => {
  await withRing({}, async (ring) => {
    const fd = await open(t, ring, 'IPv4', 'dgram');
    const before = ring.stats().submitted;
    await t.throwsAsync(ring.multishot(txTimestamp(fd)).next(), {
      code: 'ERR_URING_UNSUPPORTED_OP',
      message: /open the ring with cqeBytes: 32 or 'mixed'/,
    });
    t.is(ring.stats().submitted, before);
  });
});
