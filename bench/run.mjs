// @ts-check
// `npm run bench`: the package, native code doing the same work, and node:fs, side by side in one run.

import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { ExecaError, execa } from 'execa';

import { prepareInput, prepareSmallFiles } from './input.mjs';
import { checkWorkload, measureRow, runChild } from './measure.mjs';
import { formatGoals, formatTable, toJson } from './report.mjs';
import { makeRows } from './rows.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const INPUT_FOLDER = fileURLToPath(new URL('../build/bench', import.meta.url));
const SMALL_FILES = 20_000;

const USAGE = `node bench/run.mjs [options]

  --quick              3 short repetitions, about three minutes
  --json FILE          write the medians and ratios to FILE
  --only PATTERN       only the rows whose name matches this regular expression
  --repetitions N      how often each side of a row is measured (default 5)
  --node-flags FLAGS   flags for node on both JavaScript sides, in one argument
  --taskrun WHICH      setup of the native peer's ring: defer (default) or coop
  --ours-taskrun WHICH the same for ours in the rows of servers and wakes (default: its own choice)
  --cpus A,B           processors for what is measured there, and for what drives it (default 0,1)
`;

/** Something that the person at the keyboard can do something about: no stack trace. */
class UserError extends Error {}

/** @param {string} message */
function say(message) {
  process.stderr.write(`${message}\n`);
}

/** @param {string} pattern */
function matcherFor(pattern) {
  try {
    return new RegExp(pattern);
  } catch {
    throw new UserError(`--only takes a regular expression, which ${JSON.stringify(pattern)} is not`);
  }
}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string', default: '' },
      repetitions: { type: 'string' },
      'node-flags': { type: 'string', default: '' },
      taskrun: { type: 'string', default: 'defer' },
      'ours-taskrun': { type: 'string' },
      cpus: { type: 'string', default: '0,1' },
      help: { type: 'boolean', default: false },
    },
  });
  const repetitions = Number(values.repetitions ?? (values.quick ? 3 : 5));
  if (!Number.isSafeInteger(repetitions) || repetitions < 1) {
    throw new UserError('--repetitions must be a whole number of at least 1');
  }
  for (const taskrun of [values.taskrun, values['ours-taskrun'] ?? 'defer']) {
    if (!['defer', 'coop'].includes(taskrun))
      throw new UserError('--taskrun and --ours-taskrun are defer or coop');
  }
  const [, measuredCpu, driverCpu] = /^(\d+),(\d+)$/.exec(values.cpus) ?? [];
  if (measuredCpu === undefined || driverCpu === undefined) {
    throw new UserError('--cpus takes two numbers of processors, such as 0,1');
  }
  return {
    help: values.help,
    quick: values.quick,
    json: values.json,
    only: matcherFor(values.only),
    repetitions,
    nodeFlags: values['node-flags'].split(/\s+/).filter((flag) => flag !== ''),
    taskrun: values.taskrun,
    oursTaskrun: values['ours-taskrun'],
    cpus: /** @type {const} */ ([measuredCpu, driverCpu]),
  };
}

function readOptions() {
  try {
    return parseOptions();
  } catch (error) {
    // parseArgs throws a TypeError for an option that it does not know.
    throw new UserError(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  }
}

/** @returns {Promise<string>} the path of the peer's binary */
async function buildPeer() {
  const args = ['build', '--release', '-p', 'uring-peers', '--message-format=json-render-diagnostics'];
  const build = await execa('cargo', args, { cwd: ROOT, stderr: 'inherit', reject: false });
  if (build.failed) {
    throw new UserError(
      'cargo could not build the native peer (uring-peers); Rust comes from https://rustup.rs',
    );
  }
  for (const line of build.stdout.split('\n')) {
    // Cargo says where the binary is, wherever its target directory was configured to be.
    const message = line.startsWith('{') ? JSON.parse(line) : undefined;
    if (message?.target?.name === 'uring-peer' && message.executable) return message.executable;
  }
  throw new UserError('cargo built no binary named uring-peer');
}

/** Nothing can be measured where the package is not built or io_uring is not available: say so first. */
async function checkPackage() {
  try {
    await runChild(process.execPath, [checkWorkload, 'check']);
  } catch (error) {
    const reason = error instanceof ExecaError ? `${error.stderr}`.trim() : String(error);
    if (reason.includes('ERR_MODULE_NOT_FOUND')) {
      const [missing] = /Cannot find .*/.exec(reason) ?? [reason];
      throw new UserError(`the package is not built yet, run \`npm run build\` first (${missing})`);
    }
    throw new UserError(`the package does not work here, so there is nothing to measure\n\n${reason}`);
  }
}

/** @param {ReturnType<typeof parseOptions>} options @param {string} peer */
async function measureRows(options, peer) {
  const file = await prepareInput(INPUT_FOLDER, say);
  const folder = await prepareSmallFiles(INPUT_FOLDER, SMALL_FILES, say);
  const rows = makeRows({ file, folder, files: SMALL_FILES, scratch: INPUT_FOLDER }).filter((row) =>
    options.only.test(row.name),
  );
  if (rows.length === 0) throw new UserError(`no row matches --only ${options.only.source}`);
  const measured = [];
  for (const [index, row] of rows.entries()) {
    say(`[${index + 1}/${rows.length}] ${row.name}`);
    measured.push(await measureRow(row, { ...options, peer, scale: options.quick ? 0.3 : 1 }));
  }
  return measured;
}

function describeMachine() {
  const [cpu] = cpus();
  const kernel = `Linux ${release()}`;
  return `node ${process.version}, ${kernel}, ${availableParallelism()} x ${cpu?.model ?? 'unknown processor'}`;
}

async function main() {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const peer = await buildPeer();
  await checkPackage();
  const measured = await measureRows(options, peer);
  if (options.json !== undefined) await writeFile(options.json, toJson(measured));
  process.stdout.write(`${describeMachine()}, ${options.repetitions} repetitions\n`);
  process.stdout.write(`${formatTable(measured)}\n${formatGoals(measured)}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  say(`bench: ${error.message}`);
  process.exitCode = 2;
}
