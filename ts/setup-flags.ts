import { Errno } from './errnos.ts';
import { invalidType, invalidValue, systemError, UringError } from './errors.ts';
import { SetupFlags } from './generated/abi.ts';
import { native } from './platform/native.ts';
import { checkBoolean, isSet } from './validate.ts';

/** What a ring is made of, beyond its sizes: options that are setup flags of the kernel. */
export interface SetupFlagOptions {
  /**
   * Busy-poll for completions: O_DIRECT reads and writes on devices with poll queues only. `'hybrid'` sleeps for a
   * part of the expected time first (since Linux 6.13).
   */
  iopoll?: boolean | 'hybrid';
  /**
   * How the kernel runs completions. Without it the strongest that the kernel has is taken, see `ring.setupFlags`;
   * what is asked for is required: `'defer'` runs them when the ring is entered (since Linux 6.1), `'coop'` also at any
   * other system call (5.19), `'none'` at once, interrupting the thread.
   */
  taskrun?: 'defer' | 'coop' | 'none';
  /** The ring says when completions wait for it to be entered; default: where the kernel has it. Since Linux 5.19. */
  taskrunFlag?: boolean;
  /**
   * Only one thread ever enters the ring, which lets the kernel do less; default: where the kernel has it. With false
   * completions cannot be deferred. Since Linux 6.0.
   */
  singleIssuer?: boolean;
  /**
   * An operation that fails while it is submitted does not stop those behind it; default: where the kernel has it.
   * Since Linux 5.18.
   */
  submitAll?: boolean;
  /** Sizes that are too large are reduced to the largest there are, instead of refused. Since Linux 5.6. */
  clamp?: boolean;
  /**
   * The ring starts only with `ring.enable()`: until then it can be prepared and registered with, but not submitted
   * to. Since Linux 5.10.
   */
  disabled?: boolean;
  /**
   * Size of a submission queue entry: 64 bytes, 128 (since Linux 5.19), or both (`'mixed'`, since Linux 6.19). Only
   * commands to drivers use the larger ones.
   */
  sqeBytes?: 64 | 128 | 'mixed';
  /**
   * Size of a completion: 16 bytes, 32 (since Linux 5.19), or both (`'mixed'`, since Linux 6.18). The larger ones bring
   * `completion.extra`.
   */
  cqeBytes?: 16 | 32 | 'mixed';
  /** The queues lie in memory of this package and not of the kernel. Since Linux 6.5. */
  noMmap?: boolean;
  /**
   * The ring has no descriptor (`ring.fd` is -1), only a place in the thread's table of rings. Other rings cannot send
   * it messages or share its workers. Needs `noMmap`. Since Linux 6.5.
   */
  registeredFdOnly?: boolean;
  /** Without the array of indexes between queue and entries; default: where the kernel has it. Since Linux 6.6. */
  noSqarray?: boolean;
  /** Every submission starts at the first place of the queue. Since Linux 7.0. */
  sqRewind?: boolean;
}

/** First kernels, for messages. */
const FIRST_KERNEL: Readonly<Partial<Record<keyof typeof SetupFlags, string>>> = {
  CLAMP: '5.6',
  R_DISABLED: '5.10',
  SUBMIT_ALL: '5.18',
  COOP_TASKRUN: '5.19',
  TASKRUN_FLAG: '5.19',
  SQE128: '5.19',
  CQE32: '5.19',
  SINGLE_ISSUER: '6.0',
  DEFER_TASKRUN: '6.1',
  NO_MMAP: '6.5',
  REGISTERED_FD_ONLY: '6.5',
  NO_SQARRAY: '6.6',
  HYBRID_IOPOLL: '6.13',
  CQE_MIXED: '6.18',
  SQE_MIXED: '6.19',
  SQ_REWIND: '7.0',
};

/** Options that are one flag each, required when true. */
const SWITCHES = [
  ['taskrunFlag', SetupFlags.TASKRUN_FLAG],
  ['singleIssuer', SetupFlags.SINGLE_ISSUER],
  ['submitAll', SetupFlags.SUBMIT_ALL],
  ['clamp', SetupFlags.CLAMP],
  ['disabled', SetupFlags.R_DISABLED],
  ['noMmap', SetupFlags.NO_MMAP],
  ['registeredFdOnly', SetupFlags.REGISTERED_FD_ONLY],
  ['noSqarray', SetupFlags.NO_SQARRAY],
  ['sqRewind', SetupFlags.SQ_REWIND],
] as const;

