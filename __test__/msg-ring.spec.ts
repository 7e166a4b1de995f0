// Messages and files between rings, of one thread and of two.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import {
  type FixedFile,
  msgRing,
  msgRingFile,
  nop,
  openat,
  Ring,
  type RingEvent,
  type RingHandle,
  read,
  SqeFlags,
  timeout,
} from 'uring';
import { assertUsable, FORMS, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { fixture, runModule, WELL } from './_process.ts';
import { settle, soon, until } from './_until.ts';

leakCheck(test);

type Two = (sender: Ring, receiver: Ring) => Promise<void>;
const withTwo = (use: Two, options = {}): Promise<void> =>
  withRing({ entries: 8 }, (sender) => withRing(options, (receiver) => use(sender, receiver)));

/** Listens until the ring is closed; everything that came. */
function listen(ring: Ring): RingEvent[] {
  const events: RingEvent[] = [];
  ring.receive((event) => events.push(event));
  return events;
}

const message = (data: number, res = 0, flags = 0): RingEvent => ({ type: 'message', data, res, flags });

for (const form of FORMS) {
  test(`a message arrives with its data, res and flags (${form})`, async (t) => {
    await withTwo(async (sender, receiver) => {
      const events = listen(receiver);
      const sent = { data: 2 ** 53 - 1, res: -0x8000_0000, completionFlags: 0x8000_0010 };
      t.is(await runAs(form, sender, msgRing(receiver, sent)), undefined);
      t.is(
        await runAs(form, sender, msgRing(structuredClone(receiver.handle), { data: 2 ** 32 + 5, res: 7 })),
        undefined,
      );
      t.is(await runAs(form, sender, msgRing(receiver)), undefined);
      await until(() => events.length === 3);
      const expected = [message(sent.data, sent.res, 0x8000_0010 | 0), message(2 ** 32 + 5, 7), message(0)];
      t.deepEqual(events, expected);
      t.is(receiver.inFlight, 0);
      t.is(sender.inFlight, 0);
    });
  });
}

for (const options of [{ taskrun: 'coop' }, { sqpoll: { idleMs: 1 } }] as const) {
  test(`a message wakes a ring with ${Object.keys(options)[0]}, too`, async (t) => {
    await withTwo(async (sender, receiver) => {
      const events = listen(receiver);
      await sender.exec(msgRing(receiver, { data: 1 }));
      await until(() => events.length === 1);
      t.deepEqual(events, [message(1)]);
    }, options);
  });
}

test('read by hand, a message is a completion with an event and without an operation', async (t) => {
  await withTwo(async (sender, receiver) => {
    receiver.prep(nop({ result: 3 }), 'own');
    await sender.exec(msgRing(receiver, { data: 9, res: 4 }));
    waitFor(receiver, 2);
    const completions = reap(receiver);
    const [event] = completions.filter((completion) => completion.event !== undefined);
    t.deepEqual(event?.event, message(9, 4));
    t.is(event?.operation, undefined);
    t.true(event?.ok);
    t.deepEqual(
      completions.filter((completion) => completion.event === undefined).map(({ userData }) => userData),
      ['own'],
    );
  });
});

test('a ring sends messages to itself', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    await ring.exec(msgRing(ring, { data: 6 }));
    await until(() => events.length === 1);
    t.deepEqual(events, [message(6)]);
  });
});

test('what came before anybody listened is delivered first, and what comes after the last is kept', async (t) => {
  await withTwo(async (sender, receiver) => {
    await receiver.exec(nop());
    await sender.exec(msgRing(receiver, { data: 1 }));
    await receiver.exec(timeout(1));
    const events: RingEvent[] = [];
    const stop = receiver.receive((event) => events.push(event));
    t.deepEqual(events, [], 'not from inside of receive');
    await sender.exec(msgRing(receiver, { data: 2 }));
    await until(() => events.length === 2);
    t.deepEqual(events, [message(1), message(2)]);
    stop();
    stop();
    await sender.exec(msgRing(receiver, { data: 3 }));
    waitFor(receiver, 1);
    t.deepEqual(
      reap(receiver).map(({ event }) => event),
      [message(3)],
    );
  });
});

