import type { Completion } from '../completion.ts';
import { Word } from '../generated/abi.ts';
import type { Attached } from './attached.ts';
import type { Engine } from './engine.ts';
import type { RingEvent } from './events.ts';

/** Takes what arrives without an operation of the ring. */
export type EventListener = (event: RingEvent) => void;

/** Who listens on a ring. While somebody does, the process lives, as with a listener of a MessagePort. */
export class Receiver {
  readonly #engine: Engine;
  readonly #attached: Attached;
  /** Each call of `listen` has an entry, so that one function can listen twice. */
  readonly #listeners = new Set<{ readonly listener: EventListener }>();

  constructor(engine: Engine, attached: Attached) {
    this.#engine = engine;
    this.#attached = attached;
  }

  listen(listener: EventListener): () => void {
    this.#attached.attach();
    const entry = { listener };
    this.#listeners.add(entry);
    if (this.#listeners.size === 1) this.#begin();
    return () => {
      if (this.#listeners.delete(entry) && this.#listeners.size === 0) this.end();
    };
  }

  #begin(): void {
    const engine = this.#engine;
    engine.onEvent = (completion) => this.#deliver(completion);
    engine.setWord(Word.listening, 1);
    this.#attached.wake();
    // What came before anybody listened, in its order; not from inside of `listen`.
    const kept = engine.unread.filter(({ event }) => event !== undefined);
    if (kept.length === 0) return;
    const others = engine.unread.filter(({ event }) => event === undefined);
    engine.unread.splice(0, engine.unread.length, ...others);
    for (const completion of kept) queueMicrotask(() => this.#deliver(completion));
  }

  #deliver(completion: Completion): void {
    const { event } = completion;
    if (event === undefined) return;
    // They have stopped between its arrival and now: it is kept for the next, or for who reads by hand.
    if (this.#listeners.size === 0) this.#engine.unread.push(completion);
    for (const { listener } of [...this.#listeners]) listener(event);
  }

  /** Nobody listens any more. */
  end(): void {
    this.#listeners.clear();
    this.#engine.onEvent = undefined;
    this.#engine.setWord(Word.listening, 0);
  }
}