const TASKRUN = {
  defer: SetupFlags.DEFER_TASKRUN | SetupFlags.SINGLE_ISSUER,
  coop: SetupFlags.COOP_TASKRUN,
  none: 0,
} as const;
const SQE_BYTES = { 64: 0, 128: SetupFlags.SQE128, mixed: SetupFlags.SQE_MIXED } as const;
const CQE_BYTES = { 16: 0, 32: SetupFlags.CQE32, mixed: SetupFlags.CQE_MIXED } as const;

function oneOf<T extends object>(name: string, choices: T, value: unknown): T[keyof T] | undefined {
  if (value === undefined) return undefined;
  const isKey = typeof value === 'string' || typeof value === 'number';
  if (!isKey || !Object.hasOwn(choices, value)) {
    throw invalidType(name, `one of ${Object.keys(choices).join(', ')}`, value);
  }
  return choices[value as keyof T];
}

/** @internal The flags that must be there, and those that must not. */
export function setupFlagsOf(options: SetupFlagOptions): { required: number; forbidden: number } {
  let required = 0;
  let forbidden = 0;
  for (const [name, flag] of SWITCHES) {
    const value = options[name];
    if (value === undefined) continue;
    if (checkBoolean(`options.${name}`, value)) required |= flag;
    else forbidden |= flag;
  }
  const { iopoll } = options;
  if (iopoll === 'hybrid') required |= SetupFlags.IOPOLL | SetupFlags.HYBRID_IOPOLL;
  else if (isSet('options.iopoll', iopoll)) required |= SetupFlags.IOPOLL;
  required |= oneOf('options.taskrun', TASKRUN, options.taskrun) ?? 0;
  if (options.taskrun === 'none')
    forbidden |= SetupFlags.DEFER_TASKRUN | SetupFlags.COOP_TASKRUN | SetupFlags.TASKRUN_FLAG;
  if (options.taskrun === 'coop') forbidden |= SetupFlags.DEFER_TASKRUN;
  required |= oneOf('options.sqeBytes', SQE_BYTES, options.sqeBytes) ?? 0;
  required |= oneOf('options.cqeBytes', CQE_BYTES, options.cqeBytes) ?? 0;
  return { required, forbidden };
}

/** Pairs of options that exclude each other (io_uring/io_uring.c, io_uring_sanitise_params), and why. */
export function checkCombinations(options: SetupFlagOptions & { sqpoll?: object }): void {
  const { taskrun } = options;
  const refuse = (name: string, why: string): never => {
    throw invalidValue(`options.${name}`, why);
  };
  if (options.sqpoll !== undefined) {
    const why = 'cannot be had with options.sqpoll: completions are run by its thread';
    if (taskrun === 'defer' || taskrun === 'coop') refuse('taskrun', why);
    if (options.taskrunFlag === true) refuse('taskrunFlag', why);
    if (options.sqRewind === true)
      refuse('sqRewind', 'cannot be had with options.sqpoll: its thread needs head and tail');
  }
  if (options.singleIssuer === false && taskrun === 'defer')
    refuse(
      'singleIssuer',
      "must not be false with options.taskrun 'defer': one thread runs what is deferred",
    );
  if (options.taskrunFlag === true && taskrun === 'none')
    refuse('taskrunFlag', "needs options.taskrun 'defer' or 'coop'");
  if (options.sqRewind === true && options.noSqarray === false)
    refuse('sqRewind', 'needs a queue without indexes: leave out options.noSqarray');
  if (options.registeredFdOnly === true && options.noMmap !== true)
    refuse('registeredFdOnly', 'needs options.noMmap: without a descriptor nothing can be mapped');
}

/** @internal The error for a ring that the kernel refused with EINVAL: which flag it lacks, or what was asked for. */
export function setupRefused(asked: number): UringError {
  const names = (bits: number): string[] =>
    Object.entries(SetupFlags).flatMap(([name, bit]) => ((bits & bit) === 0 ? [] : [name]));
  const [unknown] = names(native().unknownSetupFlags(asked));
  if (unknown !== undefined) {
    const kernel = FIRST_KERNEL[unknown as keyof typeof SetupFlags] ?? 'a later one';
    const message = `this kernel does not have IORING_SETUP_${unknown}: it needs Linux ${kernel} or later`;
    return new UringError('ERR_URING_UNSUPPORTED_FLAG', message);
  }
  const error = systemError(-Errno.EINVAL, 'io_uring_setup');
  const list = names(asked).join(', ');
  if (list !== '') error.message = `${error.message}; asked for were ${list}`;
  return error;
}
