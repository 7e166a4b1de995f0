import { Errno } from '../errnos.ts';
import { SLOTS_MAX } from '../files.ts';
import { Reject } from '../generated/abi.ts';
import type { MockFile } from './descriptors.ts';
import { Refusal } from './refusal.ts';

const { EBADF, EBUSY, EINVAL, ENFILE, ENXIO } = Errno;
/** Generations are 1 to 2047; 0 names a slot by its number alone (crates/core/src/files.rs). */
const GENERATION_MAX = 2047;
/** In lists of descriptors: the slot is emptied, the slot stays. */
const EMPTY = -1;
const SKIP = -2;

interface Slot {
  generation: number;
  file: MockFile | undefined;
}

/** The registered files of a mock ring: slots of ours first, then those that the kernel chooses from. */
export class FileSlots {
  #slots: Slot[] = [];
  #ours = 0;
  #isRegistered = false;
  /** The file of a descriptor, or nothing if it is not open. */
  readonly #fileOf: (fd: number) => MockFile | undefined;

  constructor(fileOf: (fd: number) => MockFile | undefined) {
    this.#fileOf = fileOf;
  }

  register(ours: number, kernels: number): number {
    if (this.#isRegistered) return -EBUSY;
    this.#isRegistered = true;
    this.#ours = ours;
    const before = this.#slots;
    this.#slots = Array.from({ length: ours + kernels }, (_, at) => ({
      generation: nextGeneration(before[at]?.generation ?? 0),
      file: undefined,
    }));
    return 0;
  }

  unregister(): number {
    if (!this.#isRegistered) return -ENXIO;
    this.#isRegistered = false;
    for (const slot of this.#slots) slot.file = undefined;
    return 0;
  }

  /** What is in the slots. */
  get files(): { slot: number; file: MockFile }[] {
    return this.#slots.flatMap(({ file }, slot) => (file === undefined ? [] : [{ slot, file }]));
  }

  set(slot: number, fd: number): number {
    if (!this.#isRegistered) return -ENXIO;
    const at = slot < 0 ? this.#slots.findIndex((one, index) => index < this.#ours && !one.file) : slot;
    if (at < 0) return -ENFILE;
    const file = this.#fileOf(fd);
    this.#empty(at);
    if (file === undefined) return -EBADF;
    return this.#fill(at, file);
  }

  /** Answers the handles of the slots, 0 for empty ones; or a list of one negative errno. */
  update(first: number, fds: readonly number[]): number[] {
    if (!this.#isRegistered) return [-ENXIO];
    if (first + fds.length > this.#ours) return [-EINVAL];
    for (const [at, fd] of fds.entries()) {
      const result = fd === EMPTY ? this.#empty(first + at) : fd === SKIP ? 0 : this.set(first + at, fd);
      if (result < 0) return [result];
    }
    return fds.map((_, at) => this.#handle(first + at));
  }

  clear(handle: number): number {
    const at = this.#find(handle);
    if (at === undefined) return -EBADF;
    return this.#empty(at);
  }

  /** The file that an operation names; refuses it when it is not there. */
  resolve(handle: number): MockFile {
    const at = this.#find(handle);
    if (at === undefined) throw new Refusal(Reject.staleFile);
    return this.#slots[at]?.file as MockFile;
  }

  /** Looks whether a new file can go to a slot: one of ours by number and one, or -1 for one of the kernel's. */
  checkPlace(fileIndex: number): void {
    if (fileIndex === -1 && this.#slots.length > this.#ours) return;
    const isFree = fileIndex > 0 && fileIndex <= this.#ours && !this.#slots[fileIndex - 1]?.file;
    if (!isFree) throw new Refusal(Reject.slotUnavailable);
  }

  /** Puts a new file into a slot; answers what the kernel would, and the slot's generation. */
  place(fileIndex: number, file: MockFile): { res: number; generation: number } {
    const isChosen = fileIndex === -1;
    const at = isChosen
      ? this.#slots.findIndex((one, index) => index >= this.#ours && !one.file)
      : fileIndex - 1;
    if (at < 0) return { res: -ENFILE, generation: 0 };
    this.#fill(at, file);
    return { res: isChosen ? at : 0, generation: this.#slots[at]?.generation ?? 0 };
  }

  #find(handle: number): number | undefined {
    const at = handle & (SLOTS_MAX - 1);
    const generation = Math.floor(handle / SLOTS_MAX);
    const slot = this.#slots[at];
    const isThere = slot?.file !== undefined && (generation === 0 || slot.generation === generation);
    return isThere ? at : undefined;
  }

  #fill(at: number, file: MockFile): number {
    const slot = this.#slots[at];
    if (slot === undefined) return -EINVAL;
    slot.file = file;
    return this.#handle(at);
  }

  #empty(at: number): number {
    const slot = this.#slots[at];
    if (slot?.file === undefined) return 0;
    slot.file = undefined;
    slot.generation = nextGeneration(slot.generation);
    return 0;
  }

  #handle(at: number): number {
    const slot = this.#slots[at];
    return slot?.file === undefined ? 0 : slot.generation * SLOTS_MAX + at;
  }
}

function nextGeneration(generation: number): number {
  return generation === GENERATION_MAX ? 1 : generation + 1;
}
