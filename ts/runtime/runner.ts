import { type ChainResults, chainResults, type Leftover, singleResult } from '../chain.ts';
import { AbortError, invalidType, invalidValue, outOfRange } from '../errors.ts';
import { type ChainOptions, checkChainOptions, checkExecOptions, type ExecOptions } from '../exec-options.ts';
import { SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type AnyOperation, Operation } from '../operation.ts';
import type { NativeRing } from '../platform/native.ts';
import { checkFunction } from '../validate.ts';
import type { Attached } from './attached.ts';
import { InContext } from './context.ts';
import { discard, isDatagram } from './disposal.ts';
import type { Engine } from './engine.ts';
import type { CompletionCallback, Handler } from './handler.ts';
import { MultishotStream, type StreamOwner } from './multishot.ts';
import { PromiseSettler } from './promise.ts';
import { closedError, notOnce } from './rejects.ts';
import { disabledError, type RingState } from './ring-state.ts';
import { type Ended, type Limits, type Stopped, Together } from './together.ts';

/** @internal What running operations asks of its ring. */
export interface RunnerOwner {
  readonly native: NativeRing;
  readonly engine: Engine;
  readonly attached: Attached;
  readonly state: RingState;
  /** Callbacks run in the asynchronous context of whoever started their operation. */
  readonly keepsContext: boolean;
  /** `close` was called. */
  readonly isClosing: boolean;
  /** The kernel's side is gone. */
  readonly isGone: boolean;
}

/** Runs operations on the event loop, in each of the ways that there are. */
export class Runner {
  readonly #owner: RunnerOwner;
  readonly #streamOwner: StreamOwner;

  constructor(owner: RunnerOwner) {
    this.#owner = owner;
    this.#streamOwner = {
      start: (operation, handler, userData) => this.#start(operation, handler, userData),
      discard: (operation, result) => this.discard(operation, result),
      isDatagram: (operation) => isDatagram(owner.native, operation),
    };
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

  chain<const L extends readonly AnyOperation[]>(
    operations: L,
    options: ChainOptions,
  ): Promise<ChainResults<L>> {
    try {
      const { isHard, ...limits } = checkChainOptions(options);
      this.#checkChain(operations, limits);
      const flags = isHard ? SqeFlags.HARDLINK : SqeFlags.LINK;
      return this.#together(operations, flags, limits, (ended, stopped, leftover) =>
        chainResults(ended, isHard, stopped, leftover),
      ) as Promise<ChainResults<L>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #checkChain(operations: readonly AnyOperation[], { timeoutMs }: Limits): void {
    if (!Array.isArray(operations)) throw invalidType('operations', 'an array of operations', operations);
    const { sqEntries } = this.#owner.engine.layout;
    const max = timeoutMs === undefined ? sqEntries : Math.floor(sqEntries / 2);
    const why =
      timeoutMs === undefined ? 'the size of the queue' : 'half the size of the queue, with timeoutMs';
    if (operations.length < 1 || operations.length > max)
      throw outOfRange('operations.length', `>= 1 and <= ${max} (${why})`, operations.length);
    for (const operation of operations) {
      this.#check(operation);
      if (operation.isMultishot) throw notOnce();
    }
  }

  /** Runs operations that something may stop. */
  #together<T>(
    operations: readonly AnyOperation[],
    flags: number,
    limits: Limits,
    result: (ended: readonly Ended[], stopped: Stopped, leftover: Leftover) => T,
  ): Promise<T> {
    const { signal } = limits;
    const leftover = { signal, discard: this.discard.bind(this) };
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw new AbortError(signal.reason);
      new Together(this.#owner.attached, operations, flags, limits, (ended, stopped) => {
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
    callback: CompletionCallback<unknown>,
    userData: unknown,
    msg: number,
  ): void {
    checkFunction('callback', callback);
    const handler = this.#owner.keepsContext ? new InContext(callback) : callback;
    this.#start(operation, handler, userData, msg);
  }

  multishot<T>(operation: Operation<T, 'multishot'>, signal: AbortSignal | undefined): MultishotStream<T> {
    if (!(operation instanceof Operation) || !operation.isMultishot)
      throw invalidType('operation', 'a multishot operation', operation);
    return new MultishotStream(this.#streamOwner, operation, signal);
  }

  #start(operation: AnyOperation, handler: Handler, userData: unknown, msg = 0): void {
    this.#check(operation);
    this.#owner.attached.start(operation, handler, userData, msg);
  }

  /** Throws if an operation cannot be run on the event loop, for itself. */
  #check(operation: AnyOperation): void {
    if (this.#owner.isClosing) throw closedError();
    if (this.#owner.state.isDisabled) throw disabledError();
    if (!(operation instanceof Operation))
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
    const { isGone, native } = this.#owner;
    return discard(isGone ? undefined : native, operation, result);
  }
}
