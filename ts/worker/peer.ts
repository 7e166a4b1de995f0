import type { MessagePort, Transferable } from 'node:worker_threads';
import { parcel } from '../ops/message.ts';
import type { Ring } from '../ring.ts';
import type { RingHandle } from '../ring-handle.ts';
import { type Parcel, SEQUENCE_MASK } from './mailbox.ts';

/** Where a peer's values go, and from which ring. */
export interface PeerOptions {
  readonly own: Ring;
  readonly port: MessagePort;
  /** Of the mailbox at the other end. */
  readonly key: number;
}

/**
 * The ring at the other end: a worker's for its parent, the parent's for a worker. Numbers go there by `msgRing`, registered
 * files by `msgRingFile`, anything else by `post`.
 */
export class RingPeer {
  readonly #options: PeerOptions;
  #handle: RingHandle | undefined;
  #sequence = 0;

  /** @internal */
  constructor(options: PeerOptions, handle?: RingHandle) {
    this.#options = options;
    this.#handle = handle;
  }

  /** Its ring: a target for `msgRing` and `msgRingFile`, also for siblings that it is sent to. */
  get ring(): RingHandle {
    if (this.#handle === undefined) throw new TypeError('the ring of the worker is not open yet');
    return this.#handle;
  }

  /** @internal */
  set ring(handle: RingHandle) {
    this.#handle = handle;
  }

  /**
   * Sends a value as `postMessage` does (structured clone), in order with numbers that this thread sends by `msgRing`; files
   * (`msgRingFile`) may overtake both, and be overtaken. It arrives as an event `{ type: 'value', value, from }`.
   *
   * @param transferList what is moved and not copied, as for `postMessage`
   * @returns when it is in the other ring's completion queue; rejects with `ERR_URING_STALE_HANDLE` when that ring is closed,
   * and with Node's `DataCloneError`
   */
  post(value: unknown, transferList: readonly Transferable[] = []): Promise<void> {
    return this.send('value', value, transferList);
  }

  /** @internal */
  async send(
    kind: Parcel['kind'],
    value: unknown,
    transferList: readonly Transferable[] = [],
  ): Promise<void> {
    const { own, port, key } = this.#options;
    own.assertOpen();
    this.#sequence = (this.#sequence + 1) & SEQUENCE_MASK;
    const sent: Parcel = { sequence: this.#sequence, kind, value };
    const announcement = parcel(this.ring, key, sent.sequence);
    await new Promise<void>((resolve, reject) => {
      // First, because what is refused must not stay in the port; it is submitted later, when the value is there. What
      // cannot be cloned is announced in vain.
      own.start(announcement, (error) => (error === null ? resolve() : reject(error)));
      port.postMessage(sent, transferList);
    });
  }
}
