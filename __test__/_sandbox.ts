// Real blocks: programs run where io_uring is forbidden (crates/peers/src/bin/uring-sandbox.rs).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { createInterface } from 'node:readline';
import type { Availability } from 'uring';
import { type Ended, ROOT, type RunOptions, runProgram } from './_process.ts';

const SANDBOX = join(ROOT, 'target', 'debug', 'uring-sandbox');
export const DOCTOR: string = join(ROOT, 'dist', 'doctor', 'cli.js');
/** Where its modules are. */
export const DOCTOR_URL: URL = new URL('doctor/', import.meta.resolve('uring'));
/** A user without privileges: nobody. */
export const NOBODY = '65534';
/** What is locked is counted for each user, so tests of that limit, which run at the same time, are different ones. */
export const SOMEBODY_ELSE = '65533';
/** For a compiler that starts with nothing. */
export const BUILD_TIMEOUT_MS = 300_000;

/** The program that runs these tests, where users without privileges can reach it. */
const NODE = reachable(process.execPath);

function reachable(path: string): string {
  const isOpen = (at: string): boolean => (statSync(at).mode & 0o001) !== 0;
  const folders = path.split(sep).slice(1, -1);
  if (folders.every((_, count) => isOpen(join(sep, ...folders.slice(0, count + 1))))) return path;
  const dir = mkdtempSync(join(tmpdir(), 'uring-node-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  copyFileSync(path, join(dir, 'node'));
  return join(dir, 'node');
}

/** Builds the program that makes sandboxes, which no other part of the tests needs, unless that was done already. */
export async function buildSandbox(): Promise<void> {
  if (process.env['URING_TEST_SANDBOX'] === 'built') return assert.ok(existsSync(SANDBOX));
  const args = ['build', '--quiet', '-p', 'uring-peers', '--bin', 'uring-sandbox'];
  const { code, stderr } = await runProgram('cargo', args, { timeoutMs: BUILD_TIMEOUT_MS });
  assert.equal(code, 0, stderr);
}

/** Runs Node in a sandbox that is made by these options. */
export function sandboxed(
  sandbox: readonly string[],
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return runProgram(SANDBOX, [...sandbox, '--', NODE, ...args], options);
}

/** What `uring doctor` finds in a sandbox, by its page and by its JSON. */
export async function diagnosed(
  sandbox: readonly string[],
): Promise<{ code: number | null; page: string; availability: Availability }> {
  const json = await sandboxed(sandbox, [DOCTOR, 'doctor', '--json']);
  const page = await sandboxed(sandbox, [DOCTOR, 'doctor']);
  for (const { signal, stderr, code } of [json, page]) {
    assert.deepEqual({ signal, stderr }, { signal: null, stderr: '' });
    assert.equal(code, json.code);
  }
  const { availability } = JSON.parse(json.stdout) as { availability: Availability };
  return { code: json.code, page: page.stdout.replaceAll(/\s+/g, ' '), availability };
}

/** Starts Node in a sandbox; resolves when it has printed a line, to what resolves to the next line, its last. */
export async function startSandboxed(
  sandbox: readonly string[],
  args: readonly string[],
): Promise<{ ended: Promise<string> }> {
  const child = spawn(SANDBOX, [...sandbox, '--', NODE, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const next = (): Promise<string> =>
    new Promise((resolve, reject) => {
      lines.once('line', resolve);
      child.once('close', (code, signal) => reject(new Error(`it ended early: ${code ?? signal}`)));
    });
  await next();
  return { ended: next() };
}
