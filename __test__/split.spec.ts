import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import {
  asyncCancel,
  CompletionHalf,
  fsync,
  nop,
  Op,
  Operation,
  openat,
  Ring,
  read,
  type SplitOptions,
  SubmissionHalf,
  timeout,
  write,
} from 'uring';
import { BINARY } from './_binary.ts';
import { leakCheck, tmpDir } from './_helpers.ts';
import { fixture, runFixture, runModule, WELL } from './_process.ts';

const { ECANCELED, EINVAL } = constants.errno;
/** For machines that have much else to do. */
const TEST_TIMEOUT_MS = 180_000;

leakCheck(test);

/** A page to read. */
let file = -1;

test.before('a file to read', () => {
  file = openSync(process.execPath, 'r');
});

test.after.always('it is closed', () => closeSync(file));

interface Half {
  readonly worker: Worker;
  /** What it says next. */
  said<T>(): Promise<T>;
}

/** Starts a worker with a half; it is terminated when the test ends. */
function start(t: ExecutionContext, action: string, data: object): Half {
  const worker = new Worker(fixture('split-worker.mjs'), {
    workerData: { action, file, ...data },
    execArgv: [],
  });
  const waiting: ((message: unknown) => void)[] = [];
  const messages: unknown[] = [];
  worker.on('message', (message) => {
    const take = waiting.shift();
    if (take === undefined) messages.push(message);
    else take(message);
  });
  worker.on('error', (error) => t.fail(`${action}: ${error}`));
  t.teardown(async () => {
    await worker.terminate();
  });
  const next = (): Promise<unknown> =>
    messages.length > 0
      ? Promise.resolve(messages.shift())
      : new Promise((resolve) => {
          waiting.push(resolve);
        });
  // The timeout of the test is what ends a wait in vain.
  return { worker, said: <T>() => next() as Promise<T> };
}

/** Both halves in this thread, closed in any case. */
function withHalves(
  options: SplitOptions,
  use: (submission: SubmissionHalf, completion: CompletionHalf) => void,
): void {
  const submission = SubmissionHalf.open(options);
  const completion = new CompletionHalf(submission.token);
  try {
    use(submission, completion);
  } finally {
    submission.close();
    completion.close();
  }
}

for (const [entries, cqEntries, count] of [
  [256, 4096, 200_000],
  [1, 4, 20_000],
  [1, 1, 2_000],
  [8, 8, 50_000],
] as const) {
  test(`each of ${count} completions arrives once in another thread, with queues of ${entries} and ${cqEntries}`, async (t) => {
    t.timeout(TEST_TIMEOUT_MS);
    const options = { entries, cqEntries };
    const submits = start(t, 'submit many, then wait for a word', { count, options });
    const { token } = await submits.said<{ token: number }>();
    const takes = start(t, 'take many', { count, token });
    submits.worker.postMessage('go');
    t.deepEqual(await takes.said(), { once: count, wrong: 0, ready: 0 });
    submits.worker.postMessage('taken');
    t.deepEqual(await submits.said(), { inFlight: 0 });
  });
}

test('a wait that nothing ends is ended when the submitting half is closed', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const half = SubmissionHalf.open();
  const waits = start(t, 'wait for ever', { token: half.token });
  t.is(await waits.said(), 'waiting');
  await sleep(50);
  half.close();
  t.is(await waits.said(), 'ERR_URING_CLOSED');
});

test('closing the submitting half cancels what is in flight, and the other reads what became of it', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const half = SubmissionHalf.open({ entries: 4 });
  const reads = start(t, 'read until it is closed', { token: half.token });
  t.is(await reads.said(), 'waiting');
  half.prep(timeout(3_600_000), 1);
  half.prep(nop(), 2);
  half.submit();
  half.prep(nop(), 3);
  await sleep(50);
  half.close();
  t.deepEqual(await reads.said(), [
    [1, -ECANCELED],
    [2, 0],
    [3, -ECANCELED],
  ]);
});

