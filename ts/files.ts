import { invalidType, invalidValue, isLacking, outOfRange, UringError } from './errors.ts';
import type { NativeRing } from './platform/native.ts';
import { registrationError } from './registrar-options.ts';
import { checkInteger, checkList, checkOptions, checkTag } from './validate.ts';

/** Slot and generation in one number, as `crates/core/src/files.rs` has it. */
const GENERATION_SHIFT = 20;
/** IORING_MAX_FIXED_FILES. */
export const SLOTS_MAX: number = 1 << GENERATION_SHIFT;

/** IORING_REGISTER_SKIP, as `FileSlots.SKIP`. */
const SKIP = -2;

/** @internal What a table needs of its ring. */
export interface FileTableOwner {
  readonly native: NativeRing;
  assertOpen(): void;
  /** The table is no longer the ring's. */
  forget(): void;
}

/** How to put a file into a slot. */
export interface SetFileOptions {
  /**
   * A number that comes back as an event of the ring (`completion.event`) when the kernel has let go of the file: its
   * slot was emptied or set again, and the last operation on it has ended. Since Linux 5.13.
   */
  tag?: number;
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
  /** Slots that the kernel chooses from for `direct: true`. Default 256, and 0 before Linux 6.0, which has none. */
  kernelSlots?: number;
}

/**
 * The registered-files table of a ring: a sparse table with a range of ours and a range of the kernel's. Made by
 * `ring.registrar.registerFiles()`.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring_registered_files.7.html io_uring_registered_files(7)}
 * @example
 * ```ts
 * import { closeSync, openSync } from 'node:fs';
 * import { Ring, read } from 'uring';
 *
 * await using ring = new Ring();
 * const files = ring.registrar.registerFiles({ slots: 16 });
 * const fd = openSync('/etc/hostname', 'r');
 * const file = files.alloc(fd);
 * closeSync(fd); // the slot keeps the file open
 * await ring.exec(read(file, ring.alloc(64)));
 * files.clear(file);
 * ```
 */
export class FileTable {
  readonly slots: number;
  readonly kernelSlots: number;
  readonly #ring: unknown;
  readonly #owner: FileTableOwner;
  #unregistered = false;

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
    let result = owner.native.registerFiles(this.slots, this.kernelSlots);
    if (options.kernelSlots === undefined && isLacking('REGISTER_FILE_ALLOC_RANGE', result)) {
      this.kernelSlots = 0; // nobody asked for some
      result = owner.native.registerFiles(this.slots, 0);
    }
    if (result < 0) throw registerError(result, total);
  }

  /**
   * Puts a descriptor into a slot by number, replacing what is there. The slot keeps the file open by itself: the
   * descriptor may be closed.
   *
   * @throws `ERR_OUT_OF_RANGE` for a slot that is not ours, `EBADF` for a descriptor that is not open (the slot is empty
   * then), `EBUSY` while an operation is filling or emptying the slot
   */
  set(slot: number, fd: number, options: SetFileOptions = {}): FixedFile {
    return this.#set(this.#checkSlot('slot', slot), fd, options);
  }

  /**
   * Puts a descriptor into a free slot.
   *
   * @throws `ENFILE` when every slot is taken, `EBADF` for a descriptor that is not open
   */
  alloc(fd: number, options: SetFileOptions = {}): FixedFile {
    return this.#set(-1, fd, options);
  }

  #checkSlot(name: string, slot: number): number {
    if (this.slots === 0) throw outOfRange(name, 'in a table that was registered with slots', slot);
    return checkInteger(name, slot, 0, this.slots - 1);
  }

  #set(slot: number, fd: number, options: SetFileOptions): FixedFile {
    this.#assertUsable();
    checkInteger('fd', fd, 0, 0x7fff_ffff);
    checkOptions('options', options);
    const handle = this.#owner.native.setFile(slot, fd, checkTag('options.tag', options.tag));
    if (handle < 0) throw registrationError(handle);
    return new FixedFile(this.#ring, handle);
  }

  /**
   * Puts descriptors into slots from `first` on, in one call: `FileSlots.EMPTY` (-1) empties a slot, `FileSlots.SKIP` (-2) leaves it as it is.
   * Answers what is in these slots now, undefined for empty ones.
   *
   * @param options.tags one for each descriptor, or undefined for none; see {@link SetFileOptions}
   * @throws `ERR_OUT_OF_RANGE` for slots that are not ours, `EBUSY` while an operation is filling or emptying one of
   * them, `EBADF` for a descriptor that is not open: what stands before it is done by then, and its slot is empty
   */
  update(
    first: number,
    fds: readonly number[],
    options: { tags?: readonly (number | undefined)[] } = {},
  ): (FixedFile | undefined)[] {
    this.#assertUsable();
    this.#checkSlot('first', first);
    const list = checkList('fds', fds, 'an array of descriptors', { min: 1, max: this.slots - first });
    const descriptors = list.map((fd, at) => checkInteger(`fds[${at}]`, fd, SKIP, 0x7fff_ffff));
    checkOptions('options', options);
    const given = options.tags;
    const tags = descriptors.map((fd, at) => {
      const tag = checkTag(`options.tags[${at}]`, given?.[at]);
      if (tag === undefined || fd >= 0) return tag;
      throw invalidValue(`options.tags[${at}]`, 'is for a slot that gets no file');
    });
    const handles = this.#owner.native.updateFiles(first, descriptors, tags);
    if ((handles[0] ?? 0) < 0) throw registrationError(handles[0] as number);
    return handles.map((handle) => (handle === 0 ? undefined : new FixedFile(this.#ring, handle)));
  }

  /**
   * Takes the table away: its files are stale from here on, and `registerFiles` can make another. Operations in flight
   * on them go on.
   *
   * @throws `EBUSY` while an operation is filling or emptying a slot, or may be given one by the kernel
   */
  unregister(): void {
    this.#assertUsable();
    const result = this.#owner.native.unregisterFiles();
    if (result < 0) throw unregisterError(result);
    this.#unregistered = true;
    this.#owner.forget();
  }

  #assertUsable(): void {
    this.#owner.assertOpen();
    if (!this.#unregistered) return;
    const message = 'this table of files was unregistered: register a new one';
    throw new UringError('ERR_URING_STALE_HANDLE', message);
  }

  /**
   * Empties the slot of a registered file. Operations in flight on it go on.
   *
   * @throws `ERR_URING_STALE_HANDLE` when the slot is empty or holds another file by now
   */
  clear(file: FixedFile): void {
    this.#assertUsable();
    assertOwnFile(file, this.#ring);
    const result = this.#owner.native.clearFile(file.handle);
    if (result === -9) throw staleFile(file);
    if (result < 0) throw registrationError(result);
  }
}

function registerError(errno: number, total: number): UringError {
  return registrationError(errno, {
    EMFILE: `a table of ${total} slots is larger than RLIMIT_NOFILE: raise the limit (ulimit -n) or ask for less`,
    EBUSY: 'this ring has a files table already',
  });
}

function unregisterError(errno: number): UringError {
  return registrationError(errno, {
    EBUSY: 'an operation in flight fills or empties a slot: wait for it, or cancel it',
  });
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
