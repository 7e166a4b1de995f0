// What kevy-uring can do, row by row of its list (K1 to K30), as this package does it.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import {
  accept,
  acceptMultishot,
  asyncCancel,
  Completion,
  close,
  fsync,
  nop,
  openat,
  read,
  recv,
  recvMultishot,
  send,
  timeout,
  UringError,
  write,
  writev,
} from 'uring';
import * as f from './_fixtures.ts';
import { gc, leakCheck, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

interface Manifest {
  license: string;
  dependencies?: Record<string, string>;
  files: string[];
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;

function runNode(code: string, ...options: string[]): string {
  const args = [...options, '--input-type=module', '-e', code];
  return execFileSync(process.execPath, args, { encoding: 'utf8', timeout: f.PATIENCE_MS });
}

test('K1: the binary needs nothing but the C library', (t) => {
  const binary = readdirSync('dist').find((name) => name.endsWith('.node'));
  t.truthy(binary);
  const bytes = readFileSync(join('dist', binary as string));
  t.is(bytes.toString('latin1', 1, 4), 'ELF');
  t.false(bytes.includes('liburing.so'), 'no liburing');
  t.deepEqual(Object.keys(manifest.dependencies ?? {}), []);
});

test('K2: entries wrap around the ends of both queues many times over, and none is lost', async (t) => {
  await withRing({ entries: 4, cqEntries: 8 }, (ring) => {
    let next = 0;
    for (let round = 0; round < 1000; round += 1) {
      for (let at = 0; at < 1 + (round % 4); at += 1) t.true(ring.prep(nop({ result: round }), round));
      next += ring.submit();
      for (const { userData, res } of f.reap(ring))
        if (userData !== res || res !== round) t.fail('out of place');
    }
    t.is(next, 2500);
    t.is(ring.stats().completed, 2500);
  });
});

test('K3: recvMultishot with a buffer ring yields each arrival', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 1024 });
    const sent = f.pattern(100_000);
    client.end(sent);
    const parts: Buffer[] = [];
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      parts.push(Buffer.from(lease.data));
      lease.release();
    }
    t.true(Buffer.concat(parts).equals(sent));
    t.is(buffers.lent, 0);
  });
});

test('K4: elsewhere the package loads, and making a ring says why it cannot', (t) => {
  const code = `
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    const { Ring, nop } = await import('uring');
    nop();
    try { new Ring() } catch (error) { console.log(error.name, error.code, error.message) }`;
  t.is(
    runNode(code),
    'UringError ERR_URING_UNAVAILABLE io_uring exists on Linux only; this is darwin: run the program on Linux, in a virtual machine if need be\n',
  );
});

test('K5: many operations go to the kernel in one io_uring_enter', async (t) => {
  await withRing({ entries: 1024 }, async (ring) => {
    for (let at = 0; at < 1000; at += 1) ring.prep(nop());
    const before = ring.stats();
    t.is(ring.submit(), 1000);
    t.is(ring.stats().enters - before.enters, 1);
    t.is(ring.stats().submitted - before.submitted, 1000);
    t.is(f.reap(ring).length, 1000);
    const { enters } = ring.stats();
    await Promise.all(Array.from({ length: 1000 }, () => ring.exec(nop())));
    t.is(ring.stats().enters - enters, 1, 'on the event loop, too: one for a turn');
  });
});

test('K6: a ring has the entries it was asked for, and says how many', async (t) => {
  for (const entries of [1, 2, 64, 32_768]) {
    await withRing({ entries }, (ring) => {
      t.is(ring.entries, entries);
      for (let at = 0; at < entries; at += 1) if (!ring.prep(nop())) t.fail(`no room for ${at}`);
      t.false(ring.prep(nop()));
    });
  }
});

test('K7: a polling thread that fell asleep is woken by the next submission', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({ sqpoll: { idleMs: 1 } }, async (ring) => {
    for (let round = 0; round < 10; round += 1) {
      await sleep(20);
      t.is(await ring.exec(nop({ result: round })), round);
    }
  });
});

test('K8: read, awaited or by hand; prep says false when the queue is full', async (t) => {
  const { fd } = f.file(t, f.pattern(100));
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    const buffer = Buffer.alloc(100);
    t.is(await ring.exec(read(fd, buffer, { offset: 0 })), 100);
    t.deepEqual(buffer, f.pattern(100));
    t.true(ring.prep(read(fd, buffer, { offset: 0 })));
    t.false(ring.prep(read(fd, buffer, { offset: 0 })));
    ring.submit();
    t.is(f.reap(ring)[0]?.res, 100);
  });
});

