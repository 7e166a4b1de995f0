import { once } from 'node:events';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { nop, pipe, Ring, SqeFlags, splice, write } from 'uring';
import { file } from './_fixtures.ts';
import { leakCheck } from './_helpers.ts';
import { eventually } from './_loopback.ts';
import { type Ended, fixture, ROOT, runFixture, WELL } from './_process.ts';
import { numbered } from './_sockets.ts';

/** As many bytes as the reads of the fixtures cover. */
const FILE_BYTES = 64 << 18;
const ROUNDS = 200;
const LOOP_TIMEOUT_MS = 300_000;

/** Below the project, because /tmp may be a file system without O_DIRECT. */
const DIR = join(ROOT, 'build', `teardown-${process.pid}`);
const FILE = join(DIR, 'data.bin');

leakCheck(test);

test.before('a file to read', () => {
  mkdirSync(DIR, { recursive: true });
  const chunk = numbered(1 << 20);
  writeFileSync(FILE, Buffer.concat(Array(FILE_BYTES / chunk.length).fill(chunk)));
  // Fails here, and says why, if this file system does not have it.
  closeSync(openSync(FILE, constants.O_RDONLY | constants.O_DIRECT));
});

test.after.always('the file is removed', () => rmSync(DIR, { recursive: true, force: true }));

/** Runs children a few at a time and answers how each of them ended. */
async function runMany(count: number, action: string): Promise<Ended[]> {
  const ended: Ended[] = [];
  let started = 0;
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      ended.push(await runFixture('teardown-worker.mjs', [action, FILE]));
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return ended;
}

/** Terminates a worker when it says that it has started, or some turns later. */
async function terminateWorker(action: string, turns: number): Promise<number> {
  const worker = new Worker(fixture('teardown-worker.mjs'), {
    workerData: { action, file: FILE },
    execArgv: [],
  });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error));
  await Promise.race([once(worker, 'message'), failed]);
  failed.catch(() => {});
  for (let count = 0; count < turns; count += 1) await new Promise(setImmediate);
  // Without a code if it had ended by itself: seen on a busy machine.
  return ((await worker.terminate()) as number | undefined) ?? 0;
}

for (const how of ['close', 'terminate']) {
  const end = how === 'close' ? 'ring.close()' : 'worker.terminate()';
  test.serial(`${end} with 64 O_DIRECT reads in flight frees nothing that is still written to`, async (t) => {
    t.timeout(LOOP_TIMEOUT_MS);
    const ended = await runFixture('teardown-reads.mjs', [how, FILE, String(ROUNDS)], {
      timeoutMs: LOOP_TIMEOUT_MS,
      nodeArguments: ['--expose-gc'],
    });
    t.like(ended, WELL);
    const { inFlight, leaked } = JSON.parse(ended.stdout);
    t.is(leaked, 0);
    // Reads that the disk had answered by then prove nothing.
    t.true(inFlight > ROUNDS, `only ${inFlight} reads were in flight`);
  });
}

test.serial('process.exit() with 64 O_DIRECT reads in flight ends the process, every time', async (t) => {
  t.timeout(LOOP_TIMEOUT_MS);
  const ended = await runMany(ROUNDS, 'reads, then exit');
  t.is(ended.length, ROUNDS);
  for (const one of ended) t.like(one, { ...WELL, stdout: '' });
});

test.serial('process.exit() while a worker has reads in flight ends the process', async (t) => {
  for (const one of await runMany(20, 'reads in a worker, then exit')) t.like(one, { ...WELL, stdout: '' });
});

test.serial('process.exit() with operations of every kind waiting ends the process', async (t) => {
  for (const one of await runMany(8, 'waiting, then exit')) t.like(one, WELL);
});

test.serial(
  'a ring with operations of every kind waiting closes, and the process ends by itself',
  async (t) => {
    for (const one of await runMany(4, 'waiting, then close')) t.like(one, WELL);
  },
);

