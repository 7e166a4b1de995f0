// Runs the compiled ava tests under a given Node and reads the result from its TAP output.
import { join } from 'node:path';
import { execa } from 'execa';
import { Parser } from 'tap-parser';
import { compile, compileExamples } from './build.mjs';
import { Counts } from './counts.mjs';
import { root } from './project.mjs';

const AVA = join(root, 'scripts', 'lib', 'ava-here.mjs');

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

function record(counts, assertion, onTest) {
  const { ok, name, skip, todo } = assertion;
  onTest(name, skip || todo ? 'skipped' : ok ? 'passed' : 'failed');
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

/** What ava-here.mjs says before ava runs, or what a test logs. */
function tell(counts, comment, onTest) {
  const [, kind, text] = /^# (kernel|skip): (.*)/.exec(comment) ?? [];
  if (kind === undefined) {
    console.log(`    ${comment.trimEnd()}`);
    return;
  }
  const told = JSON.parse(text);
  if (kind === 'kernel') {
    counts.kernel = told;
  } else {
    counts.lack(told);
    onTest(told.full, 'skipped');
  }
}

/** Runs a command on this machine, and says in one sentence how it ended badly, if it did. */
async function runHere([file, ...args], onOutput) {
  const child = execa(file, args, {
    cwd: root,
    stdin: 'ignore',
    stderr: 'inherit',
    buffer: false,
    reject: false,
  });
  onOutput(child.stdout);
  const { failed, shortMessage } = await child;
  return failed ? shortMessage : undefined;
}

/**
 * Runs ava with this Node binary; the arguments are ava's own. Resolves to the counts. `run` is where: it is given the
 * command, and what wants its output. `onTest` is told of each test.
 */
export async function runAva({ node = process.execPath, args = [], run = runHere, onTest = () => {} } = {}) {
  const counts = new Counts();
  const parser = new Parser();
  parser.on('assert', (assertion) => record(counts, assertion, onTest));
  parser.on('comment', (comment) => tell(counts, comment, onTest));
  parser.on('bailout', (reason) => counts.fail(`ava bailed out: ${reason}`));

  const command = [node, AVA, ...args.map(compiled)];
  const complete = new Promise((resolve) => parser.once('complete', resolve));
  const badEnd = await run(command, (output) => output.setEncoding('utf8').pipe(parser));
  await complete;

  if (counts.ran === 0) counts.fail('ava ran no tests');
  else if (badEnd && counts.failed === 0) counts.fail(`ava ended badly: ${badEnd}`);
  return counts;
}
