import { Delayed, isPromise, type MockAnswer, type MockLater, type MockOutcome } from './answers.ts';
import type { MockClock } from './clock.ts';

/** One step of a script. */
export type Step =
  | { readonly outcome: MockOutcome; readonly isLast: boolean }
  | { readonly error: unknown }
  /** Nothing is left. */
  | 'over';

type Steps = Iterator<MockLater, MockLater> | AsyncIterator<MockOutcome, MockOutcome>;

interface Taker {
  readonly isWanted: () => boolean;
  readonly use: (step: Step) => void;
}

/** Answers that come one after the other, for whoever asks first. What was not used comes again. */
export class Script {
  readonly #steps: Steps;
  readonly #clock: MockClock;
  readonly #takers: Taker[] = [];
  #held: Step | undefined;
  /** A step is asked for, and not there yet. */
  isBusy = false;
  #isOver = false;
  /** Answers are being given, which may ask for the next one; there can be more than the stack is deep. */
  #isServing = false;
  /** The generator runs. */
  #isAsking = false;
  /** Its last result was used: whoever comes next starts anew. */
  hasReturned = false;
  /** How many answers it has given. */
  given = 0;

  constructor(steps: Steps, clock: MockClock) {
    this.#steps = steps;
    this.#clock = clock;
  }

  /** Gives the next step, now or later, as long as it is wanted. */
  take(isWanted: () => boolean, use: (step: Step) => void): void {
    this.#takers.push({ isWanted, use });
    this.#serve();
  }

  putBack(step: Step): void {
    this.#held = step;
  }

  /** An operation waits for the next step. */
  get isAwaited(): boolean {
    return this.#takers.some(({ isWanted }) => isWanted());
  }

  /** Nobody asks any more: a generator has its `finally`. One that runs just now cannot be ended. */
  end(): void {
    this.#isOver = true;
    if (this.#isAsking) return;
    const ended = this.#steps.return?.(undefined);
    if (isPromise(ended)) ended.then(undefined, () => {});
  }

  #serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      while (!this.isBusy && this.#hasTaker()) this.#serveOne();
    } finally {
      this.#isServing = false;
    }
  }

  #hasTaker(): boolean {
    while (this.#takers[0]?.isWanted() === false) this.#takers.shift();
    return this.#takers.length > 0;
  }

  #serveOne(): void {
    const step = this.#held;
    if (step === undefined) {
      this.#advance();
      return;
    }
    this.#held = undefined;
    this.#takers.shift()?.use(step);
  }

  /** Goes on to the next step, which is held as soon as it is there. */
  #advance(): void {
    if (this.#isOver) {
      this.#held = 'over';
      return;
    }
    this.isBusy = true;
    try {
      const result = this.#next();
      if (isPromise(result)) result.then((later) => this.#resolve(later), this.#failed);
      else this.#resolve(result);
    } catch (error) {
      this.#failed(error);
    }
  }

  #next(): ReturnType<Steps['next']> {
    this.#isAsking = true;
    try {
      return this.#steps.next();
    } finally {
      this.#isAsking = false;
    }
  }

  readonly #failed = (error: unknown): void => {
    this.#isOver = true;
    this.#hold({ error });
  };

  #resolve({ done, value }: IteratorResult<MockLater, MockLater>): void {
    const isLast = done === true;
    this.#isOver = isLast;
    if (isLast && value === undefined) {
      this.#hold('over');
      return;
    }
    this.given += 1;
    const use = (outcome: MockOutcome): void => this.#hold({ outcome, isLast });
    whenThere(value, this.#clock, use, this.#failed);
  }

  #hold(step: Step): void {
    this.isBusy = false;
    this.#held = step;
    this.#serve();
  }
}

/** One answer that could not be used when it came. */
export function leftOver(outcome: MockOutcome): Iterator<MockLater, MockLater> {
  return { next: () => ({ done: true, value: outcome }) };
}

/** Calls back with an answer, now or when it is there; answers what forgets it. */
export function whenThere(
  answer: MockLater,
  clock: MockClock,
  use: (outcome: MockOutcome) => void,
  failed: (error: unknown) => void,
): () => void {
  if (answer instanceof Delayed) {
    const { timeMs, answer: later } = answer;
    const then = (): void => void whenThere(later, clock, use, failed);
    if (timeMs !== undefined) return clock.after(timeMs, then);
    then();
  } else if (isPromise<MockOutcome>(answer)) answer.then(use, failed);
  else use(answer);
  return () => {};
}

/** The answers in an answer that holds several. */
export function stepsOf(answer: MockAnswer): Steps | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  if (answer instanceof Uint8Array || answer instanceof Delayed) return undefined;
  if (Symbol.asyncIterator in answer) return answer[Symbol.asyncIterator]();
  if (Symbol.iterator in answer) return answer[Symbol.iterator]() as Steps;
  return undefined;
}
