import { Errno } from '../errnos.ts';
import { invalidValue, outOfRange, systemError, UringError } from '../errors.ts';
import { EXTRA_LOW_MASK, Reject } from '../generated/abi.ts';
import { opInfo } from '../generated/ops.ts';
import type { AnyOperation } from '../operation.ts';

/** ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK, which the kernel has for itself (include/linux/errno.h). */
const RESTARTS: ReadonlySet<number> = new Set([512, 513, 514, 516]);

/** The error of an operation that this kernel does not have. */
export function unsupported(operation: AnyOperation): UringError {
  const info = opInfo[operation.opcode];
  const message =
    info === undefined
      ? `this kernel does not have operation ${operation.opcode}`
      : `this kernel does not have ${info.name}: it needs Linux ${info.kernel} or later`;
  return new UringError('ERR_URING_UNSUPPORTED_OP', message);
}

/** The error of an operation with an option that this kernel would not even notice. */
export function unsupportedOption(operation: AnyOperation, option: string, kernel: string): UringError {
  const message = `this kernel does not have ${option} of ${operation.name}: it needs Linux ${kernel} or later`;
  return new UringError('ERR_URING_UNSUPPORTED_FEATURE', message);
}

/** The error of an operation that Rust refused, with its reason in `extra`. */
export function rejected(operation: AnyOperation, res: number, extra: number): UringError {
  const name = operation.name;
  switch (extra & EXTRA_LOW_MASK) {
    case Reject.closed:
    case Reject.chainBroken:
      return systemError(res, name, operation.path, operation.dest);
    case Reject.unsupportedOperation:
      return unsupported(operation);
    case Reject.staleRing:
      return staleRing(name);
    case Reject.credentialsChanged:
      return credentialsChanged(name);
    case Reject.staleFile:
      return refusal(
        'ERR_URING_STALE_HANDLE',
        name,
        'its registered file is not there: the slot is empty, out of range, or was given to another file',
      );
    case Reject.badField:
      return refusal('ERR_URING_INVALID_RECORD', name, 'one of its fields has a value that it does not take');
    case Reject.outOfBounds:
      return refusal('ERR_URING_INVALID_RECORD', name, 'it names memory beyond the end of a buffer');
    case Reject.staleMemory:
      return refusal('ERR_URING_STALE_HANDLE', name, 'its memory is gone: the buffer was detached');
    case Reject.unknownBufferGroup:
      return refusal('ERR_URING_STALE_HANDLE', name, 'its buffer ring was unregistered: register a new one');
    case Reject.notRegistered:
      return refusal(
        'ERR_URING_NOT_REGISTERED',
        name,
        'its memory is not registered: take it from ring.alloc()',
      );
    case Reject.slotUnavailable:
      return refusal(
        'ERR_URING_SLOT_UNAVAILABLE',
        name,
        'needs a free slot of ours: see ring.registrar.registerFiles()',
      );
    case Reject.afterDrain:
      return refusal(
        'ERR_URING_AFTER_DRAIN',
        name,
        'a zero-copy send that drains, or comes after an operation that did, may never start: ' +
          'send without zero copy, or use a ring without DRAIN for it',
      );
    case Reject.registered:
      return refusal(
        'ERR_URING_MEMORY_REGISTERED',
        name,
        'its memory is registered with the kernel, which would go on with the pages that this takes away: ' +
          'advise something else, or let the buffer go',
      );
    case Reject.couldBeAddress:
      return refusal(
        'ERR_URING_COULD_BE_ADDRESS',
        name,
        'it holds what could be an address: name memory by the buffer that it is in',
      );
    case Reject.needsLargeEntry:
      return refusal(
        'ERR_URING_NEEDS_LARGE_ENTRY',
        name,
        'it takes a submission entry of 128 bytes: run it on a ring that was opened with such entries',
      );
    default:
      return refusal(
        'ERR_URING_INVALID_RECORD',
        name,
        `has a field out of place (reason ${extra & EXTRA_LOW_MASK})`,
      );
  }
}

function refusal(code: string, name: string, problem: string): UringError {
  return new UringError(code, `${name} was not submitted: ${problem}`);
}

/** A ring that is closed, or about to be. */
export function closedError(): UringError {
  return new UringError('ERR_URING_CLOSED', 'the ring is closed: make a new one');
}

/** A multishot operation where one result is wanted. */
export function notOnce(): TypeError {
  return invalidValue('operation', 'completes more than once: run it with multishot() or start()');
}

/** A wait that would never end. */
export function nothingInFlight(): UringError {
  const message =
    'nothing is in flight or ready, so this would wait forever: prepare an operation, or give a timeoutMs';
  return new UringError('ERR_URING_NOTHING_IN_FLIGHT', message);
}

/** A getter on a buffer has prepared another operation in the place of the one that it belongs to. */
export function reentered(): UringError {
  const message =
    'a getter of an argument has used the ring while its operation was prepared: give plain values';
  return new UringError('ERR_URING_REENTERED', message);
}

/** An operation that needs registered memory got other. */
export function notRegistered(otherwise = 'use read and write'): UringError {
  const message = `the buffer is not registered memory: take it from ring.alloc() of this ring, or ${otherwise}`;
  return new UringError('ERR_URING_NOT_REGISTERED', message);
}

/** The kernel takes from several rings that share a polling thread 8 entries at a time (io_uring/sqpoll.c). */
export function chainsAreCut(): UringError {
  const message =
    'the ring shares the thread that polls its queue with others, which cuts chains apart: give chains and deadlines a ring with a thread of its own';
  return new UringError('ERR_URING_SHARED_SQPOLL', message);
}

/** The error of a message to a ring that is not there. */
export function staleRing(name: string): UringError {
  return refusal('ERR_URING_STALE_HANDLE', name, 'the other ring is closed, or belongs to another process');
}

function credentialsChanged(name: string): UringError {
  const message =
    'the process has other credentials than when the ring was opened (setuid, setgid and the like): open a new ring';
  return refusal('ERR_URING_CREDENTIALS_CHANGED', name, message);
}

export function badOffset(offset: unknown): RangeError {
  return outOfRange('operation.offset', 'an integer from -1 to 2 ** 53 - 1', offset);
}

/** What an operation says that the kernel never got. */
export function canceled({ name, path, dest }: AnyOperation): UringError {
  return systemError(-Errno.ECANCELED, name, path, dest);
}

/** A stale handle shows only in the kernel's EBADF when the slot was emptied after submission. */
export function failure(operation: AnyOperation, res: number): UringError {
  // What a worker thread was interrupted in says ERESTARTSYS and the like where a system call would say EINTR: only reads and
  // writes put that right (io_uring/rw.c), openat for one does not.
  const errno = RESTARTS.has(-res) ? -Errno.EINTR : res;
  const error = systemError(errno, operation.name, operation.path, operation.dest);
  if (error.code === 'EINVAL' && operation.newer !== undefined)
    error.message = `${error.message}; ${operation.newer.map(([option, kernel]) => `${option} needs Linux ${kernel}`).join(', ')}`;
  return operation.traits?.explain?.(error) ?? error;
}
