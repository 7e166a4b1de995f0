// Registered files: slots filled and emptied by an operation, and made descriptors again.
import { invalidType } from '../errors.ts';
import { FixedFile, SLOTS_MAX } from '../files.ts';
import { Op } from '../generated/ops.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Outcome, type Payload } from '../operation.ts';
import { checkBoolean, checkInteger, checkList, checkOptions } from '../validate.ts';

/** IORING_FILE_INDEX_ALLOC, in the low half of `off`. */
const ANY_SLOT = 0xffff_ffff;
/** IORING_REGISTER_FILES_SKIP: leaves the slot alone. */
const SKIP = -2;
const EMPTY = -1;
const FD_BYTES = 4;
/** IORING_FIXED_FD_NO_CLOEXEC. */
const NO_CLOEXEC = 1 << 0;

/** Descriptors for the kernel, in whose place Rust answers the handles of the slots. */
class DescriptorsPayload implements Payload {
  readonly sizeBytes: number;
  readonly #fds: readonly number[];

  constructor(fds: readonly number[]) {
    this.#fds = [...fds];
    this.sizeBytes = fds.length * FD_BYTES;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    for (const [at, fd] of this.#fds.entries()) block.view.writeInt32LE(fd, at * FD_BYTES);
    record[base + 4] = block.offset;
    record[base + 5] = block.handle;
  }
}

function decodeFiles({ res, staged, ring }: Outcome): (FixedFile | undefined)[] {
  const { view } = staged as StagedBlock;
  return Array.from({ length: res }, (_, at) => {
    const handle = view.readUInt32LE(at * FD_BYTES);
    return handle === 0 ? undefined : new FixedFile(ring, handle);
  });
}

/**
 * Puts descriptors into slots of the ring's table, as `FileTable.set` does without an operation. What stands in the
 * slots is replaced, and its handles go stale.
 *
 * With a slot's number for `first`, -1 empties a slot and -2 leaves it as it is; the slots must be in the range of
 * `FileTable.slots`. With `'any'` the kernel takes free ones of its own range.
 *
 * Results in the registered files, undefined for slots that are empty. When a descriptor in the middle cannot be had,
 * the result has only those before it.
 *
 * Errors: `EBADF` when the first descriptor is not open, `ENFILE` when no slot is free, `ERR_URING_SLOT_UNAVAILABLE`
 * without a table, and for slots that are not ours or that another operation is filling. Since Linux 5.6 (`'any'` 6.0).
 *
 * @param first number of the first slot, or `'any'`
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_files_update.3.html io_uring_prep_files_update(3)}
 * @example
 * ```ts
 * import { Ring, filesUpdate, write } from 'uring';
 *
 * await using ring = new Ring();
 * ring.registrar.registerFiles();
 * const [output] = await ring.exec(filesUpdate(0, [1]));
 * await ring.exec(write(output, Buffer.from('to standard output\n')));
 * ```
 */
export function filesUpdate(
  first: number | 'any',
  fds: readonly number[],
  options?: OperationOptions,
): Operation<(FixedFile | undefined)[]> {
  const operation = new Operation<(FixedFile | undefined)[]>(Op.filesUpdate, options);
  const isAny = first === 'any';
  if (!isAny && typeof first !== 'number') throw invalidType('first', "a number or 'any'", first);
  operation.offset = isAny ? ANY_SLOT : checkInteger('first', first, 0, SLOTS_MAX - 1);
  const list = checkList('fds', fds, 'an array of file descriptors', { min: 1, max: SLOTS_MAX });
  const descriptors = list.map((fd, at) => checkInteger(`fds[${at}]`, fd, isAny ? 0 : SKIP, 0x7fff_ffff));
  operation.length = descriptors.length;
  operation.arguments(new DescriptorsPayload(descriptors));
  operation.decode = decodeFiles;
  const isFilled = descriptors.map((fd) => fd !== SKIP);
  operation.traits = { parts: (files) => files.filter((_file, at) => isFilled[at]) };
  return operation;
}

/** In the list of `filesUpdate`, for a slot that is to be emptied and for one that is to stay. */
export const FileSlots = { EMPTY, SKIP } as const;

/** Options of {@link fixedFdInstall}. */
export interface FixedFdInstallOptions extends OperationOptions {
  /** The descriptor is closed when a program is executed. Default true. */
  cloexec?: boolean;
}

/**
 * Makes an ordinary descriptor of a registered file, which stays registered. The descriptor is yours to close.
 *
 * Results in the descriptor. Errors: `ERR_URING_STALE_HANDLE`, `EMFILE`, `EPERM` with a `personality`. Since Linux 6.8.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_fixed_fd_install.3.html io_uring_prep_fixed_fd_install(3)}
 * @example
 * ```ts
 * import { closeSync } from 'node:fs';
 * import { Ring, fixedFdInstall, openat } from 'uring';
 *
 * await using ring = new Ring();
 * ring.registrar.registerFiles();
 * const file = await ring.exec(openat('/etc/hostname', { direct: true }));
 * closeSync(await ring.exec(fixedFdInstall(file)));
 * ```
 */
export function fixedFdInstall(file: FixedFile, options?: FixedFdInstallOptions): Operation<number> {
  checkOptions('options', options);
  const operation = new Operation<number>(Op.fixedFdInstall, options);
  if (!(file instanceof FixedFile)) throw invalidType('file', 'a FixedFile', file);
  operation.on('file', file);
  if (!checkBoolean('options.cloexec', options?.cloexec ?? true)) operation.opFlags = NO_CLOEXEC;
  return operation;
}
