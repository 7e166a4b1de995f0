// `npm run test:kernels -- uml-5.10 host`: the JavaScript tests under other kernels, or the host's own; without a name, under
// the host's and those of the everyday tier. What follows a second `--` goes to ava:
// `npm run test:kernels -- uml-6.1 -- __test__/file.spec.ts`. URING_UPDATE=1 takes tests that say in failing what the kernel
// lacks into __test__/needs.json, and writes the tables of docs/kernels.md.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EVERYDAY, KERNELS } from './kernels/catalog.mjs';
import { runInGuest } from './kernels/guest.mjs';
import { learnNeeds } from './kernels/learn.mjs';
import { SpecCounts, writeTables } from './kernels/results.mjs';
import { compileTests, runAva } from './lib/ava.mjs';
import { build } from './lib/build.mjs';
import { Counts, conclude } from './lib/counts.mjs';
import { Complaint, must, root, script } from './lib/project.mjs';

const TIMEOUT_MS = 20 * 60_000;
const SHARE_FILES = 12;
/** A guest cannot build, and nobody else uses io_uring there. */
const GUEST = { URING_TEST_SANDBOX: 'built', URING_TEST_SYSCTL: '1' };

function readArguments() {
  const { tokens } = parseArgs({ allowPositionals: true, tokens: true });
  const end = tokens.find((token) => token.kind === 'option-terminator')?.index ?? Number.POSITIVE_INFINITY;
  const positionals = tokens.filter((token) => token.kind === 'positional');
  const named = positionals.filter((token) => token.index < end).map((token) => token.value);
  const args = positionals.filter((token) => token.index > end).map((token) => token.value);
  const known = [{ name: 'host' }, ...KERNELS];
  const kernels = (named.length === 0 ? ['host', ...EVERYDAY] : named).map((name) => {
    const kernel = known.find((one) => one.name === name);
    if (kernel) return kernel;
    throw new Complaint(`which kernel is ${name}? Known are ${known.map((one) => one.name).join(', ')}.`);
  });
  return { kernels, args };
}

/** A way to run a command that boots this kernel for it; here for the host's own. */
const under = (kernel) =>
  kernel.machine &&
  (async (command, onOutput) => {
    const end = await runInGuest(kernel, { command, env: GUEST, timeoutMs: TIMEOUT_MS, onOutput });
    if (end.timedOut) return `the guest's time was up\n${end.messages}`;
    if (end.status === undefined) return `the guest died\n${end.messages}`;
    return end.status === 0 ? undefined : `exit code ${end.status}`;
  });

/** All test files, or those of the arguments, in shares: a guest that hangs or dies takes no more than its share along. */
function shares(args) {
  const specs = args.some((argument) => argument.endsWith('.spec.ts') || argument.endsWith('.spec.js'));
  if (specs) return [args];
  const all = readdirSync(join(root, '__test__'), { recursive: true }).filter((file) =>
    file.endsWith('.spec.ts'),
  );
  const files = all.sort().map((file) => `__test__/${file}`);
  const count = Math.ceil(files.length / SHARE_FILES);
  return Array.from({ length: count }, (_, at) => [
    ...args,
    ...files.filter((_, index) => index % count === at),
  ]);
}

async function runUnder(kernel, args) {
  const total = new Counts();
  const begin = Date.now();
  for (const share of shares(args)) {
    const specs = new SpecCounts();
    const shareBegin = Date.now();
    const counts = await runAva({ args: share, run: under(kernel), onTest: specs.onTest });
    specs.save(kernel.name, counts.kernel, (Date.now() - shareBegin) / 1000);
    if (process.env.URING_UPDATE) {
      console.log(`${await learnNeeds(counts.failures)} tests taken into needs.json`);
      writeTables();
    }
    total.add(counts);
  }
  const seconds = Math.round((Date.now() - begin) / 1000);
  return {
    counts: total.labelled(kernel.name),
    line: `${kernel.name} (${total.kernel.release}): ${total}, ${seconds} s`,
  };
}

await script(async () => {
  const { kernels, args } = readArguments();
  await build();
  await compileTests();
  await must('cargo', ['build', '--quiet', '-p', 'uring-peers', '--bin', 'uring-sandbox']);
  const total = new Counts();
  const summary = [];
  for (const kernel of kernels) {
    console.log(`\n${kernel.name}`);
    const { counts, line } = await runUnder(kernel, args);
    summary.push(line);
    total.add(counts);
  }
  console.log(`\n${summary.join('\n')}`);
  return conclude(total);
});
