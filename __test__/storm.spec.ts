// Storms: thousands of operations are stopped at random moments. Afterwards nothing may be left, and memory is flat.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { acceptMultishot, close, type FixedFile, Ring, recvMultishot, send } from 'uring';
import { fifo, file } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { fixture } from './_process.ts';
import { endSocketHelper, type Listener, listen, numbered, type Pair, pairOn } from './_sockets.ts';
import { dice, equip, type Fate, FILE_BYTES, Holdings, Memory, start, type World } from './_storm.ts';
import { settle, soon, until } from './_until.ts';

type T = ExecutionContext<unknown>;

/** Change it to see another storm. */
const SEED = 20_261_121;
const STORM_TIMEOUT_MS = 240_000;
/** What a heap may differ by from round to round. */
const FLAT_BYTES = 8 << 20;

leakCheck(test);
test.after.always('the helper process ends', endSocketHelper);

/** Things to work on, and the peers of the socket and the listener. */
async function makeWorld(t: T): Promise<{ world: World; pair: Pair; listener: Listener }> {
  const { path, fd } = file(t, numbered(FILE_BYTES));
  const listener = await listen(t);
  const accepting = await listen(t);
  const pair = await withRing({}, (ring) => pairOn(t, ring, accepting));
  accepting.close();
  return {
    world: { path, file: fd, quiet: fifo(t), listener: listener.fd, socket: pair.fd },
    pair,
    listener,
  };
}

/** Lets something happen at a random moment: now, in this turn, some turns or milliseconds later. */
function sometime(roll: (limit: number) => number, happen: () => void): void {
  const turns = roll(4);
  const later = (left: number): void => {
    if (left === 0) happen();
    else setImmediate(later, left - 1);
  };
  [
    happen,
    () => queueMicrotask(happen),
    () => process.nextTick(happen),
    () => later(turns),
    () => setTimeout(happen, roll(5)),
  ][roll(5)]?.();
}

/** A client comes, and goes when it is accepted, or before. */
async function visit(listener: Listener): Promise<void> {
  const client = await listener.connect();
  client.resetAndDestroy();
}

test.serial('10,000 operations that are aborted at random moments leave nothing behind', async (t) => {
  t.timeout(STORM_TIMEOUT_MS);
  const ROUNDS = 10;
  const { world, pair, listener } = await makeWorld(t);
  const roll = dice(SEED);
  const memory = new Memory();
  const fates = new Map<Fate, number>();
  // Some wait for room, too.
  await withRing({ entries: 64, cqEntries: 512 }, async (ring) => {
    const means = equip(ring, world);
    await start(means, 0);
    const holdings = new Holdings();
    const { fileSlots } = ring.stats();
    for (let round = 0; round < ROUNDS; round += 1) {
      const ended: Promise<Fate>[] = [];
      for (let count = 0; count < 1000; count += 1) {
        const controller = new AbortController();
        const { signal } = controller;
        const how = roll(20);
        if (how === 0) controller.abort();
        // Some are stopped by a deadline, some by either.
        if (how < 4) ended.push(start(means, roll(1000), { signal, timeoutMs: roll(4) }));
        else ended.push(start(means, roll(1000), { signal }));
        if (how < 2) setTimeout(() => controller.abort(), 100);
        else sometime(roll, () => controller.abort());
        if (roll(8) === 0) pair.peer.write('some bytes');
        if (roll(40) === 0) void visit(listener);
        if (roll(12) === 0) await settle(1);
      }
      for (const fate of await soon(Promise.all(ended), 'the end of all'))
        fates.set(fate, (fates.get(fate) ?? 0) + 1);
      await until(() => ring.inFlight === 0);
      t.is(ring.waiting, 0);
      t.is(means.buffers.lent, 0);
      await until(() => ring.stats().fileSlots === fileSlots);
      await memory.note();
    }
    t.deepEqual(await holdings.more(), []);
    t.true(ring.stats().arenas < 10, `${ring.stats().arenas} arenas`);
  });
  const all = [...fates.values()].reduce((sum, count) => sum + count, 0);
  t.is(all, ROUNDS * 1000);
  for (const fate of ['aborted', 'done', 'timed out'] as const)
    t.true((fates.get(fate) ?? 0) > 50, `${fate}: ${fates.get(fate)}`);
  t.deepEqual([fates.get('canceled'), fates.get('refused')], [undefined, undefined]);
  t.true(memory.growthBytes < FLAT_BYTES, `MiB, round by round: ${memory}`);
});

