// Workers with rings of their own: what goes between them and their parents, and how they end.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  close,
  msgRing,
  msgRingFile,
  nop,
  openat,
  pipe,
  Ring,
  type RingEvent,
  RingWorker,
  type RingWorkerOptions,
  read,
  timeout,
} from 'uring';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { fixture, runModule, WELL } from './_process.ts';
import { soon, until } from './_until.ts';

leakCheck(test);

const CONTENTS = 'twelve bytes';

function spawn(
  ring: Ring,
  does: string,
  data: object = {},
  options: RingWorkerOptions = {},
): Promise<RingWorker> {
  const started = RingWorker.spawn(ring, fixture('ring-worker-peer.mjs'), {
    execArgv: [],
    ...options,
    workerData: { does, ...data },
  });
  return soon(started, 'the worker has a ring');
}

/** What arrives at a ring until it is closed. */
function listen(ring: Ring): RingEvent[] {
  const events: RingEvent[] = [];
  ring.receive((event) => events.push(event));
  return events;
}

const values = (events: readonly RingEvent[]): unknown[] =>
  events.flatMap((event) => (event.type === 'value' ? [event.value] : []));

/** Errors of other threads are not native ones to ava on every Node. */
async function failsWith(t: ExecutionContext, promise: Promise<unknown>, expected: object): Promise<void> {
  t.like(
    await promise.then(
      () => ({}),
      (error) => error,
    ),
    expected,
  );
}

const ended = (worker: RingWorker): Promise<number> => soon(worker.stop(), 'the worker ends');

test('numbers go to the worker and back, values too, and each knows whom they are from', async (t) => {
  await withRing({ entries: 16 }, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'answers');
    for (let data = 0; data < 50; data += 1) await ring.exec(msgRing(worker.ring, { data, res: -data }));
    await until(() => events.length === 50);
    t.deepEqual(
      events,
      Array.from({ length: 50 }, (_, at) => ({ type: 'message', data: at + 1, res: 0 - at, flags: 0 })),
    );
    const value = { map: new Map([[1, new Date(0)]]), big: 2n ** 70n };
    await worker.post(value);
    await until(() => events.length === 51);
    const last = events.at(-1);
    t.deepEqual(last, { type: 'value', value: { got: value, isParent: true }, from: worker });
    t.is(await ended(worker), 0);
    t.is(ring.inFlight, 0);
  });
});

test('what a value transfers is moved', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'answers');
    const moved = new Uint8Array([1, 2, 3]);
    await worker.post(moved, [moved.buffer]);
    await until(() => events.length === 1);
    t.is(moved.length, 0);
    t.deepEqual(values(events), [{ got: new Uint8Array([1, 2, 3]), isParent: true }]);
    await failsWith(
      t,
      worker.post(() => {}),
      { name: 'DataCloneError' },
    );
    await worker.post('after the one that could not be sent');
    await until(() => events.length === 2);
    await ended(worker);
  });
});

test('files go to the worker and come from it', async (t) => {
  const path = join(tmpDir(t), 'file');
  writeFileSync(path, CONTENTS);
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 4, kernelSlots: 4 });
    const events = listen(ring);
    const worker = await spawn(ring, 'answers');
    const file = await ring.exec(openat(path, { direct: true }));
    await ring.exec(msgRingFile(worker.ring, file));
    await until(() => events.length === 1);
    t.deepEqual(values(events), [CONTENTS]);
    await ended(worker);

    const sender = await spawn(ring, 'sends a file', { path });
    await until(() => events.length === 2);
    const event = events[1];
    t.is(event?.type, 'file');
    if (event?.type !== 'file') return;
    t.is(event.data, 7);
    const bytes = ring.alloc(CONTENTS.length);
    await ring.exec(read(event.file, bytes, { offset: 0 }));
    t.is(bytes.toString(), CONTENTS);
    await ended(sender);
  });
});

test('siblings talk to each other when they are told of each other', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const [one, other] = [await spawn(ring, 'answers'), await spawn(ring, 'answers')];
    const third = await spawn(ring, 'talks to its sibling', { sibling: other.ring });
    // Whoever gets the number answers to the parent.
    await until(() => events.length === 1);
    t.deepEqual(events, [{ type: 'message', data: 101, res: 0, flags: 0 }]);
    t.deepEqual([await ended(one), await ended(other), await ended(third)], [0, 0, 0]);
  });
});

