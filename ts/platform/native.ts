import type { UringError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { watchCredentials } from './credentials.ts';
import { load } from './load.ts';

/** The calls of `crates/binding/src/hot.rs`: numbers in, a count or a negative errno out. */
export interface HotFunctions {
  /** Submits what is prepared and reaps; answers the number of records taken. */
  submit(): number;
  /** As `submit`, then waits for completions; a negative timeout means none, and a deadline goes before it. */
  submitAndWait(want: number, timeoutMs: number, minWaitMs?: number, deadlineNs?: bigint): number;
  /** Reaps, and fetches what the kernel holds back; answers how many completions can be read. */
  collect(): number;
  /** Keeps the process alive until nothing is in flight. */
  wake(): void;
}

export interface Layout {
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly sqOffset: number;
  readonly completionsOffset: number;
  readonly recycleOffset: number;
  readonly completions: number;
  /** Words of a completion record: 4, or 8 in a ring with large completions. */
  readonly completionWords: number;
  readonly setupFlags: string[];
  readonly features: number;
  readonly operations: number[];
  readonly fd: number;
}

export interface NativeArena {
  readonly handle: number;
  readonly registered: number;
  readonly memory: ArrayBuffer;
}

export interface NativeBufferGroup {
  readonly handle: number;
  readonly group: number;
  readonly memory: ArrayBuffer;
}

/** What a ring of provided buffers is to be like. */
export interface BufferRingShape {
  readonly entries: number;
  readonly sizeBytes: number;
  readonly manual: boolean;
  readonly incremental: boolean;
  readonly mmap: boolean;
}

/** What a synchronous cancel request looks for: an operation by slot and sequence number, or what the flags say. */
export interface SyncCancelTarget {
  index?: number;
  sequence?: number;
  fd: number;
  flags: number;
  opcode: number;
}

/** All that a restricted ring may be used for. */
export interface Allowed {
  readonly registrations: number[];
  readonly operations: number[];
  readonly sqeFlagsAllowed: number;
  readonly sqeFlagsRequired: number;
}

/** The calls of `crates/binding/src/registrar.rs`; numbers below zero are negative errnos. */
export interface NativeRegistrar {
  registerFiles(ours: number, kernels: number): number;
  setFile(slot: number, fd: number, tag?: number): number;
  updateFiles(first: number, fds: number[], tags: (number | undefined)[]): number[];
  unregisterFiles(): number;
  clearFile(handle: number): number;
  registerGroup(shape: BufferRingShape): NativeBufferGroup | number;
  unregisterGroup(group: number): number;
  lent(group: number): number;
  createLegacyGroup(): number;
  removeLegacyGroup(group: number): number;
  bundle(group: number, first: number, bytes: number): number[];
  takeBuffer(group: number): number;
  provideBuffer(group: number, id: number, lenBytes: number): number;
  isOut(group: number, id: number): boolean;
  groupHead(group: number): number;
  groupAvailable(group: number, head: number): number;
  registerPersonality(): number;
  unregisterPersonality(id: number): number;
  registerArena(handle: number, tag?: number): number;
  unregisterArena(handle: number): number;
  shareArena(source: NativeRing, handle: number): number;
  releaseArena(handle: number): void;
  registerEventfd(fd: number, onlyAsync: boolean): number;
  unregisterEventfd(): number;
  setEventfdEnabled(enabled: boolean): number;
  isAttached(): boolean;
  syncCancel(target: SyncCancelTarget, timeoutMs: number): number;
  restrict(allowed: Allowed): number;
  setWorkerAffinity(cpus: number[]): number;
  setWorkerLimits(bounded: number, unbounded: number): number[];
  registerNapi(busyPollUs: number, preferBusyPoll: boolean, tracksStatically: boolean): number[];
  unregisterNapi(): number[];
  napiId(id: number, add: boolean): number;
  setClock(boottime: boolean): number;
}

export interface NativeSharedMemory extends NativeArena {
  readonly token: number;
}

/** Where memory comes from. */
export interface NativeMemory {
  alloc(sizeBytes: number, register: boolean): NativeArena | number;
}

/** Where memory of several rings comes from. */
export interface NativeShared {
  createShared(sizeBytes: number): NativeSharedMemory | number;
  openShared(token: number): NativeSharedMemory | number;
}

/** What is needed to prepare and submit operations. */
export interface NativeSubmission extends NativeMemory {
  shared(): ArrayBuffer;
  hot(): Pick<HotFunctions, 'submit'>;
  /** Why an operation was refused, where no number says it: a mock has errors of its own. */
  refusal?(index: number): UringError | undefined;
}

/** The cold calls of `crates/binding/src/lib.rs`; numbers below zero are negative errnos. */
export interface NativeRing extends NativeRegistrar, NativeSubmission, NativeShared {
  hot(): HotFunctions;
  /** What deadlines count on; the system's clock where it is missing. */
  readonly clock?: Clock;
  layout(): Layout | null;
  stats(): number[];
  attach(deliver: (fatal: number) => void, closed: () => void): number;
  close(): number;
  cancelAll(): number;
  /** What shall keep the process alive was changed in the shared block. */
  refresh(): void;
  closeNow(): void;
  token(): number;
  enable(): number;
  resize(sqEntries: number, cqEntries: number): number;
  registerRingFd(): number;
  unregisterRingFd(): number;
  socketType(fd: number): number;
  /** A file's own position, or a negative errno where it has none that means anything. */
  position(fd: number, writes: boolean): number;
  /** Moves it from one place to another, if it is at the first. */
  moveOn(fd: number, from: number, to: number): void;
}

/** The calls of `crates/binding/src/split.rs` for the half of a ring that submits. */
export interface NativeSubmissionHalf extends NativeMemory, NativeShared {
  token(): number;
  layout(): Layout | null;
  shared(): ArrayBuffer;
  userData(): ArrayBuffer;
  freed(): ArrayBuffer;
  submit(): number;
  reclaim(): number;
  close(): void;
  isOpen(): boolean;
}

/** The calls of `crates/binding/src/split.rs` for the half that takes completions. */
export interface NativeCompletionHalf extends Pick<NativeShared, 'openShared'> {
  cqEntries(): number;
  block(): ArrayBuffer;
  take(): number;
  ready(): number;
  wait(want: number, timeoutMs: number): number;
  close(): void;
  isOpen(): boolean;
}

export interface OpenOptions {
  entries: number;
  cqEntries: number;
  sqpollIdleMs?: number;
  sqpollCpu?: number;
  /** Token of a ring. */
  attachTo?: number;
  coop: boolean;
  required: number;
  forbidden: number;
  registeredWait: boolean;
  ioWait: boolean;
}

export interface Native {
  /** Version of the package that it was built from; builds older than the check have none. */
  version?(): string;
  probe(): number[];
  sendMessage(token: number, res: number, data: number): number;
  /** The bytes of a socket's own address or its peer's, or a negative errno. */
  socketAddress(fd: number, peer: boolean): Uint8Array | number;
  open(options: OpenOptions): NativeRing | number;
  credentialsMayHaveChanged(): void;
  unknownSetupFlags(asked: number): number;
  /** [0 or a negative errno, signal] of using io_uring in a child process; null when there could be none. */
  tryInChild(): [result: number, signal: number] | null;
  /** Soft and hard RLIMIT_MEMLOCK in bytes, soft and hard RLIMIT_NOFILE. */
  resourceLimits(): number[];
  openSplit(entries: number, cqEntries: number): NativeSubmissionHalf | number;
  openCompletionHalf(token: number): NativeCompletionHalf | number;
}

/** In the options of a ring: what opens it in place of the native binding. */
export const kOpener = Symbol('uring.opener');

/** Opens rings. */
export type Opener = Pick<Native, 'open'>;

let loaded: Native | undefined;

/**
 * The native addon. Nothing is loaded before the first ring is made.
 *
 * @throws `ERR_URING_UNAVAILABLE` where there is none
 */
export function native(): Native {
  if (loaded === undefined) {
    loaded = load();
    watchCredentials(loaded);
  }
  return loaded;
}
