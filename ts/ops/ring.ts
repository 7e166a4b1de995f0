// Operations on the ring itself.
import { invalidType, invalidValue } from '../errors.ts';
import { CancelFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type AnyOperation, type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkBoolean, checkInteger } from '../validate.ts';

const NOP_INJECT_RESULT = 1 << 0;

export interface NopOptions extends OperationOptions {
  /** What the kernel shall answer, for tests of error handling. Since Linux 6.10. */
  result?: number;
}

/**
 * Does nothing, through the kernel and back: measures and proves the round trip.
 *
 * Results in 0, or in the injected `result`. Since Linux 5.1 (`result` 6.10).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_nop.3.html io_uring_prep_nop(3)}
 * @example
 * ```ts
 * import { Ring, nop } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(nop());
 * ```
 */
export function nop(options?: NopOptions): Operation<number> {
  const operation = new Operation<number>(Op.nop, options);
  if (options?.result !== undefined) {
    operation.opFlags = NOP_INJECT_RESULT;
    operation.length = checkInteger('options.result', options.result, -0x8000_0000, 0x7fff_ffff);
  }
  return operation;
}

/** What to cancel: an operation, by its user data, everything on a descriptor, or everything. */
export type AsyncCancelTarget =
  | AnyOperation
  | { readonly userData: unknown }
  | { readonly fd: Fd; readonly all?: boolean }
  | { readonly any: true };

/**
 * Asks the kernel to stop operations in flight. What is stopped completes with `ECANCELED`; what could not be
 * stopped completes by itself, and may still succeed: an operation is over when its own completion says so.
 *
 * An operation that was started several times, and user data that several operations carry, mean the one that was
 * started first. Results in the number of operations stopped (0 for a single target that was found).
 *
 * Errors: `ENOENT` when nothing matches (`any` and `all` answer 0 instead), `EALREADY` when the target is running
 * and cannot be stopped. Since Linux 5.5 (`fd`, `all` and `any` 5.19).
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring_cancelation.7.html io_uring_cancelation(7)}
 * @example
 * ```ts
 * import { Ring, asyncCancel, timeout } from 'uring';
 *
 * await using ring = new Ring();
 * const hour = timeout(3_600_000);
 * const expired = ring.exec(hour).catch((error) => error.code); // 'ECANCELED'
 * await ring.exec(asyncCancel(hour));
 * await expired;
 * ```
 */
export function asyncCancel(target: AsyncCancelTarget, options?: OperationOptions): Operation<number> {
  const operation = new Operation<number>(Op.asyncCancel, options);
  if (typeof target !== 'object' || target === null) {
    throw invalidType('target', 'an operation, { userData }, { fd } or { any: true }', target);
  }
  if (target instanceof Operation) {
    operation.cancels({ operation: target });
  } else if ('userData' in target) {
    if (target.userData === undefined)
      throw invalidValue('target.userData', 'is undefined, which all others carry');
    operation.cancels({ userData: target.userData });
  } else if ('fd' in target) {
    operation.opFlags = CancelFlags.FD;
    if (typeof target.fd === 'number') {
      operation.fd = checkInteger('target.fd', target.fd, 0, 0x7fff_ffff);
    } else {
      // What to look for, not what to work on: IOSQE_FIXED_FILE would be wrong here.
      operation.fd = operation.own('target.fd', target.fd).handle;
      operation.opFlags |= CancelFlags.FD_FIXED;
    }
    if (target.all !== undefined && checkBoolean('target.all', target.all))
      operation.opFlags |= CancelFlags.ALL;
  } else if (target.any === true) {
    operation.opFlags = CancelFlags.ANY | CancelFlags.ALL;
  } else {
    throw invalidValue('target', 'names nothing: give an operation, { userData }, { fd } or { any: true }');
  }
  return operation;
}
