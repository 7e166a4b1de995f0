// Timers: one that expires, one that repeats, one that is moved, one that counts operations, and one that limits another
// operation.
//
//   npm run example -- timer
import { linkTimeout, nop, PollEvents, pollAdd, Ring, timeout, timeoutMultishot, timeoutUpdate } from 'uring';

const HOUR_MS = 3_600_000;

await using ring = new Ring();

// Milliseconds as a number, nanoseconds as a bigint, or { sec, nsec }. Here it is a point of the wall clock.
await ring.exec(timeout(Date.now() + 20, { absolute: true, clock: 'realtime' }));
console.log('once: expired');

let ticks = 0;
for await (const _ of ring.multishot(timeoutMultishot(5, { repeat: 3 }))) ticks += 1;
console.log(`repeating: ${ticks} ticks from one submission`);

const hour = timeout(HOUR_MS);
const expired = ring.exec(hour);
await ring.exec(timeoutUpdate(hour, 1));
await expired;
console.log('moved: an hour became a millisecond');

const counting = ring.exec(timeout(HOUR_MS, { count: 2 }));
await Promise.all([ring.exec(nop()), ring.exec(nop())]);
await counting;
console.log('counting: over after two other operations');

// A limit is linked to the operation before it, so the two are prepared as a chain. A new ring has nothing to read, so
// waiting for that would last for ever.
await using idle = new Ring();
const chain = [pollAdd(idle.fd, PollEvents.IN), linkTimeout(10)];
ring.prepChain(chain, { userData: ['poll', 'limit'] });
ring.submitAndWait(chain.length);
for (const { userData, error } of ring.completions()) {
  console.log(`${userData}: ${error?.code ?? 'expired'}`);
}
