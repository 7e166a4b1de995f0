// Reading whole files, one after the other.
import { hasNotRun, type UringError, wasStopped } from '../errors.ts';
import { SqeFlags } from '../flags.ts';
import { Op } from '../generated/ops.ts';
import { type AnyOperation, type Fd, Operation } from '../operation.ts';
import { read } from '../ops/file.ts';
import { close, openat } from '../ops/open.ts';
import { type CheckedText, PathPayload, stringOf } from '../ops/path-arguments.ts';
import { statx } from '../ops/statx.ts';
import { closeDescriptor } from '../platform/descriptors.ts';
import { Lane } from '../runtime/lane.ts';
import { Link } from '../runtime/link.ts';
import type { Runner } from '../runtime/runner.ts';
import { type Stats, StatxMask } from '../stats.ts';
import type { Crew, Worker } from './crew.ts';
import { Growing } from './growing.ts';
import { closed, opened } from './open-files.ts';

/** @internal Enough to see whether there is more: mostly there is not. */
export const MORE_BYTES = 64;

/** @internal How files are read. */
export interface Reading<T> {
  readonly paths: readonly CheckedText[];
  readonly direct: boolean;
  /** A read that brings less than there is room for is the last. */
  readonly shortIsEnd: boolean;
  /**
   * What a file is turned into: the first `length` bytes of the memory, which will be used for other files unless it
   * `isOwn`.
   */
  readonly take: (memory: Buffer, length: number, isOwn: boolean, item: number) => T;
}

/** The operation that a completion belongs to. */
const Step = { open: 0, read: 1, more: 2, size: 3, grow: 4, close: 5 } as const;
type Phase = 'opening' | 'reading' | 'sizing' | 'growing' | 'closing';

/** A read into memory of the lane. */
function reading(memory: Buffer): Operation<number> {
  const operation = new Operation<number>(Op.read, undefined).bytes(memory, 'kernelWrites');
  operation.offset = -1;
  return operation;
}

/** Opens the file of the path: alone, or together with closing the one before. */
interface Opening {
  readonly operation: AnyOperation;
  readonly alone: readonly Link[];
  readonly afterClose: readonly Link[];
}

/** Has the operation work on that file. */
function putFile(operation: AnyOperation, file: Fd): void {
  operation.head &= ~(SqeFlags.FIXED_FILE << 8);
  operation.fd = -1;
  operation.on('fd', file);
}

/**
 * @internal Two submissions for a file: one opens it, and closes the one before; the next reads it, and reads again,
 * which says that there is no more. A short read alone does not say so: files of /proc and terminals are read in pieces,
 * and an error may come after a piece. Only larger files are read on.
 */
export class ReadLane<T> extends Lane implements Worker {
  readonly #crew: Crew<T>;
  readonly #how: Reading<T>;
  readonly #path = new PathPayload('');
  readonly #close = close(0);
  readonly #closeLink = new Link(this.#close, this, undefined, Step.close);
  readonly #descriptor: Opening;
  readonly #slot: Opening | undefined;
  /** What is read, and behind it what the second read brings. */
  readonly #memory: Buffer;
  readonly #read: Operation<number>;
  readonly #more: Operation<number>;
  readonly #reads: readonly Link[];
  #phase: Phase = 'closing';
  #item = -1;
  #file: Fd | undefined;
  #closing: Fd | undefined;
  #error: UringError | undefined;
  /** How much the first read brought, and the second. */
  #first = 0;
  #rest = 0;
  #restError: UringError | undefined;
  #growing: Growing | undefined;
  #opensSlot = false;
  /** It counts as having a file open, because it is to try again. */
  #hasTicket = false;
  /** What a large file says its size is, once it was asked. */
  #sizeBytes = 0;
  #hasAsked = false;

