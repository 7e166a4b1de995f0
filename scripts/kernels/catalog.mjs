// The kernels of the matrix. Debian's archive keeps only the newest package of most series, so that what is fetched moves on
// within a series; `release` in a run's table is what the kernel itself says.

/**
 * The everyday tier: User-Mode Linux is Linux built as a program. It needs no emulation and no privileges, and runs code
 * at its native speed, on one CPU.
 */
const UML = [
  { name: 'uml-5.10', suite: 'bullseye' },
  { name: 'uml-6.1', suite: 'bookworm' },
  { name: 'uml-6.12', suite: 'trixie' },
  { name: 'uml-7.2', suite: 'sid' },
];

/** Emulated machines: kernels that are no User-Mode Linux. 5.10 of today has the io_uring of 5.15. */
const QEMU = [
  { name: 'qemu-5.10', packages: ['linux-image-5.10.0-*-cloud-amd64/bullseye-security'] },
  { name: 'qemu-6.18', packages: ['linux-image-6.18.*+deb13-cloud-amd64/trixie-backports'] },
  {
    name: 'qemu-7.3',
    packages: ['binary-unsigned', 'modules', 'base'].map(
      (part) => `linux-${part}-7.3.*+deb13-cloud-amd64/trixie-backports`,
    ),
  },
];

export const KERNELS = [
  ...UML.map(({ name, suite }) => ({ name, machine: 'uml', packages: [`user-mode-linux/${suite}`] })),
  ...QEMU.map((kernel) => ({ ...kernel, machine: 'qemu' })),
];

export const EVERYDAY = UML.map(({ name }) => name);
