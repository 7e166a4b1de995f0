/** File types in the mode (inode(7)); Node's constants lack some of them on Windows, where only mocks run. */
const S_IFMT = 0o170000;
const FileType = {
  FIFO: 0o010000,
  CHARACTER_DEVICE: 0o020000,
  DIRECTORY: 0o040000,
  BLOCK_DEVICE: 0o060000,
  REGULAR: 0o100000,
  LINK: 0o120000,
  SOCKET: 0o140000,
} as const;

/** sizeof(struct statx). */
export const STATX_BYTES = 256;

/**
 * Fields of statx(2), to be combined with `|` (`STATX_*`). What a file system does not have is missing from the mask of
 * the answer.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/statx.2.html statx(2)}
 */
export const StatxMask = {
  TYPE: 0x1,
  MODE: 0x2,
  NLINK: 0x4,
  UID: 0x8,
  GID: 0x10,
  ATIME: 0x20,
  MTIME: 0x40,
  CTIME: 0x80,
  INO: 0x100,
  SIZE: 0x200,
  BLOCKS: 0x400,
  /** All of the above. */
  BASIC_STATS: 0x7ff,
  BTIME: 0x800,
  MNT_ID: 0x1000,
  DIOALIGN: 0x2000,
  MNT_ID_UNIQUE: 0x4000,
  SUBVOL: 0x8000,
  WRITE_ATOMIC: 0x10000,
  DIO_READ_ALIGN: 0x20000,
} as const;

/** Bits of {@link StatxFields.attributes} (`STATX_ATTR_*`). */
export const StatxAttributes = {
  COMPRESSED: 0x4,
  IMMUTABLE: 0x10,
  APPEND: 0x20,
  NODUMP: 0x40,
  ENCRYPTED: 0x800,
  AUTOMOUNT: 0x1000,
  MOUNT_ROOT: 0x2000,
  VERITY: 0x100000,
  DAX: 0x200000,
  WRITE_ATOMIC: 0x400000,
} as const;

// Offsets in struct statx (include/uapi/linux/stat.h).
const At = {
  mask: 0,
  blksize: 4,
  attributes: 8,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  blocks: 48,
  attributesMask: 56,
  atime: 64,
  btime: 80,
  ctime: 96,
  mtime: 112,
  rdev: 128,
  dev: 136,
  mountId: 144,
  dioMemoryAlign: 152,
  dioOffsetAlign: 156,
  subvolume: 160,
  atomicWriteMin: 168,
  atomicWriteMax: 172,
  atomicWriteSegmentsMax: 176,
  dioReadOffsetAlign: 180,
  atomicWriteOptimalMax: 184,
} as const;

/** What only statx(2) has: undefined unless it was asked for by `mask` and the file system has it. */
export class StatxFields {
  readonly #answer: Answer;

  /** @internal */
  constructor(answer: Answer) {
    this.#answer = answer;
  }

