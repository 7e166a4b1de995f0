// `npm run test:node -- 24`: the JavaScript tests under other versions of Node, `all` for each supported line.
// What follows a second `--` goes to ava: `npm run test:node -- 22 24 -- __test__/read.spec.ts`.
import { parseArgs } from 'node:util';
import { compileTests, runAva } from './lib/ava.mjs';
import { build } from './lib/build.mjs';
import { Counts, conclude } from './lib/counts.mjs';
import { LINES, nodeBinary } from './lib/node-versions.mjs';
import { Complaint, script } from './lib/project.mjs';

const USAGE =
  'which Node? `npm run test:node -- 24`, several versions, or `all`; `--latest` asks npm for newer ones.';

function parse() {
  try {
    const options = { latest: { type: 'boolean', default: false } };
    return parseArgs({ options, allowPositionals: true, tokens: true });
  } catch {
    throw new Complaint(USAGE);
  }
}

function readArguments() {
  const { values, tokens } = parse();
  const end = tokens.find((token) => token.kind === 'option-terminator')?.index ?? Number.POSITIVE_INFINITY;
  const positionals = tokens.filter((token) => token.kind === 'positional');
  const wanted = positionals.filter((token) => token.index < end).map((token) => token.value);
  const args = positionals.filter((token) => token.index > end).map((token) => token.value);
  if (
    wanted.length === 0 ||
    !wanted.every((version) => version === 'all' || /^\d+(\.\d+\.\d+)?$/.test(version))
  ) {
    throw new Complaint(USAGE);
  }
  return { versions: wanted.flatMap((version) => (version === 'all' ? LINES : [version])), args, ...values };
}

await script(async () => {
  const { versions, args, latest } = readArguments();
  await build();
  await compileTests();
  const total = new Counts();
  const summary = [];
  for (const wanted of versions) {
    const { version, path } = await nodeBinary(wanted, { latest });
    console.log(`\nNode ${version}`);
    const counts = await runAva({ node: path, args });
    summary.push(`Node ${version}: ${counts}`);
    total.add(counts.labelled(`Node ${version}`));
  }
  console.log(`\n${summary.join('\n')}`);
  return conclude(total);
});