test('numbers and values of one sender keep their order', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'mixes what it sends');
    await until(() => events.length === 20);
    t.deepEqual(
      events.map((event) => (event.type === 'message' ? event.data : event.type === 'value' && event.value)),
      Array.from({ length: 20 }, (_, at) => at),
    );
    await ended(worker);
  });
});

test('a worker that waits by hand gets values, and is told to stop', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'waits by hand');
    await worker.post('a value');
    await until(() => events.length === 1);
    t.deepEqual(values(events), [['a value']]);
    t.is(await ended(worker), 0);
  });
});

test('a worker that is driven by run gets messages, and is told to stop', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'is driven by run');
    await ring.exec(msgRing(worker.ring, { data: 1 }));
    await until(() => events.length === 1);
    t.like(events[0], { type: 'message', data: 2 });
    t.is(await ended(worker), 0);
  });
});

test('values wait for a parent that reads by hand', async (t) => {
  await withRing({}, async (ring) => {
    const worker = await spawn(ring, 'exits');
    t.is(await soon(worker.join(), 'the worker ends'), 7);
    const seen = [...ring.completions()].map(({ event }) => event);
    t.deepEqual(seen, [{ type: 'value', value: 'about to exit', from: worker }]);
  });
});

test('a worker ends by itself when it has nothing to do, and lives while it listens', async (t) => {
  await withRing({}, async (ring) => {
    const worker = await spawn(ring, 'does nothing');
    t.is(await soon(worker.join(), 'the worker ends'), 0);
    t.is(await worker.stop(), 0, 'stopping it then is the same as joining');
    await t.throwsAsync(worker.post(1), { code: 'ERR_URING_STALE_HANDLE' });
    const listener = await spawn(ring, 'listens');
    await ring.exec(timeout(50));
    await ring.exec(msgRing(listener.ring));
    t.is(await ended(listener), 0);
  });
});

test('a worker that is stopped finishes first, and need not have run out of work', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const worker = await spawn(ring, 'finishes when it is stopped');
    t.is(await ended(worker), 0);
    t.deepEqual(values(events), ['finished']);
    const busy = await spawn(ring, 'keeps a timer');
    t.is(await ended(busy), 0);
  });
});

test('a worker that does not stop when it is asked is terminated', async (t) => {
  await withRing({}, async (ring) => {
    const events = listen(ring);
    const waits = await spawn(ring, 'hangs when it is stopped');
    t.is(await soon(waits.stop({ timeoutMs: 200 }), 'the worker ends'), 1);
    const spins = await spawn(ring, 'never yields');
    await until(() => events.length === 1);
    t.is(await soon(spins.stop({ timeoutMs: 0 }), 'the worker ends'), 1);
    t.throws(() => spins.stop({ timeoutMs: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  });
});

test('a worker that throws says so to whoever joins it, and what it had sent is there', async (t) => {
  await withRing({}, async (ring) => {
    const worker = await spawn(ring, 'throws');
    const expected = { name: 'RangeError', message: 'thrown by the worker', code: 'ERR_TEST' };
    await failsWith(t, soon(worker.join(), 'the worker ends'), expected);
    await failsWith(t, worker.stop(), expected);
    const seen = [...ring.completions()].map(({ event }) => event);
    t.deepEqual(seen, [{ type: 'value', value: 'about to throw', from: worker }]);
    const onStop = await spawn(ring, 'throws when it is stopped');
    await failsWith(t, soon(onStop.stop(), 'the worker ends'), { message: 'on stop' });
  });
});

test('a worker that calls process.exit ends with its code, whatever it had in flight', async (t) => {
  await withRing({}, async (ring) => {
    const worker = await spawn(ring, 'exits');
    t.is(await soon(worker.join(), 'the worker ends'), 7);
  });
});

test.serial('workers that are terminated with work in flight leave no descriptor and no ring', async (t) => {
  await withRing({}, async (ring) => {
    await ended(await spawn(ring, 'listens'));
    const before = openFds().size;
    for (let round = 0; round < 3; round += 1) {
      const events = listen(ring);
      const workers = await Promise.all(Array.from({ length: 4 }, () => spawn(ring, 'has work in flight')));
      await until(() => values(events).length === 4);
      t.deepEqual(values(events), [40, 40, 40, 40]);
      const codes = workers.map((worker) => soon(worker.join(), 'the worker ends'));
      for (const worker of workers) void worker.thread.terminate();
      t.deepEqual(await Promise.all(codes), [1, 1, 1, 1]);
      for (const worker of workers) {
        await t.throwsAsync(ring.exec(msgRing(worker.ring)), { code: 'ERR_URING_STALE_HANDLE' });
      }
    }
    await until(() => openFds().size === before);
    t.is(ring.inFlight, 0);
  });
});

test('a message that a dead worker never read keeps no file open', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 4, kernelSlots: 4 });
    const worker = await spawn(ring, 'never yields');
    const events = listen(ring);
    await until(() => events.length === 1);
    const ends = await ring.exec(pipe());
    const file = ring.registrar.files?.alloc(ends.writeFd);
    t.truthy(file);
    if (file === undefined) return;
    // It spins: the message stays on its way, or in its queue.
    const sent = ring.exec(msgRingFile(worker.ring, file)).catch((error) => error.code);
    const end = ring.exec(read(ends.readFd, Buffer.alloc(1)));
    await ring.exec(timeout(1));
    ring.registrar.files?.clear(file);
    await ring.exec(close(ends.writeFd));
    await worker.thread.terminate();
    const outcome = await soon(sent, 'the message is through');
    t.true(typeof outcome === 'number' || outcome === 'EOWNERDEAD', String(outcome));
    t.is(await soon(end, 'nobody has the other end of the pipe'), 0);
    await ring.exec(close(ends.readFd));
    await worker.join();
  });
});

