// Messages and files for other rings.
import { invalidType } from '../errors.ts';
import { FixedFile, SLOTS_MAX } from '../files.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { type Fd, Operation, type OperationOptions, type Payload } from '../operation.ts';
import { Ring } from '../ring.ts';
import { checkBits32, checkInteger, checkOptions, isSet, UINT32_MAX } from '../validate.ts';
import { FILE_INDEX_ALLOC } from './direct.ts';
import { nothing } from './results.ts';

/** IORING_MSG_SEND_FD, in the place of `addr`. */
const SEND_FD = 1;
/** IORING_MSG_RING_*. */
const CQE_SKIP = 1 << 0;
const FLAGS_PASS = 1 << 1;

/**
 * The ring that a message is for: a `Ring` of this thread, or its descriptor (`ring.fd`) in this thread or another.
 * Only rings of this package know what to do with it.
 */
export type MessageTarget = Ring | Fd;

function message<T>(target: MessageTarget, options: OperationOptions | undefined): Operation<T> {
  checkOptions('options', options);
  const operation = new Operation<T>(Op.msgRing, options);
  if (target instanceof Ring) return operation.on('target', target.fd);
  if (typeof target !== 'number' && !(target instanceof FixedFile)) {
    throw invalidType('target', 'a Ring, its descriptor or a FixedFile', target);
  }
  return operation.on('target', target);
}

/** What {@link msgRing} sends. */
export interface MsgRingOptions extends OperationOptions {
  /** `data` of the event at the other end, an integer from 0 to 2 ** 53 - 1. Default 0. */
  data?: number;
  /** `res` of the event at the other end, an integer of 32 bits. Default 0. */
  res?: number;
  /** `flags` of the event at the other end, 32 bits. Since Linux 6.3. */
  completionFlags?: number;
}

/**
 * Sends a message to another ring, where `ring.receive` takes it, or whoever reads completions by hand as
 * `completion.event`. The ring may be another thread's: its loop wakes.
 *
 * Results in nothing, when the message is in the other ring's completion queue. Errors: `EBADFD` for a target that is no
 * ring or not enabled yet, `EOVERFLOW` when the kernel has no memory to keep what the other ring's queue has no
 * room for, `EBADF`. Since Linux 5.18
 * (`completionFlags` 6.3).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_msg_ring.3.html io_uring_prep_msg_ring(3)}
 * @example
 * ```ts
 * import { Ring, msgRing } from 'uring';
 *
 * await using sender = new Ring();
 * await using receiver = new Ring();
 * const received = new Promise((resolve) => {
 *   const stop = receiver.receive((event) => {
 *     stop();
 *     resolve(event);
 *   });
 * });
 * await sender.exec(msgRing(receiver, { data: 42 }));
 * console.log(await received); // { type: 'message', data: 42, res: 0, flags: 0 }
 * ```
 */
export function msgRing(target: MessageTarget, options?: MsgRingOptions): Operation<void> {
  const operation = message<void>(target, options);
  operation.offset = checkInteger('options.data', options?.data ?? 0, 0, Number.MAX_SAFE_INTEGER);
  operation.length = checkInteger('options.res', options?.res ?? 0, -0x8000_0000, 0x7fff_ffff);
  if (options?.completionFlags !== undefined) {
    operation.fileIndex = checkBits32('options.completionFlags', options.completionFlags);
    operation.opFlags = FLAGS_PASS;
  }
  operation.decode = nothing;
  return operation;
}

class FileMessage implements Payload {
  readonly sizeBytes = 0;
  readonly usesLastWords = true;
  readonly #file: FixedFile;

  constructor(file: FixedFile) {
    this.#file = file;
  }

  write(_block: StagedBlock, record: Int32Array, base: number): void {
    record[base + 4] = SEND_FD;
    record[base + 12] = this.#file.handle;
  }
}

/** Where {@link msgRingFile} puts the file, and what it says of it. */
export interface MsgRingFileOptions extends OperationOptions {
  /** Slot of the other ring's table, by number or (true) one of the other kernel's choice. Default true. */
  slot?: number | true;
  /** `data` of the event at the other end, an integer of 32 bits. Default 0. */
  data?: number;
  /** The other end gets no event: it has to know the slot by its number. */
  skipTargetCompletion?: boolean;
}

/**
 * Puts a registered file of this ring into a slot of another ring's table. There it arrives as an event with a
 * `FixedFile`, which belongs to whoever takes it: clear its slot (`ring.registrar.files.clear(event.file)`) when it is not wanted.
 * An event that nobody takes leaves the slot taken. A file that stands in the slot is replaced.
 *
 * Results in the slot, when the kernel chose it, else in 0. Errors: `EINVAL` for the same ring, `ENXIO` when the other
 * ring has no table, `ENFILE` when it has no free slot (or no table to choose one from), `EBADFD` and `EOVERFLOW` as for `msgRing`. Since Linux 6.0.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_msg_ring_fd.3.html io_uring_prep_msg_ring_fd(3)}
 * @example
 * ```ts
 * import { Ring, msgRingFile, openat } from 'uring';
 *
 * await using sender = new Ring();
 * await using receiver = new Ring();
 * sender.registrar.registerFiles();
 * receiver.registrar.registerFiles();
 * const file = await sender.exec(openat('/etc/hostname', { direct: true }));
 * const stop = receiver.receive((event) => {
 *   stop();
 *   if (event.type === 'file') receiver.registrar.files?.clear(event.file);
 * });
 * await sender.exec(msgRingFile(receiver, file));
 * ```
 */
export function msgRingFile(
  target: MessageTarget,
  file: FixedFile,
  options?: MsgRingFileOptions,
): Operation<number> {
  const operation = message<number>(target, options);
  operation.arguments(new FileMessage(operation.own('file', file)));
  operation.offset = checkInteger('options.data', options?.data ?? 0, 0, UINT32_MAX);
  const slot = options?.slot ?? true;
  if (slot !== true && typeof slot !== 'number') throw invalidType('options.slot', 'a number or true', slot);
  operation.fileIndex =
    slot === true ? FILE_INDEX_ALLOC : checkInteger('options.slot', slot, 0, SLOTS_MAX - 1) + 1;
  if (isSet('options.skipTargetCompletion', options?.skipTargetCompletion)) {
    operation.opFlags = CQE_SKIP;
  }
  return operation;
}
