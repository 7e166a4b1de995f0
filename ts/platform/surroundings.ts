import { existsSync, readFileSync } from 'node:fs';
import { release, version } from 'node:os';

/** What a process can learn about why io_uring is refused. What cannot be read is undefined. */
export interface Surroundings {
  /** What uname(2) says of the kernel. */
  readonly release: string;
  readonly version: string;
  /** `kernel.io_uring_disabled`: 0, 1, 2, or `'absent'` in a kernel without it (before 6.6, or without io_uring). */
  readonly sysctl: number | 'absent' | undefined;
  /** `kernel.io_uring_group`: who may use it all the same when the sysctl is 1; -1 is nobody. */
  readonly group: number | undefined;
  /** Of the calling thread: 0 no filter, 1 strict, 2 filters (proc_pid_status(5)). */
  readonly seccomp: number | undefined;
  /** CAP_SYS_ADMIN where the kernel asks for it, which is not in a user namespace. */
  readonly isAdmin: boolean | undefined;
}

const CAP_SYS_ADMIN = 21n;
/** The whole range is mapped to itself: the first user namespace (user_namespaces(7)). */
const WHOLE_RANGE = /^\s*0\s+0\s+4294967295\s*$/;

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function number(content: string | undefined): number | undefined {
  const value = Number.parseInt(content ?? '', 10);
  return Number.isNaN(value) ? undefined : value;
}

function sysctl(name: string): number | 'absent' | undefined {
  const path = `/proc/sys/kernel/${name}`;
  // A look takes no descriptor, of which there may be none.
  if (!existsSync(path) && existsSync('/proc/sys/kernel/ostype')) return 'absent';
  return number(text(path));
}

function isAdmin(status: string): boolean | undefined {
  const effective = status.match(/^CapEff:\s*([0-9a-f]+)/m)?.[1];
  const users = text('/proc/self/uid_map');
  if (effective === undefined || users === undefined) return undefined;
  return WHOLE_RANGE.test(users) && ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}

/** Reads it anew each time: a thread may get a filter, and an administrator may help. */
export function surroundings(): Surroundings {
  const status = text('/proc/thread-self/status') ?? '';
  const group = sysctl('io_uring_group');
  return {
    release: release(),
    version: version(),
    sysctl: sysctl('io_uring_disabled'),
    group: group === 'absent' ? undefined : group,
    seccomp: number(status.match(/^Seccomp:\s*(\d+)/m)?.[1]),
    isAdmin: isAdmin(status),
  };
}