test('a worker that opens no ring, and one that fails to, are told to whoever spawns them', async (t) => {
  await withRing({}, async (ring) => {
    const spawned = (code: string, options: RingWorkerOptions = {}): Promise<RingWorker> =>
      soon(RingWorker.spawn(ring, code, { eval: true, execArgv: [], ...options }), 'the worker ends');
    await t.throwsAsync(spawned('process.exit(3)'), { code: 'ERR_URING_WORKER_ENDED', message: /code 3/ });
    await failsWith(t, spawned('throw new RangeError("early")'), { name: 'RangeError' });
    const opens = "require('uring').RingWorker.current()";
    const refused = spawned(opens, { ring: { entries: 3 } });
    await failsWith(t, refused, { code: 'ERR_OUT_OF_RANGE' });
    // Its own problem, not the one of spawning: it had a ring.
    const worker = await spawned(`${opens}; setImmediate(() => process.exit(4))`);
    t.is(await worker.join(), 4);
  });
});

test('spawn and current refuse what makes no sense', async (t) => {
  await withRing({}, async (ring) => {
    const refused = (options: unknown, parent: unknown = ring): Promise<RingWorker> =>
      RingWorker.spawn(parent as Ring, 'x', options as RingWorkerOptions);
    await t.throwsAsync(refused({}, null), { code: 'ERR_INVALID_ARG_TYPE', message: /"parent"/ });
    await t.throwsAsync(refused(3), { code: 'ERR_INVALID_ARG_TYPE', message: /"options"/ });
    await t.throwsAsync(refused({ ring: 3 }), { code: 'ERR_INVALID_ARG_TYPE', message: /"options.ring"/ });
    await t.throwsAsync(refused({ ring: { attachTo: ring } }), { code: 'ERR_INVALID_ARG_VALUE' });
    await t.throwsAsync(refused({ ring: { sqpoll: {} } }), { message: /no polling thread to share/ });
    t.throws(() => RingWorker.current(), { code: 'ERR_URING_NO_WORKER' });
  });
  const closed = new Ring();
  await closed.close();
  await t.throwsAsync(RingWorker.spawn(closed, 'x'), { code: 'ERR_URING_CLOSED' });
});

