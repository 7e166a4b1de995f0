// What lio-uring can do, row by row of its list (L1 to L30), and the cases of its own tests (L29), where no other
// test here proves the very same.
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import * as uring from 'uring';
import {
  accept,
  connect,
  fsync,
  nop,
  type RingOptions,
  read,
  recv,
  SqeFlags,
  send,
  shutdown,
  timeout,
  write,
} from 'uring';
import { Declarations } from './_declarations.ts';
import { codeSpans, tableRows } from './_documents.ts';
import * as f from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { closing, listening, open, portOf, tcpPair } from './_loopback.ts';
import { ROOT } from './_process.ts';
import { sourceDocs } from './_source-docs.ts';

leakCheck(test);

test('L6: an operation is prepared with user data and flags, which are added to its own', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    t.true(sq.prep(nop({ result: -5, flags: SqeFlags.ASYNC }), 'first', SqeFlags.LINK));
    t.true(sq.prep(nop(), 'second'));
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        ['first', 'EIO'],
        ['second', 'ECANCELED'],
      ],
    );
  });
});

test('L11: a flag is a bit of its own, as the kernel has it, and they are combined with |', (t) => {
  t.deepEqual(
    { ...SqeFlags },
    { FIXED_FILE: 1, DRAIN: 2, LINK: 4, HARDLINK: 8, ASYNC: 16, BUFFER_SELECT: 32, CQE_SKIP_SUCCESS: 64 },
  );
});

test('L12: a linked fsync runs only if the write before it succeeds', async (t) => {
  const { fd, path } = f.file(t);
  const readOnly = f.open(t, path, 'r');
  await withRing({}, ({ sq, cq }) => {
    t.true(sq.prepChain([write(fd, Buffer.from('durable')), fsync(fd)], { userData: ['write', 'fsync'] }));
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        ['write', 7],
        ['fsync', 0],
      ],
    );
    const refused = [write(readOnly, Buffer.from('lost')), fsync(fd)];
    t.true(sq.prepChain(refused, { userData: ['write', 'fsync'] }));
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        ['write', 'EBADF'],
        ['fsync', 'ECANCELED'],
      ],
    );
  });
  t.is(readFileSync(path, 'utf8'), 'durable');
});

test('L12: a short receive breaks a soft link only if the whole was asked for', async (t) => {
  const MSG_WAITALL = 0x100;
  await withRing({}, async (ring) => {
    for (const [messageFlags, after] of [
      [0, 0],
      [MSG_WAITALL, 'ECANCELED'],
    ] as const) {
      const { fd, client } = await f.connection(t, ring);
      t.true(
        ring.prepChain([recv(fd, ring.alloc(100), { messageFlags }), nop()], { userData: ['recv', 'nop'] }),
      );
      ring.submit();
      await new Promise<void>((resolve) => client.end('short', () => resolve()));
      f.waitFor(ring, 2);
      f.endedAs(t, f.reap(ring), [
        ['recv', 5],
        ['nop', after],
      ]);
    }
  });
});

test('L16: a ring that polls for completions says at once that timers are not for it', async (t) => {
  await withRing({ iopoll: true }, async (ring) => {
    t.true(ring.setupFlags.includes('IOPOLL'));
    await t.throwsAsync(ring.exec(timeout(1)), { code: 'EINVAL' });
    t.is(await ring.exec(nop({ result: 5 })), 5);
  });
});

/** Names of operations that are no functions of this package. */
function missing(names: string): string[] {
  const exported = new Map<string, unknown>(Object.entries(uring));
  return names.split(/\s+/).filter((name) => typeof exported.get(name) !== 'function');
}

test('L18: every operation on files is a function', (t) => {
  const names = `read write readFixed writeFixed readv writev openat openat2 close fsync fadvise fallocate ftruncate
    statx`;
  t.deepEqual(missing(names), []);
});

test('L19: every operation on sockets is a function', (t) => {
  const names = `socket accept acceptMultishot connect bind listen shutdown send recv sendZc recvMultishot sendmsg
    recvmsg sendmsgZc`;
  t.deepEqual(missing(names), []);
});

test('L20: every operation on names and attributes is a function', (t) => {
  const names = 'unlinkat renameat mkdirat linkat symlinkat getxattr setxattr fgetxattr fsetxattr';
  t.deepEqual(missing(names), []);
});

test('L21: every operation on time, polls, cancels, pipes, messages, futexes and buffers is a function', (t) => {
  const names = `nop timeout timeoutRemove linkTimeout pollAdd pollRemove pollUpdate asyncCancel splice tee
    syncFileRange msgRing futexWait futexWake provideBuffers removeBuffers`;
  t.deepEqual(missing(names), []);
});

test('L22: everything else that is built in lio-uring is a function, too', (t) => {
  const names = `madvise epollCtl filesUpdate timeoutUpdate recvmsgMultishot sendBundle recvZc readMultishot waitid
    epollWait readvFixed writevFixed pipe`;
  t.deepEqual(missing(names), []);
});

