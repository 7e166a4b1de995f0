import { asyncCancel, timeoutMultishot } from 'uring';

/** Calls back again and again, without a promise for each time; answers what stops it. */
export function every(ring, intervalMs, callback) {
  const ticks = timeoutMultishot(intervalMs);
  ring.start(ticks, (error) => {
    if (error === null) callback();
  });
  return async () => void (await ring.exec(asyncCancel(ticks)));
}
