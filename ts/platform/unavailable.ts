import { constants } from 'node:os';
import { Errno } from '../errnos.ts';
import { describeErrno, UringError } from '../errors.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Why there is no io_uring: `environment` (switched off by `URING_DISABLED`), `platform` (not Linux), `architecture`,
 * `binary` (the native part is missing or does not load), `addons` (Node was told to load none), `kernel` (too old, or built
 * without it), `sysctl` (`kernel.io_uring_disabled`), `seccomp` (a filter answers with an error), `sandbox` (a filter kills
 * the process, or a sandbox imitates the kernel), `security-module` (SELinux and the like), `permission` (forbidden, and it
 * cannot be seen by whom), `memlock`, `memory`, `descriptors` (limits), `unknown`.
 */
export type UnavailableCode =
  | 'environment'
  | 'platform'
  | 'architecture'
  | 'binary'
  | 'addons'
  | 'kernel'
  | 'sysctl'
  | 'seccomp'
  | 'sandbox'
  | 'security-module'
  | 'permission'
  | 'memlock'
  | 'memory'
  | 'descriptors'
  | 'unknown';

/** There is no io_uring here: why, and what to do about it. */
export interface Unavailable {
  readonly available: false;
  readonly code: UnavailableCode;
  /** What the kernel answered, a negative number; missing where it was not asked. */
  readonly errno?: number;
  /** In a sentence or two. */
  readonly reason: string;
  /** What to do, for whoever runs the program. */
  readonly remedy: string;
}

/** The error that every attempt to open a ring ends with. */
export function unavailableError(availability: Unavailable, cause?: unknown): UringError {
  const { errno, reason, remedy } = availability;
  const asked = errno === undefined ? {} : { errno, syscall: 'io_uring_setup' };
  const error = new UringError('ERR_URING_UNAVAILABLE', `${reason}: ${remedy}`, { ...asked, availability });
  return cause === undefined ? error : Object.assign(error, { cause });
}

type Verdict = readonly [code: UnavailableCode, reason: string, remedy: string];

const CALLS = 'io_uring_setup, io_uring_enter and io_uring_register';
const ALLOW_CALLS =
  `run it with a seccomp profile that allows ${CALLS} (docker run --security-opt seccomp=profile.json, ` +
  'seccompProfile in Kubernetes, SystemCallFilter= in systemd); Docker Desktop 4.42 and later forbids them ' +
  'whatever the profile says, and so do some hosted platforms';
const NEWER = 'use Linux 5.6 or later, built with CONFIG_IO_URING';

function isBefore(release: string, major: number, minor: number): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return first !== undefined && (Number(first) - major || Number(second) - minor) < 0;
}

const filters = ({ seccomp }: Surroundings): boolean => seccomp === 2 || seccomp === 1;

function bySysctl({ sysctl, group, seccomp }: Surroundings): Verdict {
  const also = seccomp === 2 ? '. A seccomp filter is active too, and may forbid it as well' : '';
  if (sysctl === 2) {
    const reason = `the sysctl kernel.io_uring_disabled is 2, which forbids io_uring to every process${also}`;
    return ['sysctl', reason, 'run `sysctl -w kernel.io_uring_disabled=0` as root on the host'];
  }
  const members = group === undefined || group < 0 ? 'no group' : `group ${group}`;
  return [
    'sysctl',
    `the sysctl kernel.io_uring_disabled is 1, which forbids io_uring to processes without CAP_SYS_ADMIN ` +
      `that are not in the group of kernel.io_uring_group (now ${members})${also}`,
    'as root on the host run `sysctl -w kernel.io_uring_group=GID` with a group of this user, ' +
      'or `sysctl -w kernel.io_uring_disabled=0`',
  ];
}

/** EPERM: io_uring/io_uring.c (io_uring_allowed), or a filter before it. */
function notPermitted(around: Surroundings): Verdict {
  const { sysctl, isAdmin } = around;
  if (sysctl === 2 || (sysctl === 1 && isAdmin !== true)) return bySysctl(around);
  if (sysctl === undefined || around.seccomp === undefined) {
    return [
      'permission',
      'io_uring is forbidden (EPERM), by a seccomp filter or by the sysctl kernel.io_uring_disabled; which of them ' +
        'cannot be told, because /proc cannot be read here',
      `look at the sysctl on the host, which must be 0; if it is, ${ALLOW_CALLS}`,
    ];
  }
  if (filters(around)) {
    const reason =
      'a seccomp filter forbids io_uring (EPERM), as container runtimes do unless told otherwise';
    return ['seccomp', reason, ALLOW_CALLS];
  }
  return [
    'permission',
    'io_uring is forbidden (EPERM), though no seccomp filter is active and the sysctl allows it',
    'look for what else may forbid it: a security module (the audit log names it), or a kernel with a switch of its own',
  ];
}

/** The build that gVisor claims to be, whatever release it names (pkg/sentry/kernel/version/version.go). */
const GVISOR_BUILD = 'Sun Jan 10 15:06:54 PST 2016';

