// What blocks io_uring, for real: filters, limits, users, sysctls. Each is told apart, kills nothing, and has its remedy.
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { availability } from 'uring';
import { skipUnless } from './_helpers.ts';
import { WELL } from './_process.ts';
import { BUILD_TIMEOUT_MS, buildSandbox, diagnosed, NOBODY, sandboxed } from './_sandbox.ts';

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

for (const answer of ['kill', 'trap']) {
  test(`a filter that kills by SIGSYS (${answer}) kills a child process and not the program`, async (t) => {
    const reason = /^a sandbox kills processes that use io_uring \(SIGSYS\)/;
    await isBlocked(t, ['--seccomp', answer], { code: 'sandbox', reason, remedy: PROFILE });
  });
}

test('a filter that kills is noticed in a worker too', async (t) => {
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
  await isBlocked(t, ['--without-proc', '--seccomp', 'kill'], { code: 'sandbox', reason, remedy: PROFILE });
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
  const reason = /RLIMIT_MEMLOCK is 0 bytes/;
  const ended = await sandboxed(sandbox, [
    '--input-type=module',
    '--eval',
    "import { availability } from 'uring'; console.log(JSON.stringify(availability()))",
  ]);
  const answer = JSON.parse(ended.stdout) as ReturnType<typeof availability>;
  t.like(answer, { available: false, code: 'memlock', errno: -ENOMEM });
  t.regex(page, reason);
  t.regex(page, /ulimit -l/);
});

asRoot(
  'with little memory to lock rings work, and the doctor says that buffers are not registered',
  async (t) => {
    const { code, page } = await diagnosed(['--memlock', String(1 << 19), '--uid', NOBODY]);
    t.is(code, 0);
    t.regex(page, /memory is not registered; RLIMIT_MEMLOCK 512 KiB/);
    t.regex(page, /Better Memory cannot be registered: .* Raise it: `ulimit -l`/);
  },
);

test('with RLIMIT_NOFILE tiny the doctor still says so', async (t) => {
  // Node needs about 18 for itself.
  const { code, page, availability } = await diagnosed(['--nofile', '24']);
  t.is(code, 1);
  t.like(availability, { available: false, code: 'descriptors' });
  t.regex(page, /RLIMIT_NOFILE is too low.*ulimit -n/);
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

/** Switches io_uring off for the whole machine as long as `use` runs. */
async function withSysctl(value: 1 | 2, use: () => Promise<void>): Promise<void> {
  const before = readFileSync(SYSCTL, 'latin1');
  const restore = (): void => writeFileSync(SYSCTL, before);
  process.once('exit', restore);
  writeFileSync(SYSCTL, String(value));
  try {
    await use();
  } finally {
    restore();
    process.removeListener('exit', restore);
  }
}

const mayDisable = process.env['URING_TEST_SYSCTL'] === '1' && process.geteuid?.() === 0;
const onQuietMachine = skipUnless(
  mayDisable,
  'root and a machine on which nobody else uses io_uring: URING_TEST_SYSCTL=1',
  test.serial,
);

onQuietMachine(
  'kernel.io_uring_disabled = 2 is named for everybody, with the command that undoes it',
  async (t) => {
    await withSysctl(2, async () => {
      await isBlocked(t, [], {
        code: 'sysctl',
        errno: -EPERM,
        reason: /^the sysctl kernel.io_uring_disabled is 2/,
        remedy: /sysctl -w kernel.io_uring_disabled=0/,
      });
    });
    t.true(availability().available);
  },
);

onQuietMachine('kernel.io_uring_disabled = 1 stops users outside of the group, and not root', async (t) => {
  await withSysctl(1, async () => {
    const reason = /^the sysctl kernel.io_uring_disabled is 1.*CAP_SYS_ADMIN/;
    const remedy = /sysctl -w kernel.io_uring_group=GID/;
    await isBlocked(t, ['--uid', NOBODY], { code: 'sysctl', errno: -EPERM, reason, remedy });
    const { code, page } = await diagnosed([]);
    t.is(code, 0);
    t.regex(page, /kernel.io_uring_disabled is 1: this process may use io_uring by its privileges/);
    const filtered = await diagnosed(['--seccomp', 'eperm']);
    t.like(filtered.availability, { code: 'seccomp' }, 'root may, but for the filter');
    const group = readFileSync(GROUP, 'latin1');
    writeFileSync(GROUP, NOBODY);
    try {
      t.is((await diagnosed(['--uid', NOBODY])).code, 0);
    } finally {
      writeFileSync(GROUP, group);
    }
  });
});
