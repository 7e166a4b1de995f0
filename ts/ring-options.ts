import { invalidType, systemError } from './errors.ts';
import { type NativeRing, native, type OpenOptions } from './platform/native.ts';
import type { Ring } from './ring.ts';
import { checkBoolean, checkInteger, checkOptions, checkPowerOfTwo, UINT32_MAX } from './validate.ts';

const ENTRIES_MAX = 32_768;
const CQ_ENTRIES_MAX = 65_536;
/** Room for completions that come faster than the event loop turns; 16 bytes each. */
const CQ_ENTRIES_DEFAULT = 4096;
/** How to open a ring. */
export interface RingOptions {
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
  /** Busy-poll for completions: O_DIRECT reads and writes on devices with poll queues only. */
  iopoll?: boolean;
  /** Share the worker threads of another ring. */
  attachTo?: Ring;
  /**
   * How the kernel runs completions: `'defer'` (the default) when the ring is entered, `'coop'` also at any other
   * system call. The kernel's support decides in the end: see `ring.setupFlags`.
   */
  taskrun?: 'defer' | 'coop';
}

/** @internal Opens a ring; `descriptorOf` answers the descriptor of a ring, and nothing for anything else. */
export function openRing(
  options: RingOptions,
  descriptorOf: (ring: unknown) => number | undefined,
): NativeRing {
  checkOptions('options', options);
  const entries = checkPowerOfTwo('options.entries', options.entries ?? 256, 1, ENTRIES_MAX);
  const cqDefault = Math.max(CQ_ENTRIES_DEFAULT, entries);
  const cqEntries = checkPowerOfTwo(
    'options.cqEntries',
    options.cqEntries ?? cqDefault,
    entries,
    CQ_ENTRIES_MAX,
  );
  const open: OpenOptions = {
    entries,
    cqEntries,
    iopoll: checkBoolean('options.iopoll', options.iopoll ?? false),
    coop: options.taskrun === 'coop',
  };
  if (options.taskrun !== undefined && options.taskrun !== 'coop' && options.taskrun !== 'defer') {
    throw invalidType('options.taskrun', "'defer' or 'coop'", options.taskrun);
  }
  if (options.sqpoll !== undefined) {
    checkOptions('options.sqpoll', options.sqpoll);
    open.sqpollIdleMs = checkInteger('options.sqpoll.idleMs', options.sqpoll.idleMs ?? 1000, 0, UINT32_MAX);
    const cpu = options.sqpoll.cpu;
    if (cpu !== undefined) open.sqpollCpu = checkInteger('options.sqpoll.cpu', cpu, 0, UINT32_MAX);
  }
  if (options.attachTo !== undefined) {
    const fd = descriptorOf(options.attachTo);
    if (fd === undefined) throw invalidType('options.attachTo', 'a Ring', options.attachTo);
    open.attachTo = fd;
  }
  const ring = native().open(open);
  if (typeof ring === 'number') throw systemError(ring, 'io_uring_setup');
  return ring;
}