test('every listener gets every event, and one that stops another has the last word', async (t) => {
  await withTwo(async (sender, receiver) => {
    const seen: string[] = [];
    const same = (): unknown => seen.push('same');
    const stops = [
      receiver.receive(same),
      receiver.receive(same),
      receiver.receive(() => seen.push('other')),
    ];
    await sender.exec(msgRing(receiver));
    await until(() => seen.length === 3);
    t.deepEqual(seen, ['same', 'same', 'other']);
    stops[0]?.();
    await sender.exec(msgRing(receiver));
    await until(() => seen.length === 5);
    t.deepEqual(seen.slice(3), ['same', 'other']);
    for (const stop of stops) stop();
  });
});

test('a ring that is resized goes on listening', async (t) => {
  await withTwo(
    async (sender, receiver) => {
      const events = listen(receiver);
      receiver.resize({ entries: 64, cqEntries: 256 });
      await sender.exec(msgRing(receiver, { data: 4 }));
      await until(() => events.length === 1);
      t.deepEqual(events, [message(4)]);
    },
    { entries: 8, cqEntries: 16 },
  );
});

test('a ring that is not enabled is EBADFD', async (t) => {
  await withTwo(
    async (sender, receiver) => {
      await t.throwsAsync(sender.exec(msgRing(receiver)), { code: 'EBADFD' });
      receiver.enable();
      await sender.exec(msgRing(receiver));
      waitFor(receiver, 1);
      t.is(reap(receiver).length, 1);
      await assertUsable(t, sender);
    },
    { disabled: true },
  );
});

test.serial('a message goes to no ring but one of this process that is open', async (t) => {
  await withRing({ entries: 4 }, async (sender) => {
    const stale = { code: 'ERR_URING_STALE_HANDLE', message: /other ring is closed/ };
    const receiver = new Ring({ entries: 4 });
    const { handle, fd } = receiver;
    await sender.exec(msgRing(handle, { data: 1 }));
    await receiver.close();
    // The number of the descriptor is another ring's now, as like as not; the handle is nobody's.
    const next = new Ring({ entries: 4 });
    t.is(next.fd, fd);
    await t.throwsAsync(sender.exec(msgRing(handle, { data: 2 })), stale);
    await t.throwsAsync(sender.exec(msgRing({ ringToken: fd })), stale);
    await t.throwsAsync(sender.exec(msgRing({ ringToken: -1 })), stale);
    t.throws(() => msgRing(receiver), { code: 'ERR_URING_CLOSED' });
    await next.close();
    t.is(next.cqReady, 0);
    await assertUsable(t, sender);
  });
});

test('an operation keeps the handle of its target, and finds out when it is run', async (t) => {
  const sender = new Ring({ entries: 4 });
  const receiver = new Ring({ entries: 4 });
  const message = msgRing(receiver);
  await sender.exec(message);
  await receiver.close();
  await t.throwsAsync(sender.exec(message), { code: 'ERR_URING_STALE_HANDLE' });
  await sender.close();
});

test('a queue that is full holds messages back and loses none', async (t) => {
  await withTwo(
    async (sender, receiver) => {
      for (let data = 0; data < 20; data += 1) await sender.exec(msgRing(receiver, { data }));
      const seen: (number | undefined)[] = [];
      while (seen.length < 20) {
        waitFor(receiver, 1);
        for (const { event } of reap(receiver)) seen.push(event?.type === 'message' ? event.data : undefined);
      }
      t.deepEqual(
        seen,
        Array.from({ length: 20 }, (_, data) => data),
      );
    },
    { entries: 2, cqEntries: 4 },
  );
});

/** A file of the sender's, and tables on both sides. */
async function tables(sender: Ring, receiver: Ring): Promise<FixedFile> {
  sender.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
  receiver.registrar.registerFiles({ slots: 4, kernelSlots: 2 });
  return sender.exec(openat('/etc/hostname', { direct: true }));
}