/** What is no Linux kernel, and says so to whoever looks. */
function imitation({ release, version }: Surroundings): Verdict | undefined {
  if (release.includes('gvisor') || version.includes(GVISOR_BUILD)) {
    const reason = `this is gVisor, which imitates a Linux kernel (${release}) without io_uring`;
    const remedy =
      'run it with another container runtime (docker run --runtime=runc, another runtimeClassName in Kubernetes)';
    return ['sandbox', reason, remedy];
  }
  // WSL 2 is a kernel, whose release ends with -microsoft-standard-WSL2.
  if (release.endsWith('-Microsoft')) {
    const reason = `this is WSL 1, which imitates a Linux kernel (${release}) without io_uring`;
    return ['kernel', reason, 'use WSL 2: `wsl --set-version DISTRIBUTION 2` in Windows'];
  }
  return undefined;
}

/** ENOSYS: a kernel without it, a filter that hides it, or something that is no Linux kernel. */
function notThere(around: Surroundings): Verdict {
  const { release, sysctl } = around;
  const imitated = imitation(around);
  if (imitated !== undefined) return imitated;
  if (isBefore(release, 5, 1) && !filters(around))
    return ['kernel', `this kernel (${release}) has no io_uring, which came with Linux 5.1`, NEWER];
  if (filters(around)) {
    const proof = typeof sysctl === 'number' ? ', which this kernel has' : '';
    const hidden = `a seccomp filter hides io_uring${proof}: the call is answered with ENOSYS`;
    return ['seccomp', hidden, ALLOW_CALLS];
  }
  if (around.seccomp === undefined) {
    const unseen =
      'the kernel is built without io_uring, or a sandbox hides it (ENOSYS); /proc cannot be read to tell';
    return ['kernel', unseen, `${NEWER}; in a sandbox, ${ALLOW_CALLS}`];
  }
  if (typeof sysctl === 'number') {
    const hidden = 'something between this process and the kernel hides io_uring (ENOSYS)';
    return ['sandbox', hidden, 'run it outside of the sandbox, or with another one'];
  }
  return [
    'kernel',
    `this kernel (${release}) answers that there is no io_uring: it is built without it, or a sandbox imitates a kernel`,
    `${NEWER}, or run it outside of the sandbox`,
  ];
}

function tooOld({ release }: Surroundings): Verdict {
  const reason = `this kernel's io_uring (${release}) is too old: it refuses what came with Linux 5.6`;
  return ['kernel', reason, 'use Linux 5.6 or later'];
}

function noMemory(memlockBytes: number): Verdict {
  if (memlockBytes === Number.POSITIVE_INFINITY) {
    const reason = 'the kernel has no memory for a ring (ENOMEM)';
    return ['memory', reason, 'give the machine or the control group more memory, or ask for smaller queues'];
  }
  return [
    'memlock',
    `the kernel has no memory for a ring (ENOMEM): RLIMIT_MEMLOCK is ${memlockBytes} bytes for all rings and registered ` +
      'buffers of this user, and some kernels count the queues as well',
    'raise it (`ulimit -l`, LimitMEMLOCK= in systemd, docker run --ulimit memlock=-1), close rings, or ask for ' +
      'smaller queues (entries, cqEntries)',
  ];
}

function noDescriptors(errno: number): Verdict {
  if (errno === Errno.ENFILE) {
    const reason = 'the machine has no descriptor left (ENFILE)';
    return ['descriptors', reason, 'close files, or raise the sysctl fs.file-max'];
  }
  const reason = 'this process has no descriptor left for a ring (EMFILE): RLIMIT_NOFILE is reached';
  const raise =
    'close files, or raise it (`ulimit -n`, LimitNOFILE= in systemd, docker run --ulimit nofile=65536)';
  return ['descriptors', reason, raise];
}

function verdict(errno: number, around: Surroundings, memlockBytes: number): Verdict {
  const { EACCES, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM } = Errno;
  if (errno === EPERM) return notPermitted(around);
  if (errno === ENOSYS || errno === EOPNOTSUPP) return notThere(around);
  if (errno === EINVAL) return tooOld(around);
  if (errno === ENOMEM) return noMemory(memlockBytes);
  if (errno === EMFILE || errno === ENFILE) return noDescriptors(errno);
  if (errno === EACCES) {
    const reason = 'io_uring is forbidden (EACCES) by a filter, or by a security module such as SELinux';
    return ['security-module', reason, 'allow it there: the audit log (`ausearch -m avc`) names the rule'];
  }
  const [name, meaning] = describeErrno(errno);
  const reason = `io_uring cannot be used here: io_uring_setup answers ${name} (${meaning})`;
  return ['unknown', reason, 'please report it, with what `npx uring doctor --json` prints'];
}

/** What an errno of io_uring_setup means in these surroundings; errno is negative, as the kernel answers it. */
export function refusedSetup(errno: number, around: Surroundings, memlockBytes: number): Unavailable {
  const [code, reason, remedy] = verdict(-errno, around, memlockBytes);
  return { available: false, code, errno, reason, remedy };
}

/** A child process that used io_uring was killed. */
export function killedTrial(signal: number): Unavailable {
  const [name] = Object.entries(constants.signals).find(([, number]) => number === signal) ?? [];
  const reason = `a sandbox kills processes that use io_uring (${name ?? `signal ${signal}`}); a child process has tried it`;
  return { available: false, code: 'sandbox', reason, remedy: ALLOW_CALLS };
}

/** A filter may kill, and no child process can be made to try. */
export function untried(): Unavailable {
  const reason =
    'a seccomp filter may be active that kills whoever uses io_uring, and no child process could be made to try';
  const remedy =
    'allow one more process (`ulimit -u`, pids.max of the control group, clone(2) in the filter)';
  return { available: false, code: 'sandbox', reason, remedy };
}