test('rings on two threads share one polling thread', async (t) => {
  await withRing({ sqpoll: { idleMs: 1 } }, async (ring) => {
    const name = (task: string): string => {
      try {
        return readFileSync(`/proc/self/task/${task}/comm`, 'utf8');
      } catch {
        return 'has ended meanwhile';
      }
    };
    const pollers = (): number =>
      readdirSync('/proc/self/task').filter((task) => name(task).startsWith('iou-sqp')).length;
    await until(() => pollers() === 1);
    const events = listen(ring);
    const worker = await spawn(ring, 'answers', {}, { ring: { sqpoll: { idleMs: 1 } } });
    await ring.exec(msgRing(worker.ring, { data: 1 }));
    await until(() => events.length === 1);
    t.is(pollers(), 1);
    // The kernel takes from both queues in turn, a few entries at a time.
    await t.throwsAsync(ring.chain([nop(), nop()]), { code: 'ERR_URING_SHARED_SQPOLL' });
    const attached = { sqpoll: {}, attachTo: ring.handle };
    t.throws(() => new Ring(attached), { code: 'ERR_INVALID_ARG_VALUE', message: /is a handle/ });
    t.is(await ended(worker), 0);
  });
});

test('the parent may close its ring first, and the worker lives on', async (t) => {
  const ring = new Ring();
  const worker = await spawn(ring, 'keeps a timer');
  await ring.close();
  t.is(await soon(worker.stop(), 'the worker ends'), 1, 'there is no way to ask it');
});

test('a parent that closes its ring while its worker starts gets no worker', async (t) => {
  for (const delayMs of [0, 20, 60]) {
    const ring = new Ring();
    const spawned = RingWorker.spawn(ring, fixture('ring-worker-peer.mjs'), {
      execArgv: [],
      workerData: { does: 'listens' },
    });
    setTimeout(() => ring.close(), delayMs);
    const code = await soon(
      spawned.then(
        (worker) => worker.stop(),
        (error) => error.code,
      ),
      'the worker is there, or refused',
    );
    t.true([1, 'ERR_URING_CLOSED', 'ERR_URING_STALE_HANDLE'].includes(code as never), String(code));
  }
});

test('a worker that ends is told of although its parent has no room for another operation', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    const worker = await spawn(ring, 'exits');
    const timers = Array.from({ length: 6 }, () => ring.exec(timeout(3_600_000)).catch(({ code }) => code));
    t.is(await soon(worker.join(), 'the worker ends'), 7);
    await ring.close();
    t.deepEqual(new Set(await Promise.all(timers)), new Set(['ECANCELED']));
  });
});

test('a worker keeps the process alive, and does not when it is unreferenced', async (t) => {
  const program = (rest: string): string => `
    import { Ring, RingWorker } from 'uring';
    const ring = new Ring();
    const script = "const { ring } = require('uring').RingWorker.current(); ring.receive(() => {});";
    const worker = await RingWorker.spawn(ring, script, { eval: true, execArgv: [] });
    ${rest}
  `;
  const kept = program(
    'setTimeout(() => worker.stop().then((code) => { console.log(code); ring.close(); }), 50).unref();',
  );
  t.like(await runModule(kept), { ...WELL, stdout: '0\n' });
  const left = program("worker.unref(); process.on('exit', () => console.log('over'));");
  t.like(await runModule(left), { ...WELL, stdout: 'over\n' });
});

test('a worker that throws and that nobody joins is an unhandled rejection', async (t) => {
  const ended = await runModule(`
    import { Ring, RingWorker } from 'uring';
    const ring = new Ring();
    process.on('unhandledRejection', (error) => { console.log(error.message); ring.close(); });
    const script = "require('uring').RingWorker.current(); setImmediate(() => { throw new Error('alone'); });";
    await RingWorker.spawn(ring, script, { eval: true, execArgv: [] });
  `);
  t.like(ended, { ...WELL, stdout: 'alone\n' });
});

test('workers have workers, and await using ends them', async (t) => {
  const ended = await runModule(`
    import { Ring, RingWorker } from 'uring';
    const ring = new Ring();
    const inner = "const { parent } = require('uring').RingWorker.current(); parent.post('from the inside');";
    const outer = \`
      const { RingWorker } = require('uring');
      const { ring, parent, workerData } = RingWorker.current();
      const stop = ring.receive((event) => {
        if (event.type === 'value') parent.post(event.value);
        if (event.type === 'value') stop();
      });
      RingWorker.spawn(ring, workerData, { eval: true });
    \`;
    const said = new Promise((resolve) => {
      const stop = ring.receive((event) => { stop(); resolve(event.value); });
    });
    const worker = await RingWorker.spawn(ring, outer, { eval: true, execArgv: [], workerData: inner });
    console.log(await said);
    await worker[Symbol.asyncDispose]();
    await ring.close();
  `);
  t.like(ended, { ...WELL, stdout: 'from the inside\n' });
});
