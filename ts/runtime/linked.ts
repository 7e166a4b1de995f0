import type { NativeSubmission } from '../platform/native.ts';
import type { Engine } from './engine.ts';
import type { Link } from './link.ts';
import { reentered } from './rejects.ts';

/** Prepares operations that are linked to each other: all of them or, answering false or throwing, none. */
export function prepTogether(engine: Engine, links: readonly Link[]): boolean {
  return prepAll(engine, links.length, (at) => {
    const link = links[at] as Link;
    if (!engine.prep(link.operation, link.handler, link.userData, link.flags)) return false;
    const slot = engine.latest;
    slot.msg = link.msg;
    engine.setUnref(slot, link.isUnref);
    link.slot = slot;
    link.sequence = slot.sequence;
    return true;
  });
}

/**
 * Prepares so many operations, or none, with a call of `prep` for each, which answers false when there is no room.
 *
 * @throws `ERR_URING_REENTERED` when a getter has prepared something between them, or submitted some of them
 */
export function prepAll<N extends NativeSubmission>(
  engine: Engine<N>,
  count: number,
  prep: (at: number) => boolean,
): boolean {
  let prepared = 0;
  let first = 0;
  try {
    while (prepared < count && prep(prepared)) {
      if (prepared === 0) first = engine.slots.lastSequence;
      else assertFollows(engine, first, prepared);
      prepared += 1;
    }
  } catch (error) {
    engine.unprepTogether(first, prepared);
    throw error;
  }
  if (prepared === count) return true;
  if (engine.unprepTogether(first, prepared) < prepared) throw reentered();
  return false;
}

/** Takes the last record back, and throws, if it does not stand right behind so many others. */
function assertFollows<N extends NativeSubmission>(engine: Engine<N>, first: number, count: number): void {
  // Each use of a slot counts, so what a getter has prepared between them shows.
  if (((engine.slots.lastSequence - first) | 0) === count && engine.prepared > count) return;
  engine.unprepLast();
  throw reentered();
}
