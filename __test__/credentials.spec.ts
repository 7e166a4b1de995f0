// A ring is for the credentials that it was opened with (CVE-2024-22017). Child processes, as root, give theirs up.
import test from 'ava';
import { leakCheck, skipUnless } from './_helpers.ts';
import { runModule, WELL } from './_process.ts';

leakCheck(test);

const asRoot = skipUnless(process.geteuid?.() === 0, 'root');

const HEAD = `
  import { Ring, nop, openat, pipe, read, write, timeout } from 'uring';
  const outcome = (promise) => promise.then((result) => result, (error) => error.code);
  const NOBODY = 65534;
`;

const CHANGED = 'ERR_URING_CREDENTIALS_CHANGED';

for (const options of ['{}', '{ sqpoll: { idleMs: 1 } }']) {
  asRoot(`after setuid a ring takes no new work, says so, and can be closed (${options})`, async (t) => {
    const ended = await runModule(`${HEAD}
      const ring = new Ring(${options});
      await ring.exec(nop());
      process.setuid(NOBODY);
      const error = await ring.exec(openat('/etc/shadow')).catch((error) => error);
      console.log(error.code, error.name, /open a new ring/.test(error.message));
      const all = await Promise.all([1, 2, 3].map(() => outcome(ring.exec(nop()))));
      console.log(new Set(all).size, all[0]);
      ring.prep(nop());
      ring.submitAndWait(1, { timeoutMs: 10_000 });
      console.log([...ring.completions()].map(({ error }) => error?.code).join());
      const next = new Ring(${options});
      console.log(await outcome(next.exec(nop())), await outcome(next.exec(openat('/etc/shadow'))));
      await Promise.all([ring.close(), next.close()]);
    `);
    const lines = [`${CHANGED} UringError true`, `1 ${CHANGED}`, CHANGED, '0 EACCES'];
    t.like(ended, { ...WELL, stdout: `${lines.join('\n')}\n` });
  });
}

asRoot(
  'each of the functions that change credentials is noticed, and what is changed back is as before',
  async (t) => {
    const ended = await runModule(`${HEAD}
    process.setgroups([7, 3]);
    const ring = new Ring();
    const after = async (change) => { change(); return outcome(ring.exec(nop())); };
    console.log(process.setuid.name, process.seteuid.length);
    console.log(await after(() => process.setegid(NOBODY)), await after(() => process.setegid(0)));
    console.log(await after(() => process.seteuid('nobody')), await after(() => process.seteuid(0)));
    console.log(await after(() => process.setgroups([4, 20])), await after(() => process.setgroups([3, 7])));
    console.log(await after(() => process.initgroups('nobody', 1)), await after(() => process.setgroups([3, 7])));
    console.log(await after(() => { try { process.setuid('who is this'); } catch {} }));
    console.log(await after(() => process.setgid(NOBODY)));
    await ring.close();
  `);
    const pair = `${CHANGED} 0`;
    t.like(ended, { ...WELL, stdout: ['setuid 1', pair, pair, pair, pair, 0, CHANGED, ''].join('\n') });
  },
);

asRoot('what was in flight completes and can be aborted', async (t) => {
  const ended = await runModule(`${HEAD}
    const ring = new Ring();
    const { readFd, writeFd } = await ring.exec(pipe());
    const buffer = Buffer.alloc(1);
    const reading = ring.exec(read(readFd, buffer));
    const abort = new AbortController();
    const waiting = outcome(ring.exec(timeout(3_600_000), { signal: abort.signal }));
    const left = outcome(ring.exec(timeout(3_600_000)));
    await ring.exec(nop());
    process.setuid(NOBODY);
    (await import('node:fs')).writeSync(writeFd, 'x');
    console.log(await reading, buffer.toString());
    abort.abort();
    console.log(await waiting);
    await ring.close();
    console.log(await left);
  `);
  t.like(ended, { ...WELL, stdout: '1 x\nABORT_ERR\nECANCELED\n' });
});

