// Messages and files for other rings.
import { invalidType } from '../errors.ts';
import { type FixedFile, SLOTS_MAX } from '../files.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Payload } from '../operation.ts';
import type { Ring } from '../ring.ts';
import { type RingHandle, tokenOf } from '../ring-handle.ts';
import { checkBits32, checkInteger, isSet, UINT32_MAX } from '../validate.ts';
import { FILE_INDEX_ALLOC } from './direct.ts';
import { nothing } from './results.ts';

/** IORING_MSG_SEND_FD, in the place of `addr`. */
const SEND_FD = 1;
/** IORING_MSG_RING_*. */
const CQE_SKIP = 1 << 0;
const FLAGS_PASS = 1 << 1;

/** In the upper half of `off`: the number is a parcel's (fields.rs). */
const IS_PARCEL = 0x8000_0000 | 0;
const TWO_32 = 4_294_967_296;

/**
 * The ring that a message is for: a `Ring` of this thread, or the handle (`ring.handle`) of one in this thread or another.
 * The number of a descriptor is not taken: by the time of the message it may be another file's, or a ring's that would take
 * the message for something else.
 */
export type MessageTarget = Ring | RingHandle;

/** What Rust finds the other ring by, and the registered file that goes there, if one does. */
class ToRing implements Payload {
  readonly sizeBytes = 0;
  readonly usesLastWords = true;
  readonly #token: number;
  readonly #file: FixedFile | undefined;
  readonly #isParcel: boolean;

  constructor(target: MessageTarget, file?: FixedFile, isParcel = false) {
    this.#token = tokenOf('target', target);
    this.#file = file;
    this.#isParcel = isParcel;
  }

  write(_block: StagedBlock, record: Int32Array, base: number): void {
    record[base + 14] = this.#token;
    record[base + 15] = this.#token / TWO_32;
    if (this.#isParcel) record[base + 3] = (record[base + 3] as number) | IS_PARCEL;
    if (this.#file === undefined) return;
    record[base + 4] = SEND_FD;
    record[base + 12] = this.#file.handle;
  }
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
 * Results in nothing, when the message is in the other ring's completion queue. Errors: `ERR_URING_STALE_HANDLE` for a ring
 * that is closed, `EBADFD` for one that is not enabled yet, `EOVERFLOW` when the kernel has no memory to keep what the other
 * ring's queue has no room for. Since Linux 5.18 (`completionFlags` 6.3).
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
  const operation = new Operation<void>(Op.msgRing, options);
  operation.arguments(new ToRing(target));
  operation.offset = checkInteger('options.data', options?.data ?? 0, 0, Number.MAX_SAFE_INTEGER);
  operation.length = checkInteger('options.res', options?.res ?? 0, -0x8000_0000, 0x7fff_ffff);
  if (options?.completionFlags !== undefined) {
    operation.fileIndex = checkBits32('options.completionFlags', options.completionFlags);
    operation.opFlags = FLAGS_PASS;
  }
  operation.decode = nothing;
  return operation;
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
 * ring has no table, `ENFILE` when it has no free slot (or no table to choose one from), `EOWNERDEAD` when the other ring's
 * thread has ended, `ERR_URING_STALE_HANDLE`, `EBADFD` and `EOVERFLOW` as for `msgRing`. Since Linux 6.0.
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
  const operation = new Operation<number>(Op.msgRing, options);
  operation.arguments(new ToRing(target, operation.own('file', file)));
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

/**
 * @internal Says that a message stands in the port with this number, at the ring that has its other end: `RingPeer`.
 */
export function parcel(target: MessageTarget, key: number, sequence: number): Operation<void> {
  const operation = new Operation<void>(Op.msgRing, undefined);
  operation.arguments(new ToRing(target, undefined, true));
  operation.offset = key;
  operation.length = sequence;
  operation.decode = nothing;
  return operation;
}
