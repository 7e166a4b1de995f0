// Many workers that are terminated in the middle of everything: nothing of them is left, and memory stays flat.
import { readdirSync } from 'node:fs';
import test from 'ava';
import { msgRing, Ring, RingWorker } from 'uring';
import { gc, leakCheck, openFds } from './_helpers.ts';
import { fixture } from './_process.ts';
import { soon, until } from './_until.ts';

leakCheck(test);

const WORKERS = 200;
const AT_A_TIME = 8;
const MIB = 2 ** 20;

const rings = (): number => [...openFds().values()].filter((target) => target.includes('io_uring')).length;
const threads = (): number => readdirSync('/proc/self/task').length;

test('200 workers are terminated in flight, and nothing is left of them', async (t) => {
  const ring = new Ring();
  ring.receive(() => {});
  const wave = async (): Promise<void> => {
    const started = Array.from({ length: AT_A_TIME }, () =>
      RingWorker.spawn(ring, fixture('ring-worker-peer.mjs'), {
        execArgv: [],
        workerData: { does: 'has work in flight' },
      }),
    );
    const workers = await soon(Promise.all(started), 'the workers have rings');
    const ends = workers.map((worker) => worker.join());
    for (const [at, worker] of workers.entries()) {
      // Some while they are being written to, some at once.
      ring.exec(msgRing(worker.ring, { data: at })).catch(() => {});
      if (at % 2 === 0) worker.post(at).catch(() => {});
      void worker.thread.terminate();
    }
    t.deepEqual(await soon(Promise.all(ends), 'the workers end'), Array(AT_A_TIME).fill(1));
  };
  await wave();
  await wave();
  await gc();
  const before = { rings: rings(), memory: process.memoryUsage().rss };
  for (let count = 2 * AT_A_TIME; count < WORKERS; count += AT_A_TIME) await wave();
  await until(() => rings() === before.rings);
  await gc();
  const grown = (process.memoryUsage().rss - before.memory) / MIB;
  t.true(grown < 100, `${grown} MiB more`);
  t.is(ring.inFlight, 0);
  t.like(ring.stats(), { waiting: 0, arenas: 0 });
  await ring.close();
  await until(() => threads() < 2 * AT_A_TIME + 12);
});
