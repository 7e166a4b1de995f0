// What blocks io_uring, for real: filters, limits, users, sysctls. Each is told apart, kills nothing, and has its remedy.
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { type Availability, availability, Ring, type UringError } from 'uring';
import { skipUnless } from './_helpers.ts';
import { WELL } from './_process.ts';
import {
  BUILD_TIMEOUT_MS,
  buildSandbox,
  DOCTOR_URL,
  diagnosed,
  NOBODY,
  SOMEBODY_ELSE,
  sandboxed,
  startSandboxed,
} from './_sandbox.ts';

const { EMFILE, ENOMEM, ENOSYS, EPERM } = constants.errno;

const asRoot = skipUnless(process.geteuid?.() === 0, 'root');

test.before('the program that makes sandboxes is built', async (t) => {
  t.timeout(BUILD_TIMEOUT_MS);
  await buildSandbox();
});

interface Block {
  readonly code: string;
  readonly errno?: number;
  readonly reason: RegExp;
  readonly remedy: RegExp;
}

/** In a sandbox, `availability`, `new Ring()`, `probe()`, a ring for two threads and the doctor say the same. */
async function isBlocked(t: ExecutionContext, sandbox: readonly string[], block: Block): Promise<void> {
  const { code, page, availability } = await diagnosed(sandbox);
  t.is(code, 1);
  if (availability.available) return t.fail('it is available');
  const { code: why, errno, reason, remedy } = availability;
  t.deepEqual({ why, errno }, { why: block.code, errno: block.errno });
  t.regex(reason, block.reason);
  t.regex(remedy, block.remedy);
  t.true(page.includes('io_uring cannot be used here.'), page);
  t.true(page.includes(reason.slice(1)) && page.includes(remedy.slice(1)), page);
  const source = `
    import { availability, probe, Ring, SubmissionHalf } from 'uring';
    const answer = JSON.stringify(availability());
    for (const open of [() => new Ring(), () => SubmissionHalf.open(), probe, () => new Ring()]) {
      try { open(); } catch (error) {
        console.log(error.code, error.errno, JSON.stringify(error.availability) === answer);
      }
    }`;
  const ended = await sandboxed(sandbox, ['--input-type=module', '--eval', source]);
  t.like(ended, { ...WELL, stdout: `ERR_URING_UNAVAILABLE ${block.errno} true\n`.repeat(4) });
}

const PROFILE = /seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register/;

test('a filter that answers EPERM is told from the sysctl, and the remedy names the profile', async (t) => {
  const reason = /^a seccomp filter forbids io_uring/;
  await isBlocked(t, ['--seccomp', 'eperm'], { code: 'seccomp', errno: -EPERM, reason, remedy: PROFILE });
});

test('a filter that answers ENOSYS is told from an old kernel', async (t) => {
  const reason = /^a seccomp filter hides io_uring/;
  await isBlocked(t, ['--seccomp', 'enosys'], { code: 'seccomp', errno: -ENOSYS, reason, remedy: PROFILE });
});

/**
 * Node 22 and later make a ring when they start (libuv, for epoll), so that such a filter kills every program of theirs:
 * there is nothing left to notice.
 */
async function killsNode(t: ExecutionContext, sandbox: readonly string[]): Promise<boolean> {
  const { code, signal } = await sandboxed(sandbox, ['--eval', '0']);
  if (code === 0) return false;
  t.is(signal, 'SIGSYS');
  return true;
}

for (const answer of ['kill', 'trap']) {
  test(`a filter that kills by SIGSYS (${answer}) kills a child process and not the program`, async (t) => {
    const reason = /^a sandbox kills processes that use io_uring \(SIGSYS\)/;
    if (await killsNode(t, ['--seccomp', answer])) return;
    await isBlocked(t, ['--seccomp', answer], { code: 'sandbox', reason, remedy: PROFILE });
  });
}

test('a filter that kills is noticed in a worker too', async (t) => {
  if (await killsNode(t, ['--seccomp', 'kill'])) return;
  const source = `
    import { Worker } from 'node:worker_threads';
    const inside = "import('uring').then(({ availability }) => console.log(availability().code))";
    new Worker(inside, { eval: true });`;
  const ended = await sandboxed(['--seccomp', 'kill'], ['--input-type=module', '--eval', source]);
  t.like(ended, { ...WELL, stdout: 'sandbox\n' });
});

