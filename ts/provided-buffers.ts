import type { BufferLease } from './buffer-ring.ts';
import { UringError } from './errors.ts';
import { onNextTurn } from './runtime/turn.ts';
import { checkName } from './validate.ts';

/** @internal Continues a stream that waits for a buffer, or ends it with an error. */
export type Starved = (error?: UringError) => void;

/**
 * Buffers that the kernel picks from when data arrives: a {@link BufferRing}, or a {@link BufferGroup} of the older kind.
 * What receives takes either.
 */
export abstract class ProvidedBuffers {
  /** Number of the buffer group. */
  abstract readonly group: number;
  /** How many buffers there are. */
  readonly entries: number;
  /** Size of each. */
  readonly sizeBytes: number;
  /** @internal */ readonly ring: unknown;
  /** @internal Counts releases, so that a starved stream knows whether waiting makes sense. */ released = 0;
  /** Streams that wait for a buffer, those that have waited longest first. */
  readonly #starved: Starved[] = [];
  #sweepComing = false;
  /** Streams with results that wait for their consumers, in buffers of these. */
  readonly #holders = new Set<() => void>();

  /** @internal */
  constructor(ring: unknown, entries: number, sizeBytes: number) {
    this.ring = ring;
    this.entries = entries;
    this.sizeBytes = sizeBytes;
  }

  /** Buffers that are out: lent to you and not released. */
  abstract get lent(): number;
  /** @internal It takes no more buffers back: it was given up, or its ring is closed. */
  protected abstract get isGone(): boolean;
  /** @internal Throws when it was given up. */
  abstract assertRegistered(): void;
  /** @internal The buffer that a completion names, or the next piece of it. */
  abstract lease(id: number, sizeBytes: number, more?: boolean): BufferLease;
  /** @internal Nobody gets to see the buffer that a completion with these flags names. */
  abstract giveUp(flags: number): void;
  /** @internal A lease ends. */
  abstract recycle(id: number): void;
  /** @internal Hands a buffer that was taken to the kernel. */
  abstract provideTaken(id: number, lengthBytes: number): void;

  /** @internal A part of the memory of all buffers. */
  protected view(memory: ArrayBuffer, offset: number, sizeBytes: number): Buffer {
    if (memory.byteLength === 0) {
      throw new UringError(
        'ERR_URING_BUFFER_DETACHED',
        'the memory of these buffers was detached (a byte stream does that to what it is given): copy what arrives',
      );
    }
    return Buffer.from(memory, offset, sizeBytes);
  }

  /** @internal One buffer feeds one stream; the others wait for the next, in their order. */
  protected feedStarved(): void {
    this.#starved.shift()?.();
    this.#sweepLater();
  }

  /**
   * A stream that was continued may leave its buffer to others after all: at the end of its data, stopped meanwhile,
   * or because somebody else has read the socket. No release follows then, so free buffers are looked for once what
   * was continued has been submitted: the second turn of the loop is surely after that.
   */
  #sweepLater(): void {
    if (this.#sweepComing || this.#starved.length === 0) return;
    this.#sweepComing = true;
    onNextTurn(() => onNextTurn(() => this.#sweep()));
  }

  #sweep(): void {
    this.#sweepComing = false;
    if (this.isGone) return;
    const served = this.#starved.splice(0, this.entries - this.lent);
    for (const wake of served) wake();
    if (served.length > 0) this.#sweepLater();
  }

  /** @internal A stream has results that nobody has taken yet; `copyOut` gives their buffers back, and keeps the bytes. */
  holds(copyOut: () => void): void {
    this.#holders.add(copyOut);
  }

  /** @internal All of them have been taken. */
  holdsNoMore(copyOut: () => void): void {
    this.#holders.delete(copyOut);
  }

  /** @internal A stream found no buffer: those that wait for slow consumers come back, so that they starve nobody. */
  reclaim(): void {
    const holders = [...this.#holders];
    this.#holders.clear();
    for (const copyOut of holders) copyOut();
  }

  /** @internal No buffer will come back any more: ends the streams that wait for one. */
  abandon(error?: UringError): void {
    for (const wake of this.#starved.splice(0)) wake(error);
  }

  /** @internal */
  whenReleased(wake: Starved): void {
    this.#starved.push(wake);
  }

  /** @internal */
  forget(wake: Starved): void {
    const at = this.#starved.indexOf(wake);
    if (at >= 0) this.#starved.splice(at, 1);
  }
}

/** @internal Who gives the buffers to the kernel. */
export function checkProvide(value: unknown): 'automatically' | 'manually' {
  const names = { automatically: 'automatically', manually: 'manually' } as const;
  return checkName<keyof typeof names>('options.provide', value ?? 'automatically', names);
}
