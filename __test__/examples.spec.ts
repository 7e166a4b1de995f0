// Runs every program of examples/, and checks what it says.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { leakCheck, skipUnless, tmpDir } from './_helpers.ts';
import { kernelIs } from './_kernel.ts';
import { unusedPort } from './_ports.ts';
import { ROOT, runNode, WELL } from './_process.ts';

/** What an example prints: its lines, each a text or a pattern with groups. */
type Line = string | RegExp;

const tested: string[] = [];

leakCheck(test);

/** Runs an example, which has to end well, print these lines, and leave no temporary file. Answers the groups. */
async function says(
  t: ExecutionContext<unknown>,
  name: string,
  lines: readonly Line[],
  args: readonly string[] = [],
): Promise<Record<string, string>> {
  const TMPDIR = tmpDir(t);
  const ended = await runNode([join(ROOT, 'build', 'examples', `${name}.js`), ...args], { env: { TMPDIR } });
  t.like(ended, WELL, ended.stderr);
  const printed = ended.stdout.trimEnd().split('\n');
  t.is(printed.length, lines.length, ended.stdout);
  const groups: Record<string, string> = {};
  for (const [at, line] of lines.entries()) {
    if (typeof line === 'string') t.is(printed[at], line);
    else Object.assign(groups, t.regex(printed[at] ?? '', line) ? line.exec(printed[at] ?? '')?.groups : {});
  }
  t.deepEqual(readdirSync(TMPDIR), [], 'temporary files are left');
  return groups;
}

/** Declares the test of one example, which needs a kernel of that version. */
function example(
  name: string,
  title: string,
  kernel: string,
  check: (t: ExecutionContext<unknown>) => Promise<void>,
): void {
  tested.push(name);
  skipUnless(kernelIs(kernel), `Linux ${kernel}`)(`examples/${name}.ts ${title}`, check);
}

example('nop', 'runs a hundred each way in a few system calls', '5.6', async (t) => {
  const counts = await says(t, 'nop', [
    /^promises: 100 results, system calls: (?<promises>\d+)$/,
    /^callbacks: 100 results, system calls: (?<callbacks>\d+)$/,
    /^by hand: 100 results, system calls: (?<byHand>\d+), user data adds up to 4950$/,
  ]);
  for (const [form, count] of Object.entries(counts)) t.true(Number(count) < 10, `${form}: ${count}`);
});

example('timer', 'sees its timers expire, repeat, move, count and limit', '6.4', async (t) => {
  const first = [
    'once: expired',
    'repeating: 3 ticks from one submission',
    'moved: an hour became a millisecond',
    'counting: over after two other operations',
  ];
  // The kernel posts the limit and what it limits in either order.
  await says(t, 'timer', [
    ...first,
    /^(poll: ECANCELED|limit: expired)$/,
    /^(poll: ECANCELED|limit: expired)$/,
  ]);
});

example('pipe', 'moves bytes through a pipe, or says that it cannot', '5.6', async (t) => {
  const lines = [
    'wrote 11 bytes, read 11: hello, pipe',
    'spliced 20 bytes: straight to the file',
    'after the end: 0 bytes',
  ];
  const fallback = ['this kernel cannot make pipes through io_uring: that came with Linux 6.16'];
  await says(t, 'pipe', kernelIs('6.16') ? lines : fallback);
});

example('open_close', 'opens a file and closes it in the callback', '5.6', async (t) => {
  const path = join(ROOT, 'package.json');
  const { fd } = await says(
    t,
    'open_close',
    [
      'started: 1 operation, 0 submitted',
      /^opened (?<path>\/.*\/package\.json) as descriptor (?<fd>\d+)$/,
      'closed',
    ],
    [path],
  );
  t.true(Number(fd) > 2);
});

test('examples/open_close.ts says why a file cannot be opened', async (t) => {
  const ended = await runNode([join(ROOT, 'build', 'examples', 'open_close.js'), '/nowhere']);
  t.like(ended, { code: 1, stdout: 'started: 1 operation, 0 submitted\n', timedOut: false });
  t.is(ended.stderr, "ENOENT: no such file or directory, openat '/nowhere'\n");
});

