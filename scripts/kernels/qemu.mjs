// Kernels in an emulated machine: for those that are no User-Mode Linux, and for drives that can be polled. QEMU 10,
// because with several processors the emulator of 7.2 races with the kernel's patching of its own code ("Oops: int3").
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { cpio } from './cpio.mjs';
import { unpacked } from './debian.mjs';
import { copyModules, only } from './modules.mjs';
import { mountLines } from './mounts.mjs';
import { makeRoot } from './rootfs.mjs';

const FIRST = fileURLToPath(new URL('first.sh', import.meta.url));
/** What cloud kernels have as modules. */
const MODULES = ['ipv6', 'loop', 'xfs', 'btrfs'];
const ROOT_BYTES = 2 ** 30;
const PROCESSORS = 2;

export async function fetchQemuKernel({ name, packages }) {
  const dir = await unpacked(join('kernels', name), packages, async (files, made) => {
    const all = readdirSync(files, { recursive: true });
    const image = all.find((path) => basename(path).startsWith('vmlinuz'));
    copyFileSync(join(files, image), join(made, 'vmlinuz'));
    const modules = [join(files, 'usr', 'lib', 'modules'), join(files, 'lib', 'modules')].find(existsSync);
    if (!existsSync(join(only(modules), 'modules.dep'))) {
      const { env, program } = await tools();
      await execa(program('depmod'), ['-b', dirname(dirname(modules)), basename(only(modules))], { env });
    }
    copyModules(only(modules), join(made, 'modules'), MODULES);
  });
  return { dir };
}

/** Programs with all the libraries that they need, beside those of the system. */
export async function tools() {
  const packages = [
    'qemu-system-x86/bookworm-backports',
    'qemu-system-data/bookworm-backports',
    'qemu-system-common/bookworm-backports',
    'seabios/bookworm-backports',
    'xfsprogs',
    'btrfs-progs',
    'kmod',
  ];
  const dir = await unpacked(
    'tools',
    packages,
    (files, made) => {
      for (const name of readdirSync(files))
        cpSync(join(files, name), join(made, name), { recursive: true, verbatimSymlinks: true });
      cpSync(join(files, 'usr', 'share', 'seabios'), join(made, 'usr', 'share', 'qemu'), { recursive: true });
      // It is a link to an absolute path.
      rmSync(join(made, 'sbin', 'depmod'));
      symlinkSync('../bin/kmod', join(made, 'sbin', 'depmod'));
    },
    { withNeeds: true },
  );
  const library = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
    .map((path) => join(dir, path))
    .join(':');
  const program = (name) =>
    ['usr/bin', 'usr/sbin', 'sbin', 'bin'].map((path) => join(dir, path, name)).find(existsSync) ?? name;
  return { dir, env: { LD_LIBRARY_PATH: library }, program };
}

function initramfs({ dir, job }) {
  const files = { bin: null, dev: null, proc: null, sys: null, root: null, modules: null };
  files['bin/busybox'] = readFileSync(join(job, 'busybox'));
  files.init = readFileSync(FIRST);
  for (const name of readdirSync(join(dir, 'modules')).sort())
    files[`modules/${name}`] = readFileSync(join(dir, 'modules', name));
  return cpio(files);
}

export async function qemuMachine({ dir, job, init, memory, drives }) {
  const { dir: own, env, program } = await tools();
  writeFileSync(
    join(job, 'drives'),
    mountLines(
      drives,
      drives.map(({ serial }) => `/dev/${serial}`),
    ),
  );
  await makeRoot(`${job}.root`, job, ROOT_BYTES);
  writeFileSync(`${job}.initrd`, initramfs({ dir, job }));
  const all = [{ serial: 'root-drive', path: `${job}.root` }, ...drives];
  const disks = all.flatMap(({ serial, path }) => [
    '-drive',
    `if=none,id=${serial},format=raw,cache=unsafe,file=${path}`,
    '-device',
    `nvme,serial=${serial},drive=${serial}`,
  ]);
  const kernel = [
    'console=ttyS0',
    'reboot=t',
    'mitigations=off',
    'tsc=reliable',
    'no_timer_check',
    'quiet',
    'loglevel=4',
    'panic=-1',
    'random.trust_cpu=on',
    'nvme.poll_queues=1',
    `URING_JOB=${job}`,
    `URING_INIT=${init}`,
    `URING_DRIVES=${all.map(({ serial }) => serial).join(',')}`,
  ];
  return {
    file: program('qemu-system-x86_64'),
    env,
    leftOver: [`${job}.root`, `${job}.initrd`],
    args: [
      '-L',
      join(own, 'usr', 'share', 'qemu'),
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
      '-machine',
      'q35',
      '-accel',
      'tcg,thread=multi',
      '-cpu',
      'max,la57=off',
      '-smp',
      String(PROCESSORS),
      '-m',
      memory,
      '-kernel',
      join(dir, 'vmlinuz'),
      '-initrd',
      `${job}.initrd`,
      '-append',
      kernel.join(' '),
      ...disks,
      '-serial',
      `file:${join(job, 'console')}`,
      '-chardev',
      'stdio,id=out,signal=off',
      '-serial',
      'chardev:out',
      '-serial',
      `file:${join(job, 'status')}`,
    ],
  };
}