  /** Which fields the file system answered, see {@link StatxMask}. */
  get mask(): number {
    return wordOf(this.#answer, At.mask);
  }
  /** See {@link StatxAttributes}. */
  get attributes(): number {
    return numberOf(this.#answer, At.attributes);
  }
  /** Which attributes the file system knows. */
  get attributesMask(): number {
    return numberOf(this.#answer, At.attributesMask);
  }
  /** Number of the mount (`MNT_ID`, 5.8), or the one that is never used again (`MNT_ID_UNIQUE`, 6.8). */
  get mountId(): bigint | undefined {
    return this.#wide(StatxMask.MNT_ID | StatxMask.MNT_ID_UNIQUE, At.mountId);
  }
  /** What addresses must be multiples of for O_DIRECT (`DIOALIGN`, 6.1); 0 if the file has no direct I/O. */
  get dioMemoryAlignBytes(): number | undefined {
    return this.#word(StatxMask.DIOALIGN, At.dioMemoryAlign);
  }
  /** What offsets and sizes must be multiples of for O_DIRECT (`DIOALIGN`, 6.1). */
  get dioOffsetAlignBytes(): number | undefined {
    return this.#word(StatxMask.DIOALIGN, At.dioOffsetAlign);
  }
  /** The same for reads alone (`DIO_READ_ALIGN`, 6.14). */
  get dioReadOffsetAlignBytes(): number | undefined {
    return this.#word(StatxMask.DIO_READ_ALIGN, At.dioReadOffsetAlign);
  }
  /** Number of the subvolume (`SUBVOL`, 6.10). */
  get subvolume(): bigint | undefined {
    return this.#wide(StatxMask.SUBVOL, At.subvolume);
  }
  /** Smallest write that `RwFlags.ATOMIC` can do (`WRITE_ATOMIC`, 6.11). */
  get atomicWriteMinBytes(): number | undefined {
    return this.#word(StatxMask.WRITE_ATOMIC, At.atomicWriteMin);
  }
  /** Largest write that `RwFlags.ATOMIC` can do (`WRITE_ATOMIC`, 6.11). */
  get atomicWriteMaxBytes(): number | undefined {
    return this.#word(StatxMask.WRITE_ATOMIC, At.atomicWriteMax);
  }
  /** Largest such write that is fast (`WRITE_ATOMIC`, 6.16); 0 if there is no difference. */
  get atomicWriteOptimalMaxBytes(): number | undefined {
    return this.#word(StatxMask.WRITE_ATOMIC, At.atomicWriteOptimalMax);
  }
  /** Most buffers of one such write (`WRITE_ATOMIC`, 6.11). */
  get atomicWriteSegmentsMax(): number | undefined {
    return this.#word(StatxMask.WRITE_ATOMIC, At.atomicWriteSegmentsMax);
  }

  #word(needs: number, at: number): number | undefined {
    return (this.mask & needs) === 0 ? undefined : wordOf(this.#answer, at);
  }

  #wide(needs: number, at: number): bigint | undefined {
    return (this.mask & needs) === 0 ? undefined : bigintOf(this.#answer, at);
  }
}

/** What both forms of the answer have; a base of two classes, as in node:fs. */
abstract class StatsBase<T extends number | bigint> {
  abstract readonly mode: T;
  abstract readonly atimeMs: T;
  abstract readonly mtimeMs: T;
  abstract readonly ctimeMs: T;
  abstract readonly birthtimeMs: T;
  readonly #answer: Answer;

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  /** What only statx(2) has. */
  get statx(): StatxFields {
    return new StatxFields(this.#answer);
  }

  get atime(): Date {
    return dateOf(this.atimeMs);
  }
  get mtime(): Date {
    return dateOf(this.mtimeMs);
  }
  get ctime(): Date {
    return dateOf(this.ctimeMs);
  }
  get birthtime(): Date {
    return dateOf(this.birthtimeMs);
  }

  /** Nanoseconds since 1970, exactly. */
  get atimeNs(): bigint {
    return timestampNs(this.#answer, At.atime);
  }
  get mtimeNs(): bigint {
    return timestampNs(this.#answer, At.mtime);
  }
  get ctimeNs(): bigint {
    return timestampNs(this.#answer, At.ctime);
  }
  get birthtimeNs(): bigint {
    return timestampNs(this.#answer, At.btime);
  }

  #is(type: number): boolean {
    return (Number(this.mode) & S_IFMT) === type;
  }
  isFile(): boolean {
    return this.#is(FileType.REGULAR);
  }
  isDirectory(): boolean {
    return this.#is(FileType.DIRECTORY);
  }
  isSymbolicLink(): boolean {
    return this.#is(FileType.LINK);
  }
  isBlockDevice(): boolean {
    return this.#is(FileType.BLOCK_DEVICE);
  }
  isCharacterDevice(): boolean {
    return this.#is(FileType.CHARACTER_DEVICE);
  }
  isFIFO(): boolean {
    return this.#is(FileType.FIFO);
  }
  isSocket(): boolean {
    return this.#is(FileType.SOCKET);
  }
}

/**
 * What statx(2) answers, under the names that node:fs uses.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/statx.2.html statx(2)}
 * @example
 * ```ts
 * import { Ring, statx } from 'uring';
 *
 * await using ring = new Ring();
 * const { size, mtime } = await ring.exec(statx('/etc/hostname'));
 * console.log(size, mtime.toISOString());
 * ```
 */
export class Stats extends StatsBase<number> {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  private constructor(answer: Answer) {
    super(answer);
    this.blksize = wordOf(answer, At.blksize);
    this.nlink = wordOf(answer, At.nlink);
    this.uid = wordOf(answer, At.uid);
    this.gid = wordOf(answer, At.gid);
    this.mode = wordOf(answer, At.mode) & 0xffff;
    this.ino = numberOf(answer, At.ino);
    this.size = numberOf(answer, At.size);
    this.blocks = numberOf(answer, At.blocks);
    this.atimeMs = timestampMs(answer, At.atime);
    this.birthtimeMs = timestampMs(answer, At.btime);
    this.ctimeMs = timestampMs(answer, At.ctime);
    this.mtimeMs = timestampMs(answer, At.mtime);
    this.rdev = deviceNumber(answer, At.rdev);
    this.dev = deviceNumber(answer, At.dev);
  }

  /** @internal From the beginning of memory that will be used for something else. */
  static decode(bytes: Uint8Array): Stats {
    return new Stats(keep(bytes));
  }
}

/** As {@link Stats}, with bigints for numbers: inodes and sizes beyond 2^53 stay exact. */
export class BigIntStats extends StatsBase<bigint> {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  readonly blocks: bigint;

  private constructor(answer: Answer) {
    super(answer);
    this.blksize = BigInt(wordOf(answer, At.blksize));
    this.nlink = BigInt(wordOf(answer, At.nlink));
    this.uid = BigInt(wordOf(answer, At.uid));
    this.gid = BigInt(wordOf(answer, At.gid));
    this.mode = BigInt(wordOf(answer, At.mode) & 0xffff);
    this.ino = bigintOf(answer, At.ino);
    this.size = bigintOf(answer, At.size);
    this.blocks = bigintOf(answer, At.blocks);
    this.rdev = device(answer, At.rdev);
    this.dev = device(answer, At.dev);
  }

  get atimeMs(): bigint {
    return this.atimeNs / NS_OF_MS;
  }
  get mtimeMs(): bigint {
    return this.mtimeNs / NS_OF_MS;
  }
  get ctimeMs(): bigint {
    return this.ctimeNs / NS_OF_MS;
  }
  get birthtimeMs(): bigint {
    return this.birthtimeNs / NS_OF_MS;
  }

  /** @internal From the beginning of memory that will be used for something else. */
  static decode(bytes: Uint8Array): BigIntStats {
    return new BigIntStats(keep(bytes));
  }
}

const NS_OF_MS = 1_000_000n;
const NS_OF_SECOND = 1_000_000_000n;

function dateOf(ms: number | bigint): Date {
  return new Date(Math.round(Number(ms)));
}

const TWO_32 = 2 ** 32;

/** Memory of about a hundred answers: some for each would cost more than all the rest. */
const SLAB_BYTES = 32_768;
const ANSWER_WORDS = STATX_BYTES / 4;

/**
 * Answers, as words of 32 bits in the processor's order, which is the kernel's: to read words costs a third of reading bytes,
 * and bigints for those of 64 bits would cost more than all the rest.
 */
interface Slab {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

let slab: Slab | undefined;
/** How many words of the slab are in use. */
let used = 0;

/** What statx(2) answered: its words begin at `at`. */
interface Answer {
  readonly words: Uint32Array;
  readonly at: number;
}

/** Copies an answer, and what follows in the block, which the next one overwrites: to cut it off costs more. */
function keep(bytes: Uint8Array): Answer {
  if (slab === undefined || used * 4 + bytes.length > SLAB_BYTES) {
    const memory = new ArrayBuffer(SLAB_BYTES);
    slab = { bytes: new Uint8Array(memory), words: new Uint32Array(memory) };
    used = 0;
  }
  const at = used;
  slab.bytes.set(bytes, at * 4);
  used += ANSWER_WORDS;
  return { words: slab.words, at };
}

function wordOf({ words, at }: Answer, field: number): number {
  return words[at + field / 4] as number;
}

/** 64 bits as the nearest number. */
function numberOf(answer: Answer, field: number): number {
  return wordOf(answer, field + 4) * TWO_32 + wordOf(answer, field);
}

function bigintOf(answer: Answer, field: number): bigint {
  return (BigInt(wordOf(answer, field + 4)) << 32n) | BigInt(wordOf(answer, field));
}

/** struct statx_timestamp as milliseconds. */
function timestampMs(answer: Answer, field: number): number {
  const seconds = (wordOf(answer, field + 4) | 0) * TWO_32 + wordOf(answer, field);
  return seconds * 1000 + wordOf(answer, field + 8) / 1e6;
}

/** struct statx_timestamp as nanoseconds. */
function timestampNs(answer: Answer, field: number): bigint {
  return BigInt.asIntN(64, bigintOf(answer, field)) * NS_OF_SECOND + BigInt(wordOf(answer, field + 8));
}

/** A device number as glibc's makedev(3) puts it together, which is what node:fs shows. */
function device(answer: Answer, field: number): bigint {
  const [major, minor] = [wordOf(answer, field), wordOf(answer, field + 4)];
  const high = BigInt(major & 0xffff_f000) << 32n;
  const low = BigInt(minor & 0xffff_ff00) << 12n;
  return BigInt.asUintN(64, high | (BigInt(major & 0xfff) << 8n) | low | BigInt(minor & 0xff));
}

/** The same as a number; almost always both parts are small. */
function deviceNumber(answer: Answer, field: number): number {
  const [major, minor] = [wordOf(answer, field), wordOf(answer, field + 4)];
  return major < 0x1000 && minor < 0x100 ? major * 0x100 + minor : Number(device(answer, field));
}

/** @internal */
export { At as StatxAt };
