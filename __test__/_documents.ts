// Tables in documents, and the tests that they name.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './_process.ts';

/** Rows of the tables of a document, each under its nearest heading; heads of tables are left out. */
export function tableRows(path: string): { heading: string; cells: string[] }[] {
  const rows: { heading: string; cells: string[] }[] = [];
  let heading = '';
  for (const line of readFileSync(join(ROOT, path), 'utf8').split('\n')) {
    if (line.startsWith('#')) heading = line.replace(/^#+\s*/, '');
    if (!line.startsWith('|')) continue;
    // What stands above the line of dashes was the head.
    if (/^[|\s:-]+$/.test(line)) rows.pop();
    else
      rows.push({
        heading,
        cells: line
          .split(/(?<!\\)\|/)
          .slice(1, -1)
          .map((cell) => cell.trim()),
      });
  }
  return rows;
}

/** What stands between backticks. */
export function codeSpans(cell: string): string[] {
  return [...cell.matchAll(/`` ?(.*?) ?``|`([^`]+)`/g)].map(([, long, short]) =>
    (long ?? short ?? '').trim().replaceAll('\\|', '|'),
  );
}

/** A test, or what declares one: `test(`, `test.serial(`, `skipUnless(...)(`, and what specs call theirs. */
const TITLE =
  /(?:\b\w*[tT]est(?:\.serial)?|\bdeclare|\bcheck|\bwhen\w*|\bas[A-Z]\w*|\))\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`),\s*(?:async\s*)?(?:\(t\b|\[)/g;

/**
 * Titles of the tests in a source, as they are written there, with the text of each up to the next, and the constants
 * that it speaks of.
 */
function testsIn(source: string): Map<string, string> {
  const code = source.replaceAll(/^\s*\/\/.*$/gm, '');
  const tests = new Map<string, string>();
  const matches = [...code.matchAll(TITLE)];
  const constants = [...code.matchAll(/^const ([A-Z_]+) = .*;$/gm)];
  for (const [at, match] of matches.entries()) {
    const [, single, double, template] = match;
    const title = (single ?? double ?? template ?? '').replaceAll(/\\(['"])/g, '$1');
    const text = code.slice(match.index, matches[at + 1]?.index);
    const spokenOf = constants.filter(([, name]) => new RegExp(`\\b${name}\\b`).test(text));
    tests.set(title, [text, ...spokenOf.map(([whole]) => whole)].join('\n'));
  }
  return tests;
}

function rustTestsIn(source: string): Map<string, string> {
  const tests = new Map<string, string>();
  for (const match of source.matchAll(/#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)/g)) {
    tests.set(match[1] as string, source.slice(match.index, source.indexOf('#[test]', match.index + 1)));
  }
  return tests;
}

const sources = new Map<string, Map<string, string> | undefined>();

/** The tests of a file, by title; undefined if there is no such file. */
export function testsOf(file: string): Map<string, string> | undefined {
  if (!sources.has(file)) {
    const isRust = file.endsWith('.rs');
    const path = join(ROOT, isRust ? '' : '__test__', file);
    const source = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
    sources.set(file, source === undefined ? undefined : isRust ? rustTestsIn(source) : testsIn(source));
  }
  return sources.get(file);
}

/** The text of the test that a document names as `file › title`, or why there is none. */
export function namedTest(span: string): { text: string } | { problem: string } {
  const [, file, title] = span.match(/^(\S+) › (.+)$/) ?? [];
  if (file === undefined || title === undefined)
    return { problem: `\`${span}\` does not name a test as file › title` };
  const tests = testsOf(file);
  if (tests === undefined) return { problem: `\`${span}\`: there is no file ${file}` };
  const text = tests.get(title);
  return text === undefined ? { problem: `\`${span}\`: ${file} has no test of this title` } : { text };
}

/** Problems of a cell that shall prove something: a test at least, and all of them there. */
export function problemsOfProof(cell: string): string[] {
  if (/\bopen\b/.test(cell.replaceAll(/`[^`]*`/g, ''))) return ['is open'];
  const spans = codeSpans(cell).filter((span) => span.includes(' › '));
  if (spans.length === 0) return ['names no test, as `file › title`'];
  return spans.flatMap((span) => {
    const found = namedTest(span);
    return 'problem' in found ? [found.problem] : [];
  });
}
