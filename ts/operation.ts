import { invalidType, invalidValue, outOfRange, UringError } from './errors.ts';
import { FixedFile } from './files.ts';
import { SQE_FLAGS_ALLOWED, SqeFlags } from './flags.ts';
import { opInfo } from './generated/ops.ts';
import type { StagedBlock } from './memory/staging.ts';
import type { ProvidedBuffers } from './provided-buffers.ts';
import type { Slot } from './runtime/slots.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** A file descriptor, or a registered file wherever a descriptor is taken. */
export type Fd = number | FixedFile;

/** Options that every operation takes. */
export interface OperationOptions {
  /** {@link SqeFlags} for every submission of this operation. */
  flags?: number;
  /** Credentials to run with, from `ring.registrar.registerPersonality()`. Since Linux 5.6. */
  personality?: number;
}

/** Which way bytes go, seen from the kernel. */
export type Access = 'kernelReads' | 'kernelWrites';

/** What a completion is decoded from; `ring` is opaque to most decoders. */
export interface Outcome {
  readonly res: number;
  readonly flags: number;
  /** Generation of a registered-file slot, when the operation filled one. */
  readonly generation: number;
  /** What the second completion of a zero-copy send says. */
  readonly notification: number | undefined;
  readonly staged: StagedBlock | undefined;
  /** The extra words of a large completion. */
  readonly extra: readonly [bigint, bigint] | undefined;
  /** The ring that ran the operation. */
  readonly ring: unknown;
}

/** Arguments that are neither a number nor one buffer: paths, timespecs, lists of buffers. */
export interface Payload {
  /** Staging memory that the arguments need; 0 for none. */
  readonly sizeBytes: number;
  /** Bytes to be transferred, where that is known beforehand. */
  readonly transferBytes?: number;
  /** It writes to the last four words of the record (`addr3`), which are zero before. */
  readonly usesLastWords?: boolean;
  /** Puts the arguments into the block and their handles into the record at word `base`. */
  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void;
  /** Takes results out of the block before it is reused. */
  finish?(block: StagedBlock, res: number, ring: unknown): void;
}

/** What only some kinds of operations need. */
export interface Traits<T> {
  /** Throws if this request must not be made about that operation. */
  checkTarget?(target: AnyOperation): void;
  /** Says more about an error of the kernel. */
  explain?(error: UringError): UringError;
  /** What of a result has to be given up if nobody takes it; the result itself where this is missing. */
  parts?(result: T): readonly unknown[];
  /** A result that carries no data: on a stream its end, on a datagram socket an empty message. */
  isEmpty?(result: T): boolean;
  /** Its last completion is its end: a stream neither starts it again nor waits for buffers. */
  readonly endsByItself?: boolean;
  /** It ends after so many bytes (`fileIndex`). */
  readonly countsBytes?: boolean;
}

/**
 * A description of one operation: the fields of a submission queue entry, with memory named by buffers instead of
 * addresses. Made by the functions under `ops/` (`read`, `openat`, ...), run by a {@link Ring}.
 *
 * Running it copies it, so one object can be run many times, also at the same time; only `offset` may be changed
 * between runs.
 *
 * @typeParam T what the operation results in
 * @typeParam K `'single'` for one completion, `'multishot'` for many
 */
export class Operation<T, K extends 'single' | 'multishot' = 'single'> {
  /** Only for types: keeps single and multishot operations, and their results, apart. */
  declare readonly __result?: readonly [T, K];
  readonly opcode: number;
  /** File offset, or -1 for the file's own position; other operations keep another 64-bit number here. */
  offset = 0;

  // Words of the record, as the engine writes them.
  /** @internal Opcode, submission flags, priority. */ head: number;
  /** @internal A descriptor, or the handle of a registered file. */ fd = -1;
  /** @internal */ length = 0;
  /** @internal */ opFlags = 0;
  /** @internal Buffer group and personality. */ group = 0;
  /** @internal */ fileIndex = 0;

  // What the engine puts into memory that Rust owns, at most one of them.
  /** @internal */ memory: Uint8Array | undefined = undefined;
  /** @internal */ access: Access = 'kernelReads';
  /** @internal */ payload: Payload | undefined = undefined;
  /** @internal */ target: CancelTarget | undefined = undefined;
  /** @internal What its target brings back from then on, if it succeeds. */ newUserData: unknown = undefined;
  /** @internal */ buffers: ProvidedBuffers | undefined = undefined;
  /** @internal One of the above is there. */ hasArguments = false;

  /** @internal The ring that its registered files and buffers belong to, if it has any. */
  owner: unknown = undefined;
  /** @internal It may complete more than once. */ isMultishot = false;
  /** @internal A second completion says when the kernel has let go of the memory. */ notifies = false;
  /** @internal The name in errors, where it is not the one in the table of operations. */
  syscall: string | undefined = undefined;
  /** @internal Options that an older kernel does not know, each with the first that does. */
  newer: [option: string, kernel: string, isIgnored: boolean][] | undefined = undefined;
  /** @internal What a nop shall answer, where the kernel does not do that by itself. */
  injected: number | undefined = undefined;
  /** @internal For errors. */ path: string | undefined = undefined;
  /** @internal The second path, for errors. */ dest: string | undefined = undefined;
  /** @internal errno that counts as success (a timer that expires says ETIME). */ successErrno = 0;
  /** @internal */ decode: ((outcome: Outcome) => T) | undefined = undefined;
  /** @internal */ traits: Traits<T> | undefined = undefined;