test('L23: the documentation of each operation says which kernel is the first that has it', (t) => {
  const docs = sourceDocs();
  const kernels = new Map(
    tableRows('docs/operations.md').map(({ cells: [name = '', , kernel] }) => [codeSpans(name)[0], kernel]),
  );
  const wrong = new Declarations().operationFunctions.filter((name) => {
    const since = docs.get(name)?.match(/Since Linux (\d\.\d+)/)?.[1];
    return since === undefined || (kernels.get(name) ?? since) !== since;
  });
  t.deepEqual(wrong, []);
});

test('L26: there is advice on batches, memory, files, polling, links and sizes, in words that exist', (t) => {
  const path = 'docs/performance.md';
  const advice = readFileSync(join(ROOT, path), 'utf8').split(/^## /m).slice(1);
  t.deepEqual(
    advice.map((part) => part.split('\n')[0]),
    [
      'Submit in batches',
      'Read and ask for many files at once',
      'Use memory of the ring',
      'Register files',
      'Let the kernel poll for submissions, rarely',
      'Busy-poll a fast disk',
      'Link what depends on each other',
      'Size the ring',
    ],
  );
  const declarations = new Declarations();
  for (const part of advice) {
    const names = codeSpans(part).filter((span) => /^\w+([.(]|$)/.test(span) && !/^[A-Z_]+$/.test(span));
    t.true(names.length > 0, part);
    t.deepEqual(
      names.flatMap((name) => declarations.problemWith(name) ?? []),
      [],
    );
  }
});

test('L27: everything that is exported is documented, operations with a manual page and an example', (t) => {
  const docs = sourceDocs();
  const declarations = new Declarations();
  const { operationFunctions } = declarations;
  // Options need no sentence of their own: each of them has one.
  const silent = [...declarations.exported].filter((name) => !docs.get(name) && !name.endsWith('Options'));
  t.deepEqual([...silent, ...declarations.undocumented], []);
  for (const part of ['@see', '@example'])
    t.deepEqual(
      operationFunctions.filter((name) => !docs.get(name)?.includes(part)),
      [],
      part,
    );
});

test('L28: the rules of contributing say that tests pass, and that what is new is tested and documented', (t) => {
  const rules = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  for (const rule of [
    /npm test/,
    /npm run lint/,
    /with a test for success and for each/,
    /doc comment|TSDoc/,
  ])
    t.regex(rules, rule);
});

test('L30: flags given to prep do not drop those that the operation has by itself', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const slot = ring.registrar.registerFiles().alloc(fd);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 64 });
    await new Promise<void>((resolve) => client.write('both', () => resolve()));
    // FIXED_FILE and BUFFER_SELECT are the operation's own: without them this would be EBADF or EFAULT.
    t.true(ring.prep(recv(slot, buffers), 'recv', SqeFlags.ASYNC));
    f.waitFor(ring, 1);
    const [completion] = f.reap(ring);
    t.is(completion?.res, 4);
    t.is((completion?.result as uring.BufferLease | undefined)?.data.toString(), 'both');
  });
});

test('L29: a capacity that is no power of two is refused, not rounded, and the next one is named', (t) => {
  for (const [entries, next] of [
    [3, 4],
    [5, 8],
    [100, 128],
  ]) {
    const message = new RegExp(`a power of two \\(the next is ${next}\\). Received ${entries}`);
    t.throws(() => new uring.Ring({ entries: entries as number }), { code: 'ERR_OUT_OF_RANGE', message });
  }
});

test('L29: a ring without options opens, and polls for nothing', async (t) => {
  await withRing(undefined as unknown as RingOptions, async (ring) => {
    t.deepEqual(
      ['SQPOLL', 'IOPOLL'].filter((flag) => ring.setupFlags.includes(flag)),
      [],
    );
    await f.assertUsable(t, ring);
  });
});

test('L29: a look without waiting finds nothing, and later what has come', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    t.is(cq.tryNext(), undefined);
    for (const userData of [42, 43]) {
      t.true(sq.prep(nop(), userData));
      sq.submit();
      t.is(cq.tryNext()?.userData, userData);
    }
    t.is(cq.tryNext(), undefined);
  });
});

test('L29: a wait with a limit ends before it when a completion is there', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({}, ({ sq, cq }) => {
    t.true(sq.prep(nop(), 123));
    sq.submit();
    t.is(cq.next({ timeoutMs: 3_600_000 })?.userData, 123);
  });
});

test('L29: no flags are 0, and an operation without flags is one with 0', async (t) => {
  await withRing({}, ({ sq, cq }) => {
    t.true(sq.prep(nop({ result: -5, flags: 0 }), 1, 0));
    t.true(sq.prep(nop(), 2));
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        [1, 'EIO'],
        [2, 0],
      ],
    );
  });
});

test('L29: combined flags are all there and no other is', (t) => {
  const flags = SqeFlags.ASYNC | SqeFlags.LINK | SqeFlags.FIXED_FILE;
  const contained = Object.entries(SqeFlags).filter(([, flag]) => (flags & flag) === flag);
  t.deepEqual(contained.map(([name]) => name).sort(), ['ASYNC', 'FIXED_FILE', 'LINK']);
});

