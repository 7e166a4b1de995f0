import { CancelFlags, SqeFlags } from '../flags.ts';
import type { AnyOperation } from '../operation.ts';

/** Whether a cancel request is for all that matches, and not for one. */
export function meansMany(request: AnyOperation): boolean {
  return (request.opFlags & (CancelFlags.ALL | CancelFlags.ANY)) !== 0;
}

/** Whether a cancel request means this operation, in flight or waiting. */
export function means(
  request: AnyOperation,
  { operation, userData }: { operation: AnyOperation | undefined; userData: unknown },
): boolean {
  const target = request.target;
  if (operation === undefined) return false;
  if (target !== undefined) {
    return 'operation' in target ? operation === target.operation : Object.is(userData, target.userData);
  }
  if ((request.opFlags & CancelFlags.ANY) !== 0) return true;
  const isBySlot = (request.opFlags & CancelFlags.FD_FIXED) !== 0;
  return operation.fd === request.fd && operation.hasFlags(SqeFlags.FIXED_FILE) === isBySlot;
}
