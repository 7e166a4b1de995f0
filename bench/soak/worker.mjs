// @ts-check
// A worker with a ring of its own: some work, then it ends, or is terminated with operations in flight.
import { join } from 'node:path';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { nop, Ring, readFile, timeout, unlinkat, writeFile } from 'uring';
import { dice, scribble, Tally } from './common.mjs';

const { folder, seed, isTerminated } = workerData;
const roll = dice(seed);
const tally = new Tally();
const ring = new Ring({ entries: 32, cqEntries: 64 });
for (let round = 0; round < 10; round += 1) {
  const path = join(folder, `worker-${threadId}-${round}`);
  const contents = scribble(Buffer.alloc(roll(100_000)), roll);
  await writeFile(ring, path, contents);
  const back = await readFile(ring, path);
  tally.check(back.equals(contents), () => `${path} is not what was written`, contents.length * 2);
  await ring.exec(unlinkat(path));
}
if (isTerminated) {
  for (let count = 0; count < 40; count += 1) void ring.exec(timeout(3_600_000));
  const again = () => ring.start(nop(), again);
  again();
} else {
  await ring.close();
}
parentPort?.postMessage({ checks: tally.checks, bytes: tally.bytes });
