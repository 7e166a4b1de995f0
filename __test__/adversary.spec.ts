// What a wrong program, or a hostile one, may not achieve; and what the kernel does when it is driven hard.
import { createSocket, type Socket } from 'node:dgram';
import { createRequire } from 'node:module';
import { type ReadableByteStreamController, ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { asyncCancel, Ring, recv, recvMultishot } from 'uring';
import { BINARY } from './_binary.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { runFixture, runModule } from './_process.ts';
import { until } from './_until.ts';

leakCheck(test);

const LOOPBACK = '127.0.0.1';

interface Handle {
  readonly fd: number;
  recvStop(): void;
}

/** A UDP socket that libuv does not read from. */
async function udp(t: ExecutionContext): Promise<{ socket: Socket; fd: number; port: number }> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
  // Node 26 has no `_handle` any more; under its symbol the state is in every version.
  const symbol = Object.getOwnPropertySymbols(socket).find(
    ({ description }) => description === 'state symbol',
  );
  const { handle } = (socket as unknown as Record<symbol, { handle: Handle }>)[symbol!]!;
  handle.recvStop();
  t.teardown(() => socket.close());
  return { socket, fd: handle.fd, port: socket.address().port };
}

test('a record that another thread changes is used as it was checked', async (t) => {
  const addon = createRequire(import.meta.url).resolve(`../../dist/${BINARY}`);
  const { code, stdout } = await runFixture('moved-block.cjs', [addon]);
  t.is(code, 0);
  const { worst, sawBoth } = JSON.parse(stdout) as { worst: number; sawBoth: boolean };
  t.true(sawBoth, 'the worker never came between');
  t.is(worst, 4096);
});

for (const waiting of [100, 400]) {
  test(`what is behind ${waiting} receives that wake up in vain is delivered at once`, async (t) => {
    const [many, one, from] = [await udp(t), await udp(t), await udp(t)];
    await withRing({}, async (ring) => {
      const others = Array.from({ length: waiting }, () =>
        ring.exec(recv(many.fd, ring.alloc(8))).catch((error) => error.code),
      );
      const received = ring.exec(recv(one.fd, ring.alloc(8)));
      await sleep(50);
      from.socket.send('a', many.port, LOOPBACK);
      from.socket.send('b', one.port, LOOPBACK);
      t.is(await received, 1);
      await ring.close();
      const results = await Promise.all(others);
      t.is(results.filter((result) => result === 1).length, 1);
      t.is(results.filter((result) => result === 'ECANCELED').length, waiting - 1);
    });
  });
}

test('a ring whose descriptor was closed behind its back fails what is started, and closes', async (t) => {
  const ended = await runModule(`
    import { closeSync } from 'node:fs';
    import { Ring, nop } from 'uring';
    const ring = new Ring();
    await ring.exec(nop());
    closeSync(ring.fd);
    for (let round = 0; round < 2; round += 1) await ring.exec(nop()).catch((error) => console.log(error.code));
    await ring.close();
    console.log('closed');
  `);
  t.like(ended, { code: 0, stdout: 'EBADF\nEBADF\nclosed\n' });
});

test('a worker that waits by hand, without a timeout, can be terminated', async (t) => {
  const ended = await runModule(`
    import { Worker } from 'node:worker_threads';
    const source = \`
      import { parentPort } from 'node:worker_threads';
      import { Ring, timeout } from 'uring';
      const ring = new Ring();
      ring.prep(timeout(3_600_000));
      parentPort.postMessage('waiting');
      ring.submitAndWait(1);
    \`;
    const worker = new Worker(source, { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log(await worker.terminate());
  `);
  t.like(ended, { code: 0, stdout: '1\n' });
});

test('memory that was moved to another thread stays readable when its ring is gone', async (t) => {
  const ended = await runModule(`
    import { Worker } from 'node:worker_threads';
    const source = \`
      import { parentPort } from 'node:worker_threads';
      import { Ring } from 'uring';
      const ring = new Ring();
      const memory = ring.alloc(1 << 20).fill(7);
      const stream = new ReadableStream({ type: 'bytes', start: (c) => c.enqueue(memory) });
      const { buffer } = (await stream.getReader().read()).value;
      parentPort.postMessage(buffer, [buffer]);
      await ring.close();
    \`;
    const worker = new Worker(source, { eval: true });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const bytes = new Uint8Array(await new Promise((resolve) => worker.once('message', resolve)));
    console.log(bytes.length);
    await exited;
    console.log(bytes.every((byte) => byte === 0 || byte === 7));
  `);
  t.like(ended, { code: 0, stdout: `${1 << 20}\ntrue\n` });
});

test('a stream whose buffers are detached ends with an error, and keeps no buffer', async (t) => {
  const [to, from] = [await udp(t), await udp(t)];
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 });
    const stream = ring.multishot(recvMultishot(to.fd, buffers));
    const first = stream.next();
    await sleep(20);
    from.socket.send('one', to.port, LOOPBACK);
    const lease = (await first).value;
    const start = (controller: ReadableByteStreamController): void => controller.enqueue(lease!.data);
    new ReadableStream({ type: 'bytes', start });
    lease?.release();
    from.socket.send('two', to.port, LOOPBACK);
    await t.throwsAsync(stream.next(), { code: 'ERR_URING_BUFFER_DETACHED' });
    await stream.return();
    await until(() => buffers.lent === 0);
    t.is(buffers.lent, 0);
  });
});

test('an empty datagram does not end a stream of datagrams', async (t) => {
  const [to, from] = [await udp(t), await udp(t)];
  await withRing({}, async (ring) => {
    const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 });
    const stream = ring.multishot(recvMultishot(to.fd, buffers));
    const next = async (): Promise<string | undefined> => {
      const { value } = await stream.next();
      const text = value?.data.toString();
      value?.release();
      return text;
    };
    const first = next();
    for (const text of ['one', '', '', '', '', '', '', 'two']) from.socket.send(text, to.port, LOOPBACK);
    t.is(await first, 'one');
    t.is(await next(), 'two');
    await stream.return();
  });
});

for (const [where, options] of [
  ['in the kernel', {}],
  ['waiting for room', { entries: 1, cqEntries: 1 }],
] as const) {
  test(`a cancel request for a descriptor stops one operation, or all if asked, also ${where}`, async (t) => {
    const { fd } = await udp(t);
    const ring = new Ring(options);
    const codes: string[] = [];
    for (let at = 0; at < 4; at += 1) {
      ring.exec(recv(fd, ring.alloc(8))).catch((error) => codes.push(error.code));
    }
    await sleep(20);
    t.is(await ring.exec(asyncCancel({ fd })), 0);
    await until(() => codes.length === 1);
    t.is(await ring.exec(asyncCancel({ fd, all: true })), 3);
    await until(() => codes.length === 4);
    t.deepEqual(codes, Array(4).fill('ECANCELED'));
    await ring.close();
  });
}
