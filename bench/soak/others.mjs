// @ts-check
// Timers that must not be early, operations that are stopped at random moments, rings that are closed in the middle, and workers.
import { closeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  AbortError,
  nop,
  PollEvents,
  pipe,
  pollAdd,
  Ring,
  read,
  timeout,
  timeoutMultishot,
  UringError,
} from 'uring';
import { Tally } from './common.mjs';

/** @typedef {import('./common.mjs').Work} Work @typedef {import('./common.mjs').Dice} Dice */

const HOUR_MS = 3_600_000;
/** Clocks are read at two places. */
const EARLY_MS = 1;

/** @param {Ring} ring @param {Dice} roll @returns {Work} */
export function timers(ring, roll) {
  const tally = new Tally();
  return {
    name: 'timers',
    tally,
    lanes: 3,
    async round() {
      const ms = 1 + roll(20);
      const started = performance.now();
      if (roll(2) === 0) {
        await ring.exec(timeout(ms));
        const took = performance.now() - started;
        tally.check(took >= ms - EARLY_MS, () => `a timer of ${ms} ms was through after ${took}`);
        return;
      }
      let ticks = 0;
      for await (const _ of ring.multishot(timeoutMultishot(ms))) if (++ticks === 3) break;
      const took = performance.now() - started;
      tally.check(took >= 3 * ms - EARLY_MS, () => `three ticks of ${ms} ms were through after ${took}`);
    },
  };
}

/** How an operation that waits for ever may end when it is stopped. @param {unknown} error */
function isStopped(error) {
  return error instanceof AbortError || (error instanceof UringError && error.code === 'ERR_URING_TIMEOUT');
}

/** @param {Ring} ring @param {Dice} roll @returns {Promise<Work>} */
export async function aborts(ring, roll) {
  const tally = new Tally();
  const quiet = await ring.exec(pipe());
  const makers = [
    () => read(quiet.readFd, ring.alloc(64)),
    () => read(quiet.readFd, Buffer.alloc(64)),
    () => pollAdd(quiet.readFd, PollEvents.IN),
    () => timeout(HOUR_MS),
  ];
  return {
    name: 'aborts and deadlines',
    tally,
    lanes: 2,
    async round() {
      const all = Array.from({ length: 1 + roll(20) }, async () => {
        const controller = new AbortController();
        const operation = /** @type {() => import('uring').Operation<unknown>} */ (
          makers[roll(makers.length)]
        )();
        const ended = ring.exec(
          operation,
          roll(3) === 0 ? { timeoutMs: roll(10) } : { signal: controller.signal },
        );
        const how = roll(3);
        if (how === 0) controller.abort();
        else if (how === 1) setImmediate(() => controller.abort());
        else setTimeout(() => controller.abort(), roll(10));
        const error = await ended.then(
          (result) => result,
          (thrown) => thrown,
        );
        tally.check(isStopped(error), () => `an operation that was stopped ended with ${error}`);
      });
      await Promise.all(all);
    },
    async end() {
      closeSync(quiet.readFd);
      closeSync(quiet.writeFd);
    },
  };
}

/** @param {Dice} roll @returns {Work} */
export function closings(roll) {
  const tally = new Tally();
  return {
    name: 'rings closed in flight',
    tally,
    lanes: 1,
    async round() {
      const ring = new Ring({ entries: 16, cqEntries: 32 });
      const all = Array.from({ length: 40 }, (_, at) =>
        (at % 2 === 0 ? ring.exec(nop({ result: at })) : ring.exec(timeout(HOUR_MS))).catch(
          ({ code }) => code,
        ),
      );
      if (roll(2) === 0) await sleep(roll(3));
      await ring.close();
      const ends = await Promise.all(all);
      const isRight = ends.every((end, at) => end === 'ECANCELED' || (at % 2 === 0 && end === at));
      tally.check(isRight, () => `a ring that was closed settled its operations with ${ends}`);
      tally.check(ring.inFlight === 0, () => `${ring.inFlight} are in flight in a closed ring`);
      // Otherwise it would be all that the others have time for.
      await sleep(10);
    },
  };
}

/** @param {string} folder @param {Dice} roll @returns {Work} */
export function workers(folder, roll) {
  const tally = new Tally();
  return {
    name: 'workers',
    tally,
    lanes: 1,
    async round() {
      const isTerminated = roll(2) === 0;
      const workerData = { folder, seed: roll(2 ** 31), isTerminated };
      const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData, execArgv: [] });
      // Its last message and its exit may come in one go.
      const gone = new Promise((resolve) => worker.once('exit', resolve));
      /** @type {{ checks: number, bytes: number }} */
      const told = await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        void gone.then((code) =>
          reject(new Error(`a worker ended with ${code} before it had told anything`)),
        );
      });
      tally.checks += told.checks;
      tally.bytes += told.bytes;
      if (isTerminated) await worker.terminate();
      const code = await gone;
      tally.check(code === (isTerminated ? 1 : 0), () => `a worker ended with ${code}`);
      await sleep(100);
    },
  };
}
