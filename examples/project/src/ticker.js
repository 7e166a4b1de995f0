import { asyncCancel, timeoutMultishot } from 'uring';

/** Calls back again and again, without a promise for each time; answers what stops it, however often that is called. */
export function every(ring, intervalMs, callback) {
  const ticks = timeoutMultishot(intervalMs);
  let stopping;
  ring.start(ticks, (error) => {
    if (error === null && stopping === undefined) callback();
  });
  return () => {
    stopping ??= ring.exec(asyncCancel(ticks));
    return stopping;
  };
}
