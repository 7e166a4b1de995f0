import { Completion } from '../completion.ts';
import { detached, type UringError } from '../errors.ts';
import { CqeFlags, SqeFlags } from '../flags.ts';
import {
  EXTRA_IS_EVENT,
  EXTRA_IS_LOCAL,
  EXTRA_LOW_MASK,
  LARGE_COMPLETION_WORDS,
  RECORD_WORDS,
  RECYCLE_CAPACITY,
  Word,
} from '../generated/abi.ts';
import { Op } from '../generated/ops.ts';
import { arenaIn } from '../memory/arena.ts';
import { NO_BLOCK, type StagedBlock, Staging } from '../memory/staging.ts';
import { type AnyOperation, foreignRing, type Payload } from '../operation.ts';
import type { Layout, NativeRing, NativeSubmission } from '../platform/native.ts';
import { Age } from './age.ts';
import { eventOf } from './events.ts';
import { call, type Handler } from './handler.ts';
import { badOffset, failure, notRegistered, reentered, rejected, unsupported } from './rejects.ts';
import { type Slot, Slots } from './slots.ts';
import { Targets } from './targets.ts';
import { slowOperations, Watch } from './watch.ts';

/** Where a record's first word says that the next one is linked to it. */
const LINKS = (SqeFlags.LINK | SqeFlags.HARDLINK) << 8;
/** What the upper half of a 64-bit number counts. */
const TWO_32 = 4_294_967_296;

/**
 * Writes operations into the shared block and turns completion records back into results. One per ring; it knows
 * nothing of the event loop.
 */
export class Engine<N extends NativeSubmission = NativeRing> {
  readonly native: N;
  readonly hot: ReturnType<N['hot']>;
  layout: Layout;
  readonly slots: Slots = new Slots();
  /** Completions of operations that were prepared by hand, found while delivering to callbacks. */
  readonly unread: Completion[] = [];
  readonly #ring: unknown;
  readonly watch: Watch;
  #words!: Int32Array;
  #records!: Int32Array;
  #completions!: Int32Array;
  #recycled!: Int32Array;
  /** The completion records again, for the extra words of large ones. */
  #extras: BigUint64Array | undefined;
  /** Only completions with CqeFlags.F_32 have extra words. */
  #isMixed = false;
  readonly #staging: Staging;
  readonly #age: Age;
  readonly #supported: boolean[] = [];
  readonly #completion = new Completion();
  /** True while the reused completion is in a callback's hands. */
  #completionBusy = false;
  readonly #targets = new Targets(this.slots);
  /** Some record has something in its last four words. */
  #lastWordsUsed = false;
  /** Its ring takes nothing more. A plain field, because every operation looks at it. */
  isClosing = false;
  /** Chains may be cut apart on their way to the kernel. */
  cutsChains = false;
  /** Takes what belongs to no operation; without one it is read by hand. */
  onEvent: ((completion: Completion) => void) | undefined = undefined;
  /** Somebody has the ring's handle, so messages may come whatever is in flight. */
  isKnown = false;
  #entries = 0;
  #completionMask = 0;
  /** Power of two: a shift is cheaper than a product of unknown numbers. */
  #completionShift = 0;

  constructor(ring: unknown, native: N, layout: Layout) {
    this.#ring = ring;
    this.watch = new Watch(ring, this);
    this.native = native;
    this.layout = layout;
    this.hot = native.hot() as ReturnType<N['hot']>;
    this.rebind(layout);
    this.#staging = new Staging(native, ring);
    this.#age = new Age(layout);
    for (const opcode of layout.operations) this.#supported[opcode] = true;
  }

  /** Finds its way about the shared block, also a new one after a resize. */
  rebind(layout: Layout): void {
    const { completions, completionWords, completionsOffset } = layout;
    this.layout = layout;
    this.#entries = layout.sqEntries;
    this.#completionMask = completions - 1;
    this.#completionShift = Math.log2(completionWords);
    const block = this.native.shared();
    this.#words = new Int32Array(block, 0, layout.sqOffset / 4);
    this.#records = new Int32Array(block, layout.sqOffset, layout.sqEntries * RECORD_WORDS);
    this.#completions = new Int32Array(block, completionsOffset, completions * completionWords);
    const isLarge = completionWords === LARGE_COMPLETION_WORDS;
    this.#extras = isLarge ? new BigUint64Array(block, completionsOffset, completions * 4) : undefined;
    this.#isMixed = layout.setupFlags.includes('CQE_MIXED');
    this.#recycled = new Int32Array(block, layout.recycleOffset, RECYCLE_CAPACITY);
  }

