// Turns of the event loop. Node's own function, as it is when this is imported: test frameworks put fakes in the place of
// the global one, and a program whose time stands still goes on working.
const immediately = globalThis.setImmediate;

/** Calls back in the next turn, after everything that runs now. */
export function onNextTurn(callback: () => void): void {
  immediately(callback);
}

/** The next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => onNextTurn(resolve));
}