test.serial(
  'rings that are closed in the middle of everything settle all, and leave nothing behind',
  async (t) => {
    t.timeout(STORM_TIMEOUT_MS);
    const { world, pair, listener } = await makeWorld(t);
    const roll = dice(SEED + 1);
    const memory = new Memory();
    const fates = new Map<Fate, number>();
    const holdings = new Holdings();
    for (let round = 0; round < 120; round += 1) {
      const ring = new Ring({ entries: 32, cqEntries: 64 });
      const means = equip(ring, world);
      const stop = ring.receive(() => t.fail('nobody has sent a message'));
      const ended = Array.from({ length: 100 }, () => start(means, roll(1000)));
      pair.peer.write(numbered(300));
      if (round % 4 === 0) void visit(listener);
      const closed = new Promise<void>((resolve, reject) => {
        sometime(roll, () => {
          // Also from several places, and with more to come in the same turn.
          for (let count = 0; count < 10; count += 1) ended.push(start(means, roll(1000)));
          Promise.all([ring.close(), ring.close(), ring[Symbol.asyncDispose]()]).then(
            () => resolve(),
            reject,
          );
          ended.push(start(means, roll(1000)));
        });
      });
      await soon(closed, 'the end of the ring');
      for (const fate of await soon(Promise.all(ended), 'the end of all'))
        fates.set(fate, (fates.get(fate) ?? 0) + 1);
      stop();
      t.is(ring.inFlight, 0);
      t.is(ring.waiting, 0);
      t.is(means.buffers.lent, 0);
      if (round % 12 === 11) await memory.note();
    }
    t.deepEqual(await holdings.more(), []);
    for (const fate of ['canceled', 'done'] as const)
      t.true((fates.get(fate) ?? 0) > 300, `${fate}: ${fates.get(fate)}`);
    t.true(memory.growthBytes < FLAT_BYTES, `MiB, round by round: ${memory}`);
  },
);

/** Gives back what comes, until the connection ends or is lost. */
async function echo(ring: Ring, fd: FixedFile, buffers: ReturnType<typeof equip>['buffers']): Promise<void> {
  try {
    for await (const lease of ring.multishot(recvMultishot(fd, buffers))) {
      const data = Buffer.from(lease.data);
      lease.release();
      for (let rest = data; rest.length > 0; ) rest = rest.subarray(await ring.exec(send(fd, rest)));
    }
  } catch {
    // Lost, as most are here.
  }
  await ring.exec(close(fd));
}

/** A client that is gone at a random moment: at once, while it sends, before it has received all. */
async function passBy(listener: Listener, roll: (limit: number) => number): Promise<void> {
  const client = await listener.connect();
  const gone = once(client, 'close');
  client.on('data', () => {});
  if (roll(3) > 0) client.write(numbered(roll(100_000)));
  sometime(roll, () => {
    if (roll(4) === 0) client.end();
    else if (roll(2) === 0) client.resetAndDestroy();
    else client.destroy();
  });
  await gone;
}

test.serial('1,000 connections that are dropped in the middle leave nothing behind', async (t) => {
  t.timeout(STORM_TIMEOUT_MS);
  const roll = dice(SEED + 2);
  const memory = new Memory();
  const listener = await listen(t);
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 8, kernelSlots: 128 });
    const buffers = ring.registrar.registerBufferRing({ entries: 64, sizeBytes: 1024 });
    const connections = ring.multishot(acceptMultishot(listener.fd, { direct: true }));
    const echoes = new Set<Promise<void>>();
    let accepted = 0;
    const serving = (async () => {
      for await (const fd of connections) {
        accepted += 1;
        const echoing: Promise<void> = echo(ring, fd, buffers).finally(() => echoes.delete(echoing));
        echoes.add(echoing);
      }
    })();
    await settle();
    const { fileSlots } = ring.stats();
    const holdings = new Holdings();
    for (let round = 1; round <= 10; round += 1) {
      await soon(Promise.all(Array.from({ length: 100 }, () => passBy(listener, roll))), 'the end of all');
      await until(() => accepted === 100 * round && echoes.size === 0);
      t.is(buffers.lent, 0);
      t.is(ring.inFlight, 1);
      await until(() => ring.stats().fileSlots === fileSlots);
      await memory.note();
    }
    t.deepEqual(await holdings.more(), []);
    await connections.return();
    await serving;
  });
  t.true(memory.growthBytes < FLAT_BYTES, `MiB, round by round: ${memory}`);
});

test.serial('200 workers that are terminated in flight leave nothing behind', async (t) => {
  t.timeout(STORM_TIMEOUT_MS);
  const { world } = await makeWorld(t);
  const roll = dice(SEED + 3);
  const memory = new Memory();
  const terminated = async (how: string): Promise<void> => {
    const worker = new Worker(fixture('storm-worker.mjs'), { workerData: { ...world, how }, execArgv: [] });
    const failed = once(worker, 'error').then(([error]) => Promise.reject(error));
    await soon(Promise.race([once(worker, 'message'), failed]), 'the first word of a worker');
    failed.catch(() => {});
    await new Promise<void>((resolve) => sometime(roll, resolve));
    t.is(await soon(worker.terminate(), 'the end of a worker'), 1);
  };
  const HOWS = ['waiting', 'busy', 'opening', 'deaf'];
  const group = (): Promise<unknown> =>
    Promise.all(Array.from({ length: 8 }, (_, at) => terminated(HOWS[at % HOWS.length] as string)));
  await group();
  const holdings = new Holdings();
  for (let count = 1; count < 25; count += 1) {
    await group();
    if (count % 2 === 0) await memory.note();
  }
  t.deepEqual(await holdings.more(), []);
  t.true(memory.growthBytes < FLAT_BYTES, `MiB, round by round: ${memory}`);
});
