import { onNextTurn } from '../runtime/turn.ts';

/** Node's own, whatever fakes a test puts in their place. */
const { clearInterval, setInterval } = globalThis;
/** Node's timers take no more. */
const LONGEST_MS = 2 ** 31 - 1;

/** A mock ring's place on the event loop: it has a turn whenever there is something to do. */
export class Loop {
  /** Submits and delivers; answers whether there is more to do at once. */
  readonly #turn: () => boolean;
  /** Whether something may still come, for which the process shall live. */
  readonly #keepsAlive: () => boolean;
  /** It has a turn soon. */
  isComing = false;
  /** Keeps the process alive while nothing but a promise or the mock's clock can go on. */
  #alive: NodeJS.Timeout | undefined;

  constructor(turn: () => boolean, keepsAlive: () => boolean) {
    this.#turn = turn;
    this.#keepsAlive = keepsAlive;
  }

  /** Has a turn soon, after everything that runs now. */
  wake(): void {
    if (!this.isComing) {
      this.isComing = true;
      onNextTurn(() => this.#haveTurn());
    }
  }

  #haveTurn(): void {
    this.isComing = false;
    let goesOn = true;
    try {
      goesOn = this.#turn();
    } finally {
      // Also after an exception, which is the process's: the rest follows.
      if (goesOn) this.wake();
      this.refresh();
    }
  }

  refresh(): void {
    if (this.#keepsAlive()) this.#alive ??= setInterval(() => {}, LONGEST_MS);
    else this.end();
  }

  end(): void {
    clearInterval(this.#alive);
    this.#alive = undefined;
  }
}