test('a filter that lets io_uring pass blocks nothing, and leaves no child behind', async (t) => {
  const source = `
    import { availability, nop, Ring } from 'uring';
    const ring = new Ring();
    console.log(await ring.exec(nop({ result: 7 })), availability().available);
    await ring.close();
    const { readdirSync, readFileSync } = await import('node:fs');
    console.log(readFileSync('/proc/thread-self/children', 'latin1').trim() === '');`;
  const ended = await sandboxed(['--seccomp', 'allow'], ['--input-type=module', '--eval', source]);
  t.like(ended, { ...WELL, stdout: '7 true\ntrue\n' });
  const { code, page } = await diagnosed(['--seccomp', 'allow']);
  t.is(code, 0);
  t.regex(page, /a seccomp filter is active/);
});

asRoot('without /proc it says what cannot be known, and works where nothing forbids it', async (t) => {
  await isBlocked(t, ['--without-proc', '--seccomp', 'eperm'], {
    code: 'permission',
    errno: -EPERM,
    reason: /by a seccomp filter or by the sysctl.*cannot be told, because \/proc cannot be read/,
    remedy: /sysctl on the host.*seccomp profile/,
  });
  const reason = /^a sandbox kills/;
  const kill = ['--without-proc', '--seccomp', 'kill'];
  if (!(await killsNode(t, kill))) await isBlocked(t, kill, { code: 'sandbox', reason, remedy: PROFILE });
  const { code, page } = await diagnosed(['--without-proc']);
  t.is(code, 0);
  t.regex(page, /whether a seccomp filter is active cannot be read/);
});

asRoot('an unprivileged user may use it, on a read-only file system too', async (t) => {
  const { code, availability } = await diagnosed(['--uid', NOBODY, '--read-only']);
  t.is(code, 0);
  t.like(availability, { available: true });
});

asRoot('without memory to lock either rings work and buffers do not, or memlock is to blame', async (t) => {
  const sandbox = ['--memlock', '0', '--uid', NOBODY];
  const { code, page } = await diagnosed(sandbox);
  if (code === 0) {
    // Kernels that do not charge queues to the user (most between 5.12 and 6.15).
    t.regex(page, /memory is not registered.*RLIMIT_MEMLOCK \(0 bytes\) is too low.*ulimit -l/);
    return;
  }
  await isBlocked(t, sandbox, {
    code: 'memlock',
    errno: -ENOMEM,
    reason: /RLIMIT_MEMLOCK is 0 bytes/,
    remedy: /ulimit -l/,
  });
});

asRoot(
  'with little memory to lock rings work, and the doctor says that buffers are not registered',
  async (t) => {
    const { code, page } = await diagnosed(['--memlock', String(1 << 19), '--uid', SOMEBODY_ELSE]);
    t.is(code, 0);
    t.regex(page, /memory is not registered; RLIMIT_MEMLOCK 512 KiB/);
    t.regex(page, /Advice Memory cannot be registered: .* Raise it: `ulimit -l`/);
  },
);

test('with RLIMIT_NOFILE tiny the doctor still says so', async (t) => {
  // What is enough for Node and not for a ring, which differs from version to version.
  for (let limit = 24; limit > 16; limit -= 1) {
    const { code, page, availability } = await diagnosed(['--nofile', String(limit)]);
    if (code === 0) continue;
    t.is(code, 1);
    t.like(availability, { available: false, code: 'descriptors' });
    t.regex(page, /RLIMIT_NOFILE is (too low|reached).*ulimit -n/);
    return;
  }
  t.fail('no limit was too low');
});

for (const before of ['', 'uring.availability();']) {
  test(`when all descriptors are taken it says so, and goes on after some are closed (${before || 'not loaded before'})`, async (t) => {
    const source = `
      const uring = require('uring');
      const { closeSync, openSync } = require('node:fs');
      ${before}
      const held = [];
      try { for (;;) held.push(openSync('/dev/null')); } catch {}
      const answer = uring.availability();
      let thrown;
      try { new uring.Ring(); } catch (error) { thrown = error; }
      for (const fd of held) closeSync(fd);
      console.log(answer.code, answer.errno, thrown.code, thrown.availability.code, uring.availability().available);`;
    const args = ['--no-warnings', '--input-type=commonjs', '--eval', source];
    const ended = await sandboxed(['--nofile', '200'], args);
    t.like(ended, {
      ...WELL,
      stdout: `descriptors ${-EMFILE} ERR_URING_UNAVAILABLE descriptors true\n`,
    });
  });
}

const SYSCTL = '/proc/sys/kernel/io_uring_disabled';
const GROUP = '/proc/sys/kernel/io_uring_group';
/** Whatever happens, others may use io_uring again after this. */
const WINDOW_MS = 900;

