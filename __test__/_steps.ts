// Rings for composites that do something at one of their steps.
import { Ring } from 'uring';

/** When a step is over: before it is given to the ring, when the kernel has it, or when its result is there. */
export const MOMENTS = ['before', 'during', 'after'] as const;
export type Moment = (typeof MOMENTS)[number];

/** The real ring for composites, which use no more of one, with something of it replaced. */
export function ringWith(ring: Ring, replaced: Partial<Pick<Ring, 'exec' | 'chain'>>): Ring {
  const { entries, clock, runner } = ring;
  const hasRef = ring.hasRef.bind(ring);
  const assertOpen = ring.assertOpen.bind(ring);
  const used = {
    assertOpen,
    entries,
    clock,
    runner,
    hasRef,
    exec: ring.exec.bind(ring),
    chain: ring.chain.bind(ring),
  };
  return Object.setPrototypeOf({ ...used, ...replaced }, Ring.prototype) as Ring;
}

/**
 * A ring that passes everything on to the real one, and calls `stop` once: at this moment of the step with this number.
 * `isOver` says whether the step was there.
 */
export function stoppingRing(
  ring: Ring,
  { step, moment }: { step: number; moment: Moment },
  stop: () => void,
): { ring: Ring; isOver(): boolean } {
  let steps = 0;
  let isOver = false;
  const stopHere = (): void => {
    isOver = true;
    stop();
  };
  const pass = <T>(start: () => Promise<T>): Promise<T> => {
    const isIt = steps === step;
    steps += 1;
    if (!isIt) return start();
    if (moment === 'before') stopHere();
    const result = start();
    if (moment === 'during') {
      // What completes at once has completed then, and nobody knows yet.
      ring.submit();
      stopHere();
    }
    if (moment === 'after') void result.then(stopHere, stopHere);
    return result;
  };
  const stopping = ringWith(ring, {
    exec: (operation, options) => pass(() => ring.exec(operation, options)),
    chain: (operations, options) => pass(() => ring.chain(operations, options)),
  });
  return { ring: stopping, isOver: () => isOver };
}
