// Values between rings: posted to a port, announced by a completion, so that they keep their place among the numbers of the
// same sender, and reach a thread that waits in the kernel too.
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { RingEvent } from '../runtime/events.ts';
import type { RingPeer } from './peer.ts';

/** Sequence numbers go through `res` of a completion. */
export const SEQUENCE_MASK = 0x7fff_ffff;
/** Of two sequence numbers, those that are less than this apart count as one after the other. */
const HALF_OF_ALL = 2 ** 30;
/**
 * How far completions of one sender may be out of order: to a ring with IOPOLL whose lock is taken a message goes by a worker
 * thread (io_uring/msg_ring.c, IORING_SETUP_IOPOLL).
 */
const OUT_OF_ORDER_MAX = 64;

/** What goes through the port; the completion has the same sequence number. */
export interface Parcel {
  readonly sequence: number;
  /** `hello` is a worker's first: its ring is open. */
  readonly kind: 'hello' | 'value' | 'stop';
  readonly value: unknown;
}

/** What a mailbox does with parcels that are no values. */
export interface MailboxOwner {
  readonly peer: RingPeer;
  hello?(value: unknown): void;
  stop?(): void;
}

/** Ports of each ring, by the numbers that its completions name. */
const mailboxes = new WeakMap<object, Map<number, Mailbox>>();

function mailboxesOf(ring: object): Map<number, Mailbox> {
  let ofRing = mailboxes.get(ring);
  if (ofRing === undefined) {
    ofRing = new Map();
    mailboxes.set(ring, ofRing);
  }
  return ofRing;
}

/** One end of a port, whose messages are taken when their completions are read. */
export class Mailbox {
  readonly key: number;
  readonly #ring: object;
  readonly #port: MessagePort;
  readonly #owner: MailboxOwner;
  /** Taken from the port before their completions. */
  readonly #early = new Map<number, Parcel>();
  #ended = false;

  /** @param key a number that no other mailbox of the ring has */
  constructor(ring: object, key: number, port: MessagePort, owner: MailboxOwner) {
    this.#ring = ring;
    this.key = key;
    this.#port = port;
    this.#owner = owner;
    mailboxesOf(ring).set(key, this);
  }

  open(sequence: number): RingEvent | undefined {
    const { value, kind } = this.#take(sequence) ?? {};
    const from = this.#owner.peer;
    switch (kind) {
      case 'value':
        return { type: 'value', value, from };
      case 'stop':
        this.#owner.stop?.();
        return { type: 'stop', from };
      case 'hello':
        this.#owner.hello?.(value);
    }
    return undefined;
  }

  #take(sequence: number): Parcel | undefined {
    while (!this.#early.has(sequence) && this.#receive());
    const parcel = this.#early.get(sequence);
    this.#early.delete(sequence);
    this.#dropOrphans(sequence);
    this.#forgetIfEmpty();
    return parcel;
  }

  /** The kernel has refused to announce them, so that nobody will ask for them. */
  #dropOrphans(sequence: number): void {
    for (const early of this.#early.keys()) {
      const age = (sequence - early) & SEQUENCE_MASK;
      if (age > OUT_OF_ORDER_MAX && age < HALF_OF_ALL) this.#early.delete(early);
    }
  }

  /** Takes a parcel from the port; answers whether there was one. */
  #receive(): boolean {
    const received = receiveMessageOnPort(this.#port) as { message: Parcel } | undefined;
    if (received !== undefined) this.#early.set(received.message.sequence, received.message);
    return received !== undefined;
  }

  /**
   * Nothing more will be posted: keeps what completions are still to be read of, and nothing else.
   *
   * @param allRead there are none of those: what is left was never announced
   */
  end(allRead: boolean): void {
    this.#ended = true;
    if (allRead) {
      this.#port.close();
      mailboxesOf(this.#ring).delete(this.key);
      return;
    }
    while (this.#receive());
    this.#port.close();
    this.#forgetIfEmpty();
  }

  #forgetIfEmpty(): void {
    if (this.#ended && this.#early.size === 0) mailboxesOf(this.#ring).delete(this.key);
  }
}

/** The event that a completion announces; none for what is between workers and their parents only. */
export function openParcel(ring: unknown, key: number, sequence: number): RingEvent | undefined {
  return mailboxesOf(ring as object)
    .get(key)
    ?.open(sequence);
}
