import { UringError } from '../errors.ts';
import type { Link, Pending } from './link.ts';

/** Places at the front that may be empty before the list is shortened. */
const EMPTY_MAX = 1024;

/** What finds no room yet, in order. */
export class Waiting {
  #list: (Pending | undefined)[] = [];
  /** Place of the first one that still waits, or was dropped. */
  #first = 0;
  #dropped = 0;
  /** Operations that wait. */
  count = 0;
  /** Those of them that keep the process alive. */
  referenced = 0;

  /** The first of them. */
  get first(): Pending | undefined {
    while (this.#list[this.#first]?.isGone === true) {
      this.#dropped -= 1;
      this.#clearFirst();
    }
    return this.#list[this.#first];
  }

  /** Adds operations at the end. */
  push(links: readonly Link[], max: number): Pending {
    if (this.count + links.length > max) {
      const message = `${this.count} operations are waiting already: start fewer at a time, or open the ring with a larger cqEntries or waitingMax`;
      throw new UringError('ERR_URING_QUEUE_FULL', message);
    }
    const pending = { links, isGone: false };
    this.#list.push(pending);
    this.#add(links, 1);
    return pending;
  }

  /** Adds a request that goes ahead of all. */
  unshift(links: readonly Link[]): Pending {
    const pending = { links, isGone: false };
    if (this.#first > 0) {
      this.#first -= 1;
      this.#list[this.#first] = pending;
    } else {
      this.#list.unshift(pending);
    }
    this.#add(links, 1);
    return pending;
  }

  #add(links: readonly Link[], sign: 1 | -1): void {
    this.count += sign * links.length;
    for (const { isUnref } of links) if (!isUnref) this.referenced += sign;
  }

  /** Whether one that waits will keep the process alive. */
  setUnref(link: Link, isUnref: boolean): void {
    if (link.isUnref === isUnref) return;
    link.isUnref = isUnref;
    this.referenced += isUnref ? -1 : 1;
  }

  /** Takes one out; its place goes later, together with others. */
  drop(pending: Pending): void {
    pending.isGone = true;
    this.#add(pending.links, -1);
    this.#dropped += 1;
    if (this.#dropped > EMPTY_MAX && this.#dropped > this.#list.length / 2) this.#compact();
  }

  /** Takes out all. */
  clear(): Pending[] {
    const all = [...this];
    for (const pending of all) pending.isGone = true;
    this.#list = [];
    this.#first = 0;
    this.#dropped = 0;
    this.count = 0;
    this.referenced = 0;
    return all;
  }

  *[Symbol.iterator](): IterableIterator<Pending> {
    for (let at = this.#first; at < this.#list.length; at += 1) {
      const pending = this.#list[at] as Pending;
      if (!pending.isGone) yield pending;
    }
  }

  #compact(): void {
    this.#list = [...this];
    this.#first = 0;
    this.#dropped = 0;
  }

  #clearFirst(): void {
    // The place is cleared at once and the array shortened now and then, so that neither costs per operation.
    this.#list[this.#first] = undefined;
    this.#first += 1;
    if (this.#first >= EMPTY_MAX || this.#first === this.#list.length) {
      this.#list = this.#list.slice(this.#first);
      this.#first = 0;
    }
  }
}
