import { types } from 'node:util';
import { Errno } from '../errnos.ts';
import { invalidType, invalidValue, UringError } from '../errors.ts';
import { SetupFlags } from '../generated/abi.ts';
import { Op } from '../generated/ops.ts';
import { kOpener, type Opener, type OpenOptions } from '../platform/native.ts';
import { Ring } from '../ring.ts';
import type { RingOptions } from '../ring-options.ts';
import { checkOptions } from '../validate.ts';
import { Answering } from './answering.ts';
import type { MockHandlers } from './answers.ts';
import { type ClockHost, MockClock } from './clock.ts';
import { Descriptors } from './descriptors.ts';
import { notMocked } from './refusal.ts';
import { MockRing } from './ring.ts';

/** Flags that change what records look like, or when completions are seen. */
const NOT_MOCKED = [
  'IOPOLL',
  'SQE128',
  'CQE32',
  'CQE_MIXED',
  'SQE_MIXED',
  'REGISTERED_FD_ONLY',
] as const satisfies readonly (keyof typeof SetupFlags)[];

/** What a {@link MockKernel} is like. */
export interface MockOptions {
  /** Names of operations that it does not have, as an older kernel. */
  readonly missing?: readonly (keyof typeof Op)[];
  /** What its realtime clock shows at first. Default: the start of 1970. */
  readonly start?: Date;
}

/**
 * A kernel for tests, without io_uring and without the native binary: handlers decide what operations result in. Made by
 * {@link mock}.
 *
 * Timers, `nop`, `close` of what it opened, requests to cancel, and what a ring does with itself (registered files, provided buffers,
 * messages between its rings) need no handler.
 */
export class MockKernel {
  /**
   * The class of its rings: as {@link Ring}, and taken wherever one is. Options for what is only faster with a real
   * kernel are taken and do nothing.
   */
  readonly Ring: typeof Ring;
  /** Its time. */
  readonly clock: MockClock;
  readonly #descriptors = new Descriptors();
  readonly #answering: Answering;
  readonly #rings = new Map<number, MockRing>();

