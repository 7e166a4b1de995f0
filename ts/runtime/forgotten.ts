import type { NativeRing } from '../platform/native.ts';

/** An operation that was on its way between two queues escapes a cancel request, so closing asks again. */
export const CANCEL_AGAIN_MS = 50;

/** Rings that were forgotten without being closed: they are closed all the same, and their memory returns. */
export const forgotten: FinalizationRegistry<NativeRing> = new FinalizationRegistry((ring) => {
  if (ring.layout() === null) return;
  process.emitWarning('A Ring was garbage collected without being closed: call ring.close()', 'UringWarning');
  const nothing = (): void => {};
  if (ring.attach(nothing, nothing) < 0) {
    ring.closeNow();
    return;
  }
  ring.close();
  const again = setInterval(() => {
    if (ring.layout() === null) clearInterval(again);
    else ring.cancelAll();
  }, CANCEL_AGAIN_MS);
});
