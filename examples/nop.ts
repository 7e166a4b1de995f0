// An operation that does nothing, run in each of the ways that there are: promise, callback, by hand.
//
//   npm run example -- nop
import { nop, Ring } from 'uring';

const COUNT = 100;

await using ring = new Ring();

/** Answers how many system calls were made since it was asked last. */
let enters = 0;
function systemCalls(): number {
  const before = enters;
  enters = ring.stats().enters;
  return enters - before;
}

// Operations are values: this one is made once and run three hundred times.
const nothing = nop();

// All that one turn of the event loop starts is submitted together.
const results = await Promise.all(Array.from({ length: COUNT }, () => ring.exec(nothing)));
console.log(`promises: ${results.length} results, system calls: ${systemCalls()}`);

let called = 0;
await new Promise<void>((resolve, reject) => {
  for (let at = 0; at < COUNT; at += 1) {
    ring.start(nothing, (error) => {
      if (error !== null) return reject(error);
      called += 1;
      if (called === COUNT) resolve();
    });
  }
});
console.log(`callbacks: ${called} results, system calls: ${systemCalls()}`);

// As in C; waiting blocks the thread. `prep` answers false when the queue is full.
for (let at = 0; at < COUNT; at += 1) if (!ring.prep(nothing, at)) throw new Error('the queue is full');
ring.submitAndWait(COUNT);
let sum = 0;
const taken = ring.forEachCompletion(({ userData }) => {
  sum += userData as number;
});
console.log(`by hand: ${taken} results, system calls: ${systemCalls()}, user data adds up to ${sum}`);
