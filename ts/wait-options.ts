import { invalidType, invalidValue, outOfRange, UringError } from './errors.ts';
import { FEATURES } from './flags.ts';
import { checkMilliseconds, checkOptions } from './validate.ts';

/** How long `submitAndWait` waits. */
export interface WaitOptions {
  /** Longest wait in milliseconds; default: none. */
  timeoutMs?: number;
  /**
   * For so many milliseconds `count` completions are waited for; after that one is enough. For batches that are worth
   * a delay, but not any delay. Since Linux 6.12.
   */
  minWaitMs?: number;
  /**
   * When to stop, instead of `timeoutMs`, in nanoseconds on the ring's clock, which is that of
   * `process.hrtime.bigint()` unless another one was registered. Since Linux 6.12.
   */
  deadlineNs?: bigint;
}

const MIN_TIMEOUT = 1 << FEATURES.indexOf('MIN_TIMEOUT');

/** @internal Checks the options against each other and the ring's features; whether the wait ends by itself. */
export function checkWait(options: WaitOptions, features: number): boolean {
  checkOptions('options', options);
  const { timeoutMs, minWaitMs, deadlineNs } = options;
  checkMilliseconds('options.timeoutMs', timeoutMs);
  checkMilliseconds('options.minWaitMs', minWaitMs);
  if (deadlineNs !== undefined) {
    if (typeof deadlineNs !== 'bigint') throw invalidType('options.deadlineNs', 'of type bigint', deadlineNs);
    if (deadlineNs < 0n) throw outOfRange('options.deadlineNs', '>= 0n', deadlineNs);
    if (timeoutMs !== undefined)
      throw invalidValue('options.deadlineNs', 'excludes options.timeoutMs: give one of them');
  }
  if ((minWaitMs !== undefined || deadlineNs !== undefined) && (features & MIN_TIMEOUT) === 0) {
    const message = 'minWaitMs and deadlineNs need Linux 6.12 or later: use timeoutMs';
    throw new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
  }
  return timeoutMs !== undefined || deadlineNs !== undefined;
}
