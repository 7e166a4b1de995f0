// Child processes: scripts under fixtures/, and short programs given as text.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Project root, seen from build/test. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

const OUTPUT_BYTES_MAX = 1 << 20;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface RunOptions {
  /** The child is killed after this long. Default 30 s. */
  readonly timeoutMs?: number;
  readonly nodeArguments?: readonly string[];
  readonly cwd?: string;
  /** Variables in addition to our own. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Path of a script under __test__/fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../__test__/fixtures/${name}`, import.meta.url));
}

/** Runs node with these arguments and waits for its end. */
export function runNode(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return runProgram(process.execPath, args, options);
}

/** Runs a program, to which `nodeArguments` are the first arguments, and waits for its end. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const { timeoutMs = 90_000, nodeArguments = [], cwd = ROOT, env = {} } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...nodeArguments, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < OUTPUT_BYTES_MAX) output[name] += text;
      });
    }
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ...output, timedOut });
    });
  });
}

/** Runs a script under __test__/fixtures. */
export function runFixture(
  name: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Ended> {
  return runNode([fixture(name), ...args], options);
}

/** Runs a short ES module, which can import 'uring'. */
export function runModule(source: string, options: RunOptions = {}): Promise<Ended> {
  return runNode(['--input-type=module', '--eval', source], options);
}

/** A process that ended by itself, without an error and without a word of complaint. */
export const WELL: Partial<Ended> = { code: 0, signal: null, stderr: '', timedOut: false };