asRoot('rings of workers notice that the main thread has changed the credentials of all', async (t) => {
  const ended = await runModule(`
    import { Worker } from 'node:worker_threads';
    import { once } from 'node:events';
    const script = \`
      const { parentPort } = require('node:worker_threads');
      const { Ring, nop } = require('uring');
      const rings = [new Ring(), new Ring({ sqpoll: { idleMs: 1 } })];
      const outcome = (ring) => ring.exec(nop()).then((result) => result, (error) => error.code);
      parentPort.once('message', async () => {
        const atOnce = await outcome(rings[1]);
        let later;
        do later = await outcome(rings[0]); while (later === 0);
        parentPort.postMessage([atOnce, later]);
        for (const ring of rings) ring.close();
      });
      Promise.all(rings.map(outcome)).then((outcomes) => parentPort.postMessage(outcomes));
    \`;
    const worker = new Worker(script, { eval: true, execArgv: [] });
    console.log((await once(worker, 'message'))[0].join(' '));
    process.setgid(65534);
    process.setuid(65534);
    worker.postMessage('go on');
    console.log((await once(worker, 'message'))[0].join(' '));
  `);
  t.like(ended, { ...WELL, stdout: `0 0\n${CHANGED} ${CHANGED}\n` });
});

asRoot('the half that submits refuses too, and the other one gets EPERM', async (t) => {
  const ended = await runModule(`
    import { SubmissionHalf, CompletionHalf, nop } from 'uring';
    const sender = SubmissionHalf.open();
    const taker = new CompletionHalf(sender.token);
    sender.prep(nop(), 5);
    sender.submit();
    console.log(taker.next({ timeoutMs: 10_000 }).res);
    process.setuid(65534);
    sender.prep(nop(), 6);
    sender.submit();
    const { userData, res } = taker.next({ timeoutMs: 10_000 });
    console.log(userData, res);
    sender.close();
    taker.close();
  `);
  t.is(ended.stderr, '');
  t.like(ended, { ...WELL, stdout: '0\n6 -1\n' });
});

for (const options of ['{}', '{ sqpoll: { idleMs: 1 } }']) {
  asRoot(
    `after setuid a ring and its workers still talk, and workers are told to stop (${options})`,
    async (t) => {
      const ended = await runModule(`
      import { msgRing, Ring, RingWorker } from 'uring';
      const ring = new Ring(${options});
      const script = \`
        const { ring, parent } = require('uring').RingWorker.current({ onStop: () => parent.post('stopped') });
        ring.receive(({ type, data, value }) => {
          if (type === 'message') parent.post(data + 1);
          if (type === 'value') parent.post([value]);
        });
      \`;
      const worker = await RingWorker.spawn(ring, script, { eval: true, execArgv: [], ring: ${options} });
      const taken = [];
      const next = () => new Promise((resolve) => taken.push(resolve));
      ring.receive(({ value }) => taken.shift()(value));
      process.setuid(65534);
      const answered = next();
      await ring.exec(msgRing(worker.ring, { data: 1 }));
      console.log(await answered);
      const posted = next();
      await worker.post('value');
      console.log(await posted);
      const stopped = next();
      console.log(await worker.stop(), await stopped);
      await ring.close();
    `);
      t.like(ended, { ...WELL, stdout: "2\n[ 'value' ]\n0 stopped\n" });
    },
  );
}

asRoot('after setuid a ring sends no files', async (t) => {
  const ended = await runModule(`${HEAD}
    import { msgRingFile } from 'uring';
    const [ring, other] = [new Ring(), new Ring()];
    for (const { registrar } of [ring, other]) registrar.registerFiles({ slots: 4, kernelSlots: 4 });
    const file = await ring.exec(openat('/etc/passwd', { direct: true }));
    process.setuid(NOBODY);
    console.log(await outcome(ring.exec(msgRingFile(other, file))));
    await Promise.all([ring.close(), other.close()]);
  `);
  t.like(ended, { ...WELL, stdout: `${CHANGED}\n` });
});

asRoot('functions that were imported by name are noticed as well', async (t) => {
  const ended = await runModule(`${HEAD}
    import { setgroups } from 'node:process';
    setgroups([]);
    const ring = new Ring();
    const all = [];
    for (let round = 0; round < 200; round += 1) {
      setgroups([round % 2 + 1]);
      all.push(await outcome(ring.exec(nop())));
      setgroups([]);
      await outcome(ring.exec(nop()));
    }
    console.log(new Set(all));
    await ring.close();
  `);
  t.like(ended, { ...WELL, stdout: `Set(1) { '${CHANGED}' }\n` });
});
