import { StatxAt, StatxMask } from '../stats.ts';
import type { MockStats } from './answers.ts';
import { badAnswer } from './refusal.ts';

const MS_PER_SEC = 1000;
const NSEC_PER_MS = 1e6;

const NUMBERS = ['mode', 'size', 'uid', 'gid', 'ino', 'nlink', 'blocks', 'blksize'] as const;
const TIMES = ['atimeMs', 'mtimeMs', 'ctimeMs', 'birthtimeMs'] as const;

/** Throws for what no file has. */
export function checkStats(name: string, stats: MockStats): void {
  const wrong =
    NUMBERS.find((field) => !(Number.isSafeInteger(stats[field] ?? 0) && (stats[field] ?? 0) >= 0)) ??
    TIMES.find((field) => !Number.isFinite(stats[field] ?? 0));
  if (wrong !== undefined) throw badAnswer(name, `{ stats: { ${wrong}: ${String(stats[wrong])} } }`);
}

/** Writes a struct statx. */
export function encodeStats(bytes: Buffer, stats: MockStats): void {
  bytes.fill(0);
  bytes.writeUInt32LE(StatxMask.BASIC_STATS | StatxMask.BTIME, StatxAt.mask);
  bytes.writeUInt32LE(stats.blksize ?? 4096, StatxAt.blksize);
  bytes.writeUInt32LE(stats.nlink ?? 1, StatxAt.nlink);
  bytes.writeUInt32LE(stats.uid ?? 0, StatxAt.uid);
  bytes.writeUInt32LE(stats.gid ?? 0, StatxAt.gid);
  bytes.writeUInt16LE(stats.mode ?? 0o100644, StatxAt.mode);
  const { size = 0 } = stats;
  for (const [at, value] of [
    [StatxAt.ino, stats.ino ?? 1],
    [StatxAt.size, size],
    [StatxAt.blocks, stats.blocks ?? Math.ceil(size / 512)],
  ] as const)
    bytes.writeBigUInt64LE(BigInt(value), at);
  writeTime(bytes, StatxAt.atime, stats.atimeMs);
  writeTime(bytes, StatxAt.btime, stats.birthtimeMs);
  writeTime(bytes, StatxAt.ctime, stats.ctimeMs);
  writeTime(bytes, StatxAt.mtime, stats.mtimeMs);
}

function writeTime(bytes: Buffer, at: number, timeMs = 0): void {
  const seconds = Math.floor(timeMs / MS_PER_SEC);
  bytes.writeBigInt64LE(BigInt(seconds), at);
  bytes.writeUInt32LE(Math.round((timeMs - seconds * MS_PER_SEC) * NSEC_PER_MS), at + 8);
}