test('when the taking thread ends, the next one gets what it did not read', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const count = 2000;
  const half = SubmissionHalf.open();
  const first = start(t, 'take some and stay', { count, token: half.token });
  for (let number = 0; number < count; number += 1) {
    while (!half.prep(nop(), number)) half.submit();
  }
  half.submit();
  const seen = new Set([await first.said<number>()]);
  t.throws(() => new CompletionHalf(half.token), { code: 'ERR_URING_IN_USE' });
  await first.worker.terminate();
  const second = new CompletionHalf(half.token);
  while (seen.size < count) {
    const completion = second.next({ timeoutMs: TEST_TIMEOUT_MS });
    t.false(completion === undefined || seen.has(completion.userData));
    seen.add(completion!.userData);
  }
  t.is(second.ready, 0);
  t.is(half.inFlight, 0);
  second.close();
  half.close();
});

test('descriptors that nobody read are closed with the ring', (t) => {
  const submission = SubmissionHalf.open();
  const completion = new CompletionHalf(submission.token);
  for (let at = 0; at < 10; at += 1) submission.prep(openat('/etc/hostname'), at);
  submission.submit();
  t.is(completion.wait(10), 10);
  // Takes them all, and reads one.
  const first = completion.next()!;
  t.true(first.res >= 0);
  closeSync(first.res);
  completion.close();
  submission.close();
  // The check for descriptors at the end of this file is what fails otherwise.
});

test('a half is opened by its token, by one thread at a time, while the submitting half is open', (t) => {
  const submission = SubmissionHalf.open();
  const completion = new CompletionHalf(submission.token);
  t.throws(() => new CompletionHalf(submission.token), { code: 'ERR_URING_IN_USE' });
  completion.close();
  completion.close();
  t.throws(() => completion.next(), { code: 'ERR_URING_CLOSED' });
  const again = new CompletionHalf(submission.token);
  submission.close();
  submission.close();
  t.throws(() => submission.prep(nop()), { code: 'ERR_URING_CLOSED' });
  t.throws(() => submission.submit(), { code: 'ERR_URING_CLOSED' });
  t.throws(() => submission.alloc(1), { code: 'ERR_URING_CLOSED' });
  t.throws(() => again.wait(1), { code: 'ERR_URING_CLOSED' });
  t.throws(() => new CompletionHalf(submission.token), { code: 'ERR_URING_CLOSED' });
  again.close();
  t.throws(() => new CompletionHalf(12345), { code: 'ERR_URING_CLOSED' });
  for (const token of [-1, 0.5, 2 ** 53]) {
    t.throws(() => new CompletionHalf(token), { code: 'ERR_OUT_OF_RANGE' });
  }
});

test('a ring without a thread to take its completions ends with its submitting half', (t) => {
  const half = SubmissionHalf.open({ entries: 1, cqEntries: 1 });
  half.prep(timeout(3_600_000));
  half.submit();
  t.is(half.inFlight, 1);
  half.close();
  t.true(half.closed);
});