  /** @param memory of the ring: as much as is read at once, and {@link MORE_BYTES} */
  constructor(runner: Runner, crew: Crew<T>, how: Reading<T>, memory: Buffer) {
    super(runner);
    this.#crew = crew;
    this.#how = how;
    this.#descriptor = this.#opening(openat('.'));
    this.#slot = how.direct ? this.#opening(openat('.', { direct: true })) : undefined;
    this.#memory = memory;
    this.#read = reading(memory.subarray(0, memory.length - MORE_BYTES));
    this.#more = reading(memory.subarray(memory.length - MORE_BYTES));
    const isAlone = how.shortIsEnd || runner.cutsChains || runner.linksMax < 2;
    const link = new Link(this.#read, this, undefined, Step.read, isAlone ? 0 : SqeFlags.HARDLINK);
    this.#reads = isAlone ? [link] : [link, new Link(this.#more, this, undefined, Step.more)];
  }

  #opening(operation: AnyOperation): Opening {
    operation.arguments(this.#path);
    const link = new Link(operation, this, undefined, Step.open);
    return { operation, alone: [link], afterClose: [this.#closeLink, link] };
  }

  protected isKept(link: Link): boolean {
    return link === this.#closeLink;
  }

  begin(): void {
    this.#goOn();
  }

  protected ended(step: number, error: UringError | null, result: unknown): void {
    if (step === Step.close) this.#closed(error);
    else if (step === Step.more) {
      this.#restError = error ?? undefined;
      this.#rest = (result as number | undefined) ?? 0;
    } else {
      this.#error = error ?? undefined;
      if (step === Step.open) this.#file = result as Fd | undefined;
      else if (step === Step.read) this.#first = (result as number | undefined) ?? 0;
      else if (step === Step.size) this.#sizeBytes = (result as Stats | undefined)?.size ?? 0;
      else if (error === null) this.#growing?.took(result as number);
    }
  }

  protected next(): void {
    try {
      if (this.#phase === 'closing') this.#goOn();
      else if (this.#phase === 'opening') this.#opened();
      else if (this.#phase === 'reading') this.#wasRead();
      else if (this.#phase === 'sizing') this.#sized();
      else this.#grew();
    } catch (error) {
      this.#fail(error);
    }
  }

  // One file after the other.

  /** Begins the next file, and gives back the one before. */
  #goOn(): void {
    if (this.#hasTicket) {
      this.#hasTicket = false;
      closed();
    }
    if (this.#file !== undefined && this.runner.linksMax < 2) {
      this.#closeAlone();
      return;
    }
    for (let item = this.#crew.take(); item >= 0; item = this.#crew.take()) {
      this.#item = item;
      this.#path.set(this.#how.paths[item] as CheckedText);
      try {
        this.#openBy(this.#slot ?? this.#descriptor);
        return;
      } catch (error) {
        this.#settle({ status: 'rejected', reason: error });
      }
    }
    this.#item = -1;
    if (this.#file === undefined) this.#crew.rest(this);
    else this.#closeAlone();
  }

  #openBy(opening: Opening): void {
    const path = stringOf(this.#how.paths[this.#item] as CheckedText);
    opening.operation.path = path;
    this.#read.path = path;
    this.#more.path = path;
    this.#opensSlot = opening === this.#slot;
    this.#phase = 'opening';
    this.#runAndClose(opening.alone, opening.afterClose);
  }

  /** Runs operations, and closes the file of before if there is one. */
  #runAndClose(alone: readonly Link[], withClose: readonly Link[]): void {
    const file = this.#file;
    if (file === undefined) {
      this.run(alone);
      return;
    }
    this.#close.fd = typeof file === 'number' ? file : 0;
    this.#close.fileIndex = typeof file === 'number' ? 0 : file.handle + 1;
    this.run(withClose);
    this.#closing = file;
    this.#file = undefined;
  }

  #closed(error: UringError | null): void {
    // An error of the kernel's closes all the same.
    if (error !== null && hasNotRun(error)) this.#giveUp(this.#closing);
    this.#closing = undefined;
    closed();
  }

  /** Closes without the ring. */
  #giveUp(file: Fd | undefined): void {
    if (typeof file === 'number') closeDescriptor(file);
    else if (file !== undefined) this.runner.clearFile(file);
  }

  #closeAlone(): void {
    this.#phase = 'closing';
    try {
      this.#runAndClose([], [this.#closeLink]);
    } catch {
      this.#giveUp(this.#file);
      this.#file = undefined;
      closed();
      this.#crew.rest(this);
    }
  }

  #opened(): void {
    const error = this.#error;
    if (error !== undefined) {
      this.#notOpened(error);
      return;
    }
    if (!this.#hasTicket) opened();
    this.#hasTicket = false;
    if (this.#crew.isStopped) {
      this.#goOn();
      return;
    }
    const file = this.#file as Fd;
    putFile(this.#read, file);
    putFile(this.#more, file);
    this.#phase = 'reading';
    this.run(this.#reads);
  }

  #notOpened(error: UringError): void {
    const isFull = error.code === 'EMFILE' || error.code === 'ENFILE';
    // No slot is free, or the table is gone: a descriptor will do.
    if (this.#opensSlot && (isFull || error.code === 'ENXIO')) this.#openAgain();
    else if (!isFull || this.#crew.isStopped || !this.#park()) this.#fail(error);
  }

  #openAgain(): void {
    try {
      if (!this.#crew.isStopped) this.#openBy(this.#descriptor);
      else this.#goOn();
    } catch (failed) {
      this.#fail(failed);
    }
  }

  /** Waits until a file is closed; answers false if that would be for ever. */
  #park(): boolean {
    const hadTicket = this.#hasTicket;
    this.#hasTicket = false;
    const again = (hasTicket: boolean): void => {
      this.#hasTicket = hasTicket;
      this.#openAgain();
    };
    return this.#crew.park(again, hadTicket);
  }

  // What was read, and whether that is all.

  #wasRead(): void {
    const error = this.#error ?? this.#restError;
    if (error !== undefined && !isAgain(error)) {
      this.#fail(error);
    } else if (error === undefined && this.#isAll()) {
      this.#done(this.#memory, this.#first, false);
    } else {
      const restAt = this.#memory.length - MORE_BYTES;
      const rest = this.#memory.subarray(restAt, restAt + this.#rest);
      this.#growing = new Growing([this.#memory.subarray(0, this.#first), rest]);
      if (error?.code === 'EAGAIN') this.#growing.isAsync = true;
      this.#hasAsked = false;
      this.#grow();
    }
  }

  /** Whether there is no more: known, or believed. */
  #isAll(): boolean {
    if (this.#reads.length > 1) return this.#rest === 0;
    const isShort = this.#first < this.#memory.length - MORE_BYTES;
    return this.#first === 0 || (isShort && this.#how.shortIsEnd);
  }

  #askSize(fd: number): void {
    this.#hasAsked = true;
    this.#phase = 'sizing';
    this.run([new Link(statx(fd, { mask: StatxMask.SIZE }), this, undefined, Step.size)]);
  }

  #sized(): void {
    this.#growing?.expect(this.#sizeBytes);
    this.#grow();
  }

  /** Reads on, into memory that grows. */
  #grow(): void {
    if (this.#crew.isStopped) {
      this.#goOn();
      return;
    }
    const growing = this.#growing as Growing;
    if (growing.isFull && growing.isLarge && !this.#hasAsked && typeof this.#file === 'number') {
      this.#askSize(this.#file);
      return;
    }
    const flags = growing.isAsync ? SqeFlags.ASYNC : 0;
    const operation = read(this.#file as Fd, growing.room(), { flags });
    operation.path = this.#read.path;
    this.#phase = 'growing';
    this.run([new Link(operation, this, undefined, Step.grow)]);
  }

  #grew(): void {
    const growing = this.#growing as Growing;
    const error = this.#error;
    const isSecondTry = error?.code === 'EAGAIN' && growing.isAsync;
    if (error !== undefined && (!isAgain(error) || isSecondTry)) this.#fail(error);
    else if (error === undefined && growing.isAtEnd) {
      const bytes = growing.bytes();
      this.#done(bytes, bytes.length, true);
    } else {
      growing.isAsync = error?.code === 'EAGAIN';
      this.#grow();
    }
  }

  #done(memory: Buffer, length: number, isOwn: boolean): void {
    // It may throw: a string may be too long.
    const value = this.#how.take(memory, length, isOwn, this.#item);
    this.#settle({ status: 'fulfilled', value });
    this.#goOn();
  }

  #fail(error: unknown): void {
    // What was stopped has no result.
    if (!this.#crew.isStopped || !wasStopped(error as UringError))
      this.#settle({ status: 'rejected', reason: error });
    this.#goOn();
  }

  #settle(result: PromiseSettledResult<T>): void {
    this.#growing = undefined;
    this.#crew.settle(this.#item, result);
  }
}

/** It was interrupted, or would have had to wait: worth another try. */
function isAgain({ code }: UringError): boolean {
  return code === 'EINTR' || code === 'EAGAIN';
}