test('K9: write, and memory that is dropped at once arrives all the same', async (t) => {
  const { fd, path } = f.file(t);
  await withRing({}, async (ring) => {
    const done = Array.from({ length: 50 }, (_, at) => {
      const bytes = ring.alloc(4096);
      f.pattern(4096, at).copy(bytes);
      return ring.exec(write(fd, bytes, { offset: at * 4096 }));
    });
    await gc();
    t.deepEqual(await Promise.all(done), Array(50).fill(4096));
    const expected = Buffer.concat(Array.from({ length: 50 }, (_, at) => f.pattern(4096, at)));
    t.true(readFileSync(path).equals(expected));
  });
});

test('K10: one submission of recvMultishot completes for each arrival, and ends with ENOBUFS', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 16 });
    await new Promise<void>((resolve) => client.write('x'.repeat(100), () => resolve()));
    t.true(ring.prep(recvMultishot(fd, buffers), 'recv'));
    f.waitFor(ring, 3);
    const completions = f.reap(ring);
    t.deepEqual(
      completions.map(({ res, hasMore }) => [res, hasMore]),
      [
        [16, true],
        [16, true],
        [-105, false],
      ],
    );
    t.deepEqual(new Set(completions.slice(0, 2).map(({ bufferId }) => bufferId)), new Set([0, 1]));
    t.is(completions[2]?.error?.code, 'ENOBUFS');
    t.is(buffers.lent, 2);
  });
});

test('K11: write to a registered file', async (t) => {
  const { fd, path } = f.file(t);
  await withRing({}, async (ring) => {
    const slot = ring.registrar.registerFiles().set(3, fd);
    t.is(await ring.exec(write(slot, Buffer.from('by slot'), { offset: 0 })), 7);
    t.is(readFileSync(path, 'utf8'), 'by slot');
  });
});

test('K12: recvMultishot from a registered socket', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const slot = ring.registrar.registerFiles().alloc(fd);
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 });
    client.end('to a slot');
    let text = '';
    for await (const lease of ring.multishot(recvMultishot(slot, buffers))) {
      text += lease.data.toString();
      lease.release();
    }
    t.is(text, 'to a slot');
  });
});

test('K13: accept gives a descriptor that is non-blocking and close-on-exec', async (t) => {
  await withRing({}, async (ring) => {
    const { fd } = await f.connection(t, ring);
    const flags = Number.parseInt(
      readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/flags:\s+(\d+)/)?.[1] ?? '',
      8,
    );
    t.is(flags & 0o2004000, 0o2004000);
  });
});

test('K14: a timer ends when its time is up, which is no error', async (t) => {
  await withRing({}, async (ring) => {
    t.is(await ring.exec(timeout(2)), undefined);
    const ended = ring.exec(timeout(3_600_000));
    const rejected = t.throwsAsync(ended, { code: 'ECANCELED' });
    await ring.close();
    await rejected;
  });
});

test('K15: a nop proves the round trip, with an injected result', async (t) => {
  await withRing({}, async (ring) => {
    t.is(await ring.exec(nop()), 0);
    t.is(await ring.exec(nop({ result: 1234 })), 1234);
  });
});

test('K16: buffer rings are registered, unregistered, and gone with the ring', async (t) => {
  await withRing({}, async (ring) => {
    const first = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 64 });
    const second = ring.registrar.registerBufferRing({ entries: 32_768, sizeBytes: 1 });
    t.not(first.group, second.group);
    first.unregister();
    first.unregister();
    const { fd } = await f.connection(t, ring);
    t.throws(() => ring.prep(recv(fd, first)), { code: 'ERR_URING_STALE_HANDLE' });
  });
});

test('K17: a released buffer is used again; releasing it twice is an error', async (t) => {
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 8 });
    for (const text of ['first', 'second', 'third']) {
      client.write(text);
      const lease = await ring.exec(recv(fd, buffers));
      t.is(lease?.data.toString(), text);
      t.is(buffers.lent, 1);
      lease?.release();
      t.throws(() => lease?.release(), { code: 'ERR_URING_LEASE_RELEASED', message: /release it once/ });
    }
  });
});

test('K18: a sparse table of files is registered, and limited by RLIMIT_NOFILE', async (t) => {
  const code = `
    import { Ring } from 'uring';
    const ring = new Ring();
    try { ring.registrar.registerFiles({ slots: 250, kernelSlots: 10 }) } catch (error) { console.log(error.code, error.message) }
    console.log(ring.registrar.registerFiles({ slots: 250, kernelSlots: 6 }).slots);
    await ring.close();`;
  const command = 'ulimit -n 256; exec "$0" --input-type=module -e "$1"';
  const output = execFileSync('/bin/sh', ['-c', command, process.execPath, code], { encoding: 'utf8' });
  t.regex(output, /^EMFILE .*260 slots is larger than RLIMIT_NOFILE.*\n250\n$/);
});

