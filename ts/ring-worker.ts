import {
  MessageChannel,
  type MessagePort,
  type Transferable,
  Worker,
  type WorkerOptions,
} from 'node:worker_threads';
import { invalidType, invalidValue, UringError } from './errors.ts';
import { nop } from './ops/nop.ts';
import { Ring } from './ring.ts';
import type { RingHandle } from './ring-handle.ts';
import type { RingOptions } from './ring-options.ts';
import { closedError } from './runtime/rejects.ts';
import { checkInteger, checkOptions } from './validate.ts';
import {
  type CurrentOptions,
  type CurrentWorker,
  currentWorker,
  FROM_PARENT,
  type SpawnData,
  WORKER_DATA,
} from './worker/current.ts';
import { Mailbox } from './worker/mailbox.ts';
import { RingPeer } from './worker/peer.ts';

const STOP_TIMEOUT_MS = 5000;
/** How long the end of a worker may wait for what it had sent. */
const DELIVERY_MS = 1000;
/** How often a parent that waits for its worker to start looks whether its own ring is there. */
const LOOK_MS = 50;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** How to start a worker: Node's own options, and those of its ring. */
export interface RingWorkerOptions extends WorkerOptions {
  /** The worker's ring. It is attached to the parent's, so with `sqpoll` the parent's must have that too. */
  ring?: Omit<RingOptions, 'attachTo'>;
}

/** Numbers of a ring's mailboxes. */
const lastKeys = new WeakMap<Ring, number>();

function nextKey(ring: Ring): number {
  const key = (lastKeys.get(ring) ?? FROM_PARENT) + 1;
  lastKeys.set(ring, key);
  return key;
}

/** Whoever waits for a worker to start; the first one that is called counts. */
interface Start {
  ready(): void;
  ended(error: unknown): void;
}

function endedEarly(exitCode: number): UringError {
  const message = `the worker ended with code ${exitCode} before it called RingWorker.current()`;
  return new UringError('ERR_URING_WORKER_ENDED', message);
}

/**
 * What a worker has sent stands in the queue of the parent, or waits for the parent to enter the kernel (DEFER_TASKRUN), when
 * its thread has ended. Node tells of that end in a turn of its own, before or after.
 *
 * @returns whether all of it is
 */
async function delivered(parent: Ring): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), DELIVERY_MS);
  });
  const entered = parent.exec(nop()).then(() => parent.exec(nop()));
  // A ring that is closed, full, or for other uses: whoever reads there reads later.
  const isAll = await Promise.race([
    entered.then(
      () => true,
      () => false,
    ),
    late,
  ]);
  clearTimeout(timer);
  return isAll;
}

function checkSpawn(parent: unknown, options: RingWorkerOptions): asserts parent is Ring {
  if (!(parent instanceof Ring)) throw invalidType('parent', 'a Ring', parent);
  checkOptions('options', options);
  if (options.ring === undefined) return;
  checkOptions('options.ring', options.ring);
  if ('attachTo' in options.ring) throw invalidValue('options.ring', 'has attachTo: that is the parent');
  if (options.ring.disabled === true) {
    throw invalidValue(
      'options.ring',
      'has disabled: the worker tells of its ring, which one that is disabled cannot',
    );
  }
  if (options.ring.registeredFdOnly === true) {
    throw invalidValue('options.ring', 'has registeredFdOnly: other threads could not name the ring');
  }
  if (options.ring.sqpoll !== undefined && !parent.setupFlags.includes('SQPOLL')) {
    throw invalidValue('options.ring', 'has sqpoll, but the parent has no polling thread to share');
  }
}

/** Starts a thread; of one that cannot be started (its options, its data) nothing is left. */
function startThread(script: string | URL, options: WorkerOptions, ports: readonly MessagePort[]): Worker {
  try {
    return new Worker(script, options);
  } catch (error) {
    for (const port of ports) port.close();
    throw error;
  }
}

/**
 * A worker thread with a ring of its own, attached to its parent's. The rings talk directly: numbers by `msgRing` to
 * `worker.ring` and `parent.ring`, registered files by `msgRingFile`, anything else by `post`; they arrive at
 * `ring.receive`, or at whoever reads completions by hand. A worker that waits for them sleeps in the kernel.
 *
 * It keeps the process alive until it has ended, and ends when its script has nothing more to do (a ring that somebody
 * listens on counts), or is stopped. However it ends, nothing of its ring is left.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_msg_ring.3.html io_uring_prep_msg_ring(3)}
 * @example
 * ```ts
 * import { isMainThread } from 'node:worker_threads';
 * import { Ring, RingWorker, msgRing } from 'uring';
 *
 * async function main() {
 *   const ring = new Ring();
 *   const worker = await RingWorker.spawn(ring, new URL(import.meta.url), { workerData: { factor: 2 } });
 *   ring.receive(async (event) => {
 *     console.log(event); // { type: 'message', data: 42, res: 0, flags: 0 }
 *     console.log(await worker.stop()); // 0
 *     await ring.close();
 *   });
 *   await ring.exec(msgRing(worker.ring, { data: 21 }));
 * }
 *
 * function work() {
 *   const { ring, parent, workerData } = RingWorker.current();
 *   ring.receive((event) => {
 *     if (event.type === 'message') ring.exec(msgRing(parent.ring, { data: event.data * workerData.factor }));
 *   });
 * }
 *
 * await (isMainThread ? main() : work());
 * ```
 */
