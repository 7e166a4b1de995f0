// Waiting for child processes. Node waits for its own children as soon as they end, so all of this is with `noWait`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { asyncCancel, type WaitInfo, waitid } from 'uring';
import { assertUsable, FORMS, runAs } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const { uid } = userInfo();
const OPTIONS = { noWait: true };

interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
}

/** A child that sleeps, or does what is said. */
function child(t: ExecutionContext, command = 'sleep 60', options = {}): Child {
  const started = spawn('/bin/sh', ['-c', `exec ${command}`], { stdio: 'ignore', ...options });
  t.teardown(async () => {
    const ended = started.exitCode !== null || started.signalCode !== null ? null : once(started, 'exit');
    started.kill('SIGKILL');
    await ended;
  });
  return { process: started, pid: started.pid as number };
}

for (const form of FORMS) {
  test(`a child that was killed (${form})`, async (t) => {
    const { pid, process } = child(t);
    await withRing({}, async (ring) => {
      process.kill('SIGTERM');
      const info = await runAs(form, ring, waitid('pid', pid, OPTIONS));
      t.deepEqual(info, { pid, uid, code: 'killed', status: 15 });
    });
  });
}

test('a child that ended by itself, with its exit code', async (t) => {
  const { pid } = child(t, 'sh -c "sleep 0.05; exit 7"');
  await withRing({}, async (ring) => {
    const info: WaitInfo = await ring.exec(waitid('pid', pid, OPTIONS));
    t.deepEqual(info, { pid, uid, code: 'exited', status: 7 });
  });
});

test('a child that stops and goes on', async (t) => {
  const { pid, process } = child(t);
  await withRing({}, async (ring) => {
    process.kill('SIGSTOP');
    const stopped = waitid('pid', pid, { ...OPTIONS, exited: false, stopped: true });
    t.deepEqual(await ring.exec(stopped), { pid, uid, code: 'stopped', status: 19 });
    process.kill('SIGCONT');
    const continued = waitid('pid', pid, { ...OPTIONS, exited: false, continued: true });
    t.deepEqual(await ring.exec(continued), { pid, uid, code: 'continued', status: 18 });
  });
});

test('noHang answers null while nothing has become of the child', async (t) => {
  const { pid, process } = child(t);
  await withRing({}, async (ring) => {
    const look = waitid('pid', pid, { ...OPTIONS, noHang: true });
    t.is(await ring.exec(look), null);
    process.kill('SIGKILL');
    await ring.exec(waitid('pid', pid, OPTIONS));
    const info: WaitInfo | null = await ring.exec(look);
    t.deepEqual(info, { pid, uid, code: 'killed', status: 9 });
  });
});

test('a process group, and children of every kind', async (t) => {
  const { pid, process } = child(t, 'sleep 60', { detached: true });
  await withRing({}, async (ring) => {
    const ended = ring.exec(waitid('pgid', pid, { ...OPTIONS, wAll: true }));
    process.kill('SIGINT');
    t.deepEqual(await ended, { pid, uid, code: 'killed', status: 2 });
    const { pid: other, process: last } = child(t);
    const all = ring.exec(waitid('all', 0, { ...OPTIONS, wNoThread: false }));
    last.kill('SIGTERM');
    t.is((await all).code, 'killed');
    t.true(other > 0);
  });
});

test('what is no child is ECHILD, and no pidfd EBADF', async (t) => {
  await withRing({}, async (ring) => {
    for (const id of [process.pid, 1, 0x7fff_fff0]) {
      await t.throwsAsync(ring.exec(waitid('pid', id, OPTIONS)), { code: 'ECHILD' });
    }
    await t.throwsAsync(ring.exec(waitid('pidfd', 0x7fff_fff0, OPTIONS)), { code: 'EBADF' });
    const { pid } = child(t);
    await t.throwsAsync(ring.exec(waitid('pid', pid, { ...OPTIONS, wClone: true })), { code: 'ECHILD' });
    await assertUsable(t, ring);
  });
});

test('a wait is cancelled, and the child lives', async (t) => {
  const { pid, process } = child(t);
  await withRing({}, async (ring) => {
    const wait = waitid('pid', pid, OPTIONS);
    const ended = ring.exec(wait).catch((error: NodeJS.ErrnoException) => error.code);
    ring.submit();
    t.is(await ring.exec(asyncCancel(wait)), 1);
    t.is((await ended) as unknown, 'ECANCELED');
    t.true(process.kill(0));
  });
});
