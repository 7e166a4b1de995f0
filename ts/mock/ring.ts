import { Errno } from '../errnos.ts';
import type { UringError } from '../errors.ts';
import { FEATURES, SqeFlags } from '../flags.ts';
import { Reject, SetupFlags, Word } from '../generated/abi.ts';
import { opInfo } from '../generated/ops.ts';
import type {
  HotFunctions,
  Layout,
  NativeArena,
  NativeRing,
  NativeSharedMemory,
  OpenOptions,
} from '../platform/native.ts';
import type { Answering } from './answering.ts';
import type { Block, Entry } from './block.ts';
import { checkFiles, runBuiltIn } from './built-in.ts';
import type { MockClock } from './clock.ts';
import { type Asked, describe } from './describe.ts';
import { type Descriptors, FIRST_DESCRIPTOR, type MockFile } from './descriptors.ts';
import { Execution, type ExecutionHost } from './execution.ts';
import { BufferGroups } from './groups.ts';
import { Loop } from './loop.ts';
import { Memories } from './memory.ts';
import { CLOSED, type Files, NO_BUFFER } from './outcome.ts';
import { Completions } from './queue.ts';
import { deadlock, notMocked, Refusal } from './refusal.ts';
import { MockRegistrations } from './registrations.ts';
import { Request } from './request.ts';
import { FileSlots } from './slots.ts';
import { Sqe } from './sqe.ts';
import { dueOf } from './timers.ts';

const { EBADF, ENOENT, ENXIO } = Errno;
const NSEC_PER_MS = 1e6;
const SOCK_STREAM = 1;

/** What a mock ring has of its kernel. */
export interface RingHost {
  readonly clock: MockClock;
  readonly descriptors: Descriptors;
  readonly answering: Answering;
  /** Opcodes that it does not have. */
  readonly missing: ReadonlySet<number>;
  ringOf(token: number): MockRing | undefined;
  ended(ring: MockRing): void;
}

/** The kernel's side of a ring, and Rust's, in TypeScript: records in, completions out. */
export class MockRing extends MockRegistrations implements NativeRing, ExecutionHost {
  readonly clock: MockClock;
  readonly descriptors: Descriptors;
  readonly answering: Answering;
  readonly memories: Memories = new Memories();
  readonly groups: BufferGroups;
  readonly slots: FileSlots;
  readonly execution: Execution;
  readonly fd: number;
  readonly #host: RingHost;
  readonly #completions: Completions;
  #sqEntries: number;
  #cqEntries: number;
  #setupFlags: number;
  readonly #loop: Loop;
  readonly #errors = new Map<number, UringError>();
  #deliver: ((fatal: number) => void) | undefined;
  #closed: (() => void) | undefined;
  #state: 'open' | 'closing' | 'gone' = 'open';
  #isSubmitting = false;
  #enters = 0;
  #submitted = 0;
  #turns = 0;

