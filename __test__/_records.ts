// A ring without a kernel, for tests of what TypeScript writes: the native side is plain memory with handles that
// come out the same in every run, and the same as `Tables` of crates/core gives them out.
import type {
  AnyOperation,
  BufferRing as Buffers,
  FixedFile as File,
  BufferGroup as Group,
  RingHandle,
} from 'uring';
import type { BufferGroupOwner } from '../dist/buffer-group.js';
import type { BufferRingOwner } from '../dist/buffer-ring.js';
import type { FileTableOwner } from '../dist/files.js';
import type { BufferRingShape, HotFunctions, Layout, NativeRing } from '../dist/platform/native.js';
import type { Engine as EngineClass } from '../dist/runtime/engine.js';

/** The package's own modules, found from its entry, so that they are the instances it uses itself. */
const inside = <T>(path: string): Promise<T> => import(new URL(path, import.meta.resolve('uring')).href);

const { Engine } = await inside<typeof import('../dist/runtime/engine.js')>('runtime/engine.js');
const { createArena } = await inside<typeof import('../dist/memory/arena.js')>('memory/arena.js');
const { BufferGroup } = await inside<typeof import('../dist/buffer-group.js')>('buffer-group.js');
const { BufferRing } = await inside<typeof import('../dist/buffer-ring.js')>('buffer-ring.js');
const { FileTable } = await inside<typeof import('../dist/files.js')>('files.js');
/** What only workers and their parents send. */
export const { parcel } = await inside<typeof import('../dist/ops/message.js')>('ops/message.js');
export const { opInfo } = await inside<typeof import('../dist/generated/ops.js')>('generated/ops.js');
const abi = await inside<typeof import('../dist/generated/abi.js')>('generated/abi.js');

const ARENA_BYTES = 8192;
const STAGING_BYTES = 1 << 20;
const ENTRIES = 4;
const POOL = { entries: 4, sizeBytes: 256 };
const GROUP = 5;
/** Groups of the older kind are numbered down from the highest number but one. */
const LEGACY_GROUP = 65_534;
/** A number that no kernel has for an operation. */
const UNKNOWN_OPCODE = 200;
/** A slot's first file has generation 2: setting it has retired the first. */
const FILE_SLOT = 3;
const FILE_HANDLE = (2 << 20) | FILE_SLOT;

/** What encoding.rs sets up before it admits the records; handles count from 1 in this order. */
export const SETUP = {
  arenas: [
    { name: 'plain', sizeBytes: ARENA_BYTES, registered: false },
    { name: 'registered', sizeBytes: ARENA_BYTES, registered: true },
    { name: 'pool', sizeBytes: POOL.entries * POOL.sizeBytes, registered: false },
    { name: 'staging', sizeBytes: STAGING_BYTES, registered: true },
    { name: 'legacy', sizeBytes: POOL.entries * POOL.sizeBytes, registered: false },
  ],
  buffers: { group: GROUP, ...POOL },
  legacy: { group: LEGACY_GROUP },
  /** Of a ring that messages are for. */
  ring: { token: 0x12_3456_789a_bcde },
  files: { ours: 4, kernels: 4, slot: FILE_SLOT, handle: FILE_HANDLE },
} as const;

export interface GoldenRecord {
  readonly title: string;
  /** The 16 words, in hexadecimal. */
  readonly words: string;
  /** What the operation put into staging memory: where, and which bytes. */
  readonly stagedOffset?: number;
  readonly stagedHex?: string;
}

const unused = (): never => {
  throw new Error('no test of records calls this');
};

type Used = 'shared' | 'hot' | 'layout' | 'alloc' | 'registerFiles' | 'setFile' | 'registerGroup';

/** Hands out memory and handles; knows nothing of operations. */
class FakeNative implements Pick<NativeRing, Used> {
  readonly #block = new ArrayBuffer(1 << 16);
  #arenas = 0;

