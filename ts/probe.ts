import { FEATURES } from './flags.ts';
import { SetupFlags } from './generated/abi.ts';
import { type Op, opInfo } from './generated/ops.ts';
import { ENTER_FLAGS, registrations, SQE_FLAGS } from './generated/registrations.ts';
import { opening, setupError } from './platform/opening.ts';

/** What a kernel has, by the names of this package's operations and of the man pages. */
export interface KernelProbe {
  readonly operations: readonly (keyof typeof Op)[];
  /** Registrations, without `IORING_`. */
  readonly registrations: readonly (keyof typeof registrations)[];
  /** Features, without `IORING_FEAT_`. */
  readonly features: readonly (typeof FEATURES)[number][];
  /** Setup flags, without `IORING_SETUP_`. */
  readonly setupFlags: readonly (keyof typeof SetupFlags)[];
  /** Flags of io_uring_enter(2), without `IORING_ENTER_`. */
  readonly enterFlags: readonly (typeof ENTER_FLAGS)[number][];
  /** Flags of submissions, without `IOSQE_`. */
  readonly sqeFlags: readonly (typeof SQE_FLAGS)[number][];
}

/** Masks have up to 53 bits, so the operators for 32 do not do. */
function hasBit(mask: number, bit: number): boolean {
  return Math.floor(mask / 2 ** bit) % 2 === 1;
}

/**
 * What the kernel's io_uring has, as it says itself (REGISTER_PROBE, and since Linux 6.18 REGISTER_QUERY); what an
 * older kernel does not tell is tried out, on a ring that is closed at once. No version number decides anything. A ring
 * may have been opened with less: see `ring.setupFlags`.
 *
 * @throws `ERR_URING_UNAVAILABLE` where there is no io_uring; `availability()` asks without throwing
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_register.2.html io_uring_register(2)}
 * @example
 * ```ts
 * import { probe } from 'uring';
 *
 * const { operations, registrations } = probe();
 * console.log(operations.includes('futexWait'), registrations.includes('REGISTER_CLOCK'));
 * ```
 */
export function probe(): KernelProbe {
  const [known = 0, features = 0, setup = 0, enter = 0, sqe = 0, ...operations] = opening().probe();
  if (known < 0) throw setupError(known);
  const names = Object.keys(registrations) as (keyof typeof registrations)[];
  const setupNames = Object.keys(SetupFlags) as (keyof typeof SetupFlags)[];
  return {
    operations: operations.flatMap((opcode) => opInfo[opcode]?.name ?? []),
    registrations: names.filter((name) => hasBit(known, registrations[name].number)),
    features: FEATURES.filter((_, bit) => hasBit(features, bit)),
    setupFlags: setupNames.filter((name) => hasBit(setup, Math.log2(SetupFlags[name]))),
    enterFlags: ENTER_FLAGS.filter((_, bit) => hasBit(enter, bit)),
    sqeFlags: SQE_FLAGS.filter((_, bit) => hasBit(sqe, bit)),
  };
}
