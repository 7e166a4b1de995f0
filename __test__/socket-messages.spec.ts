// Messages: addresses, control messages, descriptors of other processes, many messages with one submission.
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  asyncCancel,
  bind,
  type ControlMessage,
  type LeasedMessage,
  MessageFlags,
  nop,
  type OutgoingMessage,
  type ReceivedControlMessage,
  type ReceivedMessage,
  type Ring,
  recvmsg,
  recvmsgMultishot,
  SocketFlags,
  send,
  sendmsg,
  sendmsgZc,
  setsockopt,
  shutdown,
  socket,
  type UringError,
} from 'uring';
import { FORMS, pattern, runAs } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import {
  abstractName,
  bound,
  closing,
  eventually,
  LOOPBACK,
  open,
  portOf,
  tcpPair,
  unixPair,
} from './_loopback.ts';

leakCheck(test);

const bytesOf = (text: string): Buffer => Buffer.from(text);

/** A datagram socket of the Unix family, and a sender. */
async function unixDatagrams(t: ExecutionContext, ring: Ring) {
  const to = abstractName();
  const fd = await open(t, ring, 'unix', 'dgram');
  await ring.exec(bind(fd, to));
  return { fd, to, sender: await open(t, ring, 'unix', 'dgram') };
}

function plain({ bytes, address, control, flags }: ReceivedMessage) {
  return { bytes, address, control, flags };
}

for (const form of FORMS) {
  test(`a message has bytes, an address and flags, by ${form}`, async (t) => {
    await withRing({}, async (ring) => {
      const { fd, at } = await bound(t, ring);
      const sender = await bound(t, ring);
      const message = { data: [bytesOf('one '), bytesOf('two')], to: at };
      t.is(await runAs(form, ring, sendmsg(sender.fd, message)), 7);
      const [small, arena] = [Buffer.alloc(2), ring.alloc(16)];
      const received = await runAs(form, ring, recvmsg(fd, [small, arena]));
      t.deepEqual(plain(received), {
        bytes: 7,
        address: { ...sender.at, family: 'IPv4' },
        control: [],
        flags: MessageFlags.CMSG_CLOEXEC,
      });
      t.is(small.toString() + arena.toString('latin1', 0, 5), 'one two');
      t.false(received.truncated);
      t.is(received.descriptors, undefined);
    });
  });
}

test('messages without bytes, without buffers, and too long for theirs', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, to, sender } = await unixDatagrams(t, ring);
    t.is(await ring.exec(sendmsg(sender, { to })), 0);
    t.is(await ring.exec(sendmsg(sender, { to, data: new Uint8Array(0) })), 0);
    t.is(await ring.exec(sendmsg(sender, { to, data: bytesOf('0123456789') })), 10);
    t.is(await ring.exec(sendmsg(sender, { to, data: bytesOf('0123456789') })), 10);
    const buffer = Buffer.alloc(4);
    for (let empty = 0; empty < 2; empty += 1) {
      const received = await ring.exec(recvmsg(fd, buffer));
      t.is(received.bytes, 0);
      // The sender has no name (man 7 unix).
      t.is(received.address, undefined);
    }
    const cut = await ring.exec(recvmsg(fd, buffer));
    t.is(cut.bytes, 4);
    t.true(cut.truncated);
    const whole = await ring.exec(recvmsg(fd, buffer, { messageFlags: MessageFlags.TRUNC }));
    t.is(whole.bytes, 10);
    t.is(buffer.toString(), '0123');
  });
});

test('messages on connections have no address, and end with the stream', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    t.is(await ring.exec(sendmsg(client, { data: bytesOf('stream') })), 6);
    await ring.exec(shutdown(client, 'write'));
    const received = await ring.exec(recvmsg(server, Buffer.alloc(16)));
    t.deepEqual([received.bytes, received.address], [6, undefined]);
    t.is((await ring.exec(recvmsg(server, Buffer.alloc(16)))).bytes, 0);
  });
});

