import { UringError } from './errors.ts';
import { closeDescriptor } from './platform/descriptors.ts';

/** Closes what was received and never looked at. */
const forgotten = new FinalizationRegistry<number[]>(closeAll);

function closeAll(fds: number[]): void {
  for (const fd of fds.splice(0)) closeDescriptor(fd);
}

/**
 * File descriptors that came with a message (`SCM_RIGHTS`). They are open in this process from the moment the message
 * is there, so they belong to this object until `take()` hands them over. Those that nobody takes are closed: by
 * `close()`, by `using`, when the result is given up (a stream that is left, a ring that closes), and at the latest
 * when this object is collected.
 *
 * They are close-on-exec. A worker that is terminated before it has read the completion leaves them open.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/unix.7.html unix(7)}
 */
export class ReceivedDescriptors {
  readonly #fds: number[];
  /** How many there are. */
  readonly count: number;
  #taken = false;

  /** @internal */
  constructor(fds: number[]) {
    this.#fds = fds;
    this.count = fds.length;
    forgotten.register(this, fds, this);
  }

  /**
   * The descriptors, which are yours to close from now on.
   *
   * @throws `ERR_URING_STALE_HANDLE` the second time, and when they were closed
   */
  take(): number[] {
    if (this.#taken) {
      throw new UringError('ERR_URING_STALE_HANDLE', 'the descriptors were taken or closed already');
    }
    this.#taken = true;
    forgotten.unregister(this);
    return this.#fds.splice(0);
  }

  /** Closes them, unless they were taken. */
  close(): void {
    this.#taken = true;
    forgotten.unregister(this);
    closeAll(this.#fds);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
