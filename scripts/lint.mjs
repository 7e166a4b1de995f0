// `npm run lint`: every check runs, so that one visit shows all that is wrong.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './lib/build.mjs';
import { packMain } from './lib/packages.mjs';
import { run, script } from './lib/project.mjs';

const CLIPPY_DENIED = ['warnings', 'clippy::undocumented_unsafe_blocks', 'unsafe_op_in_unsafe_fn'];

const sourceChecks = [
  ['cargo', 'fmt', '--all', '--check'],
  ['cargo', 'clippy', '--workspace', '--all-targets', '--', ...CLIPPY_DENIED.flatMap((lint) => ['-D', lint])],
  ['cargo', 'fmt', '--manifest-path', 'fuzz/Cargo.toml', '--check'],
  [
    'cargo',
    'clippy',
    '--manifest-path',
    'fuzz/Cargo.toml',
    '--no-default-features',
    '--target-dir',
    'target',
    '--',
    ...CLIPPY_DENIED.flatMap((lint) => ['-D', lint]),
  ],
  ['biome', 'check', '--error-on-warnings'],
  ['tsc', '-p', '__test__/tsconfig.json', '--noEmit'],
  ['tsc', '-p', 'bench/tsconfig.json', '--noEmit'],
  ['tsc', '-p', 'examples/tsconfig.json', '--noEmit'],
  ['tsc', '-p', 'examples/showcase/tsconfig.json', '--noEmit'],
];

async function runAll(checks) {
  const failed = [];
  for (const [command, ...args] of checks) {
    console.log(`\n> ${command} ${args.join(' ')}`);
    if ((await run(command, args)).failed) failed.push(command === 'cargo' ? `cargo ${args[0]}` : command);
  }
  return failed;
}

/** Checks the package as users would get it. */
async function checkPackage() {
  const dir = mkdtempSync(join(tmpdir(), 'uring-pack-'));
  try {
    const { tarball } = await packMain(dir);
    return await runAll([
      ['publint', '--strict', tarball],
      ['attw', tarball],
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

await script(async () => {
  await build(); // the tests' types and the package checks look at dist
  const failed = [...(await runAll(sourceChecks)), ...(await checkPackage())];
  console.log(failed.length === 0 ? '\nlint: all clean' : `\nlint: ${failed.join(', ')} failed`);
  return failed.length === 0 ? 0 : 1;
});
