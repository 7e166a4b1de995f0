// docs/reliability.md says what becomes of each fault, and names the tests that show it.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { codeSpans, problemsOfProof, tableRows, testsOf } from './_documents.ts';
import { ROOT } from './_process.ts';

const PROVED = ['Promises', 'Faults, and what becomes of each'];

const rows = tableRows('docs/reliability.md').filter(({ heading }) => PROVED.includes(heading));

test('docs/reliability.md names tests for every promise and every fault, and all are there', (t) => {
  t.true(rows.length > 20);
  const problems = rows.flatMap(({ cells: [what, says, proof = ''] }) => {
    const found = what && says ? problemsOfProof(proof) : ['needs three cells with text'];
    return found.map((problem) => `${what}: ${problem}`);
  });
  t.deepEqual(problems, [], `\n${problems.join('\n')}\n`);
});

test('every test of a fault is named in docs/reliability.md', (t) => {
  const named = new Set(rows.flatMap(({ cells }) => codeSpans(cells[2] ?? '')));
  const files = readdirSync(join(ROOT, '__test__')).filter((name) => /^faults-.*\.spec\.ts$/.test(name));
  t.true(files.length >= 4);
  const missing = files.flatMap((file) =>
    [...(testsOf(file)?.keys() ?? [])].map((title) => `${file} › ${title}`).filter((one) => !named.has(one)),
  );
  t.deepEqual(missing, []);
});
