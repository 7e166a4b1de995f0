import type { UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { Operation } from '../operation.ts';
import type { Attached } from './attached.ts';
import { CANCEL_AGAIN_MS } from './forgotten.ts';
import type { Link } from './link.ts';
import { onNextTurn } from './turn.ts';

/** Requests that follow each other without a pause: what they look for is soon in one of the kernel's lists again. */
const AT_ONCE_MAX = 4;

/**
 * Asks the kernel to stop an operation in flight; its own completion says when it has. A request finds nothing while its
 * target is between two of the kernel's lists, so it is sent again until the operation is over.
 */
export function stopRunning(attached: Attached, link: Link, isOver: () => boolean, sent = 0): void {
  const { slot, sequence } = link;
  if (slot === undefined || isOver()) return;
  const request = new Operation<number>(Op.asyncCancel, undefined);
  request.cancels({ slot, sequence });
  const again = (): void => stopRunning(attached, link, isOver, sent + 1);
  const settle = (error: UringError | null): void => {
    if (error === null || isOver()) return;
    if (sent < AT_ONCE_MAX) onNextTurn(again);
    else setTimeout(again, CANCEL_AGAIN_MS).unref();
  };
  try {
    attached.start(request, { settle }, undefined);
  } catch {
    // A ring that closes, or is broken, ends all of its operations without being asked.
  }
}
