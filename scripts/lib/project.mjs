// What all scripts share: where the project is, and how a tool is run in it.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

export const root = fileURLToPath(new URL('../..', import.meta.url));

// rustup puts cargo on the PATH through the login shell's profile, which CI and editors often do not read.
const cargoBin = join(homedir(), '.cargo', 'bin');
if (existsSync(cargoBin)) process.env.PATH = `${process.env.PATH}${delimiter}${cargoBin}`;

/** A failure whose message is all that the user needs: printed without a stack trace. */
export class Complaint extends Error {}

/** Runs a tool of the project (node_modules/.bin is searched first) with its output shown as it comes. */
export async function run(command, args, options = {}) {
  const result = await execa(command, args, {
    cwd: root,
    preferLocal: true,
    localDir: root,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    reject: false,
    ...options,
  });
  // No exit code and no signal: the program could not be started at all.
  if (result.exitCode === undefined && !result.signal) throw new Complaint(result.shortMessage);
  return result;
}

/** As `run`, but a failure of the tool, which has explained itself by then, ends the script. */
export async function must(command, args, options) {
  const { failed, signal, exitCode } = await run(command, args, options);
  if (failed)
    throw new Complaint(`${command} ${args.join(' ')} failed (${signal ?? `exit code ${exitCode}`})`);
}

/** Runs a script's main function; `main` may return the exit code. */
export async function script(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof Complaint ? `uring: ${error.message}` : error);
    process.exitCode = 1;
  }
}