test('sendmsgZc sends registered memory and other, and says that loopback copies', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, at } = await bound(t, ring);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const arena = ring.alloc(4000);
    arena.set(pattern(4000));
    const sources = [
      [arena.subarray(0, 1000), arena.subarray(2000, 3000)],
      [pattern(500), arena],
    ];
    for (const data of sources) {
      const expected = Buffer.concat(data);
      const sent = await ring.exec(sendmsgZc(sender, { data, to: at }, { reportUsage: true }));
      t.deepEqual(sent, { bytes: expected.length, copied: true });
      const buffer = Buffer.alloc(8000);
      const { bytes } = await ring.exec(recvmsg(fd, buffer));
      t.deepEqual(buffer.subarray(0, bytes), expected);
    }
    t.is(await ring.exec(sendmsgZc(sender, { data: arena, to: at })), 4000);
  });
});

test('a message that cannot be sent says to whom', async (t) => {
  await withRing({}, async (ring) => {
    const sender = await open(t, ring, 'unix', 'dgram');
    const path = join(tmpDir(t), 'nobody.sock');
    for (const operation of [
      sendmsg(sender, { data: bytesOf('x'), to: { path } }),
      sendmsg(sender, { to: { path } }),
    ]) {
      const error = await t.throwsAsync<UringError>(ring.exec(operation), { code: 'ENOENT' });
      t.is(error?.address, path);
      t.is(error?.syscall, 'sendmsg');
    }
    await t.throwsAsync(ring.exec(recvmsg(0x7fff_fff0, Buffer.alloc(1))), { code: 'EBADF' });
  });
});

test('sendmsgZc on a socket that only copies fails with ENOTSUP', async (t) => {
  await withRing({}, async (ring) => {
    const { to, sender } = await unixDatagrams(t, ring);
    await t.throwsAsync(ring.exec(sendmsgZc(sender, { data: ring.alloc(16), to })), {
      code: 'ENOTSUP',
      message: /sendmsgZc/,
    });
  });
});

/** Sends descriptors of /dev/zero. */
function passing(t: ExecutionContext, count: number): OutgoingMessage {
  const fds = Array.from({ length: count }, () => closing(t, openSync('/dev/zero', 'r')));
  return { data: bytesOf('fds'), control: [{ kind: 'descriptors', fds }] };
}

const zeros = (): number => [...openFds().values()].filter((target) => target === '/dev/zero').length;

test.serial('descriptors are passed, and belong to whoever takes them', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await unixPair(t, ring);
    const { dev } = fstatSync(closing(t, openSync('/dev/zero', 'r')));
    await ring.exec(sendmsg(client, passing(t, 3)));
    const message = await ring.exec(recvmsg(server, Buffer.alloc(8), { controlBytes: 64 }));
    t.is(message.bytes, 3);
    t.is(message.descriptors?.count, 3);
    const taken = message.descriptors?.take() ?? [];
    message[Symbol.dispose]();
    for (const fd of taken) {
      t.is(fstatSync(fd).dev, dev);
      t.is(readSync(fd, Buffer.alloc(4)), 4);
      closeSync(fd);
    }
  });
});

test.serial('a pipe that is passed works at its other end', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await unixPair(t, ring, 'seqpacket');
    const [one, other] = await unixPair(t, ring);
    await ring.exec(sendmsg(client, { control: [{ kind: 'descriptors', fds: [one] }], data: bytesOf('!') }));
    const message = await ring.exec(recvmsg(server, Buffer.alloc(8), { controlBytes: 24 }));
    const [copy] = message.descriptors?.take() ?? [];
    writeSync(copy as number, 'through the copy');
    const buffer = Buffer.alloc(32);
    t.is((await ring.exec(recvmsg(other, buffer))).bytes, 16);
    closeSync(copy as number);
  });
});

test.serial('descriptors for which there is no room never come, and those that do are closed', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await unixPair(t, ring);
    const message = passing(t, 4);
    const before = zeros();
    await ring.exec(sendmsg(client, message));
    const none = await ring.exec(recvmsg(server, Buffer.alloc(8)));
    t.true(none.controlTruncated);
    t.is(none.descriptors, undefined);
    t.is(zeros(), before);
    await ring.exec(sendmsg(client, message));
    // Room for two of the four.
    const some = await ring.exec(recvmsg(server, Buffer.alloc(8), { controlBytes: 24 }));
    t.true(some.controlTruncated);
    t.is(some.descriptors?.count, 2);
    t.is(zeros(), before + 2);
    some[Symbol.dispose]();
    t.is(zeros(), before);
  });
});

