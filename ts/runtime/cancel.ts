import { CancelFlags, SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import type { AnyOperation } from '../operation.ts';

/** The kernel's name for a read or write of registered memory. */
const FIXED_FORMS: ReadonlyMap<number, number> = new Map([
  [Op.read, Op.readFixed],
  [Op.write, Op.writeFixed],
  [Op.readv, Op.readvFixed],
  [Op.writev, Op.writevFixed],
]);

/** Whether a cancel request is for all that matches, and not for one. */
export function meansMany(request: AnyOperation): boolean {
  return request.opcode === Op.asyncCancel && (request.opFlags & CancelFlags.ALL) !== 0;
}

/** A request that stops others goes ahead of what waits, and of the limit: it is what makes room. */
export function isUrgent({ opcode, opFlags, length }: AnyOperation): boolean {
  if (opcode === Op.asyncCancel) return true;
  // Without flags these remove; with some they update.
  return (opcode === Op.timeoutRemove && opFlags === 0) || (opcode === Op.pollRemove && length === 0);
}

/** Whether a request is for operations of this kind at all. */
function takes({ opcode }: AnyOperation, target: AnyOperation): boolean {
  if (opcode === Op.pollRemove) return target.opcode === Op.pollAdd;
  if (opcode === Op.timeoutRemove) return target.opcode === Op.timeout || target.opcode === Op.linkTimeout;
  return true;
}

/** Whether a cancel request means this operation, in flight or waiting. */
export function means(
  request: AnyOperation,
  { operation, userData }: { operation: AnyOperation | undefined; userData: unknown },
): boolean {
  const target = request.target;
  if (operation === undefined) return false;
  if (target !== undefined) {
    if (!takes(request, operation)) return false;
    if ('operation' in target) return operation === target.operation;
    // One run of an operation is in flight, and found by its slot.
    return 'userData' in target && Object.is(userData, target.userData);
  }
  const { opFlags } = request;
  if ((opFlags & CancelFlags.ANY) !== 0) return true;
  if ((opFlags & CancelFlags.OP) !== 0) {
    const { opcode } = operation;
    if (opcode !== request.length && FIXED_FORMS.get(opcode) !== request.length) return false;
    if ((opFlags & CancelFlags.FD) === 0) return true;
  }
  const isBySlot = (opFlags & CancelFlags.FD_FIXED) !== 0;
  return operation.fd === request.fd && operation.hasFlags(SqeFlags.FIXED_FILE) === isBySlot;
}