test('K19: a slot is set, replaced and cleared', async (t) => {
  const [one, two] = [f.file(t, Buffer.from('1')), f.file(t, Buffer.from('2'))];
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 1, kernelSlots: 0 });
    const buffer = Buffer.alloc(1);
    for (const { fd, path } of [one, two, one]) {
      await ring.exec(read(files.set(0, fd), buffer, { offset: 0 }));
      t.is(buffer.toString(), readFileSync(path, 'utf8'));
    }
    const slot = files.set(0, one.fd);
    files.clear(slot);
    await t.throwsAsync(ring.exec(read(slot, buffer)), { code: 'ERR_URING_STALE_HANDLE' });
  });
});

test('K20: submit and submitAndWait answer how many operations were taken', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(nop());
    ring.prep(nop());
    t.is(ring.submit(), 2);
    ring.prep(timeout(1));
    t.is(ring.submitAndWait(3), 1);
    t.is(ring.cqReady, 3);
    t.is(ring.submitAndWait(4, { timeoutMs: 1 }), 0);
    f.reap(ring);
  });
});

test('K21: forEachCompletion takes all there is and answers how many', async (t) => {
  await withRing({}, (ring) => {
    for (let at = 0; at < 100; at += 1) ring.prep(nop(), at);
    ring.submit();
    let sum = 0;
    const add = ({ userData }: Completion) => {
      sum += userData as number;
    };
    t.deepEqual([ring.forEachCompletion(add), sum], [100, 4950]);
    t.deepEqual([ring.forEachCompletion(add), sum], [0, 4950]);
  });
});

test('K22: a completion has userData, res, flags, hasMore, bufferId, isNotification and error', async (t) => {
  await withRing({}, (ring) => {
    ring.prep(nop({ result: 3 }), 'mine');
    ring.submit();
    const flagged = { flags: 0, hasMore: false, bufferId: undefined, isNotification: false };
    t.like(ring.peek(), { userData: 'mine', res: 3, error: null, ...flagged });
    t.true([...ring.completions()][0] instanceof Completion);
  });
});

test('K23: a ring belongs to its thread, and a worker has rings of its own', async (t) => {
  t.timeout(f.PATIENCE_MS);
  const code = `
    const { parentPort } = require('node:worker_threads');
    import('uring').then(async ({ Ring, nop }) => {
      const ring = new Ring();
      const result = await ring.exec(nop({ result: 23 }));
      await ring.close();
      parentPort.postMessage(result);
    });`;
  await withRing({}, async (ring) => {
    const worker = new Worker(code, { eval: true });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const [result] = await Promise.all([
      new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
      ring.exec(nop()),
    ]);
    t.is(result, 23);
    t.is(await exited, 0);
    await f.assertUsable(t, ring);
  });
});

test('K24: unsafe code without a reason does not pass the linter', (t) => {
  const cargo = readFileSync('Cargo.toml', 'utf8');
  t.regex(cargo, /^undocumented_unsafe_blocks = "deny"$/m);
  t.regex(cargo, /^unsafe_op_in_unsafe_fn = "deny"$/m);
  for (const path of ['Cargo.toml', 'crates/core/Cargo.toml']) {
    t.regex(
      readFileSync(path, 'utf8'),
      /\[lints\]\nworkspace = true/,
      `${path} takes the lints of the workspace`,
    );
  }
});

test('K25: the package stands alone, under both licences', (t) => {
  t.is(manifest.license, '(MIT OR Apache-2.0)');
  t.regex(readFileSync('LICENSE-MIT', 'utf8'), /MIT License/i);
  t.regex(readFileSync('LICENSE-APACHE', 'utf8'), /Apache License/);
  t.true(manifest.files.includes('LICENSE-*'));
});

test('K26: reads and writes at offsets, data-only fsync, writev, acceptMultishot and cancel are there', async (t) => {
  t.timeout(f.PATIENCE_MS);
  const { fd, path } = f.file(t, Buffer.from('0123456789'));
  await withRing({}, async (ring) => {
    const buffer = Buffer.alloc(3);
    t.is(await ring.exec(read(fd, buffer, { offset: 4 })), 3);
    t.is(buffer.toString(), '456');
    t.is(await ring.exec(write(fd, Buffer.from('X'), { offset: 9 })), 1);
    t.is(await ring.exec(writev(fd, [Buffer.from('a'), Buffer.from('b')], { offset: 0 })), 2);
    t.is(await ring.exec(fsync(fd, { dataOnly: true })), undefined);
    t.is(readFileSync(path, 'utf8'), 'ab2345678X');
    const { fd: listening, port } = await f.listen(t);
    await f.connect(t, port, 3);
    const accepted: number[] = [];
    for await (const socket of ring.multishot(acceptMultishot(listening))) {
      accepted.push(socket);
      if (accepted.length === 3) break;
    }
    for (const socket of accepted) await ring.exec(close(socket));
    t.is(new Set(accepted).size, 3);
    await t.throwsAsync(ring.exec(asyncCancel({ fd: listening })), { code: 'ENOENT' });
  });
});

