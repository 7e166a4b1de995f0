// Futexes: waiting for a word of memory to change, across threads.
import { Errno } from '../errnos.ts';
import { invalidType, invalidValue, outOfRange } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { arenaIn } from '../memory/arena.ts';
import type { Place } from '../memory/placed.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkBits32, checkBoolean, checkInteger, checkList, checkOptions, UINT32_MAX } from '../validate.ts';

/** FUTEX2_SIZE_U32, the only size the kernel has, and FUTEX2_PRIVATE (include/uapi/linux/futex.h). */
const SIZE_U32 = 2;
const PRIVATE = 128;
/** FUTEX_WAITV_MAX. */
const WAITS_MAX = 128;
/** One futex of a list, as Rust reads it (crates/core/src/lists.rs): value, offset, handle, flags, 0. */
const ENTRY_BYTES = 24;
const WORD_BYTES = 4;

/** Words of memory that this ring has: of `ring.alloc()`, or of `SharedMemory` to be shared with other threads. */
export type FutexWords = Int32Array | Uint32Array;

/** As of `Atomics.wait`: somebody has woken it, or the word has had another value from the start. */
export type FutexWaitResult = 'ok' | 'not-equal';

/** Who is waited for, and who is woken: {@link futexWait}, {@link futexWake}. */
export interface FutexOptions extends OperationOptions {
  /** 32 bits: a wake reaches the waiters that have a bit in common with it. Default: all. */
  mask?: number;
  /** Only threads of this process wait for it. Default true, which is cheaper. */
  private?: boolean;
}

/** One word of memory. */
class FutexWord {
  readonly #words: FutexWords;
  readonly #at: number;

  constructor(name: string, words: unknown, index: unknown) {
    if (!(words instanceof Int32Array || words instanceof Uint32Array))
      throw invalidType(`${name}words`, 'an Int32Array or Uint32Array', words);
    if (words.length === 0) throw invalidValue(`${name}words`, 'is empty (or detached)');
    this.#words = words;
    this.#at = WORD_BYTES * checkInteger(`${name}index`, index, 0, words.length - 1);
  }

  /** Where it stands; a copy of it would be of no use. */
  place(ring: unknown): Place {
    const words = this.#words;
    const arena = arenaIn(words as unknown as Uint8Array, ring);
    if (arena === undefined) {
      throw invalidValue(
        'words',
        'is not memory of this ring: take it from ring.alloc(), ring.allocShared() or ring.openShared()',
      );
    }
    return { offset: words.byteOffset + this.#at, handle: arena.handle };
  }
}

class FutexPayload implements Payload {
  readonly sizeBytes = 0;
  readonly usesLastWords = true;
  readonly #word: FutexWord;
  readonly #mask: number;

  constructor(word: FutexWord, mask: number) {
    this.#word = word;
    this.#mask = mask;
  }