  constructor(opcode: number, options: OperationOptions | undefined) {
    this.opcode = opcode;
    this.head = opcode;
    this.notifies = opInfo[opcode]?.notifies === true;
    if (options !== undefined) {
      checkOptions('options', options);
      if (options.flags !== undefined) this.head |= checkSqeFlags(options.flags) << 8;
      if (options.personality !== undefined) {
        this.group = checkInteger('options.personality', options.personality, 0, 0xffff) << 16;
      }
    }
  }

  /**
   * @internal Whether a value is one: neither what only inherits from this class nor a proxy, which could run the user's
   * code, and prepare something else, while a record is written.
   */
  static is(value: unknown): value is AnyOperation {
    return typeof value === 'object' && value !== null && #belongsTo in value;
  }

  /** @internal Another one of the same, to be changed. */
  copy(): Operation<T, K> {
    return Object.assign(new Operation<T, K>(this.opcode, undefined), this);
  }

  /** @internal Its name in the table of operations. */
  get name(): string {
    return this.syscall ?? opInfo[this.opcode]?.name ?? 'io_uring';
  }

  /** @internal Whether it has any of these {@link SqeFlags}. */
  hasFlags(flags: number): boolean {
    return (this.head & (flags << 8)) !== 0;
  }

  /** @internal The file to work on. */
  on(name: string, fd: unknown): this {
    if (typeof fd === 'number') {
      this.fd = checkInteger(name, fd, 0, 0x7fff_ffff);
    } else {
      this.fd = this.own(name, fd).handle;
      this.head |= SqeFlags.FIXED_FILE << 8;
    }
    return this;
  }

  /** @internal The registered file that is given for an argument. */
  own(name: string, fd: unknown): FixedFile {
    if (!(fd instanceof FixedFile)) throw invalidType(name, 'a file descriptor or a FixedFile', fd);
    this.#belongsTo(fd.ring);
    return fd;
  }

  /**
   * @internal Notes an option that came later than the operation: there is no probe for it, only -EINVAL, or from kernels that
   * ignore the option not even that.
   */
  needs(option: string, kernel: string, isIgnored = false): void {
    this.newer ??= [];
    this.newer.push([option, kernel, isIgnored]);
    this.hasArguments = true; // they are looked at together with the arguments
  }

  /** @internal */
  priority(ioprio: number): void {
    this.head |= ioprio << 16;
  }

  /** @internal */
  bytes(memory: Uint8Array, access: Access): this {
    this.memory = memory;
    this.access = access;
    this.hasArguments = true;
    return this;
  }

  /** @internal */
  arguments(payload: Payload): void {
    this.payload = payload;
    this.hasArguments = true;
  }

  /** @internal */
  cancels(target: CancelTarget): void {
    this.target = target;
    this.hasArguments = true;
  }

  /** @internal */
  takesFrom(buffers: ProvidedBuffers): void {
    this.buffers = buffers;
    this.group |= buffers.group;
    this.head |= SqeFlags.BUFFER_SELECT << 8;
    this.hasArguments = true;
    this.#belongsTo(buffers.ring);
  }

  #belongsTo(ring: unknown): void {
    if (this.owner !== undefined && this.owner !== ring) throw foreignRing();
    this.owner = ring;
  }
}

/** @internal */
export function foreignRing(): UringError {
  const message =
    'a registered file or buffer ring belongs to another ring: register it on the ring that runs this';
  return new UringError('ERR_URING_FOREIGN_RING', message);
}

/** What an `asyncCancel` looks for: an operation, user data, or one run of an operation. */
export type CancelTarget =
  | { readonly operation: AnyOperation }
  | { readonly userData: unknown }
  | { readonly slot: Slot; readonly sequence: number };

/** An operation of whatever result and kind. */
// biome-ignore lint/suspicious/noExplicitAny: results are invariant, so "any operation" has no other name
export type AnyOperation = Operation<any, 'single' | 'multishot'>;

/** @internal */
export function checkSqeFlags(flags: unknown): number {
  const value = checkInteger('flags', flags, 0, 0xff);
  if ((value & SqeFlags.CQE_SKIP_SUCCESS) !== 0) {
    throw invalidValue('flags', 'has CQE_SKIP_SUCCESS: without a completion its memory would never be free');
  }
  if ((value & ~SQE_FLAGS_ALLOWED) !== 0) {
    throw outOfRange('flags', 'a combination of SqeFlags (BUFFER_SELECT follows from a buffer ring)', flags);
  }
  return value;
}
