// System calls that fail: a program says when, and strace makes it so from then on (man strace(1), --inject).
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test from 'ava';
import { skipUnless } from './_helpers.ts';
import { type Ended, fixture, ROOT } from './_process.ts';

const TIMEOUT_MS = 60_000;

/** Ends when it is traced, or after some seconds. */
const UNTIL_TRACED =
  'for _ in $(seq 100); do grep -q "TracerPid:.*[1-9]" /proc/$$/status && exit; sleep 0.05; done';

/** Whether strace is here, and may look into other processes of this user (ptrace(2), Yama, capabilities). */
function canTrace(): boolean {
  const other = spawn('sh', ['-c', UNTIL_TRACED], { stdio: 'ignore' });
  const { stderr } = spawnSync('strace', ['-e', 'trace=none', '-p', String(other.pid)], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  other.kill('SIGKILL');
  return / attached$/m.test(stderr ?? '');
}

/** System calls can be made to fail here. */
export const canFail: boolean = canTrace();
/** What is missing where they cannot. */
export const STRACE = 'strace that may attach: scripts/install-clients.sh';

/** Declares a test whose system calls fail; one at a time, because programs under strace are slow. */
export const whenTraced: ReturnType<typeof skipUnless> = skipUnless(canFail, STRACE, test.serial);

async function attach(pid: number, injections: readonly string[]): Promise<ChildProcess> {
  const calls = injections.map((injection) => injection.split(':', 1)[0]).join(',');
  const inject = injections.flatMap((injection) => ['-e', `inject=${injection}`]);
  const args = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, ...inject, '-p', String(pid)];
  const tracer = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  for await (const line of createInterface({ input: tracer.stderr as NodeJS.ReadableStream })) {
    text += line;
    if (/ attached/.test(line)) return tracer;
  }
  throw new Error(`strace: ${text}`);
}

async function detach(tracer: ChildProcess | undefined): Promise<void> {
  if (tracer === undefined) return;
  const gone = tracer.exitCode === null ? once(tracer, 'exit') : undefined;
  tracer.kill('SIGINT');
  await gone;
}

/** Waits for a byte, and becomes the program: it is traced from its first system call on. */
const WAITING = 'read -r _ && exec "$@"';

/**
 * Runs a short ES module, which has `fault`, `mend`, `say`, `ending` and `outcome` of fixtures/_faults.mjs, and answers
 * what it has said. libuv gets no ring of its own there, so that all calls that fail are ours: it aborts when its own do.
 */
export async function runFaulty(source: string): Promise<Ended> {
  const prelude = `import { ending, fault, mend, outcome, say } from ${JSON.stringify(fixture('_faults.mjs'))};`;
  const args = ['--expose-gc', '--input-type=module', '--eval', `${prelude}\nmend();\n${source}`];
  const child = spawn('sh', ['-c', WAITING, 'sh', process.execPath, ...args], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const said: string[] = [];
  let stderr = '';
  let timedOut = false;
  let tracer: ChildProcess | undefined = await attach(child.pid as number, ['io_uring_setup:error=ENOSYS']);
  child.stdin.write('\n');
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, TIMEOUT_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('fault ')) {
      await detach(tracer);
      tracer = await attach(child.pid as number, line.split(' ').slice(1));
      child.stdin.write('.');
    } else if (line === 'mend') {
      await detach(tracer);
      tracer = undefined;
      child.stdin.write('.');
    } else {
      said.push(line);
    }
  }
  const [code, signal] = await ended;
  clearTimeout(timer);
  await detach(tracer);
  return { code, signal, stdout: said.join('\n'), stderr, timedOut };
}