test('user data is a number, and comes back as it was', (t) => {
  withHalves({}, (submission, completion) => {
    const numbers = [0, -1, 0.5, Number.MAX_SAFE_INTEGER, Infinity, -0];
    for (const number of numbers) submission.prep(nop(), number);
    submission.submit();
    t.deepEqual(
      [...completion].map(({ userData }) => userData),
      numbers,
    );
    for (const wrong of ['1', null, 1n, {}]) {
      t.throws(() => submission.prep(nop(), wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    t.is(submission.ready, 0);
  });
});

test('the kernel writes into memory of the half at once, and into other memory when its end is known', (t) => {
  withHalves({}, (submission, completion) => {
    const expected = readFileSync('/proc/self/exe').subarray(0, 64);
    const own = submission.alloc(64);
    const other = Buffer.alloc(64);
    submission.prep(read(file, own, { offset: 0 }), 1);
    submission.prep(read(file, other, { offset: 0 }), 2);
    submission.submit();
    t.is(completion.wait(2), 2);
    t.deepEqual(own, expected);
    t.is(completion.next()?.res, 64);
    t.is(completion.next()?.res, 64);
    t.deepEqual(other, Buffer.alloc(64));
    t.is(submission.reclaim(), 2);
    t.deepEqual(other, expected);
  });
});

test('what the kernel wrote into shared memory is there for the thread that reads the completion', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const half = SubmissionHalf.open();
  const memory = half.allocShared(4096);
  const reads = start(t, 'read shared memory', { token: half.token, memory: memory.token });
  t.is(await reads.said(), 'waiting');
  half.prep(read(file, memory.buffer, { offset: 0 }), 64);
  half.submit();
  t.is(await reads.said(), readFileSync('/proc/self/exe').subarray(0, 64).toString('hex'));
  await using ring = new Ring();
  const own = ring.allocShared(8);
  t.is(half.openShared(own.token).buffer.length, 8);
  t.throws(() => half.openShared(1), { code: 'ERR_URING_STALE_HANDLE' });
  half.close();
  t.throws(() => half.allocShared(8), { code: 'ERR_URING_CLOSED' });
});

test('a buffer that was detached gets no bytes, and hurts nobody', (t) => {
  withHalves({}, (submission, completion) => {
    const other = new Uint8Array(64);
    submission.prep(read(file, other, { offset: 0 }), 1);
    submission.submit();
    structuredClone(other.buffer, { transfer: [other.buffer] });
    t.is(completion.next()?.res, 64);
    t.is(submission.reclaim(), 1);
    t.is(submission.inFlight, 0);
  });
});

test('a chain is carried out in order, and its completions have their numbers', (t) => {
  const path = join(tmpDir(t), 'out');
  writeFileSync(path, '');
  const fd = openSync(path, 'r+');
  withHalves({ entries: 4 }, (submission, completion) => {
    const chain = [
      write(fd, Buffer.from('one'), { offset: 0 }),
      fsync(fd),
      write(fd, Buffer.from('two'), { offset: 3 }),
    ];
    t.true(submission.prepChain(chain, { userData: [10, 11, 12] }));
    t.false(submission.prepChain(chain, { userData: [13, 14, 15] }));
    t.throws(() => submission.prepChain([nop()], { userData: ['a'] }), { code: 'ERR_INVALID_ARG_TYPE' });
    submission.submit();
    t.is(completion.wait(3), 3);
    t.deepEqual(
      [...completion].map(({ userData, res }) => [userData, res]),
      [
        [10, 3],
        [11, 0],
        [12, 3],
      ],
    );
  });
  closeSync(fd);
  t.is(readFileSync(path, 'utf8'), 'onetwo');
});

test('an operation is cancelled by its number', (t) => {
  withHalves({}, (submission, completion) => {
    submission.prep(timeout(3_600_000), 5);
    submission.submit();
    submission.prep(asyncCancel({ userData: 5 }), 6);
    submission.submit();
    t.is(completion.wait(2), 2);
    const results = new Map([...completion].map(({ userData, res }) => [userData, res]));
    t.deepEqual([results.get(5), results.get(6)], [-ECANCELED, 0]);
  });
});

test('what only the submitting thread could use is refused', async (t) => {
  await using ring = new Ring();
  const files = ring.registrar.registerFiles({ sizeMin: 1 } as never);
  const fixed = files.set(0, file);
  withHalves({}, (submission) => {
    t.throws(() => submission.prep(new Operation(Op.pipe, undefined)), { code: 'ERR_INVALID_ARG_VALUE' });
    t.throws(() => submission.prep(read(fixed, Buffer.alloc(8))), { code: 'ERR_URING_FOREIGN_RING' });
    t.throws(() => submission.prep({} as never), { code: 'ERR_INVALID_ARG_TYPE' });
    t.is(submission.ready, 0);
  });
});

test('a wait ends when its time is up', (t) => {
  withHalves({}, (submission, completion) => {
    t.is(completion.tryNext(), undefined);
    t.is(completion.next({ timeoutMs: 10 }), undefined);
    submission.prep(nop(), 1);
    submission.submit();
    t.is(completion.wait(2, { timeoutMs: 10 }), 1);
    t.is(completion.next({ timeoutMs: 0 })?.userData, 1);
    for (const [timeoutMs, code] of [
      [-1, 'ERR_OUT_OF_RANGE'],
      ['1', 'ERR_INVALID_ARG_TYPE'],
    ] as const) {
      t.throws(() => completion.wait(1, { timeoutMs: timeoutMs as number }), { code });
    }
    t.throws(() => completion.wait(completion.entries + 1), { code: 'ERR_OUT_OF_RANGE' });
  });
});

test('a record that Rust refuses is a completion like others', (t) => {
  withHalves({}, (submission, completion) => {
    const memory = submission.alloc(64);
    submission.prep(read(file, memory, { offset: 0, ioprio: 0x2000 }), 1);
    const stale = read(file, memory, { offset: 0 });
    stale.opFlags = 0;
    submission.prep(Object.assign(stale, { length: 0, group: 1 }), 2);
    submission.submit();
    t.is(completion.wait(2), 2);
    const results = new Map([...completion].map(({ userData, res }) => [userData, res]));
    t.is(results.get(2), -EINVAL);
    t.is(submission.inFlight, 0);
  });
});

test('the submitting thread is terminated at any moment, and the other reads what became of its operations', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  for (let round = 0; round < 100; round += 1) {
    const submits = start(t, 'submit without an end', { options: { entries: 64, cqEntries: 64 } });
    const { token } = await submits.said<{ token: number }>();
    const half = new CompletionHalf(token);
    await sleep(round % 10);
    const ended = submits.worker.terminate();
    // Blocks this thread while the other one ends.
    const results = [...half.blocking()];
    const timers = results.filter(({ userData }) => userData === -1);
    // It may have ended before it submitted anything.
    if (results.length > 0)
      t.deepEqual(
        timers.map(({ res }) => res),
        [-ECANCELED],
      );
    half.close();
    await ended;
  }
});

test('the taking thread is terminated at any moment, and the next one goes on', async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const submits = start(t, 'submit without an end', { options: { entries: 64, cqEntries: 64 } });
  const { token } = await submits.said<{ token: number }>();
  for (let round = 0; round < 100; round += 1) {
    const takes = start(t, 'take without an end', { token });
    await takes.said();
    await sleep(round % 10);
    await takes.worker.terminate();
  }
  const half = new CompletionHalf(token);
  t.true(half.wait(1) > 0);
  await submits.worker.terminate();
  t.true([...half.blocking()].some(({ userData }) => userData === -1));
  half.close();
});

