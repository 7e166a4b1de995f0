// docs/capabilities.md and docs/operations.md say what is true: of the API, and of the tests that prove it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Declarations } from './_declarations.ts';
import { codeSpans, namedTest, problemsOfProof, tableRows, testsOf } from './_documents.ts';
import { ROOT } from './_process.ts';

const declarations = new Declarations();
const { opInfo }: typeof import('../dist/generated/ops.js') = await import(
  new URL('generated/ops.js', import.meta.resolve('uring')).href
);

/** Rows of the systems that this package replaces, and the file whose tests are named after them. */
const ROWS: readonly (readonly [letter: string, from: number, to: number, file: string])[] = [
  ['K', 1, 30, 'kevy.spec.ts'],
  ['I', 1, 31, 'iou.spec.ts'],
  ['L', 1, 30, 'lio.spec.ts'],
  ['X', 1, 17, 'xuring.spec.ts'],
  ['X', 18, 19, 'xuring-mock.spec.ts'],
  ['X', 20, 31, 'xuring.spec.ts'],
];
const IDS = ROWS.flatMap(([letter, from, to]) =>
  Array.from({ length: to - from + 1 }, (_, at) => `${letter}${from + at}`),
);
/** Cases of the test suites of iou and lio-uring, which are ported one by one. */
const CASES: Readonly<Record<string, number>> = { I29: 9, I30: 24, L29: 77 };

/** Operations whose bytes are compared with those of the io-uring crate. */
const RECORDS = [join('__test__', 'records'), '__test__/records.spec.ts']
  .flatMap((path) =>
    path.endsWith('.ts') ? [path] : readdirSync(join(ROOT, path)).map((name) => join(path, name)),
  )
  .map((path) => readFileSync(join(ROOT, path), 'utf8'))
  .join('\n');

const rows = tableRows('docs/capabilities.md');
const capabilities = rows.filter(({ heading }) => !heading.startsWith('Cases of'));
const operations = tableRows('docs/operations.md');

function none(t: ExecutionContext, problems: readonly string[]): void {
  t.deepEqual(problems, [], `\n${problems.join('\n')}\n`);
}

test('every row of the four systems is in the table exactly once, and nothing else', (t) => {
  const ids = capabilities.map(({ cells }) => cells[0] ?? '');
  none(t, [
    ...IDS.filter((id) => !ids.includes(id)).map((id) => `${id} is missing`),
    ...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `${id} is there twice`),
    ...ids.filter((id) => !IDS.includes(id)).map((id) => `${id} is no row of the four systems`),
  ]);
});

test('a row says what it is, where it stands in the API, and what proves it', (t) => {
  none(
    t,
    capabilities.flatMap(({ cells }) => {
      const [id, what, where, proof = ''] = cells;
      const problems = cells.length === 4 && what && where ? [] : ['needs four cells with text'];
      return [...problems, ...problemsOfProof(proof)].map((problem) => `${id}: ${problem}`);
    }),
  );
});

test('every name in the column of the API is one that users can write', (t) => {
  none(
    t,
    capabilities.flatMap(({ cells: [id, , where = ''] }) =>
      codeSpans(where).flatMap((span) => {
        const problem = declarations.problemWith(span);
        return problem === undefined ? [] : [`${id}: ${problem}`];
      }),
    ),
  );
});

test('a test that is named after a row is named in that row', (t) => {
  const named = new Set<string>();
  for (const { heading, cells } of rows) {
    const id = heading.match(/^Cases of .*\((\w+)\)/)?.[1] ?? cells[0];
    for (const span of codeSpans(cells.at(-1) ?? '')) named.add(`${id} ${span.replace(/^\S+ › /, '')}`);
  }
  const titles = ROWS.flatMap(([, , , file]) => [...(testsOf(file)?.keys() ?? [])]);
  t.true(titles.length > 50, 'the files are there');
  none(
    t,
    titles.flatMap((title) => {
      const id = title.match(/^([KILX]\d+): /)?.[1];
      if (id === undefined) return [`${title}: does not begin with the id of a row`];
      return named.has(`${id} ${title}`) ? [] : [`${id} does not name the test '${title}'`];
    }),
  );
});

test('every case of the suites that are ported is proved', (t) => {
  for (const [id, count] of Object.entries(CASES)) {
    const cases = rows.filter(({ heading }) => heading.startsWith('Cases of') && heading.includes(`(${id})`));
    const names = cases.map(({ cells }) => cells[0]);
    t.is(new Set(names).size, count, `cases of ${id}`);
    t.is(names.length, count, `cases of ${id}`);
    none(
      t,
      cases.flatMap(({ cells: [name, proof = ''] }) =>
        problemsOfProof(proof).map((problem) => `${id}, ${name}: ${problem}`),
      ),
    );
  }
});

test('the table of operations has every operation, with its number and its first kernel', (t) => {
  const expected = Object.entries(opInfo).map(([number, { name, kernel }]) => `${name} ${number} ${kernel}`);
  t.deepEqual(
    operations.map(({ cells: [name = '', number, kernel] }) => `${codeSpans(name)[0]} ${number} ${kernel}`),
    expected,
  );
});

test('the table of operations names every function that makes one', (t) => {
  const names = operations.flatMap(({ cells }) => codeSpans(cells[3] ?? ''));
  none(t, [
    ...operations
      .filter(({ cells }) => codeSpans(cells[3] ?? '').length === 0)
      .map(({ cells }) => `${cells[0]} has no function`),
    ...names.flatMap((name) => declarations.problemWith(name) ?? []),
    ...declarations.operationFunctions
      .filter((name) => !names.includes(name))
      .map((name) => `${name} is in no row`),
  ]);
});

/** Problems of one cell of the table of operations: the tests that it names must be there, and run the operation. */
function problemsOfOperation(cell: string, functions: string): string[] {
  const problems = problemsOfProof(cell);
  if (problems.length > 0) return problems;
  const isIn = (text: string): boolean =>
    codeSpans(functions).some((name) => new RegExp(`\\b${name}\\b`).test(text));
  // What neither this kernel nor this machine can do is proved by its bytes.
  if (cell.startsWith('by its bytes')) {
    return isIn(RECORDS) ? [] : ['is in none of the golden records'];
  }
  const texts = codeSpans(cell).flatMap((span) => {
    const found = namedTest(span);
    return 'text' in found ? [found.text] : [];
  });
  return texts.some(isIn) ? [] : ['is not in the test that is named'];
}

test('for every operation there is a test of success, which runs it', (t) => {
  none(
    t,
    operations.flatMap(({ cells: [operation, , , functions = '', proof = ''] }) =>
      problemsOfOperation(proof, functions).map((problem) => `${operation}: ${problem}`),
    ),
  );
});

test('for every operation there is a test of its typical error, which expects it', (t) => {
  none(
    t,
    operations.flatMap(({ cells: [operation, , , functions = '', , proof = ''] }) => {
      const problems = problemsOfOperation(proof, functions);
      const code = codeSpans(proof).find((span) => /^E[A-Z0-9_]+$/.test(span));
      if (code === undefined)
        return [...problems, 'names no error code'].map((problem) => `${operation}: ${problem}`);
      for (const span of codeSpans(proof)) {
        const found = span.includes(' › ') ? namedTest(span) : { problem: '' };
        // What a test compares with node:fs, it does not name.
        if ('text' in found && !found.text.includes(code) && !found.text.includes('failsAs('))
          problems.push(`\`${span}\` does not mention ${code}`);
      }
      return problems.map((problem) => `${operation}: ${problem}`);
    }),
  );
});
