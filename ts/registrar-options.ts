// What the methods of a registrar take and answer, and how it is checked.
import { invalidType, invalidValue, shown, systemError, type UringError } from './errors.ts';
import { Op } from './generated/ops.ts';
import { registrations } from './generated/registrations.ts';
import type { Allowed } from './platform/native.ts';
import { checkInteger, checkList, checkName, checkOptions, isSet } from './validate.ts';

/** Where a ring signals that completions have arrived. */
export interface EventfdOptions {
  /** An eventfd of yours; left out, a new one is made, which you close. */
  fd?: number;
  /** Only for what did not complete at once, while it was submitted. Since Linux 5.6. */
  async?: boolean;
}

/** Most worker threads for each kind of work; 0, or left out, leaves a limit as it is. */
export interface WorkerLimits {
  /** For reading and writing regular files and block devices, which ends in bounded time. */
  bounded?: number;
  /** For everything else: sockets, pipes, ... */
  unbounded?: number;
}

/** Busy polling of network devices. */
export interface NapiOptions {
  /** How long to poll before waiting, in microseconds; the kernel takes 10,000 at most. */
  busyPollUs: number;
  /** Prefer busy polling to interrupts, as SO_PREFER_BUSY_POLL. Default false. */
  preferBusyPoll?: boolean;
  /**
   * `'dynamic'` (the default) polls the receive queues of the sockets in use, `'static'` those that
   * `addNapiId` names. Since Linux 6.13.
   */
  tracking?: 'dynamic' | 'static';
}

/** Settings of busy polling as they were. */
export interface NapiSettings {
  readonly busyPollUs: number;
  readonly preferBusyPoll: boolean;
  readonly tracking: 'dynamic' | 'static' | 'inactive';
}

/** What a ring may be used for; what is left out is not restricted. */
export interface Restrictions {
  /** Names of registrations, such as `'REGISTER_FILES2'`; see the README's table. */
  registrations?: readonly (keyof typeof registrations)[];
  /** Names of operations, such as `'read'`. What reads fixed memory is one of its own: `'readFixed'`. */
  operations?: readonly (keyof typeof Op)[];
  /** {@link SqeFlags} that an operation may have. */
  sqeFlagsAllowed?: number;
  /** {@link SqeFlags} that every operation must have. */
  sqeFlagsRequired?: number;
}

/**
 * What the package needs itself: to cancel when a ring is closed, to be woken by the event loop, and to take memory back
 * that nobody uses any more.
 */
const ALWAYS: readonly (keyof typeof registrations)[] = [
  'UNREGISTER_FILES',
  'REGISTER_EVENTFD',
  'UNREGISTER_EVENTFD',
  'REGISTER_ENABLE_RINGS',
  'REGISTER_BUFFERS2',
  'REGISTER_BUFFERS_UPDATE',
  'UNREGISTER_PBUF_RING',
  'UNREGISTER_RING_FDS',
  'REGISTER_SYNC_CANCEL',
];
/** All flags of submissions (IOSQE_*). */
const SQE_FLAGS_ALL = 0x7f;

/** More than there are; a name may stand there twice. */
const NAMES_MAX = 1024;

function numbersOf<T extends string>(
  name: string,
  names: readonly T[] | undefined,
  numberOf: (name: T) => number | undefined,
): number[] | undefined {
  if (names === undefined) return undefined;
  return checkList(name, names, 'an array of names', { max: NAMES_MAX }).map((one, at) => {
    const number = typeof one === 'string' ? numberOf(one as T) : undefined;
    if (number === undefined) throw invalidValue(`${name}[${at}]`, `is no such name: ${shown(one)}`);
    return number;
  });
}

/** @internal The restrictions by number, with what the package needs. */
export function checkRestrictions(restrictions: Restrictions, known: readonly number[]): Allowed {
  if (restrictions === undefined) throw invalidType('restrictions', 'of type object', restrictions);
  checkOptions('restrictions', restrictions);
  const all = Object.values(registrations).map(({ number }) => number);
  const some = numbersOf('restrictions.registrations', restrictions.registrations, (name) =>
    Object.hasOwn(registrations, name) ? registrations[name].number : undefined,
  );
  const operations = numbersOf('restrictions.operations', restrictions.operations, (name) =>
    Object.hasOwn(Op, name) ? Op[name] : undefined,
  );
  const needed = ALWAYS.map((name) => registrations[name].number);
  const flags = (name: 'sqeFlagsAllowed' | 'sqeFlagsRequired', otherwise: number): number =>
    checkInteger(`restrictions.${name}`, restrictions[name] ?? otherwise, 0, SQE_FLAGS_ALL);
  return {
    registrations: some === undefined ? all : [...new Set([...some, ...needed])],
    operations: operations === undefined ? [...known] : [...new Set([...operations, Op.asyncCancel])],
    sqeFlagsAllowed: flags('sqeFlagsAllowed', SQE_FLAGS_ALL),
    sqeFlagsRequired: flags('sqeFlagsRequired', 0),
  };
}

/** @internal */
export function checkTracking(options: NapiOptions): 'dynamic' | 'static' {
  const name = options.tracking ?? 'dynamic';
  return checkName('options.tracking', name, { dynamic: 'dynamic', static: 'static' });
}

/** @internal */
export function checkPreference(options: NapiOptions): boolean {
  return isSet('options.preferBusyPoll', options.preferBusyPoll);
}

const TRACKING = ['dynamic', 'static'] as const;

/** @internal The settings from what Rust answers. */
export function napiSettings([busyPollUs = 0, prefers = 0, tracking = 255]: readonly number[]): NapiSettings {
  return { busyPollUs, preferBusyPoll: prefers === 1, tracking: TRACKING[tracking] ?? 'inactive' };
}

/** @internal The kernel's error for a registration, with what to do about it for some of them. */
export function registrationError(result: number, hints: Readonly<Record<string, string>> = {}): UringError {
  const error = systemError(result, 'io_uring_register');
  const hint = hints[error.code];
  if (hint !== undefined) error.message = `${error.message}; ${hint}`;
  else if (error.code === 'EACCES') error.message = `${error.message}; the ring is restricted (restrict)`;
  return error;
}
