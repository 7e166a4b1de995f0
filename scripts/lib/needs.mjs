// What tests need of the kernel, beyond what every kernel has that this package runs on. `__test__/needs.json` has it by
// capability: titles as a run prints them, `spec › title`, where * stands for anything. A test whose need the kernel
// says that it lacks is not run, and counts as skipped; on a kernel that has it, it runs.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from './project.mjs';

const FILE = join(root, '__test__', 'needs.json');
const SEPARATOR = ' › ';

export const readNeeds = () => JSON.parse(readFileSync(FILE, 'utf8'));

export function writeNeeds(needs) {
  const sorted = Object.entries(needs).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  const table = Object.fromEntries(sorted.map(([need, titles]) => [need, [...new Set(titles)].sort()]));
  writeFileSync(FILE, `${JSON.stringify(table, null, 2)}\n`);
}

/** The specs's path below the folder of tests, and the title without it. */
export function splitTitle(full) {
  const parts = full.split(SEPARATOR);
  for (let count = parts.length - 1; count > 0; count -= 1) {
    const spec = parts.slice(0, count).join('/');
    if (existsSync(join(root, '__test__', `${spec}.spec.ts`)))
      return { spec, title: parts.slice(count).join(SEPARATOR) };
  }
  throw new Error(`no spec has the test "${full}"`);
}

/**
 * Whether the kernel, by what it says itself, lacks what a need names: `op:socket`, `registration:REGISTER_CLOCK`,
 * `setup:CQE32`, `feature:EXT_ARG`; or `kernel:6.10`, for options, of which no kernel tells: it lacks them if it has
 * nothing that came with that version or later; or what a machine may lack: `machine:huge pages`.
 */
function lacks(need, { asked, isOlderThan }) {
  const [kind, name] = need.split(':');
  if (kind === 'machine') return !MACHINE[name]();
  const lists = {
    op: asked.operations,
    registration: asked.registrations,
    setup: asked.setupFlags,
    feature: asked.features,
  };
  if (kind === 'kernel') return isOlderThan(name);
  if (lists[kind] === undefined) throw new Error(`needs.json: ${need} is of no known kind`);
  return !lists[kind].includes(name);
}

/** What a machine may lack, whatever its kernel is. */
const MACHINE = {
  'two processors': () => availableParallelism() > 1,
  // The sysctl came with 6.6, by itself.
  io_uring_disabled: () => existsSync('/proc/sys/kernel/io_uring_disabled'),
  'huge pages': () => existsSync('/sys/kernel/mm/transparent_hugepage'),
};

/** What this kernel says, asked through the package. */
export async function askKernel() {
  const { probe } = await import(join(root, 'dist', 'index.js'));
  const { ageOf, featureBits, isOlderThan } = await import(join(root, 'dist', 'kernel-age.js'));
  const { Op } = await import(join(root, 'dist', 'generated', 'ops.js'));
  const asked = probe();
  const kernel = {
    features: featureBits(asked.features),
    operations: asked.operations.map((name) => Op[name]),
  };
  return { asked, age: ageOf(kernel), isOlderThan: (version) => isOlderThan(kernel, version) };
}

/** The tests that this kernel cannot run: spec, title, and what is missing. */
export function notHere(kernel) {
  const rows = Object.entries(readNeeds()).filter(([need]) => lacks(need, kernel));
  return rows.flatMap(([need, titles]) => titles.map((full) => ({ ...splitTitle(full), full, need })));
}
