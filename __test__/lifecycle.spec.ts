// What goes wrong elsewhere, rule by rule: docs/lifecycle.md says which test proves what, and here are those that stand
// nowhere else.
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  acceptMultishot,
  asyncCancel,
  type BufferRing,
  close,
  type LeasedMessage,
  type MultishotStream,
  nop,
  openat,
  Ring,
  read,
  recvMultishot,
  recvmsgMultishot,
  socket,
  timeout,
  timeoutMultishot,
} from 'uring';
import { codeSpans, problemsOfProof, tableRows } from './_documents.ts';
import { assertUsable, fifo, file, pattern } from './_fixtures.ts';
import { leakCheck, openFds, withRing } from './_helpers.ts';
import { ROOT } from './_process.ts';
import { endSocketHelper, listen, pairOn, write } from './_sockets.ts';
import { settle, soon, until } from './_until.ts';

const HOUR_MS = 3_600_000;
const RULES = 27;

leakCheck(test);
test.after.always('the socket helper ends', endSocketHelper);

test.serial('a slot or a descriptor that comes although its operation was aborted is not lost', async (t) => {
  const { path } = file(t);
  const listener = await listen(t);
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 4, kernelSlots: 4 });
    await ring.exec(nop());
    const clients = await Promise.all([listener.connect(), listener.connect()]);
    const [fds, { fileSlots }] = [openFds().size, ring.stats()];
    // The table has four slots of the kernel's: one that is lost each time would soon be missed.
    for (let round = 0; round < 6; round += 1) {
      for (const operation of [openat(path, { direct: true }), socket('IPv4', 'stream', { direct: true })]) {
        const controller = new AbortController();
        const making = ring.exec(operation, { signal: controller.signal });
        ring.submit();
        controller.abort();
        await t.throwsAsync(making, { code: 'ABORT_ERR' });
      }
    }
    for (const direct of [false, true]) {
      const controller = new AbortController();
      const { signal } = controller;
      const accepting = direct
        ? ring.multishot(acceptMultishot(listener.fd, { direct: true }), { signal })
        : ring.multishot(acceptMultishot(listener.fd), { signal });
      const first = accepting.next();
      ring.submit();
      controller.abort();
      await t.throwsAsync(first, { code: 'ABORT_ERR' });
    }
    t.is(openFds().size, fds);
    await until(() => ring.stats().fileSlots === fileSlots);
    for (const client of clients) client.destroy();
  });
});

test('a cancel request finds its way when queue, completions and waiting list are full', async (t) => {
  const quiet = fifo(t);
  await withRing({ entries: 1, cqEntries: 2, waitingMax: 3 }, async (ring) => {
    const controllers = Array.from({ length: 5 }, () => new AbortController());
    const ended = controllers.map(({ signal }) =>
      ring.exec(read(quiet, Buffer.alloc(8)), { signal }).catch(({ code }) => code),
    );
    await settle();
    t.is(ring.inFlight, 2);
    t.is(ring.waiting, 3);
    await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_QUEUE_FULL' });
    for (const [at, controller] of controllers.entries()) {
      controller.abort();
      t.is(await soon(ended[at] as Promise<unknown>, 'the end'), 'ABORT_ERR');
    }
    await assertUsable(t, ring);
  });
});

test.serial('stopping an operation spares another one on a descriptor of the same number', async (t) => {
  const [first, second] = [fifo(t), fifo(t)];
  const reopened = (target: number): number => openSync(`/proc/self/fd/${target}`, 'r+');
  await withRing({}, async (ring) => {
    const before = reopened(first);
    const controller = new AbortController();
    const stopped = ring.exec(read(before, Buffer.alloc(8)), { signal: controller.signal });
    await settle();
    // Closing does not stop what is in flight on it.
    closeSync(before);
    // The lowest number that is free is given out.
    const opened = [reopened(second)];
    while (!opened.includes(before)) opened.push(reopened(second));
    const after = before;
    const buffer = Buffer.alloc(8);
    const goesOn = ring.exec(read(after, buffer));
    await settle();
    controller.abort();
    await t.throwsAsync(stopped, { code: 'ABORT_ERR' });
    t.is(ring.inFlight, 1);
    writeSync(second, 'still on');
    t.is(await goesOn, 8);
    t.is(String(buffer), 'still on');
    for (const fd of opened) closeSync(fd);
  });
});

