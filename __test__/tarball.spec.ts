// The package as npm installs it: the tarball in an empty project, with and without the package that has the binary.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { skipUnless } from './_helpers.ts';
import { BINARY, install, NPM_TIMEOUT_MS, npm, pack, packPlatform } from './_npm.ts';
import { type Ended, ROOT, runNode, runProgram, WELL } from './_process.ts';

const folder = mkdtempSync(join(tmpdir(), 'uring-tarball-'));
test.after.always('the projects are removed', () => rmSync(folder, { recursive: true, force: true }));

let bare = '';
let whole = '';

test.before('the tarballs are packed and installed', async (t) => {
  t.timeout(3 * NPM_TIMEOUT_MS);
  const main = await pack(folder);
  bare = await install(folder, 'bare', [main]);
  if (BINARY !== '') whole = await install(folder, 'whole', [main, await packPlatform(folder)]);
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

/** npm's link to the command, as `npx` finds it. */
function doctor(project: string): Promise<Ended> {
  return runProgram(join(project, 'node_modules', '.bin', 'uring'), ['doctor'], { cwd: project });
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

const withBinary = skipUnless(BINARY !== '', 'a built binary');

withBinary('with the platform package it works, and so does the doctor', async (t) => {
  for (const ended of await used(whole)) t.like(ended, { ...WELL, stdout: 'true undefined\n5\n' });
  const ended = await doctor(whole);
  t.like(ended, WELL);
  t.regex(ended.stdout, /io_uring works here/);
});

test('the tarball holds what the package needs, and neither sources nor binaries', async (t) => {
  const [{ files }] = JSON.parse(await npm(ROOT, ['pack', '--dry-run', '--json', '--ignore-scripts'])) as [
    { files: { path: string }[] },
  ];
  const names = files.map(({ path }) => path);
  for (const name of ['dist/index.js', 'dist/index.cjs', 'dist/index.d.cts', 'dist/doctor/cli.js'])
    t.true(names.includes(name), name);
  const others = names.filter(
    (name) => !/^(dist\/.*\.(c?js|js\.map|d\.c?ts)|LICENSE-.*|README\.md|package\.json)$/.test(name),
  );
  t.deepEqual(others, []);
});
