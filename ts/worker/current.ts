import { isMainThread, type MessagePort, workerData } from 'node:worker_threads';
import { UringError } from '../errors.ts';
import { Ring } from '../ring.ts';
import type { RingHandle } from '../ring-handle.ts';
import { kWorker, type RingOptions } from '../ring-options.ts';
import { checkFunction, checkOptions } from '../validate.ts';
import { Mailbox } from './mailbox.ts';
import { RingPeer } from './peer.ts';

/** The worker's mailbox for its parent; its own workers count from 1. */
export const FROM_PARENT = 0;
/** Where the parent's part of `workerData` stands. */
export const WORKER_DATA = 'uring:worker';
/** How long a worker that was stopped may take to run out of work before it exits. */
const LINGER_MS = 100;

/** What a parent tells its worker. */
export interface SpawnData {
  readonly parent: RingHandle;
  readonly port: MessagePort;
  /** The parent's mailbox for this worker. */
  readonly key: number;
  readonly ring: Omit<RingOptions, 'attachTo'>;
  readonly workerData: unknown;
}

/** How a worker behaves. */
export interface CurrentOptions {
  /**
   * Called when the parent asks the worker to end, while its ring still works; the ring is closed once the promise that it
   * returns is settled.
   */
  onStop?: () => void | Promise<void>;
}

/** What a worker has: see {@link RingWorker.current}. */
export interface CurrentWorker {
  /** The worker's own ring. */
  readonly ring: Ring;
  /** Whoever has spawned it. */
  readonly parent: RingPeer;
  /** What it was given. */
  // biome-ignore lint/suspicious/noExplicitAny: as in node:worker_threads
  readonly workerData: any;
}

let current: CurrentWorker | undefined;

function spawnData(): SpawnData {
  const data = isMainThread ? undefined : workerData?.[WORKER_DATA];
  if (data !== undefined) return data;
  const message = 'this thread was not started by RingWorker.spawn: there, call new Ring()';
  throw new UringError('ERR_URING_NO_WORKER', message);
}

/** Ends the worker: lets it finish, closes its ring, and does not wait for what else it may have. */
async function end(ring: Ring, port: MessagePort, onStop: (() => unknown) | undefined): Promise<void> {
  await onStop?.();
  await ring.close();
  port.close();
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

function open({ onStop }: CurrentOptions): CurrentWorker {
  const { parent: handle, port, key, ring: options, workerData } = spawnData();
  const ring = new Ring({ ...options, attachTo: handle, [kWorker]: true } as RingOptions);
  try {
    const parent = new RingPeer({ own: ring, port, key }, handle);
    // Parcels are read by the event loop, whether or not anybody listens.
    ring.runner.attached.attach();
    new Mailbox(ring, FROM_PARENT, port, {
      peer: parent,
      stop: () => queueMicrotask(() => end(ring, port, onStop)),
    });
    parent.send('hello', ring.handle).catch(helloFailed);
    return { ring, parent, workerData };
  } catch (error) {
    // The script may catch it and live on, but has no ring that it could close.
    void ring.close();
    throw error;
  }
}

/** Whoever waits for the hello would wait for ever: the worker ends, and its error is the one of `spawn`. */
function helloFailed(error: UringError): void {
  // A parent that is closing spawns nobody any more, and has been told by its own promise.
  if (error.code === 'ERR_URING_STALE_HANDLE') return;
  process.nextTick(() => {
    throw error;
  });
}

/** The worker that this thread is; its ring is opened by the first call. */
export function currentWorker(options: CurrentOptions = {}): CurrentWorker {
  checkOptions('options', options);
  if (options.onStop !== undefined) checkFunction('options.onStop', options.onStop);
  current ??= open(options);
  return current;
}
