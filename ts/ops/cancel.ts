// Stopping operations.
import { invalidType, invalidValue } from '../errors.ts';
import { CancelFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import {
  type AnyOperation,
  type CancelTarget,
  type Fd,
  Operation,
  type OperationOptions,
} from '../operation.ts';
import { checkInteger, isSet } from '../validate.ts';

/** An operation in flight: the operation itself, or what was given with it as its user data. */
export type OperationTarget = AnyOperation | { readonly userData: unknown };

/** @internal */
export function checkTarget(name: string, target: unknown): CancelTarget {
  if (Operation.is(target)) return { operation: target };
  if (typeof target !== 'object' || target === null || !('userData' in target)) {
    throw invalidType(name, 'an operation or { userData }', target);
  }
  const { userData } = target;
  if (userData === undefined) throw invalidValue(`${name}.userData`, 'is undefined, which all others carry');
  return { userData };
}

/**
 * What to cancel: an operation, one by its user data, those on a descriptor, those of a kind (also both together), or
 * everything. Of those on a descriptor and of a kind one is meant, unless `all` is true.
 */
export type AsyncCancelTarget =
  | OperationTarget
  | { readonly fd: Fd; readonly opcode?: keyof typeof Op | number; readonly all?: boolean }
  | { readonly opcode: keyof typeof Op | number; readonly all?: boolean }
  | { readonly any: true };

interface Key {
  readonly fd?: Fd;
  readonly opcode?: keyof typeof Op | number;
  readonly any?: true;
  readonly all?: boolean;
}

function checkOpcode(opcode: unknown): number {
  if (typeof opcode === 'number') return checkInteger('target.opcode', opcode, 0, 0xff);
  if (typeof opcode !== 'string')
    throw invalidType('target.opcode', 'the name or the number of an operation', opcode);
  if (!Object.hasOwn(Op, opcode)) throw invalidValue('target.opcode', `is no operation: '${opcode}'`);
  return Op[opcode as keyof typeof Op];
}

function looksFor(operation: Operation<number>, { fd, opcode, any, all }: Key): void {
  if (fd !== undefined) {
    operation.opFlags |= CancelFlags.FD;
    if (typeof fd === 'number') {
      operation.fd = checkInteger('target.fd', fd, 0, 0x7fff_ffff);
    } else {
      // What to look for, not what to work on: IOSQE_FIXED_FILE would be wrong here.
      operation.fd = operation.own('target.fd', fd).handle;
      operation.opFlags |= CancelFlags.FD_FIXED;
    }
  }
  if (opcode !== undefined) {
    operation.opFlags |= CancelFlags.OP;
    operation.length = checkOpcode(opcode);
  }
  // The kernel cancels everything with ANY alone, too (io_async_cancel in io_uring/cancel.c).
  if (any === true) operation.opFlags |= CancelFlags.ANY | CancelFlags.ALL;
  if (isSet('target.all', all)) operation.opFlags |= CancelFlags.ALL;
}

/**
 * Asks the kernel to stop operations in flight. What is stopped completes with `ECANCELED`; what could not be
 * stopped completes by itself, and may still succeed: an operation is over when its own completion says so.
 *
 * An operation that was started several times, and user data that several operations carry, mean the one that was
 * started first. Results in the number of operations stopped; for a single target that was found in 0, or 1 for a futex or a child process.
 *
 * By `opcode` the kernel compares what it was given: reads and writes on registered memory are `readFixed` and
 * `writeFixed` for it. That is memory of `ring.alloc()`, and the copies that stand for small buffers of your own.
 *
 * Errors: `ENOENT` when nothing matches (with `all` the result is 0 instead), `EALREADY` when the target is running
 * and cannot be stopped. Since Linux 5.5 (`fd`, `all` and `any` 5.19, `opcode` 6.6).
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
    throw invalidType('target', 'an operation, { userData }, { fd }, { opcode } or { any: true }', target);
  }
  if (Operation.is(target) || 'userData' in target) {
    operation.cancels(checkTarget('target', target));
    return operation;
  }
  const key: Key = target;
  if (key.any !== true && key.fd === undefined && key.opcode === undefined) {
    throw invalidValue(
      'target',
      'names nothing: give an operation, { userData }, { fd }, { opcode } or { any: true }',
    );
  }
  if (key.any === true && (key.fd !== undefined || key.opcode !== undefined || key.all === false))
    throw invalidValue('target', 'names everything and something else: give one of them');
  looksFor(operation, key);
  if (key.opcode === undefined) operation.needs('cancelling by keys', '5.19');
  else operation.needs('cancelling by opcode', '6.6');
  return operation;
}