example('cancel', 'stops operations by each name that they have', '6.6', async (t) => {
  await says(t, 'cancel', [
    'by operation: ECANCELED',
    'by user data: ECANCELED',
    `by kind: 5 stopped, ${Array(5).fill('ECANCELED').join(' ')}`,
    'nothing left to stop: ENOENT',
    'by closing: ECANCELED, 0 in flight',
  ]);
});

example('basic_io', 'reads what it wrote, with many reads in one system call', '5.6', async (t) => {
  const { enters } = await says(t, 'basic_io', [
    `wrote ${20 * 65536 + 1000} bytes`,
    /^21 reads, system calls: (?<enters>\d+)$/,
    'contents: the same',
  ]);
  t.true(Number(enters) < 21, enters);
});

example('linked_ops', 'runs a chain in order, and breaks one', '5.6', async (t) => {
  await says(t, 'linked_ops', [
    'durable before it is read:',
    '  write: 24',
    '  fsync: 0',
    '  read: 24',
    '  the file says: an entry of the journal',
    'not written, so not made durable:',
    '  write: EBADF',
    '  fsync: ECANCELED',
  ]);
});

example('registered_buffers', 'reads and writes registered memory', '5.13', async (t) => {
  const { registered, unregistered } = await says(t, 'registered_buffers', [
    /^memory: (?<registered>\d+) bytes registered, (?<unregistered>\d+) not$/,
    'insisted on: 65536 written, 65536 read, the same',
    'by itself: the same',
    'other memory: ERR_URING_NOT_REGISTERED',
  ]);
  t.true(Number(registered) >= 2 * 65536, registered);
  t.is(unregistered, '0');
});

example('sqpoll', 'submits without system calls', '5.13', async (t) => {
  const { enters } = await says(t, 'sqpoll', [
    '500 reads of 32000 bytes in 50 submissions',
    /^system calls: (?<enters>\d+)$/,
  ]);
  // None while the thread is awake; at least 50 without it.
  t.true(Number(enters) < 50, enters);
});

example('tcp_echo', 'gives its clients back what they say', '6.11', async (t) => {
  const port = String(unusedPort());
  const talk = ['server: echoed 5 bytes', 'client: hello', 'server: echoed 11 bytes', 'client: hello again'];
  await says(t, 'tcp_echo', [`server: listening on 127.0.0.1:${port}`, ...talk], [port]);
});

example('threads', 'has a worker answer by messages between rings', '5.18', async (t) => {
  const blocks = [0, 1, 2, 3].map((block) => `block ${block}: right`);
  await says(t, 'threads', [...blocks, 'worker ended: 0']);
});

example('mock', 'gets the answers that it was given, without a kernel', '5.6', async (t) => {
  await says(t, 'mock', [
    'short and interrupted: abcdef@0 ef@4 ef@4',
    'full disk: ENOSPC, errno -28',
    'slow peer: ERR_URING_TIMEOUT after 30000 ms',
    'no handler: ERR_URING_NO_MOCK_HANDLER',
    'leaks: a file that nobody closes',
  ]);
});

test('every example has a test', (t) => {
  // Servers are tested with clients, each in a file of its own.
  for (const name of ['redis_server', 'http_server']) {
    const spec = join(ROOT, '__test__', `${name.replace('_', '-')}.spec.ts`);
    t.true(readFileSync(spec, 'utf8').includes(`ExampleServer.start(t, '${name}')`), name);
    tested.push(name);
  }
  const names = readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.ts'));
  t.deepEqual(tested.map((name) => `${name}.ts`).sort(), names.sort());
});

test('npm run example without a name lists the examples', async (t) => {
  const ended = await runNode([join(ROOT, 'scripts', 'example.mjs')]);
  t.like(ended, { code: 1, stdout: '', timedOut: false });
  for (const name of tested) t.regex(ended.stderr, new RegExp(`\\b${name}\\b`));
});
