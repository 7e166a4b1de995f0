// User-Mode Linux: the kernel as a program, whose root is this machine's own file system, read-only (hostfs).
import { chmodSync, copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { unpacked } from './debian.mjs';
import { copyModules, only } from './modules.mjs';
import { mountLines } from './mounts.mjs';

/** What the packages have as modules and the tests use: sockets of IPv6, and loop devices. */
const MODULES = ['ipv6', 'loop'];

/** The packages of Debian 13 and later want a C library that an older system does not have: they get theirs beside them. */
async function withLibrary(linux) {
  const { stdout } = await execa('ldd', [linux], { reject: false, all: true });
  const { stderr } = await execa('ldd', [linux], { reject: false });
  if (!`${stdout}${stderr}`.includes('not found')) return;
  const libc = await unpacked('libc', ['libc6/sid', 'patchelf/bookworm'], (files, made) => {
    const libraries = join(files, 'usr', 'lib', 'x86_64-linux-gnu');
    for (const name of readdirSync(libraries)) {
      if (/\.so\.\d+$/.test(name)) copyFileSync(join(libraries, name), join(made, name));
    }
    copyFileSync(join(files, 'usr', 'bin', 'patchelf'), join(made, 'patchelf'));
    for (const name of readdirSync(made)) chmodSync(join(made, name), 0o755);
  });
  const loader = join(libc, 'ld-linux-x86-64.so.2');
  await execa(join(libc, 'patchelf'), ['--set-interpreter', loader, '--set-rpath', libc, linux]);
}

export async function fetchUml({ name, packages }) {
  const dir = await unpacked(join('kernels', name), packages, async (files, made) => {
    const linux = join(made, 'linux');
    copyFileSync(join(files, 'usr', 'bin', 'linux.uml'), linux);
    const modules = join(files, 'usr', 'lib', 'uml', 'modules');
    copyModules(only(modules), join(made, 'modules'), MODULES);
    await withLibrary(linux);
  });
  return { dir };
}

/**
 * How to start it. Descriptor 1 is the output of the guest's command, 3 the kernel's messages, 4 how the command ended.
 * The kernel hands NAME=value that it does not know to init.
 */
export function umlMachine({ dir, job, init, memory, drives }) {
  const root = ['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`];
  const lines = [
    'con=null',
    'con0=null,fd:3',
    'console=tty0',
    'ssl=null',
    'ssl1=null,fd:1',
    'ssl2=null,fd:4',
  ];
  const names = drives.map((_, at) => `/dev/ubd${String.fromCharCode(97 + at)}`);
  writeFileSync(join(job, 'drives'), mountLines(drives, names));
  const kernel = ['quiet', 'loglevel=4', 'panic=-1', 'random.trust_cpu=on'];
  return {
    file: join(dir, 'linux'),
    args: [
      `mem=${memory}`,
      ...drives.map(({ path }, at) => `ubd${at}=${path}`),
      ...root,
      ...lines,
      `uml_dir=${job}/`,
      'umid=uml',
      ...kernel,
      `URING_JOB=${job}`,
    ],
  };
}