// Seen with random operations: they stayed open.
test.serial('descriptors of a message whose buffer went away meanwhile are closed', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await unixPair(t, ring);
    const message = passing(t, 2);
    const before = zeros();
    const buffer = new Uint8Array(8);
    const received = ring.exec(recvmsg(server, buffer, { controlBytes: 64 }));
    ring.submit();
    structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
    const refused = t.throwsAsync(received, { code: 'ERR_URING_BUFFER_DETACHED' });
    await ring.exec(sendmsg(client, message));
    await refused;
    t.is(zeros(), before);
  });
});

test.serial('descriptors in messages that nobody reads are closed with the ring', async (t) => {
  await withRing({}, async (outer) => {
    const [client, server] = await unixPair(t, outer);
    const message = passing(t, 2);
    const before = zeros();
    await withRing({}, async (ring) => {
      ring.prep(recvmsg(server, Buffer.alloc(8), { controlBytes: 64 }));
      ring.submit();
      await outer.exec(sendmsg(client, message));
      // The loop takes the completion, and keeps it for a reader who never comes.
      await ring.exec(nop());
      await eventually(() => ring.cqReady === 1);
      await ring.exec(nop());
      t.is(zeros(), before + 2);
    });
    t.is(zeros(), before);
  });
});

test('credentials travel with messages, and false ones are refused', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, to, sender } = await unixDatagrams(t, ring);
    const me = { pid: process.pid, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const control: ControlMessage[] = [{ kind: 'credentials', ...me }];
    // Before Linux 6.18 a Unix socket takes no options through io_uring.
    await ring.exec(setsockopt(fd, 'SO_PASSCRED', true));
    t.is(await ring.exec(sendmsg(sender, { data: bytesOf('me'), to, control })), 2);
    const message = await ring.exec(recvmsg(fd, Buffer.alloc(8), { controlBytes: 64 }));
    t.deepEqual(message.control, control);
    const nobody: ControlMessage[] = [{ kind: 'credentials', ...me, pid: 0x7fff_fff0 }];
    // No such process: even root cannot claim to be it (net/core/scm.c).
    await t.throwsAsync(ring.exec(sendmsg(sender, { data: bytesOf('x'), to, control: nobody })), {
      code: 'ESRCH',
    });
  });
});

/** Received messages of these kinds, by kind. */
function byKind(control: readonly ReceivedControlMessage[]): Record<string, ReceivedControlMessage> {
  return Object.fromEntries(control.map((message) => [message.kind, message]));
}

test('IPv4 datagrams bring time to live, type of service, where they arrived, and when', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, at } = await bound(t, ring);
    for (const option of ['IP_RECVTTL', 'IP_RECVTOS', 'IP_PKTINFO', 'SO_TIMESTAMPNS'] as const) {
      await ring.exec(setsockopt(fd, option, true));
    }
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const control: ControlMessage[] = [
      { kind: 'ttl', value: 7 },
      { kind: 'tos', value: 0x10 },
      { kind: 'packetInfo', family: 'IPv4', interfaceIndex: 0, address: '127.0.0.9' },
    ];
    await ring.exec(sendmsg(sender, { data: bytesOf('x'), to: at, control }));
    const message = await ring.exec(recvmsg(fd, Buffer.alloc(8), { controlBytes: 256 }));
    t.deepEqual(message.address, { address: '127.0.0.9', port: portOf(sender), family: 'IPv4' });
    const { ttl, tos, packetInfo, timestamp } = byKind(message.control);
    t.deepEqual(ttl, { kind: 'ttl', value: 7 });
    t.deepEqual(tos, { kind: 'tos', value: 0x10 });
    t.like(packetInfo, { family: 'IPv4', address: '127.0.0.1', localAddress: '127.0.0.1' });
    t.true(timestamp?.kind === 'timestamp' && timestamp.nanoseconds > 1_700_000_000_000_000_000n);
  });
});

