import { Errno } from '../errnos.ts';
import { Reject } from '../generated/abi.ts';
import type { BufferRingShape, NativeArena, NativeBufferGroup } from '../platform/native.ts';
import { notMocked, Refusal } from './refusal.ts';

const { EINVAL, ENOENT } = Errno;

/** A provided buffer: its number, and where it is. */
export interface Provided {
  readonly id: number;
  readonly view: Buffer;
}

/** A group of provided buffers. */
export class MockGroup {
  readonly number: number;
  readonly isManual: boolean;
  readonly isLegacy: boolean;
  /** What the kernel can take next, in its order. */
  readonly available: Provided[] = [];
  /** What the kernel has taken and not got back; of a manual one, what was taken to be written to. */
  readonly out = new Map<number, Provided>();
  /** Of a manual one: what nobody has. */
  readonly free: Provided[] = [];
  /** Buffers of the bundles that were received, by the first of each. */
  readonly bundles = new Map<number, readonly Provided[]>();
  /** Of a manual one: all buffers, in full; what is provided may be a part. */
  readonly whole = new Map<number, Provided>();
  /** Size of each. */
  sizeBytes = 0;
  head = 0;

  constructor(number: number, isManual: boolean, isLegacy: boolean) {
    this.number = number;
    this.isManual = isManual;
    this.isLegacy = isLegacy;
  }

  /** The next buffer. What was provided to be sent is free again when it is sent. */
  take(): Provided | undefined {
    const taken = this.available.shift();
    if (taken === undefined) return undefined;
    this.head = (this.head + 1) & 0xffff;
    const { id } = taken;
    if (this.isManual) this.free.push(this.whole.get(id) ?? taken);
    else this.out.set(id, taken);
    return taken;
  }

  giveBack(id: number): void {
    const buffer = this.out.get(id);
    if (buffer === undefined) return;
    this.out.delete(id);
    this.available.push(buffer);
  }
}

/** The groups of provided buffers of a mock ring. */
export class BufferGroups {
  readonly #groups = new Map<number, MockGroup>();
  readonly #alloc: (sizeBytes: number) => NativeArena;
  #next = 0;

  constructor(alloc: (sizeBytes: number) => NativeArena) {
    this.#alloc = alloc;
  }

  #add(isManual: boolean, isLegacy: boolean): MockGroup {
    const group = new MockGroup(this.#next, isManual, isLegacy);
    this.#groups.set(this.#next, group);
    this.#next += 1;
    return group;
  }

  register({ entries, sizeBytes, manual, incremental }: BufferRingShape): NativeBufferGroup {
    if (incremental) throw notMocked('incremental buffer rings', "leave out 'incremental'");
    const group = this.#add(manual, false);
    group.sizeBytes = sizeBytes;
    const { handle, memory } = this.#alloc(entries * sizeBytes);
    for (let id = 0; id < entries; id += 1) {
      const view = Buffer.from(memory, id * sizeBytes, sizeBytes);
      if (manual) group.whole.set(id, { id, view });
      (manual ? group.free : group.available).push({ id, view });
    }
    return { handle, group: group.number, memory };
  }

  createLegacy(): number {
    return this.#add(false, true).number;
  }

  remove(number: number): number {
    return this.#groups.delete(number) ? 0 : -ENOENT;
  }

  /** The group that an operation names; refuses it when there is none. */
  get(number: number): MockGroup {
    const group = this.#groups.get(number);
    if (group === undefined) throw new Refusal(Reject.unknownBufferGroup);
    return group;
  }

  get all(): MockGroup[] {
    return [...this.#groups.values()];
  }

  /** A buffer to write into, of a manual group. */
  takeFree(number: number): number {
    const group = this.get(number);
    const buffer = group.free.shift();
    if (buffer === undefined) return -Errno.ENOBUFS;
    group.out.set(buffer.id, buffer);
    return buffer.id;
  }

  /** Hands a buffer that was taken to the kernel, to be sent. */
  provide(number: number, id: number, lengthBytes: number): number {
    const group = this.get(number);
    const buffer = group.out.get(id);
    if (buffer === undefined) return -EINVAL;
    group.out.delete(id);
    group.available.push({ id, view: buffer.view.subarray(0, lengthBytes) });
    return 0;
  }

  /** A lease ends: of a manual group, that of a buffer that was not used. */
  recycle(number: number, id: number): void {
    const group = this.#groups.get(number);
    const buffer = group?.out.get(id);
    if (group === undefined || buffer === undefined) return;
    if (!group.isManual) {
      group.giveBack(id);
      return;
    }
    group.out.delete(id);
    group.free.push(buffer);
  }

  /** The buffers of a bundle with the bytes in each, as a flat list. */
  bundle(number: number, first: number, bytes: number): number[] {
    const group = this.get(number);
    const buffers = group.bundles.get(first) ?? [];
    group.bundles.delete(first);
    let left = bytes;
    return buffers.flatMap(({ id, view }) => {
      const filled = Math.min(left, view.byteLength);
      left -= filled;
      return [id, filled];
    });
  }
}
