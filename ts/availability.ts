import { release } from 'node:os';
import { describeErrno, type UringError } from './errors.ts';
import { FEATURES } from './flags.ts';
import { type Op, opInfo } from './generated/ops.ts';
import { native } from './platform/native.ts';
import type { Unavailable } from './platform/unavailable.ts';
import { type Feature, openRing } from './ring-options.ts';

/** A limit of the process (getrlimit(2)): what counts now, and how far the process itself may raise it. */
export interface ResourceLimit {
  readonly soft: number;
  readonly hard: number;
}

/** There is io_uring here, and what a ring gets that is opened without options. */
export interface Available {
  readonly available: true;
  /** The kernel's release, as uname(2) says it; nothing is decided by it. */
  readonly kernel: string;
  /** Features of the kernel's io_uring, without `IORING_FEAT_`. */
  readonly features: readonly Feature[];
  /** Operations that the kernel has, by the names of this package. */
  readonly operations: readonly (keyof typeof Op)[];
  /** Setup flags that the ring got, without `IORING_SETUP_`; `probe()` says which the kernel knows. */
  readonly setupFlags: readonly string[];
  readonly limits: {
    /** RLIMIT_MEMLOCK: memory that may be registered, for all rings of the user; `Infinity` where there is no limit. */
    readonly memlockBytes: ResourceLimit;
    /** RLIMIT_NOFILE: descriptors of the process. A ring takes one. */
    readonly descriptors: ResourceLimit;
  };
}

/** What `availability` answers. */
export type Availability = Available | Unavailable;

function available(): Available {
  // What counts is whether a ring like everybody's can be opened: a tiny one may fit where that does not.
  const ring = openRing({});
  try {
    const layout = ring.layout();
    const [memlock = 0, memlockHard = 0, files = 0, filesHard = 0] = native().resourceLimits();
    const features = layout?.features ?? 0;
    return {
      available: true,
      kernel: release(),
      features: FEATURES.filter((_, bit) => (features & (1 << bit)) !== 0),
      operations: (layout?.operations ?? []).flatMap((opcode) => opInfo[opcode]?.name ?? []),
      setupFlags: layout?.setupFlags ?? [],
      limits: {
        memlockBytes: { soft: memlock, hard: memlockHard },
        descriptors: { soft: files, hard: filesHard },
      },
    };
  } finally {
    ring.closeNow();
  }
}

/** @internal Why there is no ring, by the error of opening one. */
export function unavailableBy(error: unknown): Unavailable {
  const { availability } = error as UringError;
  return availability ?? unforeseen(error as UringError);
}

/** A failure that nobody foresaw is an answer too. */
function unforeseen({ errno, message }: Partial<UringError>): Unavailable {
  const answer = errno === undefined ? {} : { errno };
  const name = errno === undefined ? '' : ` (${describeErrno(-errno)[0]})`;
  const reason = `a ring cannot be opened${name}: ${message ?? 'for an unknown reason'}`;
  const remedy = 'please report it, with what `npx uring doctor --json` prints';
  return { available: false, code: 'unknown', ...answer, reason, remedy };
}

/**
 * Whether io_uring can be used here, and if not, why, and what to do about it. Never throws. The kernel is asked anew each
 * time, by opening a ring like that of `new Ring()` and closing it at once; so the answer is the one that `new Ring()` would
 * get, whose error carries it as `error.availability`.
 *
 * Where a seccomp filter is active (in containers, mostly), or /proc cannot be read to tell, a child process tries io_uring
 * first, because some sandboxes kill whoever uses it. That happens once for each thread, at its first ring or question, and
 * costs a fork: about a millisecond, and some 50 for each GiB that the process uses. If the sandbox kills, its log says so.
 *
 * The environment variable `URING_DISABLED` (anything but 0) switches io_uring off. It is read when a thread first opens a
 * ring or asks; importing the package does nothing.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_setup.2.html io_uring_setup(2)}
 * @example
 * ```ts
 * import { availability } from 'uring';
 *
 * const answer = availability();
 * if (answer.available) console.log(`Linux ${answer.kernel}, ${answer.operations.length} operations`);
 * else console.log(`no io_uring (${answer.code}): ${answer.reason}. What to do: ${answer.remedy}`);
 * ```
 */
export function availability(): Availability {
  try {
    return available();
  } catch (error) {
    return unavailableBy(error);
  }
}
