import { invalidType } from './errors.ts';
import type { Limits } from './runtime/together.ts';
import { checkMilliseconds, checkOptions, isSet } from './validate.ts';

/** A timeout of more than 30 years is none. */
const NEVER_MS = 1e12;

/** What may stop an operation before it is through. */
export interface ExecOptions {
  /**
   * Stops it when it is aborted: the promise rejects with an {@link AbortError}, once the kernel has let go of the
   * memory.
   */
  signal?: AbortSignal;
  /**
   * Stops it when it is not through so many milliseconds from now, waiting for its turn included: the promise rejects
   * with `ERR_URING_TIMEOUT`. The kernel keeps the time (`LINK_TIMEOUT`). Default: no limit.
   */
  timeoutMs?: number;
}

/** How operations run one after the other. */
export interface ChainOptions extends ExecOptions {
  /** Each starts whatever becomes of the one before it (`HARDLINK`). Default false (`LINK`). */
  hard?: boolean;
}

/** A signal, or nothing. */
export function checkSignal(name: string, value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal))
    throw invalidType(name, 'an AbortSignal', value);
}

/** @internal */
export function checkExecOptions(options: ExecOptions): Limits {
  checkOptions('options', options);
  const { signal, timeoutMs } = options;
  checkSignal('options.signal', signal);
  checkMilliseconds('options.timeoutMs', timeoutMs);
  return { signal, timeoutMs: timeoutMs === undefined || timeoutMs > NEVER_MS ? undefined : timeoutMs };
}

/** @internal */
export function checkChainOptions(options: ChainOptions): Limits & { isHard: boolean } {
  return { ...checkExecOptions(options), isHard: isSet('options.hard', options.hard) };
}
