import { Errno } from '../errnos.ts';
import { systemError, UringError } from '../errors.ts';
import { Word } from '../generated/abi.ts';
import type { HalfOwner } from '../submission-queue.ts';
import { checkName } from '../validate.ts';
import type { Attached } from './attached.ts';
import type { Engine } from './engine.ts';
import { nothingInFlight } from './rejects.ts';

const { EAGAIN, EBADFD, EBUSY, ENOMEM } = Errno;
/** Short of something for now: what is delivered makes room. */
const BUSY: ReadonlySet<number> = new Set([EAGAIN, EBUSY, ENOMEM]);

/** When `ring.run` returns. */
export type RunMode = 'once' | 'untilDone' | 'forever';

const MODES = { once: 'once', untilDone: 'untilDone', forever: 'forever' } as const;

/** Drives a ring by blocking the thread, with the callbacks that the event loop would call. */
export class Drive {
  readonly #engine: Engine;
  readonly #attached: Attached;
  readonly #owner: HalfOwner;
  #running = false;
  #stopped = false;

  constructor(engine: Engine, attached: Attached, owner: HalfOwner) {
    this.#engine = engine;
    this.#attached = attached;
    this.#owner = owner;
  }

  /** Answers how many completions were delivered. */
  run(mode: RunMode): number {
    checkName('mode', mode, MODES);
    if (this.#running) {
      const message = 'run was called inside of a callback of run: start operations there, and let it return';
      throw new UringError('ERR_URING_RUNNING', message);
    }
    this.#running = true;
    this.#stopped = false;
    const first = this.#engine.word(Word.cqHead);
    try {
      do {
        if (this.#isDone) {
          if (mode !== 'forever') break;
          // Nothing would ever end the wait.
          if (this.#engine.onEvent === undefined) throw nothingInFlight();
        }
        this.#deliver(this.#wait());
      } while (mode !== 'once' && !this.#stopped && !this.#engine.isClosing);
    } finally {
      this.#running = false;
    }
    return (this.#engine.word(Word.cqHead) - first) | 0;
  }

  /** Makes `run` return when the batch is delivered. */
  stop(): void {
    this.#stopped = true;
  }

  get #isDone(): boolean {
    return this.#engine.slots.live === 0 && this.#attached.waiting === 0;
  }

  /** Answers an errno when the ring can no longer be entered. */
  #wait(): number {
    const result = this.#engine.hot.submitAndWait(1, -1);
    if (result >= 0 || BUSY.has(-result)) return 0;
    if (result === -EBADFD) this.#owner.entered(result);
    return -result;
  }

  /** Delivers the whole batch, and only then throws what callbacks have thrown. */
  #deliver(fatal: number): void {
    const errors: unknown[] = [];
    if (fatal !== 0) errors.push(systemError(-fatal, 'io_uring_enter'));
    for (let left = true; left; ) {
      try {
        this.#attached.deliver(fatal);
        left = false;
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} callbacks of one batch threw`);
    if (errors.length === 1) throw errors[0];
  }
}
