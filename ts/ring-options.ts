import { Errno } from './errnos.ts';
import { invalidType, invalidValue, shown, systemError, UringError } from './errors.ts';
import { FEATURES } from './flags.ts';
import { SetupFlags } from './generated/abi.ts';
import { kOpener, type NativeRing, type Opener, type OpenOptions } from './platform/native.ts';
import { opening, setupError } from './platform/opening.ts';
import type { Ring } from './ring.ts';
import { type RingHandle, tokenOf } from './ring-handle.ts';
import type { Watch } from './runtime/watch.ts';
import { checkCombinations, type SetupFlagOptions, setupFlagsOf, setupRefused } from './setup-flags.ts';
import {
  checkBoolean,
  checkInteger,
  checkMilliseconds,
  checkOptions,
  checkPowerOfTwo,
  isSet,
  UINT32_MAX,
} from './validate.ts';

const ENTRIES_MAX = 32_768;
const CQ_ENTRIES_MAX = 65_536;
/** Room for completions that come faster than the event loop turns; 16 bytes each. */
const CQ_ENTRIES_DEFAULT = 4096;

/** A feature of the kernel's io_uring (`IORING_FEAT_*`), as `ring.features` names it. */
export type Feature = (typeof FEATURES)[number];

/** In the options of a worker's ring: the parent knows that it shares its polling thread. */
export const kWorker = Symbol('uring.worker');

/**
 * How to open a ring. What is asked for is required, and an error if the kernel does not have it; what is left out is
 * chosen by what the kernel has.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_setup.2.html io_uring_setup(2)}
 * @example
 * ```ts
 * import { Ring } from 'uring';
 *
 * await using ring = new Ring({ entries: 64, cqEntries: 1024, requireFeatures: ['NODROP'] });
 * console.log(ring.setupFlags);
 * ```
 */
export interface RingOptions extends SetupFlagOptions {
  /** Size of the submission queue, a power of two from 1 to 32,768. Default 256. */
  entries?: number;
  /**
   * Size of the completion queue, a power of two from `entries` to 65,536. It is also how many operations the event
   * loop keeps in flight; more wait their turn. Default 4096, or `entries` if that is more.
   */
  cqEntries?: number;
  /**
   * Let a kernel thread poll the submission queue, so that submitting takes no system call while it is awake. It
   * sleeps after `idleMs` without work (default 1000) and may be bound to one `cpu`. It burns a core while awake:
   * one for each ring is rarely worth it. Since Linux 5.13 without privileges.
   */
  sqpoll?: { idleMs?: number; cpu?: number };
  /** Operations that may wait for room on the event loop; one more is an error. Default 65,536. */
  waitingMax?: number;
  /**
   * Whether the callbacks of `start` run in the asynchronous context of whoever started the operation, which
   * `AsyncLocalStorage` relies on. Default true; false saves about 35 ns and an object for each operation. Promises and
   * iterators keep theirs in any case.
   */
  asyncContext?: boolean;
  /**
   * Share what another ring of the process has in the kernel: with `sqpoll` its polling thread, and the worker threads of
   * that one. Both rings must have `sqpoll` then. Without it there is nothing to share since Linux 5.12, where every thread
   * has worker threads of its own, for all of its rings. The other ring may belong to another thread, and may be closed
   * afterwards; with `sqpoll` only `RingWorker` attaches to one of another thread. A ring that shares its polling thread takes
   * no chains and no deadlines.
   */
  attachTo?: Ring | RingHandle;
  /** How long an operation may take before the channel `uring:operation:slow` tells of it. Default 1000. */
  slowOperationMs?: number;
  /** How long one turn of the event loop may deliver before the channel `uring:turn:long` tells of it. Default 50. */
  longTurnMs?: number;
  /** With false, waiting for completions does not count as waiting for a disk. Since Linux 6.15. */
  ioWait?: boolean;
  /**
   * The limits of waits lie in memory that the kernel knows, so that it need not copy them for each wait. Since Linux
   * 6.13.
   */
  registeredWait?: boolean;
  /** Features without which the ring shall not open. */
  requireFeatures?: readonly Feature[];
}

/** Sizes of the queues, checked; with `clamp` the kernel reduces what is too large. */
export function checkSizes(
  { entries, cqEntries }: { entries: number; cqEntries?: number | undefined },
  clamp: boolean,
): { entries: number; cqEntries: number } {
  const max = (limit: number): number => (clamp ? 2 ** 31 : limit);
  const sq = checkPowerOfTwo('options.entries', entries, 1, max(ENTRIES_MAX));
  const cqDefault = Math.max(CQ_ENTRIES_DEFAULT, sq);
  const cq = checkPowerOfTwo('options.cqEntries', cqEntries ?? cqDefault, sq, max(CQ_ENTRIES_MAX));
  return { entries: sq, cqEntries: cq };
}

