// Disks that are full, limited or broken: file systems that only one program sees, in a mount namespace of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skipUnless } from './_helpers.ts';
import { type Ended, fixture, runProgram } from './_process.ts';

/** Of the program, so that the shell around it can still take the disk away; less than that of the shell. */
const PROGRAM_SECONDS = 40;
const SHELL_MS = 55_000;

const succeeds = (script: string): boolean =>
  spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;

const MOUNTS = 'unshare -m mount -t tmpfs -o size=1m tmpfs /mnt';
const LOOPS = 'test "$(id -u)" = 0 && test -w /dev/loop-control && losetup -f';
const SEE = 'see scripts/install-clients.sh';

/** Declares a test with small file systems in memory. */
export const whenRoot: ReturnType<typeof skipUnless> = skipUnless(succeeds(MOUNTS), `root, ${SEE}`);

/** Declares a test with disks that are files. */
export const whenLoops: ReturnType<typeof skipUnless> = skipUnless(
  succeeds(`${MOUNTS} && ${LOOPS}`),
  `root and loop devices, ${SEE}`,
);

/** Declares a test with quotas, for which btrfs has all that it takes in itself. */
export const whenQuotas: ReturnType<typeof skipUnless> = skipUnless(
  succeeds(`${MOUNTS} && ${LOOPS} && grep -q btrfs /proc/filesystems && command -v mkfs.btrfs btrfs`),
  `root, loop devices and btrfs, ${SEE}`,
);

/** How a disk is made, and what has to be taken away again that does not go with the namespace. */
export interface Disk {
  /** Shell commands; `$DIR` is an empty directory. */
  readonly make: readonly string[];
  readonly takeAway?: string;
}

/** Runs a short ES module, which has `DIR`, and `ending` and `say` of fixtures/_faults.mjs, where there is such a disk. */
export async function runOn(disk: Disk, source: string): Promise<Ended> {
  const DIR = mkdtempSync(join(tmpdir(), 'uring-disk-'));
  const prelude = `import { ending, outcome, say } from ${JSON.stringify(fixture('_faults.mjs'))}; const { DIR, LOOP } = process.env;`;
  const script = [
    'set -e',
    ...disk.make,
    ...(disk.takeAway === undefined ? [] : [`trap '${disk.takeAway}' EXIT`]),
    `timeout -k 5 ${PROGRAM_SECONDS} "$NODE" --input-type=module --eval "$SOURCE"`,
  ];
  const env = { DIR, NODE: process.execPath, SOURCE: `${prelude}\n${source}` };
  try {
    return await runProgram('unshare', ['-m', 'sh', '-c', script.join('\n')], { timeoutMs: SHELL_MS, env });
  } finally {
    rmdirSync(DIR);
  }
}