test('a file that is closed, or gives its slot to another, takes nothing from what is in flight on it', async (t) => {
  const [first, second] = [fifo(t), fifo(t)];
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
    const slot = files.alloc(first);
    const buffer = Buffer.alloc(5);
    const reading = ring.exec(read(slot, buffer));
    await settle();
    await ring.exec(close(slot));
    await t.throwsAsync(ring.exec(read(slot, buffer)), { code: 'ERR_URING_STALE_HANDLE' });
    const next = files.alloc(second);
    writeSync(second, 'other');
    t.is(ring.inFlight, 1);
    writeSync(first, 'first');
    t.is(await reading, 5);
    t.is(String(buffer), 'first');
    t.is(await ring.exec(read(next, buffer)), 5);
    t.is(String(buffer), 'other');
  });
});

const receivers = {
  bytes: (fd: number, buffers: BufferRing) => recvMultishot(fd, buffers),
  messages: (fd: number, buffers: BufferRing) => recvmsgMultishot(fd, buffers, { controlBytes: 0 }),
} as const;

for (const what of ['bytes', 'messages'] as const) {
  test(`consumers that are slow keep no buffer from other streams, and lose nothing (${what})`, async (t) => {
    // Seen: 64 results waited for each slow consumer, in buffers that everybody needed.
    await withRing({}, async (ring) => {
      const listener = await listen(t);
      const buffers = ring.registrar.registerBufferRing({ entries: 16, sizeBytes: 512 });
      const slow = await Promise.all([1, 2].map(() => pairOn(t, ring, listener)));
      const begun: [stream: MultishotStream<LeasedMessage>, text: string][] = [];
      for (const { fd, peer } of slow) {
        const stream = ring.multishot(receivers[what](fd, buffers) as ReturnType<typeof recvmsgMultishot>);
        const first = stream.next();
        for (let at = 0; at < 40; at += 1) {
          await write(peer, `${at},`);
          await settle(2);
        }
        const { value } = await soon(first, 'a buffer for a slow one');
        begun.push([stream, String(value?.data)]);
        value?.release();
      }
      t.true(buffers.lent >= 15, `only ${buffers.lent} are lent: the test proves nothing`);
      const other = await pairOn(t, ring, listener);
      const stream = ring.multishot(recvMultishot(other.fd, buffers));
      for (let round = 0; round < 40; round += 1) {
        await write(other.peer, `round ${round}`);
        const { value } = await soon(stream.next(), 'a buffer');
        t.is(String(value?.data), `round ${round}`);
        value?.release();
      }
      await stream.return();
      for (const [at, [rest, begin]] of begun.entries()) {
        slow[at]?.peer.end();
        let text = begin;
        for await (const result of rest) {
          text += String(result.data);
          result.release();
        }
        t.is(text, Array.from({ length: 40 }, (_, number) => `${number},`).join(''));
      }
      await settle();
      t.is(buffers.lent, 0);
    });
  });
}

test('the completion queue never overflows, however much is started at a time', async (t) => {
  const { fd } = file(t, pattern(4096));
  await withRing({ entries: 8, cqEntries: 16, waitingMax: 10_000 }, async (ring) => {
    const buffer = ring.alloc(4096);
    const makers = [
      () => ring.exec(nop()),
      () => ring.exec(timeout(0)),
      () => ring.exec(read(fd, buffer, { offset: 0 })),
    ];
    const many = Array.from({ length: 5000 }, (_, at) => makers[at % makers.length]?.());
    t.true(ring.inFlight <= 16);
    await Promise.all(many);
    t.is(ring.stats().overflows, 0);
  });
});

