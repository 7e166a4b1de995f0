// The page of `uring doctor`, its arguments, and what a terminal is given.
import test from 'ava';
import { runNode, WELL } from './_process.ts';
import { DOCTOR, DOCTOR_URL } from './_sandbox.ts';

const { page }: typeof import('../dist/doctor/page.js') = await import(new URL('page.js', DOCTOR_URL).href);
const { screenOf, wrap }: typeof import('../dist/doctor/paint.js') = await import(
  new URL('paint.js', DOCTOR_URL).href
);

type Report = Parameters<typeof page>[0];

const BLOCKED: Report = {
  version: '1.2.3',
  node: '20.0.0',
  platform: 'linux',
  architecture: 'x64',
  availability: {
    available: false,
    code: 'seccomp',
    errno: -1,
    reason: 'a filter forbids io_uring',
    remedy: 'allow it, '.repeat(20),
  },
  surroundings: { release: '6.6.0', version: '#1 SMP', sysctl: 0, group: -1, seccomp: 2, isAdmin: false },
  advice: [],
};

const ESCAPE = '\u001b';

test('a terminal gets colours; a file, NO_COLOR and a dumb terminal do not', (t) => {
  t.deepEqual(screenOf({ isTTY: true, columns: 90 }, {}), { columns: 90, colours: true });
  t.false(screenOf({}, {}).colours);
  t.false(screenOf({ isTTY: true }, { NO_COLOR: '1' }).colours);
  t.true(screenOf({ isTTY: true }, { NO_COLOR: '' }).colours, 'no-color.org: not an empty string');
  t.false(screenOf({ isTTY: true }, { TERM: 'dumb' }).colours);
  t.true(page(BLOCKED, { columns: 80, colours: true }).includes(ESCAPE));
  t.false(page(BLOCKED, { columns: 80, colours: false }).includes(ESCAPE));
});

test('no line is longer than the terminal, between 40 and 100 columns', (t) => {
  for (const columns of [1, 40, 57, 80, 400]) {
    const screen = screenOf({ columns }, {});
    t.true(screen.columns >= 40 && screen.columns <= 100);
    for (const line of page(BLOCKED, screen).split('\n')) t.true(line.length <= screen.columns, line);
  }
  t.deepEqual(wrap('a word-that-is-long b', 5), ['a', 'word-that-is-long', 'b']);
  t.deepEqual(
    wrap('run (`a b c`), or `d e`', 10),
    ['run', '(`a b c`),', 'or `d e`'],
    'a command is one line',
  );
  t.deepEqual(wrap('`a b c d`', 5), ['`a b', 'c d`'], 'unless it is too long');
});

test('a page says why, what to do, and what was seen', (t) => {
  const text = page(BLOCKED, { columns: 80, colours: false });
  t.regex(
    text,
    /^\n {2}✘ io_uring cannot be used here\.\n\n {2}Why {11}A filter forbids io_uring\.\n {2}What to do {4}Allow/,
  );
  t.regex(
    text,
    /Code {10}seccomp, EPERM\n {2}System {8}Linux 6\.6\.0 on x64, Node 20\.0\.0, uring 1\.2\.3\n/,
  );
  t.regex(text, /Seen {10}kernel.io_uring_disabled is 0; a seccomp filter is active\n\n$/);
});

test('here the doctor finds all well, by its page and for machines', async (t) => {
  const shown = await runNode([DOCTOR, 'doctor']);
  t.like(shown, WELL);
  for (const part of [
    '✔ io_uring works here.',
    'System',
    'Flags granted',
    'Operations',
    'RLIMIT_MEMLOCK',
    'Blocks',
  ])
    t.true(shown.stdout.includes(part), part);
  const ended = await runNode([DOCTOR, '--json', 'doctor']);
  t.like(ended, WELL);
  const report = JSON.parse(ended.stdout) as Report;
  if (!report.availability.available) return t.fail(ended.stdout);
  t.true(report.availability.operations.includes('read'));
  t.deepEqual(
    { entries: report.ring?.entries, cqEntries: report.ring?.cqEntries },
    { entries: 256, cqEntries: 4096 },
  );
  const missing = report.ring?.missingOperations.map(({ name }) => name) ?? [];
  t.deepEqual(
    missing.filter((name) => report.availability.available && report.availability.operations.includes(name)),
    [],
  );
});

test('a limit that is none is unlimited, and no null, in JSON', async (t) => {
  const { jsonValue }: typeof import('../dist/doctor/main.js') = await import(
    new URL('main.js', DOCTOR_URL).href
  );
  t.is(
    JSON.stringify({ soft: Number.POSITIVE_INFINITY, hard: 5 }, jsonValue),
    '{"soft":"unlimited","hard":5}',
  );
});

test('help ends with 0, anything unknown with 2 and the help', async (t) => {
  const help = await runNode([DOCTOR, '--help']);
  t.like(help, WELL);
  t.regex(help.stdout, /^uring doctor \[--json\]\n/);
  for (const [args, problem] of [
    [[], 'a command is missing'],
    [['patient'], 'unknown: patient'],
    [['doctor', 'now'], 'unknown: doctor now'],
    [['doctor', '--yaml'], "Unknown option '--yaml'"],
  ] as const) {
    const ended = await runNode([DOCTOR, ...args]);
    t.is(ended.code, 2);
    t.is(ended.stdout, '');
    t.true(ended.stderr.startsWith(`uring: ${problem}`), ended.stderr);
    t.true(ended.stderr.includes(help.stdout));
  }
});
