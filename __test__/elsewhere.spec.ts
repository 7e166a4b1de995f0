// The built package as other platforms see it: without the binary, with another platform, architecture or C library.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ROOT, runNode, WELL } from './_process.ts';

const folder = mkdtempSync(join(tmpdir(), 'uring-elsewhere-'));
const INDEX = join(folder, 'dist', 'index.js');
const DOCTOR = join(folder, 'dist', 'doctor', 'cli.js');

test.before('the package is copied, without the binary', () => {
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.node'),
  });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
});

test.after.always('the copy is removed', () => rmSync(folder, { recursive: true, force: true }));

/** The loader of musl is mapped into this process. */
const MUSL = `
  const fs = require('node:fs');
  const { readFileSync } = fs;
  fs.readFileSync = (path, ...rest) =>
    path === '/proc/self/maps' ? '7f0000000000-7f0000001000 r-xp 0 00:00 1 /lib/ld-musl-x86_64.so.1\\n' : readFileSync(path, ...rest);
  require('node:module').syncBuiltinESMExports();`;

/** Runs before anything else in the child, and makes it look like another machine. */
function disguise(name: string, values: Readonly<Record<string, string>>): string[] {
  const path = join(folder, `${name.replace(' ', '-')}.cjs`);
  const lines = Object.entries(values).map(
    ([key, value]) => `Object.defineProperty(process, '${key}', { value: '${value}' });`,
  );
  if (name === 'musl') lines.push(MUSL);
  writeFileSync(path, lines.join('\n'));
  return ['--require', path];
}

/** Uses of the API that need no ring, then every way to open one. */
const SOURCE = `
  import * as uring from ${JSON.stringify(INDEX)};
  const { availability, nop, openat, probe, read, Ring, RingWorker, SubmissionHalf, UringError } = uring;
  const answer = availability();
  console.log(nop().name, openat('/x').name, read(0, Buffer.alloc(1)).name, Object.keys(uring).length > 100);
  console.log(answer.available, answer.code, answer.errno);
  console.log(answer.reason);
  console.log(answer.remedy);
  for (const open of [() => new Ring(), () => SubmissionHalf.open(), probe]) {
    try { open(); console.log('opened'); } catch (error) {
      const same = JSON.stringify(error.availability) === JSON.stringify(answer);
      console.log(error instanceof UringError, error.code, same, error.message === answer.reason + ': ' + answer.remedy);
    }
  }
`;

const OTHER_ARCH = process.arch === 'arm64' ? 'x64' : 'arm64';

const PLACES = [
  {
    name: 'darwin',
    values: { platform: 'darwin', arch: 'arm64' },
    code: 'platform',
    reason: /only; this is darwin$/,
    remedy: /on Linux/,
  },
  {
    name: 'win32',
    values: { platform: 'win32' },
    code: 'platform',
    reason: /only; this is win32$/,
    remedy: /on Linux/,
  },
  {
    name: 's390x',
    values: { arch: 's390x' },
    code: 'architecture',
    reason: /no native binary for s390x/,
    remedy: /npm run build/,
  },
  {
    name: OTHER_ARCH,
    values: { arch: OTHER_ARCH },
    code: 'binary',
    reason: new RegExp(`linux-${OTHER_ARCH}-(gnu|musl)$`),
    remedy: new RegExp(`install the package uring-linux-${OTHER_ARCH}-`),
  },
  {
    name: 'musl',
    values: {},
    code: 'binary',
    reason: /-musl$/,
    remedy: /install the package uring-linux-\w+-musl/,
  },
  {
    name: 'no binary',
    values: {},
    code: 'binary',
    reason: /^no native binary for linux-/,
    remedy: /--omit=optional/,
  },
] as const;

for (const { name, values, code, reason, remedy } of PLACES) {
  const disguised = disguise(name, values);

  test(`on ${name} everything is there, and opening a ring carries the answer of availability`, async (t) => {
    const ended = await runNode([...disguised, '--input-type=module', '--eval', SOURCE]);
    t.like(ended, WELL, ended.stderr);
    const [made, answer, why = '', what = '', ...opened] = ended.stdout.trimEnd().split('\n');
    t.is(made, 'nop openat read true');
    t.is(answer, `false ${code} undefined`);
    t.regex(why, reason);
    t.regex(what, remedy);
    t.deepEqual(opened, Array(3).fill('true ERR_URING_UNAVAILABLE true true'));
  });

  test(`on ${name} the doctor says what to do, and ends with 1`, async (t) => {
    const ended = await runNode([...disguised, DOCTOR, 'doctor']);
    t.like(ended, { ...WELL, code: 1 });
    t.regex(
      ended.stdout,
      /io_uring cannot be used here\.\n\n {2}Why {11}\S.*\n[\s\S]*^ {2}What to do {4}\S/m,
    );
    t.regex(ended.stdout, new RegExp(`Code +${code}\\n`));
  });
}

test('a binary of something else is an answer, with what the loader says', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'uring-broken-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  cpSync(folder, place, { recursive: true });
  for (const libc of ['gnu', 'musl'])
    writeFileSync(join(place, 'dist', `uring.linux-${process.arch}-${libc}.node`), 'no library');
  const source = `
    import { availability } from ${JSON.stringify(join(place, 'dist', 'index.js'))};
    const { code, reason } = availability();
    console.log(code, reason);`;
  const ended = await runNode(['--input-type=module', '--eval', source]);
  t.like(ended, WELL);
  t.regex(
    ended.stdout,
    /^binary the native binary for linux-\S+ does not load \(.*(file too short|Exec format error)/,
  );
});

test('a binary of another version is an answer, with both versions', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'uring-step-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  cpSync(join(ROOT, 'dist'), join(place, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(place, 'package.json'));
  const abi = join(place, 'dist', 'generated', 'abi.js');
  writeFileSync(abi, readFileSync(abi, 'utf8').replace(/VERSION = '[^']+'/, "VERSION = '99.0.0'"));
  const source = `
    import { availability, Ring } from ${JSON.stringify(join(place, 'dist', 'index.js'))};
    const { code, reason, remedy } = availability();
    console.log(code, reason, remedy);
    try { new Ring(); } catch (error) { console.log(error.code); }`;
  const ended = await runNode(['--input-type=module', '--eval', source]);
  t.like(ended, WELL);
  t.regex(
    ended.stdout,
    /^binary the native binary \(\S+\) is of version \d+\.\d+\.\d+, and uring is 99\.0\.0 install the same/,
  );
  t.regex(ended.stdout, /\nERR_URING_UNAVAILABLE\n$/);
});

test('Node that may not load addons is an answer', async (t) => {
  const source = "import { availability } from 'uring'; console.log(availability().code)";
  const ended = await runNode(['--no-addons', '--input-type=module', '--eval', source]);
  t.like(ended, { ...WELL, stdout: 'addons\n' });
});

for (const [value, off] of [
  ['1', true],
  ['yes', true],
  ['0', false],
  ['', false],
] as const) {
  test(`URING_DISABLED='${value}' switches io_uring ${off ? 'off' : 'not off'}`, async (t) => {
    const source = `
      import { availability, Ring } from 'uring';
      const { available, code, remedy = '' } = availability();
      try { await new Ring().close(); } catch (error) { console.log(error.code); }
      console.log(available, code, remedy.includes('unset the variable'));`;
    const options = { env: { URING_DISABLED: value } };
    const ended = await runNode(['--input-type=module', '--eval', source], options);
    const stdout = off ? 'ERR_URING_UNAVAILABLE\nfalse environment true\n' : 'true undefined false\n';
    t.like(ended, { ...WELL, stdout });
  });
}
