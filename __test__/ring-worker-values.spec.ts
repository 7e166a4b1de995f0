// Values between rings, where one end refuses them, loses interest in them, or is gone.
import test from 'ava';
import { msgRing, type Ring, type RingEvent, RingWorker, timeout } from 'uring';
import { gc, leakCheck, withRing } from './_helpers.ts';
import { soon, until } from './_until.ts';

leakCheck(test);

const MIB = 2 ** 20;
const HEAD =
  "const { workerData } = require('node:worker_threads'); const { RingWorker } = require('uring');";

const spawn = (ring: Ring, code: string, workerData?: unknown): Promise<RingWorker> =>
  soon(
    RingWorker.spawn(ring, HEAD + code, { eval: true, execArgv: [], workerData }),
    'the worker has a ring',
  );

test('a worker that ends with a value that it never announced is forgotten', async (t) => {
  await withRing({}, async (ring) => {
    // As one that is terminated between the two steps of a post.
    const worker = new WeakRef(
      await spawn(
        ring,
        `
          const { ring } = RingWorker.current();
          workerData['uring:worker'].port.postMessage({ sequence: 2, kind: 'value', value: 'unannounced' });
          ring.receive(() => process.exit(5));
        `,
      ),
    );
    await ring.exec(msgRing((worker.deref() as RingWorker).ring));
    const code = await soon(worker.deref()?.join() ?? Promise.resolve(-1), 'the worker ends');
    t.is(code, 5);
    for (let round = 0; round < 20 && worker.deref() !== undefined; round += 1) await gc();
    t.true(worker.deref() === undefined);
  });
});

test('what a full ring refuses to post stays with whoever wanted to', async (t) => {
  await withRing({ entries: 4, cqEntries: 4, waitingMax: 0 }, async (ring) => {
    const events: RingEvent[] = [];
    ring.receive((event) => events.push(event));
    const worker = await spawn(
      ring,
      "const { ring, parent } = RingWorker.current(); ring.receive(({ type, value }) => { if (type === 'value') parent.post(value); });",
    );
    const timers = Array.from({ length: 4 }, () => ring.exec(timeout(100)));
    const value = new Uint8Array(3);
    const code = await worker.post(value, [value.buffer]).catch((error) => error.code);
    t.is(code, 'ERR_URING_QUEUE_FULL');
    t.is(value.length, 3, 'it was not moved');
    await Promise.all(timers);
    await worker.post(value, [value.buffer]);
    t.is(value.length, 0);
    await until(() => events.length === 1);
    t.like(events[0], { type: 'value', value: new Uint8Array(3) });
    t.is(await soon(worker.stop(), 'the worker ends'), 0);
  });
});

test.serial('values that were never announced go when later ones come', async (t) => {
  await withRing({}, async (ring) => {
    let seen: unknown;
    ring.receive((event) => {
      if (event.type === 'value') seen = event.value;
    });
    const before = process.memoryUsage().arrayBuffers;
    const worker = await spawn(
      ring,
      `
        const { ring, parent } = RingWorker.current();
        const { port } = workerData['uring:worker'];
        for (let age = 100; age < 164; age += 1) {
          port.postMessage({ sequence: 2 ** 31 - age, kind: 'value', value: new Uint8Array(${MIB}) });
        }
        parent.post('announced');
        ring.receive(() => {});
      `,
    );
    await until(() => seen === 'announced');
    await gc();
    const grown = (process.memoryUsage().arrayBuffers - before) / MIB;
    t.true(grown < 32, `${grown} MiB are kept`);
    t.is(await soon(worker.stop(), 'the worker ends'), 0);
  });
});

test('numbers and values of one sender keep their order with files in between, and every file arrives', async (t) => {
  await withRing({}, async (ring) => {
    const count = 20;
    ring.registrar.registerFiles({ slots: 32, kernelSlots: 32 });
    const [others, files]: [unknown[], number[]] = [[], []];
    ring.receive((event) => {
      if (event.type === 'message') others.push(event.data);
      if (event.type === 'value') others.push(event.value);
      if (event.type === 'file') files.push(event.data);
    });
    const worker = await spawn(
      ring,
      `
        const { msgRing, msgRingFile, openat } = require('uring');
        const { ring, parent } = RingWorker.current();
        ring.registrar.registerFiles({ slots: 4, kernelSlots: 4 });
        (async () => {
          const file = await ring.exec(openat('/proc/self/comm', { direct: true }));
          const sent = [];
          for (let data = 0; data < ${count}; data += 1) {
            sent.push(ring.exec(msgRing(parent.ring, { data: 2 * data })));
            sent.push(ring.exec(msgRingFile(parent.ring, file, { data })));
            sent.push(parent.post(2 * data + 1));
            if (data % 5 === 0) await Promise.all(sent);
          }
          await Promise.all(sent);
        })();
      `,
    );
    t.is(await soon(worker.join(), 'the worker ends'), 0);
    await until(() => others.length + files.length === 3 * count);
    t.deepEqual(
      others,
      Array.from({ length: 2 * count }, (_, at) => at),
    );
    t.deepEqual(
      files.sort((a, b) => a - b),
      Array.from({ length: count }, (_, at) => at),
    );
  });
});
