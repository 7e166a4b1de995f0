// What everybody goes through who opens a ring: it must not kill the process, and must say why when it fails.
import { Errno } from '../errnos.ts';
import { systemError, type UringError } from '../errors.ts';
import { type Native, native } from './native.ts';
import { surroundings } from './surroundings.ts';
import { killedTrial, refusedSetup, type Unavailable, unavailableError, untried } from './unavailable.ts';

const OF_LIMITS: readonly number[] = [Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM];
/** These may be about the options of the ring, so something simple is tried. */
const OF_WHAT_WAS_ASKED: readonly number[] = [
  Errno.EACCES,
  Errno.EINVAL,
  Errno.ENOSYS,
  Errno.EOPNOTSUPP,
  Errno.EPERM,
];

/** On this thread a ring has been tried, or there is no filter that could kill. */
let isHarmless = false;

/** RLIMIT_MEMLOCK of this process, as far as it counts. */
function memlockBytes(binding: Native): number {
  return binding.resourceLimits()[0] ?? Number.POSITIVE_INFINITY;
}

/** What using io_uring in a child process has shown. */
function tried(binding: Native): Unavailable | undefined {
  const ended = binding.tryInChild();
  if (ended === null) return untried();
  const [result, signal] = ended;
  if (signal !== 0) return killedTrial(signal);
  return result === 0 ? undefined : refusedSetup(result, surroundings(), memlockBytes(binding));
}

/**
 * The binding, on a thread that may open rings. Where a seccomp filter is active, or nobody can tell, a child process tries
 * first, once for each thread: it costs a fork (`availability` says how long).
 */
export function opening(): Native {
  const binding = native();
  if (isHarmless) return binding;
  const problem = surroundings().seccomp === 0 ? undefined : tried(binding);
  if (problem !== undefined) throw unavailableError(problem);
  isHarmless = true;
  return binding;
}

/** The error of a ring that did not open, by the kernel's answer. */
export function setupError(result: number): UringError {
  const binding = native();
  if (OF_LIMITS.includes(-result))
    return unavailableError(refusedSetup(result, surroundings(), memlockBytes(binding)));
  if (OF_WHAT_WAS_ASKED.includes(-result)) {
    const problem = tried(binding);
    if (problem !== undefined) return unavailableError(problem);
  }
  return systemError(result, 'io_uring_setup');
}