function checkFeatures(features: unknown): readonly Feature[] {
  if (features === undefined) return [];
  if (!Array.isArray(features)) throw invalidType('options.requireFeatures', 'an array of names', features);
  for (const name of features) {
    if (!FEATURES.includes(name)) {
      const problem = `has ${shown(name)}, which is none of ${FEATURES.join(', ')}`;
      throw invalidValue('options.requireFeatures', problem);
    }
  }
  return features;
}

/** The options of the native side, and the features that the ring must have. */
function checked(options: RingOptions): { open: OpenOptions; features: readonly Feature[] } {
  checkOptions('options', options);
  const flags = setupFlagsOf(options);
  const sizes = checkSizes(
    { entries: options.entries ?? 256, cqEntries: options.cqEntries },
    options.clamp === true,
  );
  const open: OpenOptions = {
    ...sizes,
    ...flags,
    coop: options.taskrun === 'coop',
    registeredWait: isSet('options.registeredWait', options.registeredWait),
    ioWait: checkBoolean('options.ioWait', options.ioWait ?? true),
  };
  if (options.sqpoll !== undefined) {
    checkOptions('options.sqpoll', options.sqpoll);
    open.sqpollIdleMs = checkInteger('options.sqpoll.idleMs', options.sqpoll.idleMs ?? 1000, 0, UINT32_MAX);
    const cpu = options.sqpoll.cpu;
    if (cpu !== undefined) open.sqpollCpu = checkInteger('options.sqpoll.cpu', cpu, 0, UINT32_MAX);
  }
  if (options.attachTo !== undefined) {
    open.attachTo = tokenOf('options.attachTo', options.attachTo);
    const isTold = 'handle' in options.attachTo || kWorker in options;
    if (options.sqpoll !== undefined && !isTold) {
      // The other ring must know, because chains are cut then (runtime/rejects.ts).
      const problem =
        'is a handle: with sqpoll it must be a Ring of this thread, or the parent of a RingWorker';
      throw invalidValue('options.attachTo', problem);
    }
  }
  checkCombinations(options);
  if (options.waitingMax !== undefined) checkInteger('options.waitingMax', options.waitingMax, 0, UINT32_MAX);
  isSet('options.asyncContext', options.asyncContext);
  checkMilliseconds('options.slowOperationMs', options.slowOperationMs);
  checkMilliseconds('options.longTurnMs', options.longTurnMs);
  const features = checkFeatures(options.requireFeatures);
  return { open, features: open.ioWait ? features : [...features, 'NO_IOWAIT'] };
}

/** @internal */
export function setThresholds(watch: Watch, { slowOperationMs, longTurnMs }: RingOptions): void {
  if (slowOperationMs !== undefined) watch.slowOperationMs = slowOperationMs;
  if (longTurnMs !== undefined) watch.longTurnMs = longTurnMs;
}

/** @internal Opens a ring. */
export function openRing(options: RingOptions): NativeRing {
  const { open, features } = checked(options);
  const opener = (options as { [kOpener]?: Opener })[kOpener];
  const ring = (opener ?? opening()).open(open);
  if (typeof ring === 'number') {
    if (ring === -Errno.ESTALE) throw nothingToAttachTo();
    if (ring === -Errno.EBUSY) throw tableFull('io_uring_setup');
    if (opener !== undefined) throw systemError(ring, 'io_uring_setup');
    const sqpoll = open.sqpollIdleMs === undefined ? 0 : SetupFlags.SQPOLL;
    const cpu = open.sqpollCpu === undefined ? 0 : SetupFlags.SQ_AFF;
    const attached = open.attachTo === undefined ? 0 : SetupFlags.ATTACH_WQ;
    const asked = open.required | sqpoll | cpu | attached;
    if (ring !== -Errno.EINVAL || asked === 0) throw setupError(ring);
    throw setupRefused(asked);
  }
  try {
    requireAll(features, ring.layout()?.features ?? 0);
  } catch (error) {
    ring.closeNow();
    throw error;
  }
  return ring;
}

function nothingToAttachTo(): UringError {
  const message = 'the ring to attach to is closed: open this one while it is there';
  return new UringError('ERR_URING_STALE_HANDLE', message);
}

/** @internal The thread's table of rings (io_uring/tctx.h, IO_RINGFD_REG_MAX) has no place left. */
export function tableFull(syscall: string): UringError {
  const error = systemError(-Errno.EBUSY, syscall);
  error.message = `${error.message}; a thread can name 16 rings without a descriptor: close one, or unregister it`;
  return error;
}

/** @internal Throws if some of the features are not among those of the ring. */
export function requireAll(features: readonly Feature[], granted: number): void {
  const missing = features.filter((name) => (granted & (1 << FEATURES.indexOf(name))) === 0);
  if (missing.length === 0) return;
  const message = `this kernel's io_uring does not have ${missing.join(', ')}: use a later kernel, or do without`;
  throw new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
}
