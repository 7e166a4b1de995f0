// Runs ava on this kernel, without the tests that need more than it has: those are told in comments first. The arguments
// are ava's own.

import { release } from 'node:os';
import { join } from 'node:path';
import { askKernel, notHere } from './needs.mjs';
import { root } from './project.mjs';
import './tap-details.mjs';

const args = process.argv.slice(2);
const named = args
  .filter((argument) => argument.endsWith('.spec.js'))
  .map((path) => path.replace(/^build\/test\/|\.spec\.js$/g, ''));
const kernel = await askKernel().catch(() => undefined); // no io_uring: the tests say so themselves
const skipped = kernel === undefined ? [] : notHere(kernel);

console.log(`# kernel: ${JSON.stringify({ release: release(), age: kernel?.age, asked: kernel?.asked })}`);
const seen = new Set();
for (const { spec, full, need } of skipped) {
  if (seen.has(full) || (named.length > 0 && !named.includes(spec))) continue;
  seen.add(full);
  console.log(`# skip: ${JSON.stringify({ full, need })}`);
}
const exclusions = [...new Set(skipped.map(({ title }) => title))].flatMap((title) => [
  '--match',
  `!${title}`,
]);
process.argv.splice(2, Number.POSITIVE_INFINITY, '--tap', ...args, ...exclusions);
await import(join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs'));
