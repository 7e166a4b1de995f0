// io_uring_enter(2) that fails: what passes is tried again, what does not breaks the ring, and nobody waits for ever.
import test, { type ExecutionContext } from 'ava';
import { runFaulty, whenTraced } from './_faults.ts';
import { leakCheck, tmpDir } from './_helpers.ts';
import { WELL } from './_process.ts';

leakCheck(test);

const TIMEOUT_MS = 90_000;
/** A little more than one turn of the loop tries, and more than one call does. */
const PASSING = ['EINTR', 'EAGAIN', 'EBUSY', 'ENOMEM'].map((errno) => `${errno}:when=1..20`);

/** The program ends well and has said this, line by line. */
async function says(t: ExecutionContext, source: string, ...lines: readonly string[]): Promise<void> {
  t.timeout(TIMEOUT_MS);
  t.like(await runFaulty(source), { ...WELL, stdout: lines.join('\n') });
}

for (const errno of PASSING) {
  whenTraced(`a call that fails for a while loses nothing on the event loop (${errno})`, async (t) => {
    const path = `${tmpDir(t)}/file`;
    const source = `
      import { readFileSync, openSync } from 'node:fs';
      import { nop, Ring, read, timeout, write } from 'uring';
      const fd = openSync(${JSON.stringify(path)}, 'w+');
      const ring = new Ring({ entries: 8, cqEntries: 16 });
      const expected = Buffer.alloc(100 * 64, 'acknowledged ');
      const soon = ending(ring.exec(timeout(20)));
      await new Promise(setImmediate);
      fault('io_uring_enter:error=${errno}');
      const part = (at) => expected.subarray(at * 64, at * 64 + 64);
      const written = await Promise.all(
        Array.from({ length: 100 }, (_, at) => ring.exec(write(fd, part(at), { offset: at * 64 }))));
      const own = ring.alloc(64);
      const chain = await ring.chain([read(fd, own, { offset: 0 }), nop({ result: 0 }), read(fd, own, { offset: 64 })]);
      say(written.every((bytes) => bytes === 64), chain, own.equals(part(1)), (await soon) ?? 'fired');
      mend();
      say(readFileSync(${JSON.stringify(path)}).equals(expected), await ring.exec(nop({ result: 5 })), ring.inFlight);
      await ring.close();`;
    await says(t, source, 'true | [64,0,64] | true | fired', 'true | 5 | 0');
  });

  // It was lost for EAGAIN and EBUSY: the turn that fetches what came between two looks dropped the error, nothing was left
  // to signal, and the loop slept for ever.
  whenTraced(`a completion that cannot be fetched for a while is not forgotten (${errno})`, async (t) => {
    const source = `
      import { Ring, timeout } from 'uring';
      const ring = new Ring();
      const soon = ending(ring.exec(timeout(200)));
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      fault('io_uring_enter:error=${errno}');
      const late = new Promise((resolve) => setTimeout(resolve, 20_000, 'lost').unref());
      say((await Promise.race([soon, late])) ?? 'fired');
      mend();
      await ring.close();`;
    await says(t, source, 'fired');
  });

  whenTraced(
    `operations are stopped and rings closed although calls fail for a while (${errno})`,
    async (t) => {
      const source = `
      import { Ring, timeout, timeoutMultishot } from 'uring';
      const ring = new Ring();
      const controller = new AbortController();
      const aborted = ending(ring.exec(timeout(3_600_000), { signal: controller.signal }));
      const late = ending(ring.exec(timeout(3_600_000), { timeoutMs: 10 }));
      const stream = ring.multishot(timeoutMultishot(1));
      await stream.next();
      const left = ending(ring.exec(timeout(3_600_000)));
      fault('io_uring_enter:error=${errno}');
      controller.abort();
      say(await aborted, await late, (await stream.return()).done);
      mend();
      fault('io_uring_enter:error=${errno}');
      await ring.close();
      mend();
      say(await left, ring.inFlight);`;
      const first = 'AbortError ABORT_ERR | UringError ERR_URING_TIMEOUT timeout | true';
      await says(t, source, first, 'UringError ECANCELED timeout | 0');
    },
  );
}

