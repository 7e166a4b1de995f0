// `npm run test:packages`: packs everything as it is published, and tests the tarballs, installed into empty projects
// from a registry of the tests' own, under every supported Node. `--packed` takes the tarballs that are in
// build/packages already; versions (`22 24`) are tested alone; `--node <path>` adds a Node of another C library.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compileTests, runAva } from './lib/ava.mjs';
import { build } from './lib/build.mjs';
import { Counts, conclude } from './lib/counts.mjs';
import { LINES, nodeBinary } from './lib/node-versions.mjs';
import { PACKAGES } from './lib/packages.mjs';
import { Complaint, must, script } from './lib/project.mjs';

const TESTS = ['__test__/packages.spec.ts', '__test__/tarball.spec.ts'];

function readArguments() {
  const options = {
    packed: { type: 'boolean', default: false },
    node: { type: 'string', multiple: true, default: [] },
  };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const wanted = positionals.length > 0 || values.node.length > 0 ? positionals : LINES;
    return { packed: values.packed, wanted, paths: values.node };
  } catch {
    throw new Complaint('`npm run test:packages -- 22 24`, `--packed`, or `--node <path>`; else all of it.');
  }
}

await script(async () => {
  const { packed, wanted, paths } = readArguments();
  await build();
  await compileTests();
  if (!packed) {
    rmSync(PACKAGES, { recursive: true, force: true }); // tarballs of other versions
    await must('node', ['scripts/pack.mjs']);
  }
  process.env.URING_PACKAGES = PACKAGES;
  const total = new Counts();
  const nodes = paths.map((path) => ({ version: path, path }));
  for (const version of wanted) nodes.push(await nodeBinary(version));
  for (const { version, path } of nodes) {
    console.log(`\nNode ${version}`);
    const counts = await runAva({ node: path, args: TESTS });
    total.add(counts.labelled(`Node ${version}`));
  }
  return conclude(total);
});
