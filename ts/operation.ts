import type { BufferRing } from './buffer-ring.ts';
import { invalidType, UringError } from './errors.ts';
import { FixedFile } from './files.ts';
import { SQE_FLAGS_ALLOWED, SqeFlags } from './flags.ts';
import type { StagedBlock } from './memory/staging.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** A file descriptor, or a registered file wherever a descriptor is taken. */
export type Fd = number | FixedFile;

/** Options that every operation takes. */
export interface OperationOptions {
  /** {@link SqeFlags} for every submission of this operation. */
  flags?: number;
  /** Credentials to run with, from `ring.registerPersonality()`. Since Linux 5.6. */
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
  readonly staged: StagedBlock | undefined;
  /** The ring that ran the operation. */
  readonly ring: unknown;
}

/** Arguments that are neither a number nor one buffer: paths, timespecs, lists of buffers. */
export interface Payload {
  /** Staging memory that the arguments need. */
  readonly sizeBytes: number;
  /** Puts the arguments into the block and their handles into the record at word `base`. */
  write(block: StagedBlock, record: Int32Array, base: number, ring: unknown): void;
  /** Takes results out of the block before it is reused. */
  finish?(block: StagedBlock, res: number): void;
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
  /** @internal */ sqeFlags = 0;
  /** @internal */ ioprio = 0;
  /** @internal */ file: Fd = -1;
  /** @internal */ length = 0;
  /** @internal */ opFlags = 0;
  /** @internal */ fileIndex: number | FixedFile = 0;
  /** @internal */ personality = 0;
  /** @internal */ memory: Uint8Array | undefined = undefined;
  /** @internal */ access: Access = 'kernelReads';
  /** @internal */ needsRegistered = false;
  /** @internal */ buffers: BufferRing | undefined = undefined;
  /** @internal */ payload: Payload | undefined = undefined;
  /** @internal */ target: CancelTarget | undefined = undefined;
  /** @internal `file` is what to look for, not what to work on. */ matchesFile = false;
  /** @internal */ path: string | undefined = undefined;
  /** @internal errno that counts as success (a timer that expires says ETIME). */ successErrno = 0;
  /** @internal */ decode: ((outcome: Outcome) => T) | undefined = undefined;
  /** @internal what to do with a result that nobody takes. */
  discard: ((result: T) => void) | undefined = undefined;
  /** @internal a multishot operation that ends without an error is started again. */ rearms = false;

  // What is the same for every run, worked out at the first (`seal`).
  /** @internal Opcode, submission flags, priority. */ head = 0;
  /** @internal */ sealed = false;
  /** @internal */ fdWord = 0;
  /** @internal Buffer group and personality. */ groupWord = 0;
  /** @internal */ fileIndexWord = 0;
  /** @internal The ring that its registered files and buffers belong to, if it has any. */
  owner: unknown = undefined;
  /** @internal There is memory, a payload or a target to write as well, or a buffer ring to check. */
  hasArguments = false;

  /** @internal Works out the words of the record that do not change between runs. */
  seal(): void {
    const { file, fileIndex, buffers } = this;
    let flags = this.sqeFlags;
    this.fdWord = typeof file === 'number' ? file : file.handle;
    this.fileIndexWord = typeof fileIndex === 'number' ? fileIndex | 0 : fileIndex.handle + 1;
    if (typeof file !== 'number') {
      if (!this.matchesFile) flags |= SqeFlags.FIXED_FILE;
      this.#belongsTo(file.ring);
    }
    if (typeof fileIndex !== 'number') this.#belongsTo(fileIndex.ring);
    if (buffers !== undefined) {
      flags |= SqeFlags.BUFFER_SELECT;
      this.#belongsTo(buffers.ring);
    }
    this.groupWord = (buffers === undefined ? 0 : buffers.group) | (this.personality << 16);
    this.head = this.opcode | (flags << 8) | (this.ioprio << 16);
    this.hasArguments =
      this.memory !== undefined ||
      this.payload !== undefined ||
      this.target !== undefined ||
      buffers !== undefined;
    this.sealed = true;
  }

  #belongsTo(ring: unknown): void {
    if (this.owner !== undefined && this.owner !== ring) throw foreignRing();
    this.owner = ring;
  }

  constructor(opcode: number, options: OperationOptions | undefined) {
    this.opcode = opcode;
    if (options !== undefined) {
      checkOptions('options', options);
      if (options.flags !== undefined) this.sqeFlags = checkSqeFlags(options.flags);
      if (options.personality !== undefined) {
        this.personality = checkInteger('options.personality', options.personality, 0, 0xffff);
      }
    }
  }
}

/** @internal */
export function foreignRing(): UringError {
  const message =
    'a registered file or buffer ring belongs to another ring: register it on the ring that runs this';
  return new UringError('ERR_URING_FOREIGN_RING', message);
}

/** What an `asyncCancel` looks for. */
export type CancelTarget =
  | { readonly operation: AnyOperation }
  | { readonly userData: unknown }
  | { readonly any: true };

/** An operation of whatever result and kind. */
// biome-ignore lint/suspicious/noExplicitAny: results are invariant, so "any operation" has no other name
export type AnyOperation = Operation<any, 'single' | 'multishot'>;

/** @internal */
export function checkSqeFlags(flags: unknown): number {
  const value = checkInteger('flags', flags, 0, 0xff);
  return checkInteger('flags', value, 0, value & SQE_FLAGS_ALLOWED);
}

/** @internal */
export function checkFd(name: string, fd: unknown): Fd {
  if (typeof fd === 'number') return checkInteger(name, fd, 0, 0x7fff_ffff);
  if (fd instanceof FixedFile) return fd;
  throw invalidType(name, 'a file descriptor or a FixedFile', fd);
}
