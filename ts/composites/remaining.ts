// What is left of a composite's time, for each of its operations.
import { lateError } from '../errors.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Operation } from '../operation.ts';
import type { Ring } from '../ring.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Limits } from '../runtime/together.ts';

const NSEC_PER_MS = 1e6;

/** @internal Runs the operations of a composite, which its signal and its deadline are common to. */
export class Remaining {
  readonly #ring: Ring;
  readonly #name: string;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #endsAtMs: number;
  readonly #isLimited: boolean;

  /** @param name what the composite is called, for errors */
  constructor(ring: Ring, name: string, options: ExecOptions) {
    this.#ring = ring;
    this.#name = name;
    this.#limits = checkExecOptions(options);
    const { signal, timeoutMs } = this.#limits;
    this.#clock = ring.runner.attached.clock;
    this.#endsAtMs = nowMs(this.#clock) + (timeoutMs ?? Number.POSITIVE_INFINITY);
    this.#isLimited = signal !== undefined || timeoutMs !== undefined;
  }

  /** Runs one of them. */
  exec<T>(operation: Operation<T>): Promise<T> {
    if (!this.#isLimited) return this.#ring.exec(operation);
    const { signal, timeoutMs } = this.#limits;
    if (timeoutMs === undefined) return this.#ring.exec(operation, this.#limits as ExecOptions);
    const leftMs = this.#endsAtMs - nowMs(this.#clock);
    // What is aborted says so, however late it is.
    if (leftMs <= 0 && signal?.aborted !== true) return Promise.reject(lateError(this.#name));
    const timeLeft = { timeoutMs: Math.max(0, leftMs) };
    return this.#ring.exec(operation, signal === undefined ? timeLeft : { signal, ...timeLeft });
  }
}

function nowMs(clock: Clock): number {
  return Number(clock.nowNs()) / NSEC_PER_MS;
}