test('a stream that the kernel has ended is not waited for when it is stopped', async (t) => {
  // Elsewhere it was: its cancel request found nothing, and no ECANCELED came.
  const listener = await listen(t);
  await withRing({}, async (ring) => {
    const { fd, peer } = await pairOn(t, ring, listener);
    const buffers = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 8 });
    const starved = ring.multishot(recvMultishot(fd, buffers));
    const first = starved.next();
    await write(peer, 'more than both buffers hold');
    await first;
    await until(() => ring.inFlight === 0);
    t.deepEqual(await soon(starved.return(), 'the stop'), { done: true, value: undefined });
    // This one ends in the turn in which it is stopped.
    const ending = ring.multishot(timeoutMultishot(1, { repeat: 1 }));
    await ending.next();
    t.deepEqual(await soon(ending.return(), 'the stop'), { done: true, value: undefined });
    (await first).value?.release();
    await settle();
    t.is(buffers.lent, 0);
  });
});

test('nothing polls for submissions unless it is asked to', async (t) => {
  for (const options of [{}, { entries: 8 }, { taskrun: 'coop' }, { asyncContext: false }] as const) {
    await withRing(options, (ring) => {
      t.false(ring.setupFlags.includes('SQPOLL'));
      const threads = readdirSync('/proc/self/task').map((id) =>
        readFileSync(`/proc/self/task/${id}/comm`, 'latin1').trim(),
      );
      t.deepEqual(
        threads.filter((name) => name.startsWith('iou-sqp')),
        [],
      );
    });
  }
});

test('whether the polling thread sleeps is asked in one place, behind a full fence', (t) => {
  const dir = join(ROOT, 'crates', 'core', 'src');
  const sources = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.rs'),
  );
  const asking = sources.filter(
    (name) => name !== 'uapi.rs' && readFileSync(join(dir, name), 'utf8').includes('SQ_NEED_WAKEUP'),
  );
  t.deepEqual(asking, ['queues.rs']);
  const text = readFileSync(join(dir, 'queues.rs'), 'utf8');
  t.is(text.match(/\bSQ_NEED_WAKEUP\b/g)?.length, 1);
  t.regex(text, /fence\(Ordering::SeqCst\);\s*self\.flags\(\) & uapi::SQ_NEED_WAKEUP/);
});

test('a ring in which everything waits for something else closes all the same', async (t) => {
  const quiet = fifo(t);
  const ring = new Ring({ entries: 4, cqEntries: 4 });
  const target = timeout(HOUR_MS);
  const ended = [
    ring.exec(target),
    ring.chain([read(quiet, Buffer.alloc(8)), nop()]),
    ring.exec(asyncCancel({ userData: 'nobody' })),
    ...Array.from({ length: 20 }, () => ring.exec(read(quiet, ring.alloc(8)), { timeoutMs: HOUR_MS })),
  ];
  const all = Promise.allSettled(ended);
  await settle();
  const [one, other] = [ring.close(), ring.close()];
  t.is(one, other);
  await soon(one, 'the end of the ring');
  t.true((await soon(all, 'the end of all')).every(({ status }) => status === 'rejected'));
  t.is(ring.inFlight, 0);
});

test('docs/lifecycle.md has every rule once: what it prevents, and the tests that prove it', (t) => {
  const rows = tableRows('docs/lifecycle.md');
  t.deepEqual(
    rows.map(({ cells }) => Number(cells[0])),
    Array.from({ length: RULES }, (_, at) => at + 1),
  );
  const problems = rows.flatMap(({ cells: [rule, says, prevents, proof = ''] }) => {
    const found = says && prevents ? problemsOfProof(proof) : ['needs four cells with text'];
    return found.map((problem) => `${rule}: ${problem}`);
  });
  t.deepEqual(problems, [], `\n${problems.join('\n')}\n`);
});

test('every test of this file is named in docs/lifecycle.md', (t) => {
  const named = new Set(tableRows('docs/lifecycle.md').flatMap(({ cells }) => codeSpans(cells[3] ?? '')));
  const titles = [
    ...readFileSync(join(ROOT, '__test__', 'lifecycle.spec.ts'), 'utf8').matchAll(
      /^ {0,2}test(?:\.serial)?\(\s*['`](.*)['`]/gm,
    ),
  ];
  t.true(titles.length > 8);
  const missing = titles
    .map(([, title]) => `lifecycle.spec.ts › ${title}`)
    .filter((name) => !named.has(name) && !name.includes('docs/lifecycle.md'));
  t.deepEqual(missing, []);
});