export class RingWorker extends RingPeer {
  /** Node's worker: for `stdout`, `performance`, `getHeapSnapshot` and the like. */
  readonly thread: Worker;
  readonly #ended: Promise<number>;
  readonly #isOver: () => boolean;
  #stopping: Promise<void> | undefined;

  private constructor(parent: Ring, script: string | URL, options: RingWorkerOptions, start: Start) {
    const { ring = {}, workerData, transferList = [], ...nodeOptions } = options;
    const { port1: port, port2 } = new MessageChannel();
    const key = nextKey(parent);
    const data: SpawnData = { parent: parent.handle, port: port2, key, ring, workerData };
    const thread = startThread(
      script,
      {
        ...nodeOptions,
        workerData: { [WORKER_DATA]: data },
        transferList: [...transferList, port2] as Transferable[],
      },
      [port, port2],
    );
    if (ring.sqpoll !== undefined) parent.sharePolling();
    super({ own: parent, port, key: FROM_PARENT });
    this.thread = thread;
    const mailbox = new Mailbox(parent, key, port, {
      peer: this,
      hello: (handle) => {
        this.ring = handle as RingHandle;
        start.ready();
      },
    });
    let isOver = false;
    let failure: { readonly error: unknown } | undefined;
    this.#isOver = () => isOver;
    thread.once('error', (error) => {
      failure = { error };
    });
    this.#ended = new Promise((resolve, reject) => {
      thread.once('exit', async (exitCode) => {
        isOver = true;
        mailbox.end(await delivered(parent));
        start.ended(failure === undefined ? endedEarly(exitCode) : failure.error);
        if (failure === undefined) resolve(exitCode);
        else reject(failure.error);
      });
    });
  }

  /**
   * Starts a worker. Its script calls {@link RingWorker.current}, which opens its ring.
   *
   * @param parent a ring of this thread, which must be open until the worker's is
   * @param script as for Node's `Worker`: a path, a URL, or with `eval` the text
   * @returns when the ring of the worker is open; rejects with the worker's error, with `ERR_URING_WORKER_ENDED` when it ends
   * without opening one, with `ERR_URING_CLOSED` when the parent closes meanwhile, and with `ERR_URING_DISABLED` for a
   * parent that is not enabled
   */
  static async spawn(
    parent: Ring,
    script: string | URL,
    options: RingWorkerOptions = {},
  ): Promise<RingWorker> {
    checkSpawn(parent, options);
    // What the worker sends is read by the event loop, whether or not anybody listens.
    parent.runner.attached.attach();
    const made: { worker?: RingWorker } = {};
    let looking: NodeJS.Timeout | undefined;
    const opened = new Promise<void>((ready, ended) => {
      made.worker = new RingWorker(parent, script, options, { ready, ended });
      // The worker's first message cannot be read any more then.
      looking = setInterval(() => parent.closed && ended(closedError()), LOOK_MS);
    });
    try {
      await opened;
    } catch (error) {
      // Whoever spawns it is told, and nobody else is to be.
      made.worker?.join().catch(() => {});
      await made.worker?.thread.terminate();
      throw error;
    } finally {
      clearInterval(looking);
    }
    return made.worker as RingWorker;
  }

  /**
   * In a worker: its ring, its parent, and what it was given.
   *
   * @throws `ERR_URING_NO_WORKER` in a thread that `RingWorker.spawn` has not started, `ERR_URING_STALE_HANDLE` when the
   * parent's ring is closed, and what `new Ring` throws
   */
  static current(options?: CurrentOptions): CurrentWorker {
    return currentWorker(options);
  }

  /**
   * Asks the worker to end, and sees to it that it does: its ring gets an event `stop`, its `onStop` is called, then its ring
   * is closed and the thread exits. One that has not ended after `timeoutMs` is terminated.
   *
   * @param options.timeoutMs default 5000
   * @returns as `join`; the exit code of a worker that was terminated is 1
   */
  stop({ timeoutMs = STOP_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<number> {
    checkInteger('options.timeoutMs', timeoutMs, 0, TIMEOUT_MS_MAX);
    this.#stopping ??= this.#stop(timeoutMs);
    return this.#ended;
  }

  async #stop(timeoutMs: number): Promise<void> {
    if (this.#isOver()) return;
    const timer = setTimeout(() => this.thread.terminate(), timeoutMs);
    this.thread.once('exit', () => clearTimeout(timer));
    try {
      await this.send('stop', undefined);
    } catch (error) {
      // Without a ring of our own there is no way to ask. A worker whose ring is closed is ending by itself, and one that
      // could not be asked just now (a full queue) has until the timer.
      if ((error as UringError).code === 'ERR_URING_CLOSED') await this.thread.terminate();
    }
  }

  /** How the worker ended: its exit code. Rejects with what it threw; if nobody asks, that is an unhandled rejection. */
  join(): Promise<number> {
    return this.#ended;
  }

  /** The process lives as long as the worker does, which is the default. */
  ref(): this {
    this.thread.ref();
    return this;
  }

  /** The process may end while the worker runs. */
  unref(): this {
    this.thread.unref();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
