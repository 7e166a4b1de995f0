// Runs the compiled ava tests under a given Node and reads the result from its TAP output.
import { join } from 'node:path';
import { execa } from 'execa';
import { Parser } from 'tap-parser';
import { compile, compileExamples } from './build.mjs';
import { Counts } from './counts.mjs';
import { root } from './project.mjs';

const AVA = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs');
const TAP_DETAILS = join(root, 'scripts', 'lib', 'tap-details.mjs');

/** The tests, and the examples, which a test runs. */
export async function compileTests() {
  await compile('__test__/tsconfig.json', '__test__', 'build/test');
  await compileExamples();
}

/** Test files are named by their sources on the command line, but ava runs what tsc made of them. */
const compiled = (argument) =>
  argument.replace(/^(?:\.\/)?__test__\/(.*)$/, 'build/test/$1').replace(/^(build\/test\/.*)\.ts$/, '$1.js');

/** The title of a failed test, and what ava says about it. */
function describe({ name, diag }) {
  const lines = [name];
  const { details, ...rest } = diag ?? {};
  for (const [key, value] of Object.entries({ ...rest, ...details })) {
    const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
    // A text of several lines stands below its key, so that the lines of a diff stay aligned.
    const shown = text.includes('\n') ? `\n${text.trimEnd()}` : text;
    if (shown) lines.push(`      ${key}: ${shown.replaceAll('\n', '\n        ')}`);
  }
  return lines.join('\n');
}

function record(counts, assertion) {
  const { ok, name, skip, todo } = assertion;
  if (skip || todo) {
    counts.skip(name);
    console.log(`  - ${name} (${skip ? 'skipped' : 'to do'})`);
  } else if (ok) {
    counts.pass();
    console.log(`  ✔ ${name}`);
  } else {
    const failure = describe(assertion);
    counts.fail(failure);
    console.log(`  ✘ ${failure}`);
  }
}

/** Runs ava with this Node binary; the arguments are ava's own. Resolves to the counts. */
export async function runAva({ node = process.execPath, args = [] } = {}) {
  const counts = new Counts();
  const parser = new Parser();
  parser.on('assert', (assertion) => record(counts, assertion));
  parser.on('comment', (comment) => console.log(`    ${comment.trimEnd()}`));
  parser.on('bailout', (reason) => counts.fail(`ava bailed out: ${reason}`));

  const child = execa(node, ['--import', TAP_DETAILS, AVA, '--tap', ...args.map(compiled)], {
    cwd: root,
    stdin: 'ignore',
    stderr: 'inherit',
    buffer: false,
    reject: false,
  });
  child.stdout.pipe(parser);
  const [result] = await Promise.all([child, new Promise((resolve) => parser.once('complete', resolve))]);

  if (counts.ran === 0) counts.fail('ava ran no tests');
  else if (result.failed && counts.failed === 0) counts.fail(`ava ended badly: ${result.shortMessage}`);
  return counts;
}
