// What stops an operation that is made of several.
import { Errno } from '../errnos.ts';
import { AbortError, systemError, timeoutError } from '../errors.ts';
import type { Ring } from '../ring.ts';
import { forgetAborted, whenAborted } from '../runtime/signals.ts';
import type { Limits } from '../runtime/together.ts';

/** Why steps are stopped; nobody sees it, and a reason of its own spares `abort` making an error. */
const STOPPED = 'stopped';

/**
 * Runs steps that share one signal, which is aborted by the caller's signal and at the deadline. What they throw then
 * is replaced by what the caller has to know: an AbortError with the reason, or ERR_URING_TIMEOUT.
 *
 * @param syscall for the error
 */
export async function within<T>(
  ring: Ring,
  { signal, timeoutMs }: Limits,
  syscall: string,
  steps: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw new AbortError(signal.reason);
  const controller = new AbortController();
  const stop = (): void => controller.abort(STOPPED);
  let isLate = false;
  const expire = (): void => {
    isLate = !controller.signal.aborted;
    stop();
  };
  const forgetTimer = timeoutMs === undefined ? undefined : ring.clock.after(timeoutMs, expire);
  if (signal !== undefined) whenAborted(signal, stop);
  try {
    return await steps(controller.signal);
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw isLate ? timeoutError(systemError(-Errno.ECANCELED, syscall)) : new AbortError(signal?.reason);
  } finally {
    forgetTimer?.();
    if (signal !== undefined) forgetAborted(signal, stop);
  }
}
