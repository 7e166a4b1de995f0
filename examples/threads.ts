// Two rings on two threads: a worker with a ring of its own gets its work by messages between the rings (msg_ring), and
// answers the same way. No postMessage is involved.
//
//   npm run example -- threads
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { msgRing, Ring, RingWorker, read } from 'uring';

const PATH = fileURLToPath(import.meta.url);
const BLOCK_BYTES = 512;
const BLOCKS = 4;

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0);
}

/** The worker: adds up the bytes of each block that it is told, and sends back the sum, with the block as `res`. */
function work(): void {
  const fd = openSync(PATH, 'r');
  const { ring, parent } = RingWorker.current({ onStop: () => closeSync(fd) });
  ring.receive(async (event) => {
    if (event.type !== 'message') return;
    const buffer = ring.alloc(BLOCK_BYTES);
    const bytes = await ring.exec(read(fd, buffer, { offset: event.data * BLOCK_BYTES }));
    await ring.exec(msgRing(parent.ring, { data: sum(buffer.subarray(0, bytes)), res: event.data }));
  });
}

async function main(): Promise<void> {
  const ring = new Ring();
  const sums = new Map<number, number>();
  const answered = new Promise<void>((resolve) => {
    ring.receive((event) => {
      if (event.type === 'message') sums.set(event.res, event.data);
      if (sums.size === BLOCKS) resolve();
    });
  });
  const worker = await RingWorker.spawn(ring, new URL(import.meta.url));
  for (let block = 0; block < BLOCKS; block += 1) await ring.exec(msgRing(worker.ring, { data: block }));
  await answered;
  const contents = readFileSync(PATH);
  for (const [block, total] of [...sums].sort(([one], [other]) => one - other)) {
    const expected = sum(contents.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    console.log(`block ${block}: ${total === expected ? 'right' : `wrong, ${total} and not ${expected}`}`);
  }
  console.log(`worker ended: ${await worker.stop()}`);
  await ring.close();
}

await (isMainThread ? main() : work());