  constructor(host: RingHost, { entries, cqEntries }: OpenOptions, setupFlags: number, fd: number) {
    super();
    this.#host = host;
    this.clock = host.clock;
    this.descriptors = host.descriptors;
    this.answering = host.answering;
    this.fd = fd;
    this.#sqEntries = entries;
    this.#cqEntries = cqEntries;
    this.#setupFlags = setupFlags;
    this.#completions = new Completions(entries, cqEntries);
    this.groups = new BufferGroups((sizeBytes) => this.memories.alloc(sizeBytes));
    this.slots = new FileSlots(this.fileOf);
    this.execution = new Execution(this);
    this.#loop = new Loop(
      () => this.#turn(),
      () => this.#keepsAlive,
    );
  }

  get #block(): Block {
    return this.#completions.block;
  }

  get files(): Files {
    return this;
  }

  // What operations ask for.

  /** The file of a descriptor: one of the mock's, or one that a test has from elsewhere. */
  readonly fileOf = (fd: number): MockFile | undefined => {
    const file = this.descriptors.get(fd);
    if (file !== undefined || this.isOwnDescriptor(fd)) return file;
    return { fd, what: `descriptor ${fd}` };
  };

  isOwnDescriptor(fd: number): boolean {
    return fd >= FIRST_DESCRIPTOR;
  }

  /** A ring of the same kernel, by its token. */
  ringOf(token: number): MockRing | undefined {
    return this.#host.ringOf(token);
  }

  placeFromOutside(fileIndex: number, file: MockFile): { res: number; generation: number } {
    try {
      this.slots.checkPlace(fileIndex);
    } catch {
      return { res: -ENXIO, generation: 0 };
    }
    return this.slots.place(fileIndex, file);
  }

  /** It will go on in the next turn of the event loop. */
  get isBusy(): boolean {
    return this.#loop.isComing;
  }

  /** A message of another ring arrives. */
  receive(entry: Entry): void {
    this.post(entry, true);
  }

  begin(request: Request): void {
    const { asked } = request;
    try {
      this.#findFile(request);
      const { fd, offset } = asked.operation;
      asked.operation.position = movesFile(asked) ? this.descriptors.position(fd) : offset;
      const isClosed = this.isOwnDescriptor(fd) && !this.#isThere(request);
      if (isClosed) this.execution.complete(request, CLOSED);
      else if (lacksBuffer(asked)) this.execution.complete(request, NO_BUFFER);
      else if (!runBuiltIn(request, this)) this.answering.answer(request, this);
    } catch (error) {
      if (error instanceof Refusal) this.execution.complete(request, CLOSED);
      else this.execution.fail(request, error as UringError);
    }
  }

  /** A file may have come into its slot by what was linked before. */
  #findFile({ sqe, asked: { operation } }: Request): void {
    if ((sqe.flags & SqeFlags.FIXED_FILE) === 0 || operation.fd === -1) return;
    operation.slot = sqe.fd & 0xf_ffff;
    operation.fd = this.slots.resolve(sqe.fd).fd;
  }

  #isThere({ sqe, asked: { operation } }: Request): boolean {
    return sqe.name === 'close' || operation.slot !== undefined || this.descriptors.has(operation.fd);
  }

  dueOf(request: Request): bigint {
    return dueOf(request, this);
  }

  post(entry: Entry, mayOverflow: boolean): boolean {
    const hadRoom = this.#completions.post(entry, mayOverflow);
    if (this.#deliver !== undefined) this.#loop.wake();
    return hadRoom;
  }

  keepError(index: number, error: UringError): void {
    this.#errors.set(index, error);
  }

  refusal(index: number): UringError | undefined {
    const error = this.#errors.get(index);
    this.#errors.delete(index);
    return error;
  }

  ended({ asked }: Request, res: number): void {
    if (movesFile(asked) && res > 0) this.descriptors.advance(asked.operation.fd, res);
    this.#block.setWord(Word.inFlight, this.execution.inFlight);
  }

  // Submitting.

  hot(): HotFunctions {
    return {
      submit: () => this.submit(),
      submitAndWait: (want, timeoutMs, minWaitMs, deadlineNs) =>
        this.#wait(want, timeoutMs, minWaitMs ?? 0, deadlineNs),
      collect: () => this.#collect(),
      wake: () => this.#wake(),
    };
  }

  /** Takes what is prepared, runs it, and brings what has completed; answers how many it took. */
  submit(): number {
    if (this.#state === 'gone') return -EBADF;
    if (this.#isSubmitting) return 0;
    this.#isSubmitting = true;
    this.#enters += 1;
    let count = 0;
    try {
      for (const { group, id } of this.#block.takeRecycled()) this.groups.recycle(group, id);
      if (this.#isDisabled) return 0;
      while (this.#block.prepared > 0) count += this.#submitChain();
      this.clock.ringDue();
    } finally {
      this.#isSubmitting = false;
    }
    this.#completions.reap();
    return count;
  }

  get #isDisabled(): boolean {
    return (this.#setupFlags & SetupFlags.R_DISABLED) !== 0;
  }

  /** Takes operations that are linked to each other; the chain ends with the block. */
  #submitChain(): number {
    const chain: Sqe[] = [];
    do chain.push(new Sqe(this.#block.take()));
    while (chain.at(-1)?.isLinked === true && this.#block.prepared > 0);
    this.#submitted += chain.length;
    const requests: Request[] = [];
    try {
      for (const sqe of chain) requests.push(this.#admit(sqe));
    } catch (error) {
      this.execution.refuse(chain, requests.length, error);
      return chain.length;
    }
    this.execution.start(requests);
    this.#block.setWord(Word.inFlight, this.execution.inFlight);
    return chain.length;
  }

  #admit(sqe: Sqe): Request {
    if (this.#state !== 'open') throw new Refusal(Reject.closed);
    if ((sqe.flags & SqeFlags.DRAIN) !== 0) throw notMocked('DRAIN', 'use a chain');
    const asked = describe(sqe, { memories: this.memories, groupOf: (number) => this.groups.get(number) });
    checkFiles(sqe, this, asked.operation.direct);
    return new Request(sqe, asked);
  }

  #collect(): number {
    if (this.#state === 'gone') return -EBADF;
    this.#completions.reap();
    return this.#block.unread;
  }

  /** As a blocked thread: only the clock goes on, to whatever comes next on it. */
  #wait(want: number, timeoutMs: number, minWaitMs: number, deadlineNs: bigint | undefined): number {
    const count = this.submit();
    if (count < 0) return count;
    const start = this.clock.nowNs();
    const after = (timeMs: number): bigint => start + BigInt(Math.round(timeMs * NSEC_PER_MS));
    const end = deadlineNs ?? (timeoutMs >= 0 && Number.isFinite(timeoutMs) ? after(timeoutMs) : undefined);
    const enough = minWaitMs > 0 ? after(minWaitMs) : undefined;
    while (this.#collect() < want) {
      if (enough !== undefined && this.#block.unread > 0) {
        if (this.clock.nowNs() >= enough) break;
        if (!this.clock.jump(enough)) this.clock.moveTo(enough);
      } else if (!this.clock.jump(end)) {
        if (end === undefined) throw deadlock(this.execution.inFlight);
        this.clock.moveTo(end);
        break;
      }
    }
    return count;
  }

  // The event loop.

  attach(deliver: (fatal: number) => void, closed: () => void): number {
    if (this.#state === 'gone') return -EBADF;
    this.#deliver ??= deliver;
    this.#closed ??= closed;
    if (this.#completions.waiting > 0) this.#loop.wake();
    return 0;
  }

  /** The block never says that the process is kept alive, so that every start gets here. */
  #wake(): void {
    if (this.#deliver === undefined) return;
    this.#loop.wake();
    this.#loop.refresh();
  }

  #turn(): boolean {
    if (this.#state === 'gone') return false;
    this.submit();
    const before = this.#block.word(Word.cqHead);
    if (this.#block.unread > 0) this.#turns += 1;
    if (this.#block.unread > 0 || this.#hasRoomForPending) this.#deliver?.(0);
    const progressed = this.#block.word(Word.cqHead) !== before;
    // Nobody reads them, if the ring was forgotten and is being closed.
    if (this.#state === 'closing' && !progressed)
      this.#block.setWord(Word.cqHead, this.#block.word(Word.cqTail));
    const isAtRest =
      this.execution.inFlight === 0 && this.#completions.waiting === 0 && this.#block.unread === 0;
    if (this.#state === 'closing' && isAtRest && this.#block.prepared === 0) {
      this.#end();
      return false;
    }
    return (
      this.#hasRoomForPending ||
      this.#block.prepared > 0 ||
      this.#block.unread > 0 ||
      this.#completions.waiting > 0
    );
  }

  /** Operations that wait in JavaScript for room in the queue. */
  get waiting(): number {
    return Math.max(this.#block.word(Word.pending), this.#block.word(Word.waiting));
  }

  get #hasRoomForPending(): boolean {
    return this.#block.word(Word.pending) > 0 && this.#block.prepared < this.#sqEntries;
  }

  /** As `keeps_alive` and `nothing_comes` of crates/binding/src/event_loop.rs. */
  get #keepsAlive(): boolean {
    if (this.#state === 'gone' || this.#deliver === undefined) return false;
    const block = this.#block;
    const operations = this.execution.inFlight + block.prepared + block.unread + this.#completions.waiting;
    const isListening = block.word(Word.listening) !== 0;
    const isWaiting = block.word(Word.waiting) > 0;
    if (this.#state === 'closing') return true;
    if (block.word(Word.unref) !== 0) return false;
    return operations > block.word(Word.unreferenced) || isListening || isWaiting;
  }

  refresh(): void {
    this.#loop.refresh();
  }

  // The end.

  close(): number {
    if (this.#state !== 'open') return 0;
    this.#state = 'closing';
    this.execution.stopAll();
    this.#loop.wake();
    this.#loop.refresh();
    return 0;
  }

  cancelAll(): number {
    this.execution.stopAll();
    return 0;
  }

  closeNow(): void {
    this.#state = 'closing';
    this.submit();
    this.execution.stopAll();
    this.#end();
  }

  #end(): void {
    this.#state = 'gone';
    this.#loop.end();
    this.#host.ended(this);
    this.#closed?.();
  }

  // What the ring is.

  layout(): Layout | null {
    if (this.#state === 'gone') return null;
    const { sqOffset, completionsOffset, recycleOffset, completions } = this.#block;
    const names = Object.entries(SetupFlags).filter(([, bit]) => (this.#setupFlags & bit) !== 0);
    const operations = Object.keys(opInfo).map(Number);
    return {
      sqEntries: this.#sqEntries,
      cqEntries: this.#cqEntries,
      sqOffset,
      completionsOffset,
      recycleOffset,
      completions,
      completionWords: 4,
      setupFlags: names.map(([name]) => name),
      features: 2 ** FEATURES.length - 1,
      operations: operations.filter((opcode) => !this.#host.missing.has(opcode)),
      fd: this.fd,
    };
  }

  shared(): ArrayBuffer {
    return this.#block.memory;
  }

  stats(): number[] {
    const [bytes, arenas] = this.memories.sizes;
    const { overflows, completed } = this.#completions;
    const { refused } = this.execution;
    const lent = this.groups.all.reduce((sum, { isLegacy, out }) => sum + (isLegacy ? 0 : out.size), 0);
    const submitted = this.#submitted - refused;
    // Nothing but its own turns wakes it, so that what it counts are these.
    const loop = [lent, 0, this.#turns, 0];
    return [
      this.#enters,
      submitted,
      completed,
      overflows,
      refused,
      bytes,
      0,
      arenas,
      this.slots.files.length,
      ...loop,
    ];
  }

  alloc(sizeBytes: number): NativeArena {
    return this.memories.alloc(sizeBytes);
  }
  createShared(sizeBytes: number): NativeSharedMemory {
    return this.memories.createShared(sizeBytes);
  }
  openShared(token: number): NativeSharedMemory | number {
    return this.memories.openShared(token) ?? -ENOENT;
  }

  enable(): number {
    this.#setupFlags &= ~SetupFlags.R_DISABLED;
    return 0;
  }

  resize(sqEntries: number, cqEntries: number): number {
    this.#completions.resize(sqEntries, cqEntries);
    this.#sqEntries = sqEntries;
    this.#cqEntries = cqEntries;
    return 0;
  }

  /** What other rings know it by: its descriptor, which nobody else ever has. */
  token(): number {
    return this.fd;
  }

  registerRingFd(): number {
    return 0;
  }
  unregisterRingFd(): number {
    return 0;
  }
  /** Handlers that answer nothing for a socket mean the end of it, as a stream does. */
  socketType(): number {
    return SOCK_STREAM;
  }
  /** Handlers know where they are. */
  position(): number {
    return -1;
  }
  moveOn(): void {}
}

/** A read or a write where the file stands, which goes on. */
function movesFile({ fullBytes, operation }: Asked): boolean {
  return fullBytes >= 0 && operation.offset === -1;
}

/** The kernel looks for a buffer first: without one nothing is received, whether there is something or not. */
function lacksBuffer({ group, kind, sent }: Asked): boolean {
  return group !== undefined && (kind === 'leaving' ? sent.length === 0 : group.available.length === 0);
}
