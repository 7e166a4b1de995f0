// Files that composites of this thread have open, and who waits for one of them to be closed.

/**
 * Called when there may be a descriptor again. With a ticket its owner counts as if it had a file open: it hands it on
 * with `closed` or `park` if it gets none, so that the others are not forgotten.
 */
export type Again = (hasTicket: boolean) => void;

/** Files, and tickets for one. */
let open = 0;
/** Those that found no descriptor free, the longest-waiting first. */
const parked = new Set<Again>();

function wakeOne(): void {
  for (const again of parked) {
    parked.delete(again);
    open += 1;
    again(true);
    return;
  }
}

/** @internal A file was opened, without a ticket. */
export function opened(): void {
  open += 1;
}

/** @internal A file was closed, or a ticket not needed. */
export function closed(): void {
  open -= 1;
  wakeOne();
}

/** @internal Calls back when there may be a descriptor again; answers false if that would be never. Takes the ticket. */
export function park(again: Again, hasTicket: boolean): boolean {
  if (hasTicket) open -= 1;
  if (open > 0) {
    parked.add(again);
    return true;
  }
  // Nobody else would ever wake the next.
  wakeOne();
  return false;
}

/** @internal Calls back at once, if it waits. */
export function unpark(again: Again): void {
  if (parked.delete(again)) again(false);
}
