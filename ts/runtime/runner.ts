import {
  type ChainResults,
  chainResults,
  type Leftover,
  type SingleOperation,
  singleResult,
} from '../chain.ts';
import { AbortError, invalidType, invalidValue, outOfRange, type UringError } from '../errors.ts';
import { type ChainOptions, checkChainOptions, checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { FixedFile } from '../files.ts';
import { SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type AnyOperation, Operation } from '../operation.ts';
import { breaksChains } from '../ops/time.ts';
import type { NativeRing } from '../platform/native.ts';
import type { HalfOwner } from '../submission-queue.ts';
import { checkFunction, checkInteger, UINT32_MAX } from '../validate.ts';
import type { Attached } from './attached.ts';
import { InContext } from './context.ts';
import { discard, isDatagram } from './disposal.ts';
import type { Engine } from './engine.ts';
import type { CompletionCallback, Handler } from './handler.ts';
import type { KeepAlive } from './keep-alive.ts';
import { MultishotStream, type StreamOwner } from './multishot.ts';
import { PromiseSettler } from './promise.ts';
import { chainsAreCut, closedError, notOnce } from './rejects.ts';
import { disabledError, type RingState } from './ring-state.ts';
import { type Ended, type Limits, type Stopped, Together } from './together.ts';

/** @internal What running operations is done with. */
export interface RunnerParts {
  readonly native: NativeRing;
  readonly engine: Engine;
  readonly attached: Attached;
  readonly state: RingState;
  readonly keepAlive: KeepAlive;
  /** Callbacks run in the asynchronous context of whoever started their operation. */
  readonly keepsContext: boolean;
}

/** Runs operations on the event loop, in each of the ways that there are. */
export class Runner {
  readonly #owner: HalfOwner;
  readonly #parts: RunnerParts;
  readonly #streamOwner: StreamOwner;

  constructor(owner: HalfOwner, parts: RunnerParts) {
    this.#owner = owner;
    this.#parts = parts;
    this.#streamOwner = {
      start: (operation, handler, isUnref) => {
        this.#start(operation, handler, handler);
        if (isUnref) parts.keepAlive.set(false, operation);
      },
      setRef: (isRef, operation) => parts.keepAlive.set(isRef, operation),
      discard: (operation, result) => this.discard(operation, result),
      isDatagram: (operation) => isDatagram(parts.native, operation),
      starved: (buffers, operation) => parts.engine.watch.starved(buffers, operation),
    };
  }

  /**
   * Where composites start their operations, with handlers of their own that need no context.
   *
   * @throws `ERR_URING_CLOSED`, `ERR_URING_DISABLED`
   */
  get attached(): Attached {
    const { engine, state, attached } = this.#parts;
    if (engine.isClosing) throw closedError();
    if (state.isDisabled) throw disabledError();
    return attached;
  }

  get native(): NativeRing {
    return this.#parts.native;
  }

  /** Links may run apart from each other on this ring. */
  get cutsChains(): boolean {
    return this.#parts.engine.cutsChains;
  }

  /** Links that can be started together: more of them would wait for room for ever. */
  get linksMax(): number {
    const { sqEntries, cqEntries } = this.#parts.engine.layout;
    return Math.min(sqEntries, cqEntries);
  }

  /** Gives up a slot of a registered file, where no operation can be started for it. */
  clearFile({ handle }: FixedFile): void {
    if (!this.#owner.isGone) this.#parts.native.clearFile(handle);
  }

  exec(operation: Operation<unknown, 'single'>, options: ExecOptions | undefined): Promise<unknown> {
    try {
      if (operation?.isMultishot === true) throw notOnce();
      if (options !== undefined) return this.#execLimited(operation, checkExecOptions(options));
      const settler = new PromiseSettler();
      this.#start(operation, settler, undefined);
      return settler.promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #execLimited(operation: AnyOperation, limits: Limits): Promise<unknown> {
    this.#check(operation);
    return this.#together([operation], SqeFlags.LINK, limits, ([ended], stopped, leftover) =>
      singleResult(ended as Ended, stopped, leftover),
    );
  }

  chain<const L extends readonly SingleOperation[]>(
    operations: L,
    options: ChainOptions,
  ): Promise<ChainResults<L>> {
    try {
      const { isHard, ...limits } = checkChainOptions(options);
      this.#checkChain(operations, isHard);
      const flags = isHard ? SqeFlags.HARDLINK : SqeFlags.LINK;
      return this.#together(operations, flags, limits, (ended, stopped, leftover) =>
        chainResults(ended, isHard, stopped, leftover),
      ) as Promise<ChainResults<L>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #checkChain(operations: readonly AnyOperation[], isHard: boolean): void {
    if (!Array.isArray(operations)) throw invalidType('operations', 'an array of operations', operations);
    if (operations.length < 1) throw outOfRange('operations.length', '>= 1', operations.length);
    for (const [at, operation] of operations.entries()) {
      this.#check(operation);
      if (operation.isMultishot) throw notOnce();
      if (!isHard && at < operations.length - 1 && breaksChains(operation))
        throw invalidValue(`operations[${at}]`, 'is a timer whose end breaks a chain: give it etimeSuccess');
    }
  }

  /** Links that are cut apart would run without each other, and a deadline is a link. */
  #checkLinks(count: number, isLimited: boolean): void {
    const { engine } = this.#parts;
    if (engine.cutsChains) throw chainsAreCut();
    const { sqEntries } = engine.layout;
    const max = isLimited ? Math.floor(sqEntries / 2) : sqEntries;
    if (count <= max) return;
    if (max === 0)
      throw invalidValue(
        'options.timeoutMs',
        'needs a queue of two entries: open the ring with entries >= 2',
      );
    const why = isLimited ? 'half the size of the queue, with timeoutMs' : 'the size of the queue';
    throw outOfRange('operations.length', `>= 1 and <= ${max} (${why})`, count);
  }

  /** Runs operations that something may stop. */
  #together<T>(
    operations: readonly AnyOperation[],
    flags: number,
    limits: Limits,
    result: (ended: readonly Ended[], stopped: Stopped, leftover: Leftover) => T,
  ): Promise<T> {
    const { signal, timeoutMs } = limits;
    const isLimited = timeoutMs !== undefined;
    if (isLimited || operations.length > 1) this.#checkLinks(operations.length, isLimited);
    const leftover = { signal, discard: this.discard.bind(this) };
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw new AbortError(signal.reason);
      new Together(this.#parts.attached, operations, flags, limits, (ended, stopped) => {
        try {
          resolve(result(ended, stopped, leftover));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  start(
    operation: AnyOperation,
    callback: CompletionCallback<unknown> | undefined,
    userData: unknown,
    msg: number,
  ): void {
    if (msg !== 0) checkInteger('msg', msg, -(2 ** 31), UINT32_MAX);
    if (callback === undefined) {
      this.#start(operation, this.#toNobody(operation), userData, msg);
      return;
    }
    checkFunction('callback', callback);
    const handler = this.#parts.keepsContext ? new InContext(callback) : callback;
    this.#start(operation, handler, userData, msg);
  }

  /** Gives up what comes. */
  #toNobody(operation: AnyOperation): Handler {
    const settle = (error: UringError | null, result: unknown): void => {
      if (error === null) this.discard(operation, result);
    };
    return { settle };
  }

  multishot<T>(operation: Operation<T, 'multishot'>, signal: AbortSignal | undefined): MultishotStream<T> {
    if (!Operation.is(operation) || !operation.isMultishot)
      throw invalidType('operation', 'a multishot operation', operation);
    return new MultishotStream(this.#streamOwner, operation, signal);
  }

  #start(operation: AnyOperation, handler: Handler, userData: unknown, msg = 0): void {
    this.#check(operation);
    this.#parts.attached.start(operation, handler, userData, msg);
  }

  /** Throws if an operation cannot be run on the event loop, for itself. */
  #check(operation: AnyOperation): void {
    const { engine, state } = this.#parts;
    if (engine.isClosing) throw closedError();
    if (state.isDisabled) throw disabledError();
    if (!Operation.is(operation))
      throw invalidType('operation', 'an operation, such as read(...)', operation);
    // Whatever is started meanwhile, or a full queue, would come between the links.
    if (operation.hasFlags(SqeFlags.LINK | SqeFlags.HARDLINK))
      throw invalidValue(
        'operation',
        'is linked to the next one: run them with ring.chain, or by hand with prepChain',
      );
    if (operation.opcode === Op.linkTimeout)
      throw invalidValue(
        'operation',
        'limits the one before it: use timeoutMs, or prepare both by hand, with prepChain',
      );
  }

  /** Gives up a result that nobody took; answers whether there was something to give up. */
  discard(operation: AnyOperation, result: unknown): boolean {
    return discard(this.#owner.isGone ? undefined : this.#parts.native, operation, result);
  }
}
