import { Errno } from '../errnos.ts';
import { systemError, UringError } from '../errors.ts';
import type { NativeRing } from '../platform/native.ts';
import type { Attached } from './attached.ts';
import { CANCEL_AGAIN_MS } from './forgotten.ts';

const ECANCELED = Errno.ECANCELED;

/** What an operation of a ring that closes is told. */
export const closing = (): ReturnType<typeof systemError> => systemError(-ECANCELED, 'io_uring_enter');

function abandoned(): UringError {
  const message =
    'the ring was closed, and the kernel would not let go of the operation: whether it happens is unknown';
  return new UringError('ERR_URING_ABANDONED', message);
}

/** Ties a ring to the event loop, if that can be done. */
function tied(attached: Attached): boolean {
  try {
    attached.attach();
    return true;
  } catch {
    return false;
  }
}

/**
 * Cancels what is in flight and waits until the kernel has let go of everything, or, without an event loop, for a
 * bounded time.
 *
 * @param onClosed is given what is to be called when the ring is gone
 */
export async function cancelAndWait(
  native: NativeRing,
  attached: Attached,
  onClosed: (gone: () => void) => void,
): Promise<void> {
  if (tied(attached)) {
    const gone = new Promise<void>((resolve) => onClosed(resolve));
    attached.cancelsAll = true;
    native.close();
    const again = setInterval(() => native.cancelAll(), CANCEL_AGAIN_MS);
    await gone;
    clearInterval(again);
  } else {
    native.closeNow();
  }
  // Nothing is left of the kernel's side, unless it would not let go: whoever still waits is told.
  const count = attached.abandon(abandoned(), ECANCELED);
  if (count > 0)
    process.emitWarning(`${count} operations of a ring that was closed would not end`, 'UringWarning');
}