/** Switches io_uring off for the whole machine while `use` runs, which is to be short. */
async function withSysctl<T>(value: 1 | 2, use: () => T | Promise<T>): Promise<T> {
  const before = readFileSync(SYSCTL, 'latin1');
  const restore = (): void => writeFileSync(SYSCTL, before);
  const guard = setTimeout(restore, WINDOW_MS);
  process.once('exit', restore);
  writeFileSync(SYSCTL, String(value));
  try {
    return await use();
  } finally {
    restore();
    clearTimeout(guard);
    process.removeListener('exit', restore);
  }
}

/** Has everything loaded, waits for the sysctl to be 1, and answers at once. */
const WAITING = `
  import { readFileSync } from 'node:fs';
  import { examine } from ${JSON.stringify(new URL('examine.js', DOCTOR_URL).href)};
  import { page } from ${JSON.stringify(new URL('page.js', DOCTOR_URL).href)};
  page(await examine(), { columns: 80, colours: false });
  console.log('ready');
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const isOn = () => readFileSync('${SYSCTL}', 'latin1').startsWith('1');
  for (let round = 0; round < 20_000 && !isOn(); round += 1) Atomics.wait(cell, 0, 0, 1);
  const report = await examine();
  console.log(JSON.stringify([report.availability, page(report, { columns: 80, colours: false })]));`;

type Answer = readonly [availability: Availability, page: string];

const parsed = (text: string): Answer => JSON.parse(text) as Answer;

const waiting = (...sandbox: string[]) => startSandboxed(sandbox, ['--input-type=module', '--eval', WAITING]);

const mayDisable = process.env['URING_TEST_SYSCTL'] === '1' && process.geteuid?.() === 0;
const onQuietMachine = skipUnless(
  mayDisable,
  'root and a machine on which nobody else uses io_uring: URING_TEST_SYSCTL=1',
  test.serial,
);

onQuietMachine('kernel.io_uring_disabled = 2 is named for everybody, with what undoes it', async (t) => {
  const { page }: typeof import('../dist/doctor/page.js') = await import(new URL('page.js', DOCTOR_URL).href);
  const { examine }: typeof import('../dist/doctor/examine.js') = await import(
    new URL('examine.js', DOCTOR_URL).href
  );
  const [report, thrown] = await withSysctl(2, async () => {
    const error = t.throws(() => new Ring(), { code: 'ERR_URING_UNAVAILABLE' }) as UringError;
    return [await examine(), error] as const;
  });
  const answer = report.availability;
  t.like(answer, { available: false, code: 'sysctl', errno: -EPERM });
  t.deepEqual(thrown.availability as Availability, answer);
  const text = page(report, { columns: 80, colours: false });
  t.log(text);
  t.regex(text, /The sysctl kernel\.io_uring_disabled is 2/);
  t.regex(text, /sysctl -w kernel\.io_uring_disabled=0/);
  t.true(availability().available, 'and again when it is 0');
});

onQuietMachine('kernel.io_uring_disabled = 1 stops users outside of the group, and not root', async (t) => {
  const user = await waiting('--uid', NOBODY);
  const filtered = await waiting('--seccomp', 'eperm');
  const [mine, ...answers] = await withSysctl(1, async () => {
    return [availability(), await user.ended, await filtered.ended] as const;
  });
  t.true(mine.available, 'root');
  const [[his, text], [behind]] = answers.map(parsed) as [Answer, Answer];
  if (his.available || behind.available) return t.fail(answers.join());
  t.log(text);
  t.like(his, { code: 'sysctl', errno: -EPERM });
  t.regex(text, /Seen +kernel\.io_uring_disabled is 1 \(only for privileged processes and\s+one group\)/);
  t.regex(his.reason, /^the sysctl kernel\.io_uring_disabled is 1.*CAP_SYS_ADMIN.*no group/);
  t.regex(his.remedy, /sysctl -w kernel\.io_uring_group=GID/);
  t.is(behind.code, 'seccomp', 'the sysctl lets root pass, the filter does not');

  const group = readFileSync(GROUP, 'latin1');
  writeFileSync(GROUP, NOBODY);
  try {
    const member = await waiting('--uid', NOBODY);
    const [answer, advice] = parsed(await withSysctl(1, () => member.ended));
    t.log(advice);
    t.true(answer.available);
    t.regex(advice.replaceAll(/\s+/g, ' '), /this process may use io_uring by its privileges or its group/);
  } finally {
    writeFileSync(GROUP, group);
  }
});
