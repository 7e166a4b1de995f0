// Takes tests that failed on an older kernel into the table of needs, if their failure says what the kernel lacks. Whether it
// really does, the next run finds out: a need that the kernel has leaves the test in, and failing.
import { join } from 'node:path';
import { readNeeds, writeNeeds } from '../lib/needs.mjs';
import { root } from '../lib/project.mjs';

/** What the package's errors say, most precise first. */
const SAYINGS = [
  [/this kernel does not have IORING_SETUP_(\w+)/, ([, name]) => `setup:${name}`],
  [/this kernel does not have (IORING_)?(REGISTER_\w+)/, ([, , name]) => `registration:${name}`],
  [/this kernel's io_uring does not have (\w+)/, ([, name]) => `feature:${name}`],
  [/this kernel does not have (\w+): it needs/, ([, name], ops) => (name in ops ? `op:${name}` : undefined)],
  [/(?:needs|since) Linux (\d+\.\d+)/, ([, version]) => `kernel:${version}`],
];

/** Answers how many tests were new to the table. */
export async function learnNeeds(failures) {
  const { Op } = await import(join(root, 'dist', 'generated', 'ops.js'));
  const needs = readNeeds();
  let learned = 0;
  for (const failure of failures) {
    const [title, ...lines] = failure.split('\n');
    const text = lines.join('\n');
    const need = SAYINGS.map(([pattern, name]) => pattern.test(text) && name(pattern.exec(text), Op)).find(
      Boolean,
    );
    if (!need || !title.includes(' › ')) continue;
    needs[need] ??= [];
    if (needs[need].includes(title)) continue;
    needs[need].push(title);
    learned += 1;
  }
  writeNeeds(needs);
  return learned;
}