whenTraced(
  'by hand a call that fails for a while says so, and what is queued goes with the next',
  async (t) => {
    const source = `
    import { nop, Ring } from 'uring';
    for (const errno of ['EAGAIN', 'EBUSY', 'ENOMEM']) {
      const ring = new Ring();
      for (let result = 1; result <= 3; result += 1) ring.prep(nop({ result }));
      fault('io_uring_enter:error=' + errno);
      say(outcome(() => ring.submit()), outcome(() => ring.submitAndWait(3)), ring.inFlight);
      mend();
      say(ring.submitAndWait(3), [...ring.completions()].map(({ result }) => result), ring.inFlight);
      await ring.close();
    }`;
    const told = (errno: string): string[] => {
      const error = `UringError ${errno} io_uring_enter`;
      return [`${error} | ${error} | 3`, '0 | [1,2,3] | 0'];
    };
    await says(t, source, ...['EAGAIN', 'EBUSY', 'ENOMEM'].flatMap(told));
  },
);

whenTraced('the halves of a ring for two threads lose nothing to calls that fail for a while', async (t) => {
  const source = `
    import { CompletionHalf, nop, SubmissionHalf, timeout } from 'uring';
    for (const errno of ['EINTR', 'EAGAIN', 'EBUSY', 'ENOMEM']) {
      const submission = SubmissionHalf.open();
      const completion = new CompletionHalf(submission.token);
      const next = () => { const { userData, res } = completion.next({ timeoutMs: 20_000 }); return [userData, res]; };
      submission.prep(nop({ result: 3 }), 7);
      fault('io_uring_enter:error=' + errno + ':when=1..20');
      const told = outcome(() => submission.submit());
      mend();
      submission.submit();
      say(told, next());
      submission.prep(timeout(50), 8);
      submission.submit();
      fault('io_uring_enter:error=' + errno + ':when=1..20');
      say(next()[0]);
      mend();
      completion.close();
      submission.close();
    }`;
  // By hand a call that is interrupted is repeated, and the others say so.
  const told = (errno: string): string[] => [`UringError ${errno} io_uring_enter | [7,3]`, '8'];
  await says(t, source, '1 | [7,3]', '8', ...['EAGAIN', 'EBUSY', 'ENOMEM'].flatMap(told));
});

whenTraced('run waits through calls that fail for a while', async (t) => {
  const source = `
    import { nop, Ring, timeout } from 'uring';
    for (const errno of ['EINTR', 'EAGAIN', 'EBUSY', 'ENOMEM']) {
      const ring = new Ring();
      const results = [];
      ring.start(timeout(20), (error) => results.push(error ?? 'fired'));
      ring.start(nop({ result: 7 }), (error, result) => results.push(error ?? result));
      fault('io_uring_enter:error=' + errno + ':when=1..20');
      say(ring.run(), results);
      mend();
      await ring.close();
    }`;
  await says(t, source, ...Array(4).fill('2 | [7,"fired"]'));
});

for (const errno of ['EBADF', 'EINVAL', 'ENXIO']) {
  whenTraced(
    `a call that fails for good breaks the ring: all settles, and it closes (${errno})`,
    async (t) => {
      const source = `
      import { nop, Ring, timeout } from 'uring';
      const ring = new Ring({ entries: 4, cqEntries: 8 });
      say(await ring.exec(nop({ result: 1 })));
      // The last of those for which there is room makes the kernel be entered again.
      const all = Array.from({ length: 12 }, (_, at) => ending(ring.exec(timeout(at === 7 ? 100 : 3_600_000))));
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      say(ring.waiting > 0);
      fault('io_uring_enter:error=${errno}:when=1');
      ring.start(nop(), (error) => say('called back: ' + error.code));
      for (const told of new Set(await Promise.all(all))) say(told);
      mend();
      say(await ending(ring.exec(nop())), ring.waiting);
      await ring.close();
      say(ring.closed);`;
      const told = `UringError ${errno} io_uring_enter`;
      await says(t, source, '1', 'true', `called back: ${errno}`, told, `${told} | 0`, 'true');
    },
  );
}

whenTraced(
  'a ring that can never be entered again closes within some seconds, and says what it left',
  async (t) => {
    const source = `
    import { nop, Ring, timeout } from 'uring';
    process.on('warning', ({ name, message }) => say(name, message));
    const ring = new Ring();
    const running = ending(ring.exec(timeout(3_600_000)));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    fault('io_uring_enter:error=EAGAIN');
    const queued = ending(ring.exec(nop()));
    await new Promise(setImmediate);
    await ring.close();
    say(await running, await queued);
    mend();
    const other = new Ring();
    say(await other.exec(nop({ result: 4 })));
    await other.close();`;
    t.timeout(TIMEOUT_MS);
    const { stdout, ...ended } = await runFaulty(source);
    t.like(ended, { code: 0, signal: null, timedOut: false });
    t.deepEqual(stdout.split('\n'), [
      'UringError ERR_URING_ABANDONED | UringError ERR_URING_ABANDONED',
      'UringWarning | 2 operations of a ring that was closed would not end',
      '4',
    ]);
  },
);
