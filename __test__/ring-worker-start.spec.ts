// How a worker's start fails, and that it leaves the parent's ring as it was.
import test from 'ava';
import { msgRing, nop, Ring, RingWorker, type RingWorkerOptions } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { soon } from './_until.ts';

leakCheck(test);

const HEAD =
  "const { workerData } = require('node:worker_threads'); const { Ring, RingWorker } = require('uring');";

const spawn = (ring: Ring, code: string, options: RingWorkerOptions = {}): Promise<RingWorker> =>
  soon(
    RingWorker.spawn(ring, HEAD + code, { eval: true, execArgv: [], ...options }),
    'the worker is there, or refused',
  );

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    ({ code }) => code,
  );

test('spawn refuses rings that could never tell of each other', async (t) => {
  const disabled = new Ring({ disabled: true });
  await t.throwsAsync(spawn(disabled, 'RingWorker.current()'), { code: 'ERR_URING_DISABLED' });
  disabled.enable();
  const worker = await spawn(disabled, 'RingWorker.current().ring.receive(() => {})');
  t.is(await soon(worker.stop(), 'the worker ends'), 0);
  await t.throwsAsync(spawn(disabled, '', { ring: { disabled: true } }), { message: /has disabled/ });
  await t.throwsAsync(spawn(disabled, '', { ring: { registeredFdOnly: true } }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /has registeredFdOnly/,
  });
  await disabled.close();
});

test('a worker that cannot tell that its ring is open ends with what is wrong, and so does spawn', async (t) => {
  await withRing({}, async (ring) => {
    // Its ring is gone before the first message is on its way.
    const closes = spawn(ring, 'RingWorker.current().ring.close(); setInterval(() => {}, 1 << 30);');
    t.is(await codeOf(closes), 'ECANCELED');
  });
});

test('a call of current that fails leaves no ring open', async (t) => {
  await withRing({}, async (ring) => {
    // A thread has room for 16 rings that have no descriptor.
    const worker = spawn(
      ring,
      `
        const { setTimeout: sleep } = require('node:timers/promises');
        const { ring } = workerData['uring:worker'];
        const codes = new Set();
        (async () => {
          ring.registeredFdOnly = ring.noMmap = true;
          for (let count = 0; count < 40; count += 1) {
            try { RingWorker.current(); } catch ({ code }) { codes.add(code); }
            await sleep(5);
          }
          process.exit(codes.size === 1 && codes.has('ERR_URING_NO_DESCRIPTOR') ? 17 : 18);
        })();
      `,
    );
    await t.throwsAsync(worker, { code: 'ERR_URING_WORKER_ENDED', message: /code 17/ });
  });
});

test('what has arrived and nobody has read keeps its place', async (t) => {
  await withRing({}, async (ring) => {
    for (let data = 0; data < 3; data += 1) await ring.exec(msgRing(ring, { data }));
    const spawned = spawn(ring, 'RingWorker.current().ring.receive(() => {})');
    const seen = [...ring.completions()].map(({ event }) => event?.type === 'message' && event.data);
    t.deepEqual(seen, [0, 1, 2]);
    t.is(await soon((await spawned).stop(), 'the worker ends'), 0);
  });
});

test('a spawn that fails at once leaves the ring its chains, and the process no port', async (t) => {
  await withRing({ sqpoll: { idleMs: 1 } }, async (ring) => {
    const ports = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    const before = ports();
    const ringOptions = { sqpoll: { idleMs: 1 } };
    const cannotBeCloned = spawn(ring, '', { ring: ringOptions, workerData: () => {} });
    t.is(await cannotBeCloned.catch((error) => error.name), 'DataCloneError');
    const badOption = spawn(ring, '', { ring: ringOptions, execArgv: ['--no-such-option'] });
    t.is(await codeOf(badOption), 'ERR_WORKER_INVALID_EXEC_ARGV');
    await ring.chain([nop(), nop()]);
    t.true(ports() <= before);
  });
});
