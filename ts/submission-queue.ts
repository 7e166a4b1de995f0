import { invalidType, outOfRange } from './errors.ts';
import { SqeFlags } from './flags.ts';
import { type AnyOperation, checkSqeFlags, Operation } from './operation.ts';
import type { NativeSubmission } from './platform/native.ts';
import type { Engine } from './runtime/engine.ts';
import { prepAll } from './runtime/linked.ts';
import { chainsAreCut, closedError } from './runtime/rejects.ts';
import { checkOptions, isSet } from './validate.ts';

/** How the operations of a chain are linked, and what their completions carry. */
export interface PrepChainOptions {
  /** Each starts whatever becomes of the one before it (`HARDLINK`). Default false (`LINK`). */
  hard?: boolean;
  /** One for each operation. */
  userData?: readonly unknown[];
}

const LINKS = SqeFlags.LINK | SqeFlags.HARDLINK;

/** @internal What the halves ask of their ring. */
export interface HalfOwner {
  assertOpen(): void;
  /** What entering the kernel answered, or its error. */
  entered(result: number): number;
  /** The kernel's side is gone; what was read before can still be taken. */
  readonly isGone: boolean;
}

/**
 * The submitting half of a ring, as an object of its own: `ring.sq`. It prepares operations and gives them to the
 * kernel, and sees no completion.
 *
 * @example
 * ```ts
 * import { Ring, nop } from 'uring';
 *
 * await using ring = new Ring();
 * const { sq, cq } = ring;
 * sq.prep(nop(), 'hello');
 * sq.submit();
 * console.log(cq.next()?.userData);
 * ```
 */
export class SubmissionQueue {
  readonly #engine: Engine<NativeSubmission>;
  readonly #owner: HalfOwner;

  /** @internal */
  constructor(engine: Engine<NativeSubmission>, owner: HalfOwner) {
    this.#engine = engine;
    this.#owner = owner;
  }

  /** Its size. */
  get entries(): number {
    return this.#engine.layout.sqEntries;
  }
  /** Operations prepared and not yet submitted. */
  get ready(): number {
    return this.#engine.prepared;
  }
  /** Operations that can be prepared before the next `submit`. */
  get spaceLeft(): number {
    return this.#engine.room;
  }

  /**
   * Prepares an operation for the next `submit`. Answers false when the queue is full.
   *
   * When it throws, the operations before it that are linked to it are taken back: a chain of which one is refused is
   * refused whole, and none of it completes.
   *
   * @param userData comes back with the completion, as it is
   * @param flags {@link SqeFlags}, in addition to the operation's own
   * @throws `ERR_URING_CLOSED`, and errors that say what is wrong with the operation
   */
  prep(operation: AnyOperation, userData?: unknown, flags = 0): boolean {
    const engine = this.#engine;
    if (engine.isClosing) throw closedError();
    try {
      this.check(operation, userData);
      if (engine.cutsChains && (operation.hasFlags(LINKS) || (flags & LINKS) !== 0)) throw chainsAreCut();
      return engine.prep(operation, undefined, userData, flags === 0 ? 0 : checkSqeFlags(flags));
    } catch (error) {
      // What is prepared next would take the place of the one that was refused.
      this.#engine.unprepOpenChain();
      throw error;
    }
  }

  /** @internal Refuses what cannot be prepared here. */
  protected check(operation: AnyOperation, _userData: unknown): void {
    if (!Operation.is(operation))
      throw invalidType('operation', 'an operation, such as read(...)', operation);
  }

  /**
   * Prepares operations that run one after the other; all of them or, answering false, none. When one fails (a short
   * read or write too) the rest completes with `ECANCELED`, unless the links are `hard`.
   *
   * @throws `ERR_OUT_OF_RANGE` for a chain that is longer than the queue
   */
  prepChain(operations: readonly AnyOperation[], options: PrepChainOptions = {}): boolean {
    if (!Array.isArray(operations)) throw invalidType('operations', 'an array of operations', operations);
    checkOptions('options', options);
    const { userData } = options;
    const isHard = isSet('options.hard', options.hard);
    if (userData !== undefined && !Array.isArray(userData))
      throw invalidType('options.userData', 'an array, with one for each operation', userData);
    const allowed = `>= 1 and <= ${this.entries} (the size of the queue)`;
    if (operations.length < 1 || operations.length > this.entries) {
      throw outOfRange('operations.length', allowed, operations.length);
    }
    if (operations.length > this.spaceLeft) return false;
    const link = isHard ? SqeFlags.HARDLINK : SqeFlags.LINK;
    return prepAll(this.#engine, operations.length, (at) =>
      this.prep(operations[at] as AnyOperation, userData?.[at], at === operations.length - 1 ? 0 : link),
    );
  }

  /**
   * Gives what is prepared to the kernel, in one system call, and answers how many operations that were.
   *
   * @throws `EAGAIN`, `EBUSY` or `ENOMEM` when the kernel is short of memory: what is queued stays so, read completions and
   * call again
   */
  submit(): number {
    this.#owner.assertOpen();
    return this.#owner.entered(this.#engine.hot.submit());
  }
}