  /** @internal */
  constructor(handlers: MockHandlers, { missing = [], start }: MockOptions) {
    this.clock = new MockClock(this.#clockHost(), start?.getTime() ?? 0);
    this.#answering = new Answering(handlers, this.clock);
    const opcodes = new Set<number>(missing.map((name) => Op[name]));
    const opener: Opener = { open: (options) => this.#open(options, opcodes) };
    this.Ring = class MockedRing extends Ring {
      constructor(options: RingOptions = {}) {
        checkOptions('options', options);
        super({ ...options, [kOpener]: opener } as RingOptions);
      }
    };
    Object.defineProperty(this.Ring, 'name', { value: 'Ring' });
  }

  #clockHost(): ClockHost {
    const rings = this.#rings;
    return {
      submitAll() {
        for (const ring of rings.values()) ring.submit();
      },
      get isBusy() {
        return [...rings.values()].some((ring) => ring.isBusy);
      },
    };
  }

  #open(options: OpenOptions, missing: ReadonlySet<number>): MockRing | number {
    const flags = grantedFlags(options);
    const asked = NOT_MOCKED.find((name) => (flags & SetupFlags[name]) !== 0);
    if (asked !== undefined) throw notMocked(`rings with ${asked}`, 'leave it out');
    if (options.attachTo !== undefined && !this.#rings.has(options.attachTo)) return -Errno.ESTALE;
    const { fd } = this.#descriptors.make('a ring');
    const host = {
      clock: this.clock,
      descriptors: this.#descriptors,
      answering: this.#answering,
      missing,
      ringOf: (token: number) => this.#rings.get(token),
      ended: (ring: MockRing) => this.#rings.delete(ring.fd),
    };
    const ring = new MockRing(host, options, flags, fd);
    this.#rings.set(fd, ring);
    return ring;
  }

  /** Gives handlers in addition to those that there are, or in place of them. */
  handle(handlers: MockHandlers): void {
    this.#answering.handlers = { ...this.#answering.handlers, ...checkHandlers(handlers) };
  }

  /**
   * A new open descriptor, for what a test needs one of without an operation that makes it.
   *
   * @param what for messages
   */
  descriptor(what = 'a descriptor of the test'): number {
    return this.#descriptors.open(this.#descriptors.make(what));
  }

  /** Closes a descriptor of `descriptor`, which nobody else will. */
  forget(fd: number): void {
    this.#descriptors.close(fd);
    this.#answering.forgetFile(fd);
  }

  /** Descriptors that are open. */
  get descriptors(): number[] {
    return this.#descriptors.all.map(({ fd }) => fd);
  }

  /**
   * Throws when something was not given back: descriptors that are open, and, of rings that are open, registered files,
   * provided buffers that are lent, and operations in flight. The message names each.
   *
   * @throws `ERR_URING_MOCK_LEAKS`
   * @example
   * ```ts
   * import { openat } from 'uring';
   * import { mock } from 'uring/mock';
   *
   * const kernel = mock({ openat: () => {} });
   * await using ring = new kernel.Ring();
   * await ring.exec(openat('/etc/hostname'));
   * try {
   *   kernel.assertNoLeaks();
   * } catch (error) {
   *   console.log(error.message); // not given back: descriptor 1000000001 (openat '/etc/hostname')
   * }
   * ```
   */
  assertNoLeaks(): void {
    const leaks = this.#descriptors.all.map(({ fd, what }) => `descriptor ${fd} (${what})`);
    for (const ring of this.#rings.values()) {
      ring.submit();
      for (const { slot, file } of ring.slots.files) leaks.push(`slot ${slot} (${file.what})`);
      for (const { number, out } of ring.groups.all)
        if (out.size > 0) leaks.push(`buffers ${[...out.keys()].join(', ')} of group ${number}`);
      for (const { asked } of ring.execution.all) leaks.push(`${asked.operation.summary} in flight`);
      if (ring.waiting > 0) leaks.push(`${ring.waiting} operations that wait for room`);
    }
    if (leaks.length > 0) throw new UringError('ERR_URING_MOCK_LEAKS', `not given back: ${leaks.join('; ')}`);
  }
}

/** What a kernel of today grants, as far as it is not forbidden. */
function grantedFlags({ required, forbidden, coop, sqpollIdleMs }: OpenOptions): number {
  const byThread = coop ? SetupFlags.COOP_TASKRUN : SetupFlags.DEFER_TASKRUN | SetupFlags.SINGLE_ISSUER;
  const usual = SetupFlags.CQSIZE | SetupFlags.SUBMIT_ALL;
  const polled = sqpollIdleMs === undefined ? byThread : SetupFlags.SQPOLL;
  const withoutIssuer =
    (forbidden & SetupFlags.SINGLE_ISSUER) === 0 ? 0 : SetupFlags.DEFER_TASKRUN | SetupFlags.SINGLE_ISSUER;
  return required | ((usual | polled) & ~(forbidden | withoutIssuer));
}

function checkHandlers(handlers: unknown): MockHandlers {
  if (typeof handlers !== 'object' || handlers === null || Array.isArray(handlers))
    throw invalidType('handlers', 'of type object', handlers);
  for (const name of Object.keys(handlers)) {
    if (!Object.hasOwn(Op, name) && !COMMAND_NAMES.includes(name))
      throw invalidValue('handlers', `names no operation: '${name}'`);
  }
  return handlers as MockHandlers;
}

const COMMAND_NAMES = [
  'receiveQueueBytes',
  'sendQueueBytes',
  'getsockopt',
  'setsockopt',
  'txTimestamp',
  'getsockname',
  'getpeername',
  'blockDiscard',
];

/**
 * A kernel for tests: {@link MockKernel}. What operations result in is decided by handlers, one for each kind of
 * operation; an operation without one fails with `ERR_URING_NO_MOCK_HANDLER`.
 *
 * @param handlers by the names of operations; see {@link MockAnswer} for what they answer
 * @throws `ERR_INVALID_ARG_VALUE` for a name that is no operation's
 * @example
 * ```ts
 * import { openat, read } from 'uring';
 * import { mock } from 'uring/mock';
 *
 * const kernel = mock({
 *   openat: ({ path }) => (path === '/etc/motd' ? undefined : 'ENOENT'),
 *   read: [Buffer.from('hello'), 0],
 * });
 * await using ring = new kernel.Ring();
 * const fd = await ring.exec(openat('/etc/motd'));
 * const buffer = ring.alloc(64);
 * console.log(buffer.toString('utf8', 0, await ring.exec(read(fd, buffer)))); // hello
 * ```
 */
export function mock(handlers: MockHandlers, options: MockOptions = {}): MockKernel {
  checkOptions('options', options);
  const { missing = [], start = new Date(0) } = options;
  if (!types.isDate(start) || Number.isNaN(start.getTime()))
    throw invalidType('options.start', 'a valid Date', start);
  if (!Array.isArray(missing)) throw invalidType('options.missing', 'an array of names', missing);
  for (const name of missing)
    if (!Object.hasOwn(Op, name)) throw invalidValue('options.missing', `names no operation: '${name}'`);
  return new MockKernel(checkHandlers(handlers), options);
}
