/** Whom the abortion of a signal concerns. */
const concerned = new WeakMap<AbortSignal, Set<() => void>>();

function onAbort(this: AbortSignal): void {
  const callbacks = concerned.get(this) ?? [];
  concerned.delete(this);
  for (const callback of callbacks) callback();
}

/**
 * Calls back once when a signal is aborted. However many operations share a signal, it has one listener: with one for
 * each, Node warns of a leak, and takes longer to remove one the more there are.
 */
export function whenAborted(signal: AbortSignal, callback: () => void): void {
  const callbacks = concerned.get(signal);
  if (callbacks !== undefined) {
    callbacks.add(callback);
    return;
  }
  concerned.set(signal, new Set([callback]));
  signal.addEventListener('abort', onAbort, { once: true });
}

/** Forgets a callback that was given to `whenAborted`. */
export function forgetAborted(signal: AbortSignal, callback: () => void): void {
  const callbacks = concerned.get(signal);
  if (callbacks?.delete(callback) !== true || callbacks.size > 0) return;
  concerned.delete(signal);
  signal.removeEventListener('abort', onAbort);
}
