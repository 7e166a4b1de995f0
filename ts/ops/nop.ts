// Operations that do nothing: for measuring, and for tests of what surrounds an operation.
import { invalidType, invalidValue } from '../errors.ts';
import { FixedFile } from '../files.ts';
import { Op } from '../generated/ops.ts';
import { arenaIn } from '../memory/arena.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { notRegistered } from '../runtime/rejects.ts';
import { checkInteger, checkOptions, isSet } from '../validate.ts';

/** IORING_NOP_*. */
const INJECT_RESULT = 1 << 0;
const FILE = 1 << 1;
const FIXED_FILE = 1 << 2;
const FIXED_BUFFER = 1 << 3;
const TASK_WORK = 1 << 4;
const CQE32 = 1 << 5;

/** Options of the operations that do nothing. */
export interface Nop128Options extends OperationOptions {
  /**
   * What the kernel shall answer, for tests of error handling. Before Linux 6.10 the package puts it in the place of the
   * kernel's answer, so that the kernel sees a success there: in a chain only Linux 6.10 takes a negative one.
   */
  result?: number;
  /** Completes by way of the ring's task work, as an operation that had to wait does. Since Linux 6.16. */
  taskWork?: boolean;
}

/** What {@link nop} does nothing with. */
export interface NopOptions extends Nop128Options {
  /** A file to look up and let go of again. Since Linux 6.13. */
  fd?: Fd;
  /** Memory of `ring.alloc()`, to look up its registered buffer. Not together with `fd` or `extra`. Since Linux 6.13. */
  buffer?: Bytes;
  /** Two numbers of 64 bits for the upper half of a completion of 32 bytes. Since Linux 6.18, on rings that have such. */
  extra?: readonly [bigint, bigint];
}

/** A buffer of which the kernel is told only the number. */
class BufferNumber implements Payload {
  readonly sizeBytes = 0;
  readonly #view: Uint8Array;

  constructor(view: Uint8Array) {
    this.#view = view;
  }

  write(_block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const arena = arenaIn(this.#view, ring);
    if (arena?.registered !== true) throw notRegistered();
    record[base + 4] = this.#view.byteOffset;
    record[base + 5] = arena.handle;
  }
}

/** Two numbers in the fields `off` and `addr`. */
class ExtraNumbers implements Payload {
  readonly sizeBytes = 0;
  readonly #words: Int32Array;

  constructor(extra: unknown) {
    if (!Array.isArray(extra) || extra.length !== 2) {
      throw invalidType('options.extra', 'an array of two bigints', extra);
    }
    const wrong = extra.find((number) => typeof number !== 'bigint');
    if (wrong !== undefined) throw invalidType('options.extra', 'an array of two bigints', wrong);
    this.#words = new Int32Array(BigUint64Array.from(extra as [bigint, bigint]).buffer);
  }

  write(_block: StagedBlock, record: Int32Array, base: number): void {
    record.set(this.#words, base + 2);
  }
}

function idle(opcode: number, options: Nop128Options | undefined): Operation<number> {
  const operation = new Operation<number>(opcode, options);
  if (options?.result !== undefined) {
    operation.opFlags = INJECT_RESULT;
    operation.length = checkInteger('options.result', options.result, -0x8000_0000, 0x7fff_ffff);
    operation.injected = operation.length;
    operation.hasArguments = true; // the engine has to look at it
    operation.decode = ({ res }) => res;
  }
  if (isSet('options.taskWork', options?.taskWork)) {
    operation.opFlags |= TASK_WORK;
    operation.needs('options.taskWork', '6.16');
  }
  return operation;
}

/**
 * Does nothing, through the kernel and back: measures and proves the round trip. The options name what it shall do
 * nothing with.
 *
 * Results in 0, or in the injected `result`.
 *
 * Errors: `EBADF` for an `fd` that is not open, `EINVAL` for `extra` on a ring whose completions have 16 bytes, and for
 * options that the kernel is too old for. Since Linux 5.1 (`result` 6.10, `fd` and `buffer` 6.13, `taskWork` 6.16,
 * `extra` 6.18).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_nop.3.html io_uring_prep_nop(3)}
 * @example
 * ```ts
 * import { Ring, nop } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(nop());
 * ```
 */
export function nop(options?: NopOptions): Operation<number> {
  const operation = idle(Op.nop, options);
  if (options === undefined) return operation;
  const { fd, buffer, extra } = options;
  if (buffer !== undefined) {
    if (fd !== undefined || extra !== undefined)
      throw invalidValue('options.buffer', 'cannot be given together with fd or extra');
    operation.opFlags |= FIXED_BUFFER;
    operation.needs('options.buffer', '6.13');
    operation.arguments(new BufferNumber(checkBytes('options.buffer', buffer, 'refused')));
  }
  if (fd !== undefined) {
    operation.opFlags |= FILE;
    operation.needs('options.fd', '6.13');
    if (fd instanceof FixedFile) {
      // The operation's own flag: IOSQE_FIXED_FILE is for operations that always have a file.
      operation.opFlags |= FIXED_FILE;
      operation.fd = operation.own('options.fd', fd).handle;
    } else {
      operation.on('options.fd', fd);
    }
  }
  if (extra !== undefined) {
    operation.opFlags |= CQE32;
    operation.needs('options.extra', '6.18 and a ring with completions of 32 bytes');
    operation.arguments(new ExtraNumbers(extra));
  }
  return operation;
}

/**
 * As `nop`, in an entry of 128 bytes: proves that the ring takes such.
 *
 * Results in 0, or in the injected `result`.
 *
 * Errors: `ERR_URING_UNSUPPORTED_OP` before Linux 6.19, `ERR_URING_NEEDS_LARGE_ENTRY` on a ring whose entries have 64 bytes.
 * Since Linux 6.19.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_nop128.3.html io_uring_prep_nop128(3)}
 * @example
 * ```ts no-run
 * import { Ring, nop128 } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(nop128());
 * ```
 */
export function nop128(options?: Nop128Options): Operation<number> {
  checkOptions('options', options);
  return idle(Op.nop128, options);
}
