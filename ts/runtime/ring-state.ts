import { Errno } from '../errnos.ts';
import { invalidType, systemError, UringError } from '../errors.ts';
import type { Layout, NativeRing } from '../platform/native.ts';
import type { RingHandle } from '../ring-handle.ts';
import { checkSizes, tableFull } from '../ring-options.ts';
import { checkOptions } from '../validate.ts';
import type { Engine } from './engine.ts';
import { closedError } from './rejects.ts';

const { EBADF, EBUSY, EINVAL, EOPNOTSUPP } = Errno;

const NO_OTHER_NAME =
  'the ring has no name but its place in the table of this thread: it was opened with registeredFdOnly';

/** A ring as a whole: whether it runs, what it is called, how large it is. */
export class RingState {
  readonly #native: NativeRing;
  readonly #engine: Engine;
  #handle: RingHandle | undefined;
  /** It was opened disabled, and has not been enabled. */
  isDisabled: boolean;

  constructor(native: NativeRing, engine: Engine) {
    this.#native = native;
    this.#engine = engine;
    this.isDisabled = engine.layout.setupFlags.includes('R_DISABLED');
  }

  get handle(): RingHandle {
    if (this.#handle !== undefined) return this.#handle;
    const ringToken = this.#native.token();
    if (ringToken === -EBADF) throw new UringError('ERR_URING_NO_DESCRIPTOR', NO_OTHER_NAME);
    check(ringToken);
    this.#handle = Object.freeze({ ringToken });
    this.#engine.isKnown = true;
    return this.#handle;
  }

  enable(): void {
    if (!this.isDisabled) {
      throw new UringError('ERR_URING_NOT_DISABLED', 'the ring is enabled: only one opened disabled is not');
    }
    const result = this.#native.enable();
    if (result === -EOPNOTSUPP) throw neverEnabled();
    check(result);
    this.isDisabled = false;
    this.#engine.layout = this.#layout();
  }

  registerRingFd(): void {
    const result = this.#native.registerRingFd();
    if (result === -EBUSY) throw tableFull('io_uring_register');
    check(result);
  }

  unregisterRingFd(): void {
    if (this.#engine.layout.fd < 0) {
      throw new UringError('ERR_URING_NO_DESCRIPTOR', NO_OTHER_NAME);
    }
    check(this.#native.unregisterRingFd());
  }

  /** @param longestWaiting of the chains that wait for room */
  resize(options: { entries?: number; cqEntries?: number }, longestWaiting: number): void {
    if (options === undefined) throw invalidType('options', 'of type object', options);
    checkOptions('options', options);
    const { layout } = this.#engine;
    const entries = options.entries ?? layout.sqEntries;
    const cqEntries = options.cqEntries ?? Math.max(layout.cqEntries, entries);
    const sizes = checkSizes({ entries, cqEntries }, layout.setupFlags.includes('CLAMP'));
    if (!layout.setupFlags.includes('DEFER_TASKRUN')) {
      const message =
        "only a ring with DEFER_TASKRUN can be resized: open it without sqpoll, singleIssuer: false or another taskrun than 'defer'";
      throw new UringError('ERR_URING_UNSUPPORTED_FLAG', message);
    }
    if (this.#engine.prepared > 0) {
      const message = 'operations are prepared and not submitted: submit them before the resize';
      throw new UringError('ERR_URING_PREPARED', message);
    }
    if (longestWaiting > sizes.entries) {
      const message = `a chain of ${longestWaiting} waits for room: let it run before the queue is made smaller than that`;
      throw new UringError('ERR_URING_PREPARED', message);
    }
    const result = this.#native.resize(sizes.entries, sizes.cqEntries);
    if (result === -EINVAL) {
      const message = 'this kernel cannot resize rings: it needs Linux 6.13 or later';
      throw new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
    }
    check(result);
    this.#engine.rebind(this.#layout());
  }

  #layout(): Layout {
    const layout = this.#native.layout();
    if (layout === null) throw closedError();
    return layout;
  }
}

/** Where a ring that is not enabled would have to be entered. */
export function disabledError(): UringError {
  const message = 'the ring was opened disabled: call ring.enable() first';
  return new UringError('ERR_URING_DISABLED', message);
}

function neverEnabled(): UringError {
  const message = 'this kernel does not enable rings that were opened disabled: it needs Linux 5.11 or later';
  return new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
}

function check(result: number): void {
  if (result < 0) throw systemError(result, 'io_uring_register');
}
