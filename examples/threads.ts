// Two rings on two threads: a worker with a ring of its own gets its work by messages between the rings (msg_ring), and
// answers the same way. No postMessage is involved once both know each other's descriptor.
//
// A descriptor is all that another thread can know of a ring, so the worker's ring has worker threads of the kernel of its
// own: sharing the parent's (`attachTo`) takes the parent's `Ring`, and across threads comes with `RingWorker` (issue 4).
//
//   npm run example -- threads
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { msgRing, Ring, read } from 'uring';

const PATH = fileURLToPath(import.meta.url);
const BLOCK_BYTES = 512;
const BLOCKS = 4;
/** `res` of a message that is the last one; `data` of all others is the block to work on. */
const END = 1;

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0);
}

/** The worker: adds up the bytes of each block that it is told, and sends back the sum, with the block as `res`. */
async function work(parentFd: number): Promise<void> {
  const ring = new Ring();
  const fd = openSync(PATH, 'r');
  const add = async (block: number): Promise<void> => {
    const buffer = ring.alloc(BLOCK_BYTES);
    const bytes = await ring.exec(read(fd, buffer, { offset: block * BLOCK_BYTES }));
    await ring.exec(msgRing(parentFd, { data: sum(buffer.subarray(0, bytes)), res: block }));
  };
  const jobs: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    ring.receive((event) => {
      if (event.type !== 'message') return;
      if (event.res === END) resolve();
      else jobs.push(add(event.data));
    });
    parentPort?.postMessage(ring.fd);
  });
  await Promise.all(jobs);
  closeSync(fd);
  await ring.close();
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
  const worker = new Worker(new URL(import.meta.url), { workerData: ring.fd });
  const ended = once(worker, 'exit');
  const [workerFd] = await once(worker, 'message');

  for (let block = 0; block < BLOCKS; block += 1) await ring.exec(msgRing(workerFd, { data: block }));
  await answered;
  const contents = readFileSync(PATH);
  for (const [block, total] of [...sums].sort(([one], [other]) => one - other)) {
    const expected = sum(contents.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    console.log(`block ${block}: ${total === expected ? 'right' : `wrong, ${total} and not ${expected}`}`);
  }

  await ring.exec(msgRing(workerFd, { res: END }));
  const [code] = await ended;
  console.log(`worker ended: ${code}`);
  await ring.close();
}

await (isMainThread ? main() : work(workerData));
