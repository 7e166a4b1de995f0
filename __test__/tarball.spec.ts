// The package as npm installs it from a registry into an empty project, with and without the package that has the binary.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TUPLE } from './_binary.ts';
import { allTarballs, NPM_TIMEOUT_MS, npm, packages, startRegistry } from './_packages.ts';
import { type Ended, ROOT, runNode, runProgram, WELL } from './_process.ts';

const folder = mkdtempSync(join(tmpdir(), 'uring-tarball-'));
let server: Server | undefined;
test.after.always('the registry and the projects are removed', () => {
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const NAMES = packages.platforms().map(({ tuple }) => `uring-${tuple}`);
const QUIET = ['--no-audit', '--no-fund', '--ignore-scripts'];
let registry = '';

/** A new project that depends on the package; answers which of our packages npm installed. */
async function install(name: string, args: readonly string[] = []): Promise<string[]> {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true }));
  await npm(project, ['install', 'uring', '--registry', registry, ...QUIET, ...args]);
  return installed(project);
}

function installed(project: string): string[] {
  return readdirSync(join(project, 'node_modules'))
    .filter((name) => !name.startsWith('.'))
    .sort();
}

const bare = join(folder, 'bare');
const whole = join(folder, 'whole');
let inWhole: readonly string[] = [];

test.before('the tarballs are packed and installed', async (t) => {
  t.timeout(3 * NPM_TIMEOUT_MS);
  const started = await startRegistry(await allTarballs(folder));
  server = started.server;
  registry = started.url;
  inWhole = await install('whole');
  await install('bare', ['--omit=optional']);
});

const USE = `
  const { available, code } = availability();
  console.log(available, code);
  try {
    const ring = new Ring();
    ring.exec(nop({ result: 5 })).then((five) => { console.log(five); return ring.close(); });
  } catch (error) { console.log(error.code); }
`;

/** Runs the same program as an ES module and by CommonJS; from files, because npm's folder decides about warnings. */
async function used(project: string): Promise<Ended[]> {
  const names = '{ availability, nop, Ring }';
  writeFileSync(join(project, 'esm.mjs'), `import ${names} from 'uring';${USE}`);
  writeFileSync(join(project, 'common.cjs'), `const ${names} = require('uring');${USE}`);
  return await Promise.all(
    ['esm.mjs', 'common.cjs'].map((file) =>
      runNode([file], { cwd: project, nodeArguments: ['--no-warnings'] }),
    ),
  );
}

/** npm's link to the command, as `npx` finds it, with the Node that runs the tests. */
function doctor(project: string): Promise<Ended> {
  const env = { PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };
  return runProgram(join(project, 'node_modules', '.bin', 'uring'), ['doctor'], { cwd: project, env });
}

/** The types of an installed package, as a program in TypeScript sees them. */
async function compiles(t: ExecutionContext, project: string, file: string, type: string): Promise<void> {
  const source = `
    import { type Availability, availability, Ring, type UnavailableCode, UringError } from 'uring';
    const answer: Availability = availability();
    if (answer.available) {
      const kernel: string = answer.kernel;
      console.log(kernel, answer.limits.memlockBytes.soft);
    } else {
      const code: UnavailableCode = answer.code;
      console.log(code, answer.remedy);
    }
    try {
      new Ring();
    } catch (error) {
      if (error instanceof UringError && error.availability !== undefined) console.log(error.availability.reason);
    }
    // @ts-expect-error: what is not available has no kernel
    answer.kernel;
  `;
  writeFileSync(join(project, file), source);
  const options = [
    ...[
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--lib',
      'es2023,esnext.disposable',
      '--skipLibCheck',
    ],
    ...['false', '--types', 'node', '--typeRoots', join(ROOT, 'node_modules', '@types'), file],
  ];
  const ended = await runProgram(join(ROOT, 'node_modules', '.bin', 'tsc'), options, { cwd: project });
  t.like(ended, { code: 0, stdout: '' }, `${type}: ${ended.stdout}`);
}

test('without the platform package it is imported, and says which package to install', async (t) => {
  for (const ended of await used(bare))
    t.like(ended, { ...WELL, stdout: 'false binary\nERR_URING_UNAVAILABLE\n' });
  const ended = await doctor(bare);
  t.like(ended, { ...WELL, code: 1 });
  t.regex(ended.stdout.replaceAll(/\s+/g, ' '), /What to do Install the package uring-linux-/);
});

test('without the platform package TypeScript knows all of it, from both module systems', async (t) => {
  t.timeout(NPM_TIMEOUT_MS);
  await compiles(t, bare, 'module.mts', 'ES module');
  await compiles(t, bare, 'common.cts', 'CommonJS');
});

test('npm installs the binary of this platform and no other, and it works, and so does the doctor', async (t) => {
  t.deepEqual(inWhole, ['uring', `uring-${TUPLE}`]);
  for (const ended of await used(whole)) t.like(ended, { ...WELL, stdout: 'true undefined\n5\n' });
  const ended = await doctor(whole);
  t.like(ended, WELL);
  t.regex(ended.stdout, /io_uring works here/);
});

for (const { tuple, cpu, libc } of packages.platforms()) {
  test(`npm picks the binary of ${tuple} there`, async (t) => {
    t.timeout(NPM_TIMEOUT_MS);
    const place = ['--os=linux', `--cpu=${cpu}`, `--libc=${libc === 'gnu' ? 'glibc' : 'musl'}`];
    t.deepEqual(await install(`on-${tuple}`, place), ['uring', `uring-${tuple}`]);
  });
}

test('where there is no binary for it, the package is installed alone', async (t) => {
  t.timeout(NPM_TIMEOUT_MS);
  t.deepEqual(await install('on-darwin', ['--os=darwin', '--cpu=arm64']), ['uring']);
});

test('a lockfile names the binaries of all platforms, so that it can be used on others', async (t) => {
  t.timeout(NPM_TIMEOUT_MS);
  const lock = readFileSync(join(whole, 'package-lock.json'), 'utf8');
  const locked = Object.keys((JSON.parse(lock) as { packages: object }).packages).sort();
  const expected = ['uring', ...NAMES].map((name) => `node_modules/${name}`).sort();
  t.deepEqual(locked, ['', ...expected]);

  const elsewhere = join(folder, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'package-lock.json'), lock);
  writeFileSync(join(elsewhere, 'package.json'), readFileSync(join(whole, 'package.json')));
  const place = ['--os=linux', '--cpu=arm64', '--libc=musl'];
  await npm(elsewhere, ['ci', '--registry', registry, ...QUIET, ...place]);
  t.deepEqual(installed(elsewhere), ['uring', 'uring-linux-arm64-musl']);
});