const HOSTNAME = readFileSync('/etc/hostname');

async function contents(ring: Ring, from: FixedFile | number): Promise<Buffer> {
  const buffer = ring.alloc(HOSTNAME.length);
  const flags = typeof from === 'number' ? SqeFlags.FIXED_FILE : 0;
  await ring.exec(read(from, buffer, { offset: 0, flags }));
  return buffer;
}

test('a file arrives in a slot of the kernel’s choice, or in the one that was named', async (t) => {
  await withTwo(async (sender, receiver) => {
    const own = await tables(sender, receiver);
    const events = listen(receiver);
    t.is(await sender.exec(msgRingFile(receiver, own, { data: 2 ** 32 - 1 })), 4);
    t.is(await sender.exec(msgRingFile(receiver.handle, own, { slot: 3, data: 5 })), 0);
    await until(() => events.length === 2);
    const files = events.flatMap((event) => (event.type === 'file' ? [event] : []));
    t.deepEqual(
      files.map(({ data, file: { slot } }) => [data, slot]),
      [
        [2 ** 32 - 1, 4],
        [5, 3],
      ],
    );
    t.is(receiver.stats().fileSlots, 2);
    for (const event of files) {
      t.deepEqual(await contents(receiver, event.file), HOSTNAME);
      receiver.registrar.files?.clear(event.file);
    }
    t.is(receiver.stats().fileSlots, 0);
  });
});

test('a file that replaces another makes the handle of that one stale', async (t) => {
  await withTwo(async (sender, receiver) => {
    const own = await tables(sender, receiver);
    const before = receiver.registrar.files?.set(1, 0) as FixedFile;
    const events = listen(receiver);
    await sender.exec(msgRingFile(receiver, own, { slot: 1 }));
    await until(() => events.length === 1);
    await t.throwsAsync(contents(receiver, before), { code: 'ERR_URING_STALE_HANDLE' });
    t.deepEqual(await contents(receiver, 1), HOSTNAME);
  });
});

test('a file can come without an event, for who knows its slot', async (t) => {
  await withTwo(async (sender, receiver) => {
    const own = await tables(sender, receiver);
    const events = listen(receiver);
    t.is(await sender.exec(msgRingFile(receiver, own, { slot: 2, skipTargetCompletion: true })), 0);
    await settle();
    t.deepEqual(events, []);
    t.deepEqual(await contents(receiver, 2), HOSTNAME);
  });
});

test('a file event that nobody takes leaves its slot taken, and is had by hand', async (t) => {
  await withTwo(async (sender, receiver) => {
    const own = await tables(sender, receiver);
    await sender.exec(msgRingFile(receiver, own));
    waitFor(receiver, 1);
    t.is(receiver.stats().fileSlots, 1);
    const [completion] = reap(receiver);
    t.is(completion?.event?.type, 'file');
    if (completion?.event?.type === 'file') receiver.registrar.files?.clear(completion.event.file);
    t.is(receiver.stats().fileSlots, 0);
  });
});

test('files cannot go to the same ring, to one without a table, and to one that is full', async (t) => {
  await withTwo(async (sender, receiver) => {
    sender.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
    const own = await sender.exec(openat('/etc/hostname', { direct: true }));
    await t.throwsAsync(sender.exec(msgRingFile(sender, own)), { code: 'EINVAL' });
    await t.throwsAsync(sender.exec(msgRingFile(receiver, own, { slot: 0 })), { code: 'ENXIO' });
    await t.throwsAsync(sender.exec(msgRingFile(receiver, own)), { code: 'ENFILE' });
    receiver.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
    t.is(await sender.exec(msgRingFile(receiver, own)), 1);
    await t.throwsAsync(sender.exec(msgRingFile(receiver, own)), { code: 'ENFILE' });
    await t.throwsAsync(sender.exec(msgRingFile(receiver, own, { slot: 100 })), { code: 'EINVAL' });
    sender.registrar.files?.clear(own);
    await t.throwsAsync(sender.exec(msgRingFile(receiver, own)), { code: 'ERR_URING_STALE_HANDLE' });
  });
});