  write(_block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const { offset, handle } = this.#word.place(ring);
    record[base + 4] = offset;
    record[base + 5] = handle;
    record[base + 12] = this.#mask;
  }
}

function flagsOf(name: string, isPrivate: unknown): number {
  return checkBoolean(name, isPrivate ?? true) ? SIZE_U32 | PRIVATE : SIZE_U32;
}

function futex<T>(opcode: number, word: FutexWord, options: FutexOptions | undefined): Operation<T> {
  checkOptions('options', options);
  const operation = new Operation<T>(opcode, options);
  operation.fd = flagsOf('options.private', options?.private);
  const mask = checkBits32('options.mask', options?.mask ?? UINT32_MAX);
  if (mask === 0) throw outOfRange('options.mask', 'a number with at least one bit', mask);
  operation.arguments(new FutexPayload(word, mask));
  return operation;
}

/**
 * Waits until another thread wakes it (`futexWake`), if the word has the expected value.
 *
 * Results in `'ok'` when it was woken, and in `'not-equal'` when the word has had another value, which the kernel calls
 * EAGAIN. Errors: `ECANCELED`. Since Linux 6.7.
 *
 * @param words memory of `ring.alloc()` or of a `SharedMemory`
 * @param index which of the words
 * @param expected its value, with or without sign
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_futex_wait.3.html io_uring_prep_futex_wait(3)}
 * @example
 * ```ts
 * import { Ring, futexWait, futexWake } from 'uring';
 *
 * await using ring = new Ring();
 * const { words } = ring.allocShared(64); // its token goes to another thread
 * const woken = ring.exec(futexWait(words, 0, 0));
 * Atomics.store(words, 0, 1);
 * await ring.exec(futexWake(words, 0, 1));
 * console.log(await woken); // 'ok'
 * ```
 */
export function futexWait(
  words: FutexWords,
  index: number,
  expected: number,
  options?: FutexOptions,
): Operation<FutexWaitResult> {
  const word = new FutexWord('', words, index);
  const operation = futex<FutexWaitResult>(Op.futexWait, word, options);
  operation.offset = checkBits32('expected', expected);
  operation.successErrno = Errno.EAGAIN;
  operation.decode = ({ res }) => (res < 0 ? 'not-equal' : 'ok');
  return operation;
}

/**
 * Wakes those that wait for a word: operations of any ring of the process, and threads in futex(2).
 *
 * Results in how many it has woken. Since Linux 6.7.
 *
 * @param words memory of `ring.alloc()` or of a `SharedMemory`
 * @param index which of the words
 * @param count the most to wake. Default: all
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_futex_wake.3.html io_uring_prep_futex_wake(3)}
 * @example
 * ```ts
 * import { Ring, futexWake } from 'uring';
 *
 * await using ring = new Ring();
 * const { words } = ring.allocShared(4);
 * console.log(await ring.exec(futexWake(words, 0))); // 0: nobody waits
 * ```
 */
export function futexWake(
  words: FutexWords,
  index: number,
  count = 0x7fff_ffff,
  options?: FutexOptions,
): Operation<number> {
  const word = new FutexWord('', words, index);
  const operation = futex<number>(Op.futexWake, word, options);
  operation.offset = checkInteger('count', count, 0, 0x7fff_ffff);
  return operation;
}

/** One of the words that `futexWaitv` waits for. */
export interface FutexWaiter {
  readonly words: FutexWords;
  readonly index: number;
  /** Its value, with or without sign. */
  readonly expected: number;
  /** Only threads of this process wait for it. Default true. */
  readonly private?: boolean;
}

interface Wait {
  readonly word: FutexWord;
  readonly value: number;
  readonly flags: number;
}

class FutexList implements Payload {
  readonly sizeBytes: number;
  readonly #waits: readonly Wait[];

  constructor(waits: readonly Wait[]) {
    this.#waits = waits;
    this.sizeBytes = waits.length * ENTRY_BYTES;
  }

  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    let at = 0;
    for (const { word, value, flags } of this.#waits) {
      const { offset, handle } = word.place(ring);
      for (const field of [value, 0, offset, handle, flags, 0]) at = block.view.writeUInt32LE(field, at);
    }
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  }
}

function checkWaiter(name: string, waiter: unknown): Wait {
  if (typeof waiter !== 'object' || waiter === null)
    throw invalidType(name, '{ words, index, expected }', waiter);
  const { words, index, expected, private: isPrivate } = waiter as Partial<FutexWaiter>;
  return {
    word: new FutexWord(`${name}.`, words, index),
    value: checkBits32(`${name}.expected`, expected),
    flags: flagsOf(`${name}.private`, isPrivate),
  };
}

/**
 * Waits until another thread wakes one of several words, if all of them have the expected values.
 *
 * Results in the place (in `waiters`) of the one that was woken, and in `'not-equal'` when a word has had another value.
 * Errors: `ECANCELED`. Since Linux 6.7.
 *
 * @param waiters 1 to 128 words
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_futex_waitv.3.html io_uring_prep_futex_waitv(3)}
 * @example
 * ```ts
 * import { Ring, futexWaitv, futexWake } from 'uring';
 *
 * await using ring = new Ring();
 * const { words } = ring.allocShared(64);
 * const waiters = [0, 1].map((index) => ({ words, index, expected: 0 }));
 * const woken = ring.exec(futexWaitv(waiters));
 * await ring.exec(futexWake(words, 1));
 * console.log(await woken); // 1
 * ```
 */
export function futexWaitv(
  waiters: readonly FutexWaiter[],
  options?: OperationOptions,
): Operation<number | 'not-equal'> {
  const operation = new Operation<number | 'not-equal'>(Op.futexWaitv, options);
  const expected = 'an array of { words, index, expected }';
  const list = checkList('waiters', waiters, expected, { min: 1, max: WAITS_MAX });
  // io_futexv_prep in io_uring/futex.c refuses -1 here.
  operation.fd = 0;
  operation.arguments(new FutexList(list.map((waiter, at) => checkWaiter(`waiters[${at}]`, waiter))));
  operation.length = list.length;
  operation.successErrno = Errno.EAGAIN;
  operation.decode = ({ res }) => (res < 0 ? 'not-equal' : res);
  return operation;
}
