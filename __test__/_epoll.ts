// An epoll instance for tests. Node cannot make one: it is that of a worker's event loop, while the worker blocks its thread.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import { openFds } from './_helpers.ts';
import { soon } from './_until.ts';

const SOURCE = `
  const { parentPort, workerData } = require('node:worker_threads');
  parentPort.postMessage('ready');
  // After the message has gone, in a turn of its own.
  setTimeout(() => Atomics.wait(workerData, 0, 0), 50);
`;

const epolls = (): number[] =>
  [...openFds()].filter(([, target]) => target === 'anon_inode:[eventpoll]').map(([fd]) => fd);

/** An epoll instance that nobody waits for, until the end of the test. Other tests of the file take their turns. */
export async function epoll(t: ExecutionContext): Promise<number> {
  const before = new Set(epolls());
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(SOURCE, { eval: true, workerData: gate, execArgv: [] });
  const ended = once(worker, 'exit');
  t.teardown(async () => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await soon(ended, 'the worker ends');
  });
  await soon(once(worker, 'message'), 'the worker is ready');
  await new Promise((resolve) => setTimeout(resolve, 150));
  const fresh = epolls().filter((fd) => !before.has(fd));
  // libuv makes the loop's own before the one for its ring, if it has one.
  return Math.min(...fresh);
}