test('K27: a batch of positional reads takes as few enters as the queue allows', async (t) => {
  const dir = tmpDir(t);
  const contents = Array.from({ length: 64 }, (_, at) => f.pattern(1000 + at, at));
  await withRing({ entries: 64 }, async (ring) => {
    const fds: number[] = [];
    for (const [at, bytes] of contents.entries()) {
      writeFileSync(join(dir, String(at)), bytes);
      fds.push(f.open(t, join(dir, String(at))));
    }
    const buffers = contents.map(({ length }) => ring.alloc(length));
    const before = ring.stats().enters;
    for (const [at, fd] of fds.entries()) t.true(ring.prep(read(fd, buffers[at] as Buffer, { offset: 0 })));
    t.is(ring.submit(), 64);
    t.is(ring.stats().enters - before, 1);
    f.waitFor(ring, 64);
    t.is(f.reap(ring).length, 64);
    t.deepEqual(buffers, contents);
  });
});

test('K28: nothing received is the end of the stream only when nothing more is there', async (t) => {
  t.timeout(f.PATIENCE_MS);
  await withRing({}, async (ring) => {
    const { fd, client } = await f.connection(t, ring);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
    client.write('some');
    const stream = ring.multishot(recvMultishot(fd, buffers));
    const first = await stream.next();
    t.is(first.value?.data.toString(), 'some');
    first.value?.release();
    client.end();
    t.deepEqual(await stream.next(), { done: true, value: undefined });
  });
});

test('K29: the ring has the strongest flags that the kernel grants', async (t) => {
  await withRing({}, (ring) => {
    const weaker = new Set([
      'CQSIZE',
      'SUBMIT_ALL',
      'SINGLE_ISSUER',
      'DEFER_TASKRUN',
      'COOP_TASKRUN',
      'TASKRUN_FLAG',
      'NO_SQARRAY',
    ]);
    t.true(ring.setupFlags.every((flag) => weaker.has(flag)));
    t.true(ring.setupFlags.includes('SUBMIT_ALL') && ring.setupFlags.includes('SINGLE_ISSUER'));
  });
  await withRing({ sqpoll: { idleMs: 1 } }, (ring) => {
    t.false(ring.setupFlags.includes('DEFER_TASKRUN'), 'excluded by SQPOLL, dropped and not an error');
  });
});

test('K30: cancel of an unknown target is ENOENT, of a timer in flight it is 0', async (t) => {
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(asyncCancel({ userData: 'unknown' })), {
      instanceOf: UringError,
      code: 'ENOENT',
    });
    ring.prep(timeout(3_600_000), 'timer');
    ring.prep(asyncCancel({ userData: 'timer' }), 'cancel');
    f.waitFor(ring, 2);
    f.endedAs(t, f.reap(ring), [
      ['timer', 'ECANCELED'],
      ['cancel', 0],
    ]);
  });
});

test('K30: a timer bounds a wait next to a read that waits', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, (ring) => {
    ring.prep(read(pipe, ring.alloc(1)), 'read');
    ring.prep(timeout(2), 'timer');
    ring.submitAndWait(1);
    f.endedAs(t, f.reap(ring), [['timer', -62]]);
    writeSync(pipe, 'x');
    f.waitFor(ring, 1);
    f.endedAs(t, f.reap(ring), [['read', 1]]);
  });
});

test('K30: accepts a connection, and echoes what it receives', async (t) => {
  await withRing({}, async (ring) => {
    const { fd: listening, port } = await f.listen(t);
    const [client] = await f.connect(t, port);
    const fd = await ring.exec(accept(listening));
    const back = f.received(client as NonNullable<typeof client>, 4);
    client?.write('echo');
    const buffer = ring.alloc(64);
    const bytes = await ring.exec(recv(fd, buffer));
    t.is(await ring.exec(send(fd, buffer.subarray(0, bytes))), 4);
    t.is((await back).toString(), 'echo');
    await ring.exec(close(fd));
  });
});

test('K30: more reads than the queue has places come back in chunks, each with its own bytes', async (t) => {
  const { path } = f.file(t, f.pattern(100 * 64));
  await withRing({ entries: 8 }, async (ring) => {
    const fd = await ring.exec(openat(path));
    const buffers = Array.from({ length: 100 }, () => ring.alloc(64));
    const done = buffers.map((buffer, at) => ring.exec(read(fd, buffer, { offset: at * 64 })));
    t.deepEqual(await Promise.all(done), Array(100).fill(64));
    t.deepEqual(Buffer.concat(buffers), f.pattern(100 * 64));
    await ring.exec(close(fd));
  });
});
