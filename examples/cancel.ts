// Stops operations in flight: one, one by its user data, all of a kind, and whatever is there when a ring closes.
//
//   npm run example -- cancel
import { asyncCancel, Ring, timeout, type UringError } from 'uring';

const HOUR_MS = 3_600_000;

const ring = new Ring();

/** What became of an operation that was to be stopped. */
function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: UringError) => error.code,
  );
}

// Named by the operation itself. It completes as always, with an error: it is over when that is there.
const hour = timeout(HOUR_MS);
const stopped = outcome(ring.exec(hour));
await ring.exec(asyncCancel(hour));
console.log(`by operation: ${await stopped}`);

// Named by what was given with it.
const userData = { name: 'the long one' };
const called = new Promise((resolve) =>
  ring.start(timeout(HOUR_MS), (error) => resolve(error?.code), userData),
);
await ring.exec(asyncCancel({ userData }));
console.log(`by user data: ${await called}`);

// All of a kind at once; the result is how many there were.
const many = Array.from({ length: 5 }, () => outcome(ring.exec(timeout(HOUR_MS))));
const count = await ring.exec(asyncCancel({ opcode: 'timeout', all: true }));
console.log(`by kind: ${count} stopped, ${(await Promise.all(many)).join(' ')}`);

console.log(`nothing left to stop: ${await outcome(ring.exec(asyncCancel(hour)))}`);

// Closing stops what is left, and resolves when the kernel has let go of everything.
const last = outcome(ring.exec(timeout(HOUR_MS)));
await ring.close();
console.log(`by closing: ${await last}, ${ring.inFlight} in flight`);
