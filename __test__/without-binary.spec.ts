// A project that uses the package passes its own tests where there is no io_uring and no native binary: on other platforms,
// and on Linux. It is examples/project, with the package as `npm install` puts it there.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BINARY } from './_binary.ts';
import { DARWIN, type Elsewhere, WINDOWS, writeDisguise } from './_elsewhere.ts';
import { skipUnless } from './_helpers.ts';
import { installInto, NPM_TIMEOUT_MS, packLocal } from './_packages.ts';
import { ROOT, runNode } from './_process.ts';

const SOURCE = join(ROOT, 'examples', 'project');

const folder = mkdtempSync(join(tmpdir(), 'uring-project-'));
test.after.always('the projects are removed', () => rmSync(folder, { recursive: true, force: true }));

/** A copy of the project, with these tarballs installed. */
async function installed(name: string, tarballs: readonly string[]): Promise<string> {
  const project = join(folder, name);
  cpSync(SOURCE, project, { recursive: true });
  await installInto(project, tarballs);
  return project;
}

let bare = '';
let whole = '';

test.before('the package is packed and installed', async (t) => {
  t.timeout(3 * NPM_TIMEOUT_MS);
  const [main = '', ...platform] = (await packLocal(folder)).map(({ tarball }) => tarball);
  bare = await installed('bare', [main]);
  if (BINARY !== '') whole = await installed('whole', [main, ...platform]);
});

/** Counts of `node --test`. */
interface Counts {
  readonly tests: number;
  readonly fail: number;
  readonly skipped: number;
}

/** Runs the tests of a project by Node's own runner, as its `npm test` does. */
async function tested(
  t: ExecutionContext,
  project: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Counts> {
  const options = { cwd: project, env, timeoutMs: NPM_TIMEOUT_MS };
  const { code, stdout, stderr } = await runNode(['--test', '--test-reporter=tap'], options);
  const count = (name: string): number => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(stdout)?.[1]);
  t.is(code, 0, `${stdout}\n${stderr}`);
  return { tests: count('tests'), fail: count('fail'), skipped: count('skipped') };
}

/** Tests of the project, and how many of them are of the kernel. */
const ALL = { tests: 20, fail: 0 };
const OF_KERNEL = 1;

test('with npm nothing native comes along, and the tests pass on the mock', async (t) => {
  const files = readdirSync(join(bare, 'node_modules'), { recursive: true }) as string[];
  t.true(files.includes(join('uring', 'dist', 'mock', 'index.js')));
  t.deepEqual(
    files.filter((name) => name.endsWith('.node')),
    [],
  );
  t.deepEqual(await tested(t, bare), { ...ALL, skipped: OF_KERNEL });
});

const PLACES: readonly [string, Elsewhere][] = [
  ['macOS', DARWIN],
  ['Windows', WINDOWS],
  ['an architecture without a binary', { ...DARWIN, platform: 'linux', arch: 's390x', errnos: {} }],
];

for (const [name, elsewhere] of PLACES) {
  test(`on ${name} the tests pass on the mock`, async (t) => {
    const disguise = join(folder, `${elsewhere.platform}-${elsewhere.arch}.cjs`);
    writeDisguise(disguise, elsewhere);
    const counts = await tested(t, bare, { NODE_OPTIONS: `--require ${disguise}` });
    t.deepEqual(counts, { ...ALL, skipped: OF_KERNEL });
  });
}

const withBinary = skipUnless(BINARY !== '', 'a built binary');

withBinary('with the platform package the same tests run, and that of the kernel too', async (t) => {
  t.deepEqual(await tested(t, whole), { ...ALL, skipped: 0 });
  const off = await tested(t, whole, { URING_DISABLED: '1' });
  t.deepEqual(off, { ...ALL, skipped: OF_KERNEL }, 'switched off');
});
