import { constants } from 'node:fs';

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
  readonly #bytes: Buffer;

  /** @internal */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Which fields the file system answered, see {@link StatxMask}. */
  get mask(): number {
    return this.#bytes.readUInt32LE(At.mask);
  }
  /** See {@link StatxAttributes}. */
  get attributes(): number {
    return Number(this.#bytes.readBigUInt64LE(At.attributes));
  }
  /** Which attributes the file system knows. */
  get attributesMask(): number {
    return Number(this.#bytes.readBigUInt64LE(At.attributesMask));
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
    return (this.mask & needs) === 0 ? undefined : this.#bytes.readUInt32LE(at);
  }

  #wide(needs: number, at: number): bigint | undefined {
    return (this.mask & needs) === 0 ? undefined : this.#bytes.readBigUInt64LE(at);
  }
}

/** What both forms of the answer have; a base of two classes, as in node:fs. */
abstract class StatsBase<T extends number | bigint> {
  abstract readonly mode: T;
  abstract readonly atimeMs: T;
  abstract readonly mtimeMs: T;
  abstract readonly ctimeMs: T;
  abstract readonly birthtimeMs: T;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** What only statx(2) has. */
  get statx(): StatxFields {
    return new StatxFields(this.#bytes);
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
    return timestampNs(this.#bytes, At.atime);
  }
  get mtimeNs(): bigint {
    return timestampNs(this.#bytes, At.mtime);
  }
  get ctimeNs(): bigint {
    return timestampNs(this.#bytes, At.ctime);
  }
  get birthtimeNs(): bigint {
    return timestampNs(this.#bytes, At.btime);
  }

  #is(type: number): boolean {
    return (Number(this.mode) & constants.S_IFMT) === type;
  }
  isFile(): boolean {
    return this.#is(constants.S_IFREG);
  }
  isDirectory(): boolean {
    return this.#is(constants.S_IFDIR);
  }
  isSymbolicLink(): boolean {
    return this.#is(constants.S_IFLNK);
  }
  isBlockDevice(): boolean {
    return this.#is(constants.S_IFBLK);
  }
  isCharacterDevice(): boolean {
    return this.#is(constants.S_IFCHR);
  }
  isFIFO(): boolean {
    return this.#is(constants.S_IFIFO);
  }
  isSocket(): boolean {
    return this.#is(constants.S_IFSOCK);
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

  private constructor(bytes: Buffer, words: Uint32Array) {
    super(bytes);
    this.blksize = words[At.blksize / 4] as number;
    this.nlink = words[At.nlink / 4] as number;
    this.uid = words[At.uid / 4] as number;
    this.gid = words[At.gid / 4] as number;
    this.mode = (words[At.mode / 4] as number) & 0xffff;
    this.ino = wideNumber(words, At.ino);
    this.size = wideNumber(words, At.size);
    this.blocks = wideNumber(words, At.blocks);
    this.atimeMs = timestampMs(words, At.atime);
    this.birthtimeMs = timestampMs(words, At.btime);
    this.ctimeMs = timestampMs(words, At.ctime);
    this.mtimeMs = timestampMs(words, At.mtime);
    this.rdev = deviceNumber(bytes, words, At.rdev);
    this.dev = deviceNumber(bytes, words, At.dev);
  }

  /** @internal From memory that will be used for something else. */
  static decode(bytes: Buffer): Stats {
    answerAndPath.set(bytes);
    const copy = Buffer.allocUnsafe(STATX_BYTES);
    copy.set(answer);
    return new Stats(copy, answerWords);
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

  private constructor(bytes: Buffer) {
    super(bytes);
    this.blksize = BigInt(bytes.readUInt32LE(At.blksize));
    this.nlink = BigInt(bytes.readUInt32LE(At.nlink));
    this.uid = BigInt(bytes.readUInt32LE(At.uid));
    this.gid = BigInt(bytes.readUInt32LE(At.gid));
    this.mode = BigInt(bytes.readUInt16LE(At.mode));
    this.ino = bytes.readBigUInt64LE(At.ino);
    this.size = bytes.readBigUInt64LE(At.size);
    this.blocks = bytes.readBigUInt64LE(At.blocks);
    this.rdev = device(bytes, At.rdev);
    this.dev = device(bytes, At.dev);
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

  /** @internal From memory that will be used for something else. */
  static decode(bytes: Buffer): BigIntStats {
    return new BigIntStats(Buffer.from(bytes.subarray(0, STATX_BYTES)));
  }
}

const NS_OF_MS = 1_000_000n;
const NS_OF_SECOND = 1_000_000_000n;

function dateOf(ms: number | bigint): Date {
  return new Date(Math.round(Number(ms)));
}

const TWO_32 = 2 ** 32;
/** The largest block of an operation: the answer and the longest path, rounded up as blocks are. */
const ANSWER_AND_PATH_BYTES = 8192;

/**
 * The answer that is being decoded, as words of 32 bits (in the processor's order, which is the kernel's): to read words
 * costs a third of reading bytes, and bigints for those of 64 bits would cost more than all the rest. The path that
 * follows in the block is copied as well, because cutting it off costs more.
 */
const answerWords = new Uint32Array(ANSWER_AND_PATH_BYTES / 4);
const answerAndPath = new Uint8Array(answerWords.buffer);
const answer = answerAndPath.subarray(0, STATX_BYTES);

/** 64 bits as the nearest number. */
function wideNumber(words: Uint32Array, at: number): number {
  return (words[at / 4 + 1] as number) * TWO_32 + (words[at / 4] as number);
}

/** struct statx_timestamp as milliseconds. */
function timestampMs(words: Uint32Array, at: number): number {
  const seconds = ((words[at / 4 + 1] as number) | 0) * TWO_32 + (words[at / 4] as number);
  return seconds * 1000 + (words[at / 4 + 2] as number) / 1e6;
}

/** struct statx_timestamp as nanoseconds. */
function timestampNs(bytes: Buffer, at: number): bigint {
  return bytes.readBigInt64LE(at) * NS_OF_SECOND + BigInt(bytes.readUInt32LE(at + 8));
}

/** A device number as glibc's makedev(3) puts it together, which is what node:fs shows. */
function device(bytes: Buffer, at: number): bigint {
  const [major, minor] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
  const high = BigInt(major & 0xffff_f000) << 32n;
  const low = BigInt(minor & 0xffff_ff00) << 12n;
  return BigInt.asUintN(64, high | (BigInt(major & 0xfff) << 8n) | low | BigInt(minor & 0xff));
}

/** The same as a number; almost always both parts are small. */
function deviceNumber(bytes: Buffer, words: Uint32Array, at: number): number {
  const [major, minor] = [words[at / 4] as number, words[at / 4 + 1] as number];
  return major < 0x1000 && minor < 0x100 ? major * 0x100 + minor : Number(device(bytes, at));
}

/** @internal */
export { At as StatxAt };