test('process.exit() ends a process whose threads wait and submit', async (t) => {
  const ended = await runModule(`
    import { Worker } from 'node:worker_threads';
    import { SubmissionHalf, timeout } from 'uring';
    const half = SubmissionHalf.open();
    half.prep(timeout(3_600_000), 1);
    half.submit();
    const workerData = { action: 'take without an end', token: half.token };
    const worker = new Worker(${JSON.stringify(fixture('split-worker.mjs'))}, { workerData, execArgv: [] });
    worker.once('message', () => setTimeout(() => process.exit(3), 50));
  `);
  t.like(ended, { ...WELL, code: 3 });
});

test('halves that are forgotten are closed, with a warning, but not while something is in flight', async (t) => {
  const ended = await runModule(
    `
    import { setImmediate as turn } from 'node:timers/promises';
    import { CompletionHalf, nop, SubmissionHalf } from 'uring';
    process.on('warning', ({ name }) => console.log(name));
    const open = (...operations) => {
      const half = SubmissionHalf.open();
      for (const operation of operations) half.prep(operation);
      half.submit();
      return half.token;
    };
    const tokens = [open(), open(nop())];
    new CompletionHalf(tokens[0]);
    for (let round = 0; round < 10; round += 1) { globalThis.gc(); await turn(); }
    try { new CompletionHalf(tokens[0]); } catch ({ code }) { console.log(code); }
    console.log(new CompletionHalf(tokens[1]).next().res);
    process.exit();
  `,
    { nodeArguments: ['--expose-gc'] },
  );
  t.like(ended, { code: 0, signal: null, timedOut: false });
  t.deepEqual(ended.stdout.trim().split('\n'), ['UringWarning', 'UringWarning', 'ERR_URING_CLOSED', '0']);
});

test('a thread that writes nonsense where it reads, or gives that memory away, confuses only itself', async (t) => {
  const addon = createRequire(import.meta.url).resolve(`../../dist/${BINARY}`);
  const ended = await runFixture('split-nonsense.cjs', [addon]);
  t.like(ended, { ...WELL, stdout: 'ended\n' });
});