test.serial('an uncaught exception ends a process that has operations in flight', async (t) => {
  for (const action of ['waiting, then throw', 'reads, then throw']) {
    for (const one of await runMany(8, action)) {
      t.like(one, { code: 1, signal: null, timedOut: false });
      t.regex(one.stderr, /RangeError: nobody catches this/);
    }
  }
});

test.serial(
  'an uncaught exception ends a worker that has operations in flight, and only the worker',
  async (t) => {
    for (let round = 0; round < 10; round += 1) {
      for (const action of ['waiting, then throw', 'reads, then throw']) {
        const worker = new Worker(fixture('teardown-worker.mjs'), {
          workerData: { action, file: FILE },
          execArgv: [],
        });
        const thrown: Error[] = [];
        worker.on('error', (error: Error) => thrown.push(error));
        // Not `once`: it would reject for the error.
        const code = await new Promise((resolve) => worker.once('exit', resolve));
        t.is(code, 1);
        t.deepEqual(
          thrown.map(({ message }) => message),
          ['nobody catches this'],
        );
      }
    }
  },
);

test.serial('a worker with operations of every kind waiting is terminated', async (t) => {
  for (let round = 0; round < 20; round += 1) t.is(await terminateWorker('waiting', round), 1);
});

test.serial('a worker is terminated in the middle of its callbacks', async (t) => {
  for (let round = 0; round < 40; round += 1) t.is(await terminateWorker('busy', round % 7), 1);
});

test.serial('workers with rings end while others go on', async (t) => {
  const rounds = Array.from({ length: 5 }, async () => {
    t.is(await terminateWorker('busy', 1), 1);
    t.is(await terminateWorker('waiting', 1), 1);
    // Its reads may all be over, and it with them, before this thread comes to terminate it.
    t.true((await terminateWorker('reads', 1)) <= 1);
  });
  await Promise.all(rounds);
});

function isBroken(writeFd: number): boolean {
  try {
    writeSync(writeFd, 'x');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPIPE';
  }
}

test.serial(
  'close gives up nothing only because the loop was busy for long: what was written is told',
  async (t) => {
    const { fd } = file(t);
    const ring = new Ring();
    const bytes = Buffer.alloc(1 << 20, 'x');
    const block = (timeMs: number): unknown =>
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeMs);
    const written = ring.exec(write(fd, bytes, { flags: SqeFlags.ASYNC }));
    ring.submit();
    // On its worker thread, and perhaps through.
    block(50);
    const closed = ring.close();
    // Longer than a ring is asked to come to rest (crates/core/src/teardown.rs).
    block(5500);
    const [end] = await Promise.allSettled([written]);
    await closed;
    t.true(end?.status === 'fulfilled' || (end?.status === 'rejected' && end.reason.code === 'ECANCELED'));
    t.is(fstatSync(fd).size, end?.status === 'fulfilled' ? bytes.length : 0);
  },
);

// Seen with random operations: closing never ended. The kernel looks for what runs on worker threads among those of the
// task that asks, and requests that the polling thread would make wait behind the DRAIN.
test.serial('close gives up what nothing can cancel, and the kernel lets go of it later', async (t) => {
  const ring = new Ring({ entries: 8, sqpoll: { idleMs: 5 } });
  const waiting = { pipeFlags: 0 };
  const [from, to] = [await ring.exec(pipe(waiting)), await ring.exec(pipe(waiting))];
  const stuck = ring.exec(splice(from.readFd, to.writeFd, 10));
  ring.submit();
  await eventually(() => ring.sqReady === 0);
  const behind = ring.exec(nop({ flags: SqeFlags.DRAIN }));
  ring.submit();
  const settled = Promise.allSettled([stuck, behind]);
  await ring.close();
  t.deepEqual(
    (await settled).map((end) => end.status === 'rejected' && end.reason.code),
    ['ERR_URING_ABANDONED', 'ERR_URING_ABANDONED'],
  );
  for (const fd of [from.readFd, to.readFd, to.writeFd]) closeSync(fd);
  await eventually(() => isBroken(from.writeFd));
  closeSync(from.writeFd);
});
