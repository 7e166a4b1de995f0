import { constants } from 'node:fs';

/** sizeof(struct statx). */
export const STATX_BYTES = 256;

/**
 * What statx(2) answers, under the names that node:fs uses.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/statx.2.html statx(2)}
 */
export class Stats {
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

  private constructor(bytes: Buffer) {
    // Offsets of struct statx (include/uapi/linux/stat.h).
    this.blksize = bytes.readUInt32LE(4);
    this.nlink = bytes.readUInt32LE(16);
    this.uid = bytes.readUInt32LE(20);
    this.gid = bytes.readUInt32LE(24);
    this.mode = bytes.readUInt16LE(28);
    this.ino = Number(bytes.readBigUInt64LE(32));
    this.size = Number(bytes.readBigUInt64LE(40));
    this.blocks = Number(bytes.readBigUInt64LE(48));
    this.atimeMs = timestampMs(bytes, 64);
    this.birthtimeMs = timestampMs(bytes, 80);
    this.ctimeMs = timestampMs(bytes, 96);
    this.mtimeMs = timestampMs(bytes, 112);
    this.rdev = device(bytes.readUInt32LE(128), bytes.readUInt32LE(132));
    this.dev = device(bytes.readUInt32LE(136), bytes.readUInt32LE(140));
  }

  /** @internal */
  static decode(bytes: Buffer): Stats {
    return new Stats(bytes);
  }

  get atime(): Date {
    return new Date(Math.round(this.atimeMs));
  }
  get mtime(): Date {
    return new Date(Math.round(this.mtimeMs));
  }
  get ctime(): Date {
    return new Date(Math.round(this.ctimeMs));
  }
  get birthtime(): Date {
    return new Date(Math.round(this.birthtimeMs));
  }

  #is(type: number): boolean {
    return (this.mode & constants.S_IFMT) === type;
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

/** struct statx_timestamp as milliseconds. */
function timestampMs(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64LE(at)) * 1000 + bytes.readUInt32LE(at + 8) / 1e6;
}

/** A device number as glibc's makedev(3) puts it together, which is what node:fs shows. */
function device(major: number, minor: number): number {
  const high = BigInt(major & 0xffff_f000) << 32n;
  const low = BigInt(minor & 0xffff_ff00) << 12n;
  return Number(BigInt.asUintN(64, high | (BigInt(major & 0xfff) << 8n) | low | BigInt(minor & 0xff)));
}
