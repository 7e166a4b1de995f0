import { invalidType, outOfRange, systemError, UringError } from './errors.ts';
import type { NativeRing } from './platform/native.ts';
import { checkInteger } from './validate.ts';

/** Slot and generation in one number, as `crates/core/src/files.rs` has it. */
const GENERATION_SHIFT = 20;
/** IORING_MAX_FIXED_FILES. */
export const SLOTS_MAX: number = 1 << GENERATION_SHIFT;

/** @internal What a table needs of its ring. */
export interface FileTableOwner {
  readonly native: NativeRing;
  assertOpen(): void;
}

/**
 * A registered file: a slot of a ring's table, to be given wherever a descriptor is. The kernel then need not look
 * the file up and count references for every operation. It belongs to one ring, and goes stale when its slot is
 * cleared, closed or set again.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring_registered_files.7.html io_uring_registered_files(7)}
 */
export class FixedFile {
  readonly slot: number;
  /** @internal */ readonly handle: number;
  /** @internal */ readonly ring: unknown;

  /** @internal */
  constructor(ring: unknown, handle: number) {
    this.ring = ring;
    this.handle = handle;
    this.slot = handle & (SLOTS_MAX - 1);
  }

  /** @internal the slot that a direct open or accept has filled */
  static filled(ring: unknown, slot: number, generation: number): FixedFile {
    return new FixedFile(ring, generation * SLOTS_MAX + slot);
  }
}

/** Sizes of a registered-files table. */
export interface FileTableOptions {
  /** Slots for `set` and `alloc`, and for direct descriptors that name their slot. Default 256. */
  slots?: number;
  /** Slots that the kernel chooses from for `direct: true`. Default 256. */
  kernelSlots?: number;
}

/**
 * The registered-files table of a ring: a sparse table with a range of ours and a range of the kernel's. Made by
 * `ring.registrar.registerFiles()`.
 */
export class FileTable {
  readonly slots: number;
  readonly kernelSlots: number;
  readonly #ring: unknown;
  readonly #owner: FileTableOwner;

  /** @internal */
  constructor(ring: unknown, owner: FileTableOwner, options: FileTableOptions) {
    this.slots = checkInteger('options.slots', options.slots ?? 256, 0, SLOTS_MAX);
    this.kernelSlots = checkInteger('options.kernelSlots', options.kernelSlots ?? 256, 0, SLOTS_MAX);
    const total = this.slots + this.kernelSlots;
    if (total < 1 || total > SLOTS_MAX) {
      throw outOfRange('options.slots + options.kernelSlots', `>= 1 and <= ${SLOTS_MAX}`, total);
    }
    this.#ring = ring;
    this.#owner = owner;
    const result = owner.native.registerFiles(this.slots, this.kernelSlots);
    if (result < 0) throw registerError(result, total);
  }

  /**
   * Puts a descriptor into a slot by number, replacing what is there. The slot keeps the file open by itself: the
   * descriptor may be closed.
   *
   * @throws `ERR_OUT_OF_RANGE` for a slot that is not ours, `EBADF` for a descriptor that is not open
   */
  set(slot: number, fd: number): FixedFile {
    if (this.slots === 0) throw outOfRange('slot', 'in a table that was registered with slots', slot);
    return this.#set(checkInteger('slot', slot, 0, this.slots - 1), fd);
  }

  /**
   * Puts a descriptor into a free slot.
   *
   * @throws `ENFILE` when every slot is taken, `EBADF` for a descriptor that is not open
   */
  alloc(fd: number): FixedFile {
    return this.#set(-1, fd);
  }

  #set(slot: number, fd: number): FixedFile {
    this.#owner.assertOpen();
    const handle = this.#owner.native.setFile(slot, checkInteger('fd', fd, 0, 0x7fff_ffff));
    if (handle < 0) throw systemError(handle, 'io_uring_register');
    return new FixedFile(this.#ring, handle);
  }

  /**
   * Empties the slot of a registered file. Operations in flight on it go on.
   *
   * @throws `ERR_URING_STALE_HANDLE` when the slot is empty or holds another file by now
   */
  clear(file: FixedFile): void {
    this.#owner.assertOpen();
    assertOwnFile(file, this.#ring);
    const result = this.#owner.native.clearFile(file.handle);
    if (result === -9) throw staleFile(file);
    if (result < 0) throw systemError(result, 'io_uring_register');
  }
}

function registerError(errno: number, total: number): UringError {
  const error = systemError(errno, 'io_uring_register');
  if (error.code === 'EMFILE') {
    const hint = `a table of ${total} slots is larger than RLIMIT_NOFILE: raise the limit (ulimit -n) or ask for less`;
    error.message = `${error.message}; ${hint}`;
  } else if (error.code === 'EBUSY') {
    error.message = `${error.message}; this ring has a files table already`;
  }
  return error;
}

/** @internal */
export function assertOwnFile(file: FixedFile, ring: unknown): void {
  if (!(file instanceof FixedFile)) throw invalidType('file', 'a FixedFile', file);
  if (file.ring !== ring) {
    const message =
      'this registered file belongs to another ring: slots are private to the ring they were set on';
    throw new UringError('ERR_URING_FOREIGN_RING', message);
  }
}

/** @internal */
export function staleFile(file: FixedFile): UringError {
  const message = `registered file ${file.slot} is gone: its slot was cleared, closed or given to another file`;
  return new UringError('ERR_URING_STALE_HANDLE', message);
}