test('IPv6 datagrams bring hop limit, traffic class, and where they arrived', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, at } = await bound(t, ring, 'IPv6');
    for (const option of ['IPV6_RECVHOPLIMIT', 'IPV6_RECVTCLASS', 'IPV6_RECVPKTINFO'] as const) {
      await ring.exec(setsockopt(fd, option, true));
    }
    const sender = await open(t, ring, 'IPv6', 'dgram');
    const control: ControlMessage[] = [
      { kind: 'hopLimit', value: 9 },
      { kind: 'trafficClass', value: 0x20 },
      { kind: 'packetInfo', family: 'IPv6', interfaceIndex: 0, address: LOOPBACK.IPv6 },
    ];
    await ring.exec(sendmsg(sender, { data: bytesOf('x'), to: at, control }));
    const message = await ring.exec(recvmsg(fd, Buffer.alloc(8), { controlBytes: 256 }));
    const { hopLimit, trafficClass, packetInfo } = byKind(message.control);
    t.deepEqual(hopLimit, { kind: 'hopLimit', value: 9 });
    t.deepEqual(trafficClass, { kind: 'trafficClass', value: 0x20 });
    t.like(packetInfo, { family: 'IPv6', address: '::1' });
  });
});

test('one long UDP send is cut into segments, and joined again by the receiver', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, at } = await bound(t, ring);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const data = pattern(250);
    const message = { data, to: at, control: [{ kind: 'segmentSize', sizeBytes: 100 }] } as const;
    t.is(await ring.exec(sendmsg(sender, message)), 250);
    const buffer = Buffer.alloc(1000);
    for (const expected of [100, 100, 50]) t.is((await ring.exec(recvmsg(fd, buffer))).bytes, expected);
    await ring.exec(setsockopt(fd, 'UDP_GRO', true));
    await ring.exec(sendmsg(sender, message));
    const joined = await ring.exec(recvmsg(fd, buffer, { controlBytes: 64 }));
    t.is(joined.bytes, 250);
    t.deepEqual(joined.control, [{ kind: 'segmentSize', sizeBytes: 100 }]);
    t.deepEqual(buffer.subarray(0, 250), data);
  });
});

test('a refused datagram shows in the error queue, as a message of its own kind', async (t) => {
  await withRing({}, async (ring) => {
    const gone = await ring.exec(socket('IPv4', 'dgram', { socketFlags: SocketFlags.CLOEXEC }));
    await ring.exec(bind(gone, { address: '127.0.0.1', port: 0 }));
    const to = { address: '127.0.0.1', port: portOf(gone) };
    closeSync(gone);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    await ring.exec(setsockopt(sender, 'IP_RECVERR', true));
    await ring.exec(sendmsg(sender, { data: bytesOf('nobody'), to }));
    const options = { controlBytes: 256, messageFlags: MessageFlags.ERRQUEUE };
    const message = await ring.exec(recvmsg(sender, Buffer.alloc(16), options));
    t.is(message.flags & MessageFlags.ERRQUEUE, MessageFlags.ERRQUEUE);
    // Where it was to go to (man 7 ip, IP_RECVERR), and struct sock_extended_err: ECONNREFUSED.
    t.deepEqual(message.address, { ...to, family: 'IPv4' });
    const [error] = message.control;
    t.true(error?.kind === 'other' && error.level === 0 && error.type === 11);
    t.is(error?.kind === 'other' ? error.data[0] : 0, 111);
  });
});

test('recvmsgMultishot yields each datagram with its address and control messages', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 256 });
    const { fd, at } = await bound(t, ring);
    await ring.exec(setsockopt(fd, 'IP_RECVTTL', true));
    const sender = await bound(t, ring);
    const stream = ring.multishot(recvmsgMultishot(fd, buffers, { controlBytes: 24 }));
    for (let number = 0; number < 50; number += 1) {
      await ring.exec(send(sender.fd, bytesOf(`message ${number}`), { to: at }));
      const { value } = await stream.next();
      const message = value as LeasedMessage;
      t.is(message.data.toString(), `message ${number}`);
      t.is(message.bytes, message.data.byteLength);
      t.deepEqual(message.address, { ...sender.at, family: 'IPv4' });
      t.deepEqual(message.control, [{ kind: 'ttl', value: 64 }]);
      message.release();
      t.throws(() => message.release(), { code: 'ERR_URING_LEASE_RELEASED' });
    }
    await stream.return();
    t.is(ring.inFlight, 0);
  });
});