test('L29: the kernel sees each of two flags that are combined', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, ({ sq, cq }) => {
    t.true(sq.prep(read(pipe, Buffer.alloc(1)), 'read'));
    t.true(sq.prep(nop({ result: -5 }), 'drained and linked', SqeFlags.DRAIN | SqeFlags.LINK));
    t.true(sq.prep(nop(), 'cancelled'));
    sq.submit();
    t.is(cq.ready, 0, 'everything waits for the read');
    writeSync(pipe, 'x');
    cq.wait(3);
    const seen = [...cq].map(({ userData, error }) => [userData, error?.code]);
    t.deepEqual(seen[0], ['read', undefined]);
    t.deepEqual(seen.slice(1), [
      ['drained and linked', 'EIO'],
      ['cancelled', 'ECANCELED'],
    ]);
  });
});

test('L29: an operation that is linked behind a read in full completes as well', async (t) => {
  const { fd } = f.file(t, Buffer.from('hello'));
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    t.true(sq.prep(read(fd, Buffer.alloc(5), { offset: 0 }), 1, SqeFlags.LINK));
    t.true(sq.prep(nop(), 2));
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        [1, 5],
        [2, 0],
      ],
    );
  });
});

test('L29: memory that is not registered cannot be given up', async (t) => {
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(64);
    t.throws(() => ring.registrar.unregisterBuffers([Buffer.alloc(64)]), { code: 'ERR_INVALID_ARG_VALUE' });
    ring.registrar.unregisterBuffers([buffer]);
    t.throws(() => ring.registrar.unregisterBuffers([buffer]), { code: 'ENXIO', message: /not registered/ });
    await f.assertUsable(t, ring);
  });
});

test('L29: submitting and waiting by turns brings each completion to its turn', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let turn = 0; turn < 5; turn += 1) {
      t.true(sq.prep(nop(), turn));
      t.is(sq.submit(), 1);
      t.is(cq.next()?.userData, turn);
    }
  });
});

test('L29: a thousand operations in batches of a hundred all complete', async (t) => {
  await withRing({ entries: 256 }, ({ sq, cq }) => {
    for (let batch = 0; batch < 10; batch += 1) {
      for (let at = 0; at < 100; at += 1) if (!sq.prep(nop(), at)) t.fail('no room');
      t.is(sq.submit(), 100);
      cq.wait(100);
      t.deepEqual(
        [...cq].map(({ userData, ok }) => (ok ? userData : 'failed')),
        [...Array(100).keys()],
      );
    }
  });
});

test('L29: a hundred rounds of one operation each, through a queue of eight', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let round = 0; round < 100; round += 1) {
      if (!sq.prep(nop(), round)) t.fail('no room');
      sq.submit();
      if (cq.next()?.userData !== round) t.fail(`round ${round}`);
    }
    t.deepEqual([sq.ready, sq.spaceLeft, cq.ready], [0, 8, 0]);
  });
});

test('L29: a read of an empty file answers 0 and leaves the buffer alone', async (t) => {
  const { fd } = f.file(t);
  await withRing({}, async (ring) => {
    const buffer = Buffer.from('untouched');
    t.is(await ring.exec(read(fd, buffer, { offset: 0 })), 0);
    t.is(buffer.toString(), 'untouched');
  });
});

test('L29: a file that is open for appending is written at its end, and at no offset', async (t) => {
  const { path } = f.file(t, Buffer.from('first '));
  const fd = f.open(t, path, 'a');
  await withRing({}, async (ring) => {
    t.is(await ring.exec(write(fd, Buffer.from('second '))), 7);
    t.is(await ring.exec(write(fd, Buffer.from('third'), { offset: 0 })), 5);
    t.is(readFileSync(path, 'utf8'), 'first second third');
  });
});

test('L29: after a shutdown of both ways nothing is sent, and both ends read the end', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    t.is(await ring.exec(shutdown(client, 'both')), undefined);
    t.is(await ring.exec(recv(client, Buffer.alloc(1))), 0);
    await t.throwsAsync(ring.exec(send(client, Buffer.from('x'))), { code: 'EPIPE' });
    t.is(await ring.exec(recv(server, Buffer.alloc(1))), 0);
  });
});

test('L29: sockets that do not block connect at the same time, and each is told when it is connected', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({ entries: 32 }, async (ring) => {
    const { fd, port } = await listening(t, ring);
    const clients = await Promise.all(Array.from({ length: 4 }, () => open(t, ring, 'IPv4', 'stream')));
    const connected = Promise.all(
      clients.map((client) => ring.exec(connect(client, { address: '127.0.0.1', port }))),
    );
    const accepted = await Promise.all(clients.map(() => ring.exec(accept(fd, { withAddress: true }))));
    t.deepEqual(await connected, Array(4).fill(undefined));
    for (const socket of accepted) closing(t, socket.fd);
    const peers = accepted.map(({ address }) => (address as uring.IpSocketAddress).port);
    t.deepEqual(new Set(peers), new Set(clients.map((client) => portOf(client))));
  });
});
