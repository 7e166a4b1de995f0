// @ts-check
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EXIT_USAGE, Stop } from './stop.mjs';

export const USAGE = `npm start [-- DIR]

Reads every file below DIR (node_modules of this package unless given) and random blocks of a 1 GiB file,
by io_uring and by node:fs/promises, compares the contents and prints a table. The 1 GiB file is made in
the folder for temporary files and is gone at the end.

Exit codes: 0 all well, 1 contents differed or something failed, 2 wrong arguments, 3 io_uring is not
available here.
`;

const DEFAULT_DIR = join(fileURLToPath(new URL('../..', import.meta.url)), 'node_modules');

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    throw new Stop(EXIT_USAGE, error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {string[]} args
 * @returns {Promise<string | undefined>} the folder to read, or undefined if only help is wanted
 */
export async function readArguments(args) {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  if (positionals.length > 1) throw new Stop(EXIT_USAGE, `one DIR at a time, not ${positionals.length}.`);
  const dir = resolve(positionals[0] ?? DEFAULT_DIR);
  const stats = await stat(dir).catch((error) => {
    const problem =
      error.code === 'ENOENT' ? 'there is no such directory' : `it cannot be read (${error.code})`;
    throw new Stop(EXIT_USAGE, `${dir}: ${problem}.`);
  });
  if (!stats.isDirectory()) throw new Stop(EXIT_USAGE, `${dir}: it is a file, and a directory is wanted.`);
  return dir;
}