test('recvmsgMultishot waits for buffers, goes on behind empty datagrams, and says what was cut off', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 160 });
    const { fd, to, sender } = await unixDatagrams(t, ring);
    const texts = ['one', '', 'two', '', '', 'x'.repeat(40), 'end'];
    const sent = (async () => {
      for (const text of texts) await ring.exec(sendmsg(sender, { data: bytesOf(text), to }));
    })();
    const received: [string, boolean, number][] = [];
    for await (const message of ring.multishot(recvmsgMultishot(fd, buffers))) {
      received.push([message.data.toString(), message.truncated, message.bytes]);
      message.release();
      if (received.length === texts.length) break;
    }
    await sent;
    t.deepEqual(received, [
      ['one', false, 3],
      ['', false, 0],
      ['two', false, 3],
      ['', false, 0],
      ['', false, 0],
      ['x'.repeat(16), true, 16],
      ['end', false, 3],
    ]);
    await ring.exec(nop());
    t.is(buffers.lent, 0);
  });
});

test('recvmsgMultishot on a registered datagram socket goes on behind empty datagrams with an address', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 256 });
    const files = ring.registrar.registerFiles();
    const { fd, at } = await bound(t, ring);
    const sender = await open(t, ring, 'IPv4', 'dgram');
    const stream = ring.multishot(recvmsgMultishot(files.alloc(fd), buffers));
    for (const text of ['', 'after']) {
      await ring.exec(send(sender, bytesOf(text), { to: at }));
      const { value } = await stream.next();
      t.is(value?.data.toString(), text);
      value?.release();
    }
    await stream.return();
  });
});

test('recvmsgMultishot on a connection ends with the stream', async (t) => {
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 256 });
    const [client, server] = await tcpPair(t, ring);
    await ring.exec(send(client, bytesOf('all')));
    await ring.exec(shutdown(client, 'write'));
    let all = '';
    for await (const message of ring.multishot(recvmsgMultishot(server, buffers))) {
      all += message.data.toString();
      message.release();
    }
    t.is(all, 'all');
    await ring.exec(nop());
    t.is(buffers.lent, 0);
    t.is(ring.inFlight, 0);
  });
});

test.serial(
  'a stream that is left closes descriptors that nobody took, and gives buffers back',
  async (t) => {
    await withRing({}, async (ring) => {
      const buffers = ring.registrar.registerBufferRing({ entries: 8, sizeBytes: 256 });
      const { fd, to, sender } = await unixDatagrams(t, ring);
      const message = { ...passing(t, 2), to };
      const before = zeros();
      const stream = ring.multishot(recvmsgMultishot(fd, buffers, { controlBytes: 64 }));
      const first = stream.next();
      for (let count = 0; count < 3; count += 1) await ring.exec(sendmsg(sender, message));
      const { value } = await first;
      await eventually(() => zeros() === before + 6);
      const taken = value?.descriptors?.take() ?? [];
      value?.release();
      await stream.return();
      t.is(zeros(), before + 2);
      for (const fd of taken) closeSync(fd);
      await ring.exec(nop());
      t.is(buffers.lent, 0);
    });
  },
);

test('a cancelled recvmsg receives nothing', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, to, sender } = await unixDatagrams(t, ring);
    const operation = recvmsg(fd, Buffer.alloc(4));
    const cancelled = t.throwsAsync(ring.exec(operation), { code: 'ECANCELED' });
    await ring.exec(asyncCancel(operation));
    await cancelled;
    await ring.exec(sendmsg(sender, { data: bytesOf('late'), to }));
    t.is((await ring.exec(recvmsg(fd, Buffer.alloc(4)))).bytes, 4);
  });
});