  word(word: number): number {
    return this.#words[word] as number;
  }

  setWord(word: number, value: number): void {
    this.#words[word] = value;
  }

  /** Records that are prepared and not yet taken by Rust. */
  get prepared(): number {
    return (this.word(Word.sqTail) - this.word(Word.sqHead)) | 0;
  }

  get room(): number {
    return this.layout.sqEntries - this.prepared;
  }

  /**
   * Writes an operation's record; answers false when there is no room. Throws, without a trace left behind, when the
   * operation cannot be run on this ring.
   *
   * Every word is written, because the record still holds an earlier operation; the last four only once an operation
   * has used them, which few programs ever do.
   */
  prep(operation: AnyOperation, handler: Handler | undefined, userData: unknown, flags: number): boolean {
    // First: it may be a getter by now, which may prepare something itself.
    const offset = operation.offset;
    if (typeof offset !== 'number') throw badOffset(offset);
    const words = this.#words;
    const tail = words[Word.sqTail] as number;
    if (((tail - (words[Word.sqHead] as number)) | 0) >= this.#entries) return false;
    if (operation.owner !== undefined && operation.owner !== this.#ring) throw foreignRing();
    if (this.#supported[operation.opcode] !== true) throw unsupported(operation);
    // Most offsets are 32-bit integers, which V8 handles without going through doubles.
    const isSmall = (offset | 0) === offset;
    if (offset < -1 || (!isSmall && !Number.isSafeInteger(offset))) throw badOffset(offset);
    const slot = this.slots.take();
    if (slot === undefined) return false;
    const record = this.#records;
    const base = (tail & (this.#entries - 1)) * RECORD_WORDS;
    record[base] = operation.head | (flags << 8);
    record[base + 1] = operation.fd;
    record[base + 2] = offset | 0;
    record[base + 3] = isSmall ? offset >> 31 : Math.floor(offset / TWO_32);
    record[base + 4] = 0;
    record[base + 5] = 0;
    record[base + 6] = operation.length;
    record[base + 7] = operation.opFlags;
    record[base + 8] = slot.index;
    record[base + 9] = slot.sequence;
    record[base + 10] = operation.group;
    record[base + 11] = operation.fileIndex;
    if (this.#lastWordsUsed) record.fill(0, base + 12, base + RECORD_WORDS);
    if (operation.hasArguments) this.#writeArgumentsOrGiveUp(operation, slot, base);
    slot.operation = operation;
    if (operation.isMultishot) this.slots.multishots += 1;
    slot.handler = handler;
    slot.userData = userData;
    words[Word.sqTail] = (tail + 1) | 0;
    if (slowOperations.hasSubscribers) this.watch.started(slot, operation);
    return true;
  }

  /** The slot of the operation that was prepared last. */
  get latest(): Slot {
    return this.#slotOf(this.word(Word.sqTail) - 1);
  }

  #writeArgumentsOrGiveUp(operation: AnyOperation, slot: Slot, base: number): void {
    try {
      this.#writeArguments(operation, slot, base);
      // Whatever was prepared meanwhile, if only to fail, has written to the same record.
      if (this.slots.lastSequence !== slot.sequence) throw reentered();
    } catch (error) {
      this.#unstage(slot);
      this.#free(slot);
      throw error;
    }
  }

  #writeArguments(operation: AnyOperation, slot: Slot, base: number): void {
    const record = this.#records;
    if (operation.newer !== undefined) this.#age.refuseUnknown(operation);
    if (operation.injected !== undefined) this.#age.writeInjected(operation, record, base);
    const memory = operation.memory;
    operation.buffers?.assertRegistered();
    if (memory !== undefined) {
      const sizeBytes = memory.length;
      record[base + 6] = sizeBytes;
      if (sizeBytes === 0) {
        // An empty datagram is one; anything else was not empty when the operation was made.
        if (operation.opcode === Op.send) return;
        throw detached(0);
      }
      const arena = arenaIn(memory, this.#ring);
      if (arena !== undefined) {
        if (!arena.registered && needsRegistered(operation)) throw notRegistered();
        record[base + 4] = memory.byteOffset;
        record[base + 5] = arena.handle;
        return;
      }
      if (needsRegistered(operation)) throw notRegistered();
      const block = this.#staging.take(sizeBytes);
      slot.staged = block;
      if (operation.access === 'kernelReads') block.view.set(memory);
      record[base + 4] = block.offset;
      record[base + 5] = block.handle;
    } else if (operation.payload !== undefined) {
      this.#writePayload(operation.payload, slot, base);
    }
    if (operation.target !== undefined) this.#targets.write(operation, slot, this.#records, base);
  }

  #writePayload(payload: Payload, slot: Slot, base: number): void {
    let block = NO_BLOCK;
    if (payload.sizeBytes > 0) {
      block = this.#staging.take(payload.sizeBytes);
      slot.staged = block;
    }
    if (payload.usesLastWords === true && !this.#lastWordsUsed) {
      this.#lastWordsUsed = true;
      this.#records.fill(0, base + 12, base + RECORD_WORDS);
    }
    payload.write(block, this.#records, base, this.#ring);
  }

  /**
   * Takes back records that were prepared one after the other, by the sequence of the first; answers how many. What a
   * getter has submitted meanwhile is not there any more, and what it has prepared behind them stays.
   */
  unprepTogether(first: number, count: number): number {
    const records = this.#records;
    const isMeant = (base: number): boolean => ((records[base + 9] as number) - first) >>> 0 < count;
    const head = this.word(Word.sqHead);
    const tail = this.word(Word.sqTail);
    let at = tail;
    for (let left = count; left > 0 && at !== head; ) {
      at = (at - 1) | 0;
      if (!isMeant(this.#baseOf(at))) continue;
      this.#giveUp(at);
      left -= 1;
    }
    let end = at;
    for (; at !== tail; at = (at + 1) | 0) {
      const base = this.#baseOf(at);
      if (isMeant(base)) continue;
      records.copyWithin(this.#baseOf(end), base, base + RECORD_WORDS);
      end = (end + 1) | 0;
    }
    this.setWord(Word.sqTail, end);
    return (tail - end) | 0;
  }

  /** Takes the last record back. */
  unprepLast(): void {
    const last = (this.word(Word.sqTail) - 1) | 0;
    this.#giveUp(last);
    this.setWord(Word.sqTail, last);
  }

  /** Frees what an operation has whose record is taken back. */
  #giveUp(record: number): void {
    const slot = this.#slotOf(record);
    this.#targets.forget(slot);
    this.#unstage(slot);
    this.#free(slot);
  }

  /** Where a record is in the block, by its count. */
  #baseOf(record: number): number {
    return (record & (this.#entries - 1)) * RECORD_WORDS;
  }

  #slotOf(record: number): Slot {
    return this.slots.all[this.#records[this.#baseOf(record) + 8] as number] as Slot;
  }

  /** Takes back the records at the end that are linked to one that is not there. */
  unprepOpenChain(): void {
    while (this.hasOpenChain) this.unprepLast();
  }

  /** The last record is linked to the next, which is not there yet. */
  get hasOpenChain(): boolean {
    const head = this.#records[this.#baseOf(this.word(Word.sqTail) - 1)] as number;
    return (head & LINKS) !== 0 && this.prepared > 0;
  }

  #free(slot: Slot): void {
    if (slot.isUnref) this.setUnref(slot, false);
    if (this.watch.isTiming) this.watch.forget(slot);
    this.slots.give(slot);
  }

  /** Whether an operation in flight keeps the process alive. */
  setUnref(slot: Slot, isUnref: boolean): void {
    if (slot.isUnref === isUnref) return;
    slot.isUnref = isUnref;
    this.setWord(Word.unreferenced, this.word(Word.unreferenced) + (isUnref ? 1 : -1));
  }

  #unstage(slot: Slot): void {
    const block = slot.staged;
    if (block === undefined) return;
    slot.staged = undefined;
    this.#staging.give(block);
  }

  recycle(group: number, id: number): void {
    let count = this.word(Word.recycleCount);
    if (count === RECYCLE_CAPACITY) {
      this.hot.submit();
      count = 0;
    }
    this.#recycled[count] = (group << 16) | id;
    this.setWord(Word.recycleCount, count + 1);
  }

  /** Completion records that Rust has written and nobody has read. */
  get records(): number {
    return (this.word(Word.cqTail) - this.word(Word.cqHead)) | 0;
  }

  get hasRecords(): boolean {
    return this.records !== 0;
  }

  /**
   * Reads one completion record. Callbacks and promises get theirs here; answers the completion if its operation
   * was prepared by hand, else undefined. The record counts as read before anything of the user's runs, so that an
   * exception loses nothing else.
   */
  next(): Completion | undefined {
    const head = this.#words[Word.cqHead] as number;
    const at = (head & this.#completionMask) << this.#completionShift;
    const records = this.#completions;
    const extra = records[at + 3] as number;
    if ((extra & EXTRA_IS_EVENT) !== 0) return this.#nextEvent(head, at, extra);
    const slot = this.slots.all[records[at] as number] as Slot;
    const res = records[at + 1] as number;
    const flags = records[at + 2] as number;
    this.#words[Word.cqHead] = (head + 1) | 0;
    const operation = slot.operation as AnyOperation;
    const handler = slot.handler;
    if (operation.notifies && handler !== undefined && (flags & CqeFlags.MORE) !== 0) {
      // The result waits for the notification: until then the kernel has the memory.
      slot.early = res;
      return undefined;
    }
    const completion = this.#completionBusy ? new Completion() : this.#completion;
    completion.operation = operation;
    completion.userData = slot.userData;
    completion.msg = slot.msg;
    completion.res = res;
    completion.flags = flags;
    if (this.#extras !== undefined) completion.extra = this.#extraAt(this.#extras, at, flags);
    if (res >= 0 && operation.decode === undefined && slot.staged === undefined && !operation.notifies) {
      completion.error = null;
      completion.result = res;
    } else {
      this.#decode(completion, operation, slot, extra);
    }
    if ((flags & CqeFlags.MORE) === 0) {
      if (this.watch.isTiming) this.#tellTime(slot, operation, completion);
      if (slot.staged !== undefined) this.#unstage(slot);
      this.#free(slot);
    }
    if (handler === undefined) return completion;
    if (completion !== this.#completion) call(handler, completion.error, completion.result, completion);
    else this.#callBusy(handler, completion);
    return undefined;
  }

  #extraAt(extras: BigUint64Array, at: number, flags: number): Completion['extra'] {
    if (this.#isMixed && (flags & CqeFlags.F_32) === 0) return undefined;
    // 64-bit words; the first four of 32 bits are the record itself.
    return [extras[at / 2 + 2] as bigint, extras[at / 2 + 3] as bigint];
  }

  /** A completion that belongs to no operation: a message of another ring, or a tag. */
  #nextEvent(head: number, at: number, extra: number): Completion | undefined {
    const records = this.#completions;
    const completion = new Completion();
    completion.res = records[at + 1] as number;
    completion.flags = records[at + 2] as number;
    const number = records[at] as number;
    this.#words[Word.cqHead] = (head + 1) | 0;
    completion.event = eventOf(this.#ring, number, completion, extra);
    if (completion.event === undefined) return undefined;
    this.watch.events += 1;
    if (this.onEvent === undefined) return completion;
    this.onEvent(completion);
    return undefined;
  }

  #callBusy(handler: Handler, completion: Completion): void {
    this.#completionBusy = true;
    try {
      call(handler, completion.error, completion.result, completion);
    } finally {
      this.#completionBusy = false;
    }
  }

  /** Whoever is told may drive the ring, before the completion has reached its callback. */
  #tellTime(slot: Slot, operation: AnyOperation, completion: Completion): void {
    this.lend(completion, ({ res }) => this.watch.ended(slot, operation, res));
  }

  /** Gives a completion that `next` answered to a function, which may drive the ring meanwhile. */
  lend(completion: Completion, callback: (completion: Completion) => void): void {
    const wasBusy = this.#completionBusy;
    this.#completionBusy = true;
    try {
      callback(completion);
    } finally {
      this.#completionBusy = wasBusy;
    }
  }

  /** Results that are more than a number, and errors. */
  #decode(completion: Completion, operation: AnyOperation, slot: Slot, extra: number): void {
    const { flags } = completion;
    completion.result = undefined;
    completion.error = null;
    if (operation.newUserData !== undefined) this.#targets.rename(slot, operation, completion.res >= 0);
    if (operation.injected !== undefined)
      completion.res = this.#age.injectedResult(operation, completion.res);
    let notification: number | undefined;
    if (operation.notifies && (flags & CqeFlags.NOTIF) !== 0) {
      // Read by hand, the result has been seen with the first completion.
      if (slot.handler === undefined) return;
      notification = completion.res;
      completion.res = slot.early;
    }
    const res = completion.res;
    if (res < 0 && -res !== operation.successErrno) {
      const isLocal = (extra & EXTRA_IS_LOCAL) !== 0;
      completion.error = isLocal
        ? (this.native.refusal?.(slot.index) ?? rejected(operation, res, extra))
        : failure(operation, res);
      // A worker thread takes a buffer before it runs the operation, and keeps it when that fails.
      if ((flags & CqeFlags.BUFFER) !== 0) operation.buffers?.giveUp(flags);
      return;
    }
    const staged = slot.staged;
    try {
      if (staged !== undefined && res > 0) this.#bringBack(operation, staged, res);
      const generation = extra & EXTRA_LOW_MASK;
      completion.result =
        operation.decode === undefined
          ? res
          : operation.decode({
              res,
              flags,
              generation,
              notification,
              staged,
              extra: completion.extra,
              ring: this.#ring,
            });
    } catch (error) {
      completion.error = error as UringError;
      // The buffer that nobody gets to see goes back.
      if ((flags & CqeFlags.BUFFER) !== 0) operation.buffers?.giveUp(flags);
    }
  }

  /** Copies what the kernel has written into staging to where it belongs. */
  #bringBack(operation: AnyOperation, staged: StagedBlock, res: number): void {
    if (operation.payload !== undefined) operation.payload.finish?.(staged, res, this.#ring);
    else if (operation.access === 'kernelWrites') copyOut(operation.memory as Uint8Array, staged.view, res);
  }

  /** Ends an operation whose last completion was taken elsewhere, with its result. */
  retire(index: number, res: number): void {
    const slot = this.slots.all[index];
    if (slot?.operation === undefined) return;
    try {
      if (slot.staged !== undefined && res > 0) this.#bringBack(slot.operation, slot.staged, res);
    } catch {
      // The buffer was detached, and whoever took the completion has the result already: the bytes are lost.
    }
    this.#unstage(slot);
    this.#free(slot);
  }

  /** Delivers everything that can be read; what was prepared by hand is kept for its reader. */
  deliver(): void {
    while (this.hasRecords) {
      const completion = this.next();
      if (completion !== undefined) this.unread.push(completion.copy());
    }
    // It may be in the hands of a callback that drives the ring itself.
    if (this.#completionBusy) return;
    // It is kept for the next batch, what it refers to is not.
    this.#completion.operation = undefined;
    this.#completion.userData = undefined;
    this.#completion.result = undefined;
  }
}

function copyOut(memory: Uint8Array, staged: Uint8Array, bytes: number): void {
  // The buffer may have been detached or shrunk meanwhile: principle 1 is that this hurts nobody.
  if (memory.length < bytes) throw detached(bytes);
  memory.set(bytes === staged.length ? staged : staged.subarray(0, bytes));
}

function needsRegistered({ opcode }: AnyOperation): boolean {
  return opcode === Op.readFixed || opcode === Op.writeFixed;
}
