// Runs one command under another kernel, and says how it ended.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { root } from '../lib/project.mjs';
import { cache, unpacked } from './debian.mjs';
import { fetchQemuKernel, qemuMachine, tools } from './qemu.mjs';
import { fetchUml, umlMachine } from './uml.mjs';

const INIT = fileURLToPath(new URL('guest.sh', import.meta.url));
const MEMORY = '3G';
/** Folders below the project that tests and their runner write to; the guest has memory in their place. */
const WRITABLE = [join(root, 'node_modules', '.cache'), join(root, 'build', 'scratch')];
/**
 * Drives of the guest. Temporary files are on one, because memory has no O_DIRECT, attributes or discarding on older
 * kernels.
 */
const DRIVES = [
  { serial: 'drive-tmp', fileSystem: 'ext4', target: '/tmp', sizeBytes: 4 * 2 ** 30 },
  { serial: 'drive-xfs', fileSystem: 'xfs', target: '/tmp/xfs', sizeBytes: 2 ** 29 },
  { serial: 'drive-btrfs', fileSystem: 'btrfs', target: '/tmp/btrfs', sizeBytes: 2 ** 29 },
];
/** Options of mkfs; what is newer than the oldest kernel stays out. */
const MAKE = {
  ext4: ['-q', '-F', '-E', 'lazy_itable_init=0'],
  xfs: ['-q', '-f', '-i', 'nrext64=0'],
  btrfs: ['-q', '-f'],
};
const MACHINES = {
  uml: { fetch: fetchUml, machine: umlMachine },
  qemu: { fetch: fetchQemuKernel, machine: qemuMachine },
};

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function busybox() {
  return unpacked('busybox', ['busybox-static/trixie'], (files, made) => {
    copyFileSync(join(files, 'usr', 'bin', 'busybox'), join(made, 'busybox'));
    chmodSync(join(made, 'busybox'), 0o755);
  });
}

async function makeDrives(job) {
  const { env, program } = await tools();
  const drives = DRIVES.map((drive) => ({ ...drive, path: `${job}.${drive.serial}` }));
  for (const { fileSystem, path, sizeBytes } of drives) {
    writeFileSync(path, '');
    truncateSync(path, sizeBytes); // takes only what is written
    const own = fileSystem === 'ext4' ? {} : { env };
    await execa(program(`mkfs.${fileSystem}`), [...MAKE[fileSystem], path], own);
  }
  return drives;
}

/** What the guest's first process finds in its job's folder. */
async function prepare(job, { dir }, { command, env }) {
  copyFileSync(join(await busybox(), 'busybox'), join(job, 'busybox'));
  cpSync(join(dir, 'modules'), join(job, 'modules'), { recursive: true });
  for (const folder of WRITABLE) mkdirSync(folder, { recursive: true });
  writeFileSync(join(job, 'writable'), WRITABLE.join('\n'));
  writeFileSync(join(job, 'seed'), randomBytes(256));
  const variables = Object.entries({
    HOME: '/root',
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    URING_TEST_DRIVES: DRIVES.map(({ target }) => target).join(':'),
    ...env,
  });
  const words = ['env', ...variables.map(([name, value]) => `${name}=${value}`), ...command].map(quoted);
  writeFileSync(join(job, 'command.sh'), `cd ${quoted(root)} && exec ${words.join(' ')}\n`);
}

/**
 * Runs `command` in the guest. `onOutput` gets the stream of what it writes. Resolves to its exit status, or to undefined
 * and the end of the kernel's messages where it had none: the machine died, or the time was up.
 */
export async function runInGuest(kernel, { command, env = {}, timeoutMs, onOutput }) {
  const { fetch, machine } = MACHINES[kernel.machine];
  const { dir } = await fetch(kernel);
  mkdirSync(join(cache, 'jobs'), { recursive: true });
  const job = mkdtempSync(join(cache, 'jobs', `${kernel.name}-`));
  const log = (name) => join(job, name);
  const drives = await makeDrives(job);
  let leftOver = [];
  try {
    await prepare(job, { dir }, { command, env });
    const made = await machine({ dir, job, init: INIT, memory: MEMORY, drives });
    leftOver = made.leftOver ?? [];
    const files = ['errors', 'console', 'status'].map((name) => openSync(log(name), 'w'));
    const running = execa(made.file, made.args, {
      stdio: ['ignore', 'pipe', ...files],
      env: made.env ?? {},
      timeout: timeoutMs,
      forceKillAfterDelay: 5000,
      buffer: false,
      reject: false,
    });
    for (const fd of files) closeSync(fd);
    onOutput(running.stdout);
    const { timedOut } = await running;
    const status = /^status (\d+)/m.exec(readFileSync(log('status'), 'utf8'))?.[1];
    const messages = ['console', 'errors'].map((name) => readFileSync(log(name), 'utf8').trim()).join('\n');
    const end = messages.split('\n').slice(-20).join('\n');
    return { status: status === undefined ? undefined : Number(status), timedOut, messages: end };
  } finally {
    for (const path of [job, ...drives.map(({ path }) => path), ...leftOver])
      rmSync(path, { recursive: true, force: true });
  }
}