  shared = (): ArrayBuffer => this.#block;
  hot = (): HotFunctions => ({ submit: unused, submitAndWait: unused, collect: unused, wake: unused });
  layout = (): Layout => ({
    sqEntries: ENTRIES,
    cqEntries: ENTRIES,
    sqOffset: 256,
    completionsOffset: 1024,
    recycleOffset: 2048,
    completions: ENTRIES,
    completionWords: 4,
    setupFlags: [],
    features: 0x3ffff, // as Linux 6.18 has
    operations: [...Object.keys(opInfo).map(Number), UNKNOWN_OPCODE],
    fd: -1,
  });
  alloc = (sizeBytes: number, register: boolean) => {
    this.#arenas += 1;
    return { handle: this.#arenas, registered: register ? 1 : 0, memory: new ArrayBuffer(sizeBytes) };
  };
  registerFiles = () => 0;
  setFile = () => FILE_HANDLE;
  createLegacyGroup = () => LEGACY_GROUP;
  registerGroup = ({ entries, sizeBytes }: BufferRingShape) => {
    const { handle, memory } = this.alloc(entries * sizeBytes, false);
    return { handle, group: GROUP, memory };
  };
}

/** A ring whose records can be read. One operation is in flight already, under index 0 and sequence number 1. */
export class FakeRing {
  readonly file: File;
  readonly buffers: Buffers;
  /** The same group again, as one to send from. */
  readonly outgoing: Buffers;
  readonly setupFlags: readonly string[] = ['CQE32'];
  readonly group: Group;
  readonly target: RingHandle = { ringToken: SETUP.ring.token };
  /** The operation in flight; its user data is `'earlier'`. */
  readonly earlier: AnyOperation;
  readonly earlierWords: string;
  readonly #native = new FakeNative() as unknown as FakeNative & NativeRing;
  readonly #engine: EngineClass;
  readonly #plain: ArrayBuffer;
  readonly #registered: ArrayBuffer;

  private constructor(earlier: AnyOperation) {
    const native = this.#native;
    this.#engine = new Engine(this, native, native.layout());
    this.#plain = createArena(native, this, ARENA_BYTES, false);
    this.#registered = createArena(native, this, ARENA_BYTES, true);
    const owner: BufferRingOwner & FileTableOwner = {
      native,
      isClosed: false,
      assertOpen: () => {},
      recycle: unused,
      forget: () => {},
    };
    this.buffers = new BufferRing(this, owner, POOL);
    const again = { registerGroup: () => ({ handle: 3, group: GROUP, memory: new ArrayBuffer(0) }) };
    const sender = { ...owner, native: again as unknown as NativeRing };
    this.outgoing = new BufferRing(this, sender, { ...POOL, provide: 'manually' });
    const { ours, kernels } = SETUP.files;
    this.file = new FileTable(this, owner, { slots: ours, kernelSlots: kernels }).set(FILE_SLOT, 0);
    this.earlier = earlier;
    // Once for nothing, so that its sequence number is not 0; it holds the start of the staging memory.
    this.prep(earlier, 0);
    this.takeBack();
    this.#engine.prep(earlier, undefined, 'earlier', 0);
    this.earlierWords = FakeRing.format(this.words());
    // After the staging memory, which has the handle before this one.
    const groupOwner: BufferGroupOwner = {
      native,
      isClosed: false,
      start: unused,
      exec: unused,
      forget: () => {},
    };
    this.group = new BufferGroup(this, groupOwner, { ...POOL, provide: 'manually' });
  }

  static async open(): Promise<FakeRing> {
    const { write } = await import('uring');
    return new FakeRing(write(1, Buffer.alloc(100)));
  }

  static format(words: Iterable<number>): string {
    return Array.from(words, (word) => word.toString(16).padStart(8, '0')).join(' ');
  }

  plain(offset: number, sizeBytes: number): Buffer {
    return Buffer.from(this.#plain, offset, sizeBytes);
  }

  registered(offset: number, sizeBytes: number): Buffer {
    return Buffer.from(this.#registered, offset, sizeBytes);
  }

  /** Prepares an operation and answers its record. */
  prep(operation: AnyOperation, flags: number): Uint32Array {
    if (!this.#engine.prep(operation, undefined, undefined, flags)) throw new Error('the block is full');
    return this.words();
  }

  takeBack(): void {
    this.#engine.unprepLast();
  }

  /** The record before the tail. */
  words(): Uint32Array {
    const at = (this.#engine.word(abi.Word.sqTail) - 1) & (ENTRIES - 1);
    const start = this.#native.layout().sqOffset + at * abi.RECORD_WORDS * 4;
    return new Uint32Array(this.#native.shared().slice(start, start + abi.RECORD_WORDS * 4));
  }

  /** The staging memory of the operation that was prepared last. */
  staged(operation: AnyOperation): { stagedOffset: number; stagedHex: string } | undefined {
    const block = this.#engine.slots.all[this.words()[8] as number]?.staged;
    if (block === undefined) return undefined;
    const sizeBytes = operation.payload?.sizeBytes ?? operation.memory?.byteLength ?? 0;
    return { stagedOffset: block.offset, stagedHex: block.view.toString('hex', 0, sizeBytes) };
  }
}

/** A title, the operation, and flags that are given to `prep` in addition to the operation's own. */
export type RecordCase = readonly [title: string, make: (ring: FakeRing) => AnyOperation, flags?: number];

/** The golden file's entry for an operation. */
export function entry(title: string, ring: FakeRing, operation: AnyOperation, flags: number): GoldenRecord {
  const words = FakeRing.format(ring.prep(operation, flags));
  return { title, words, ...ring.staged(operation) };
}
