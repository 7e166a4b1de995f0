// What the runs under each kernel came to, kept beside the kernels, and the tables of docs/kernels.md made from them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readNeeds, splitTitle } from '../lib/needs.mjs';
import { root } from '../lib/project.mjs';
import { KERNELS } from './catalog.mjs';
import { cache } from './debian.mjs';

const PAGE = join(root, 'docs', 'kernels.md');
const OUTCOMES = ['passed', 'failed', 'skipped'];
const HOST = 'host';

const fileOf = (name) => join(cache, 'results', `${name}.json`);
const read = (name) =>
  existsSync(fileOf(name)) ? JSON.parse(readFileSync(fileOf(name), 'utf8')) : undefined;

/** Counts the tests of one run by their specs. */
export class SpecCounts {
  specs = {};

  /** For `runAva`. A title without its spec, from a run of one file, is not counted. */
  onTest = (full, outcome) => {
    if (!full.includes(' › ')) return;
    const { spec } = splitTitle(full);
    this.specs[spec] ??= { passed: 0, failed: 0, skipped: 0, seconds: 0 };
    this.specs[spec][outcome] += 1;
  };

  /** Keeps what was run, in the place of what these specs came to before; `seconds` is for all of them. */
  save(name, kernel, seconds) {
    const before = read(name)?.specs ?? {};
    const all = Object.values(this.specs);
    for (const one of all) one.seconds = seconds / all.length;
    mkdirSync(join(cache, 'results'), { recursive: true });
    writeFileSync(fileOf(name), JSON.stringify({ kernel, specs: { ...before, ...this.specs } }));
  }
}

const total = ({ specs }, what) => Object.values(specs).reduce((sum, one) => sum + one[what], 0);

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function runs(results) {
  const rows = results.map(({ name, result }) => [
    name,
    result.kernel.release,
    Object.keys(result.specs).length,
    ...OUTCOMES.map((outcome) => total(result, outcome)),
    Math.round(total(result, 'seconds')),
  ]);
  return table(['', 'release', 'files', ...OUTCOMES, 'seconds'], rows);
}

/** Rows of what not every kernel has. */
function differences(results, kind) {
  const names = [...new Set(results.flatMap(({ result }) => result.kernel.asked[kind]))];
  const has = (name) => results.map(({ result }) => result.kernel.asked[kind].includes(name));
  const rows = names.filter((name) => has(name).includes(false));
  rows.sort((a, b) => has(b).filter(Boolean).length - has(a).filter(Boolean).length);
  return table(
    ['', ...results.map(({ name }) => name)],
    rows.map((name) => [`\`${name}\``, ...has(name).map((one) => (one ? 'yes' : '-'))]),
  );
}

function needed() {
  const rows = Object.entries(readNeeds()).map(([need, titles]) => [`\`${need}\``, titles.length]);
  return table(['need', 'tests'], rows);
}

/** Writes the tables into the page, between its marks. */
export function writeTables() {
  const names = [HOST, ...KERNELS.map(({ name }) => name)];
  const results = names
    .map((name) => ({ name, result: read(name) }))
    .filter(({ result }) => result !== undefined);
  const parts = {
    runs: runs(results),
    operations: differences(results, 'operations'),
    registrations: differences(results, 'registrations'),
    'setup flags': differences(results, 'setupFlags'),
    features: differences(results, 'features'),
    needs: needed(),
  };
  let page = readFileSync(PAGE, 'utf8');
  for (const [name, text] of Object.entries(parts)) {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
    page = page.replace(new RegExp(`${begin}[^]*${end}`), () => `${begin}\n\n${text}\n\n${end}`);
  }
  writeFileSync(PAGE, page);
}