test('a file is sent by the ring that it belongs to', async (t) => {
  await withTwo(async (sender, receiver) => {
    const own = await tables(sender, receiver);
    await t.throwsAsync(receiver.exec(msgRingFile(sender, own)), { code: 'ERR_URING_FOREIGN_RING' });
  });
});

async function startWorker(t: ExecutionContext, ring: Ring, options = {}): Promise<[Worker, RingHandle]> {
  const worker = new Worker(fixture('message-worker.mjs'), {
    workerData: { ring: ring.handle, options },
    execArgv: [],
  });
  t.teardown(() => worker.terminate());
  const [handle] = await soon(once(worker, 'message'), 'the worker has a ring');
  return [worker, handle];
}

for (const options of [{}, { taskrun: 'coop' }]) {
  test(`rings of two threads talk, and wake each other (${JSON.stringify(options)})`, async (t) => {
    await withRing({ entries: 16 }, async (ring) => {
      const [worker, there] = await startWorker(t, ring, options);
      const answers: number[] = [];
      const stop = ring.receive((event) => event.type === 'message' && answers.push(event.data));
      const ended = once(worker, 'exit');
      for (let data = 1; data <= 100; data += 1) await ring.exec(msgRing(there, { data, res: -1 }));
      await until(() => answers.length === 100);
      t.deepEqual(
        answers,
        Array.from({ length: 100 }, (_, at) => at + 2),
      );
      ring.registrar.registerFiles();
      const own = await ring.exec(openat('/etc/hostname', { direct: true }));
      await ring.exec(msgRingFile(there, own, { data: 1000 }));
      await until(() => answers.length === 101);
      t.is(answers.at(-1), 1001);
      await ring.exec(msgRing(there, { data: 0 }));
      t.deepEqual(await soon(ended, 'the worker ends when it no longer listens'), [0]);
      stop();
    });
  });
}

test('whoever listens keeps the process alive, and lets it end when they stop', async (t) => {
  const source = `
    import { Ring, msgRing, timeout } from 'uring';
    const ring = new Ring();
    const stop = ring.receive((event) => {
      console.log('received', event.data);
      if (event.data === 2) stop();
    });
    setTimeout(() => ring.exec(msgRing(ring, { data: 1 })), 20);
    setTimeout(() => ring.exec(msgRing(ring, { data: 2 })), 40);
    process.once('beforeExit', () => ring.close());
  `;
  t.like(await runModule(source, { timeoutMs: 20_000 }), { ...WELL, stdout: 'received 1\nreceived 2\n' });
});

test('a listener that stops outside of a delivery lets the process end, too', async (t) => {
  const source = `
    import { Ring } from 'uring';
    const ring = new Ring();
    const stop = ring.receive(() => {});
    setTimeout(() => { stop(); console.log('stopped'); }, 20);
    process.once('beforeExit', () => { console.log('end', ring.inFlight); ring.close(); });
  `;
  t.like(await runModule(source, { timeoutMs: 20_000 }), { ...WELL, stdout: 'stopped\nend 0\n' });
});

test('a ring is closed while somebody listens, and listens to nobody afterwards', async (t) => {
  const ring = new Ring({ entries: 4 });
  const events = listen(ring);
  await ring.close();
  t.throws(() => ring.receive(() => {}), { code: 'ERR_URING_CLOSED' });
  t.deepEqual(events, []);
});

test('an exception in a listener loses no other event', async (t) => {
  const source = `
    import { Ring, msgRing } from 'uring';
    const [sender, receiver] = [new Ring(), new Ring()];
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    const stop = receiver.receive((event) => {
      if (event.data === 3) stop();
      throw new Error(String(event.data));
    });
    for (const data of [1, 2, 3]) sender.exec(msgRing(receiver, { data }));
    process.once('beforeExit', () => Promise.all([sender.close(), receiver.close()]));
  `;
  const ended = await runModule(source, { timeoutMs: 20_000 });
  t.like(ended, { ...WELL, stdout: 'uncaught 1\nuncaught 2\nuncaught 3\n' });
});
