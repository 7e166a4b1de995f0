// What reading and writing have in common: where, with which flags, at which priority.
import { invalidType } from '../errors.ts';
import { type Fd, Operation, type OperationOptions } from '../operation.ts';
import { checkInteger, checkName, checkOffset, UINT32_MAX } from '../validate.ts';

/**
 * Flags of one read or write (`RWF_*`), to be combined with `|`. What a file system cannot do fails with `ENOTSUP`.
 *
 * `HIPRI`: the caller polls for completion (rings with `iopoll`). `DSYNC`, `SYNC`: the write is durable when it
 * completes, as with O_DSYNC and O_SYNC. `NOWAIT`: `EAGAIN` instead of waiting for anything. `APPEND`: at the end of
 * the file, wherever that is. `NOAPPEND`: at the offset even so, for files opened with O_APPEND (6.9). `ATOMIC`: all or
 * nothing, also when power fails (6.11). `DONTCACHE`: does not stay in the page cache (6.14).
 *
 * @see {@link https://man7.org/linux/man-pages/man2/preadv2.2.html preadv2(2)}
 */
export const RwFlags = {
  HIPRI: 1 << 0,
  DSYNC: 1 << 1,
  SYNC: 1 << 2,
  NOWAIT: 1 << 3,
  APPEND: 1 << 4,
  NOAPPEND: 1 << 5,
  ATOMIC: 1 << 6,
  DONTCACHE: 1 << 7,
} as const;

const IOPRIO_CLASSES = { realtime: 1, bestEffort: 2, idle: 3 } as const;
const IOPRIO_CLASS_SHIFT = 13;
const IOPRIO_LEVEL_MAX = 7;
/** IOPRIO_NORM. */
const IOPRIO_LEVEL_DEFAULT = 4;

/** An I/O priority in words: a class, and for two of them a level from 0 (first) to 7 (last). Default 4. */
export type IoPriority =
  | { readonly class: 'realtime' | 'bestEffort'; readonly level?: number }
  | { readonly class: 'idle' };

/**
 * The number for an I/O priority, for the `ioprio` option of reads and writes. Disk schedulers decide what it means.
 * `realtime` needs CAP_SYS_ADMIN or CAP_SYS_NICE, or the operation fails with `EPERM`.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/ioprio_set.2.html ioprio_set(2)}
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { ioprio, Ring, read } from 'uring';
 *
 * await using ring = new Ring();
 * const background = ioprio({ class: 'idle' });
 * await ring.exec(read(openSync('/etc/hostname', 'r'), ring.alloc(4096), { ioprio: background }));
 * ```
 */
export function ioprio(priority: IoPriority): number {
  if (typeof priority !== 'object' || priority === null)
    throw invalidType('priority', 'of type object', priority);
  const type = checkName('priority.class', priority.class, IOPRIO_CLASSES) << IOPRIO_CLASS_SHIFT;
  const level = 'level' in priority ? priority.level : undefined;
  if (priority.class === 'idle' && level === undefined) return type;
  return type | checkInteger('priority.level', level ?? IOPRIO_LEVEL_DEFAULT, 0, IOPRIO_LEVEL_MAX);
}

/** Where and how reads and writes of files run. */
export interface ReadWriteOptions extends OperationOptions {
  /**
   * Where in the file, from 0 to 2^53 - 1; `CURRENT_POSITION` (-1, the default) reads or writes at the file's own
   * position and moves it, and is what pipes and sockets want. The kernel does not move it for O_DIRECT, nor when a write
   * is short because the disk is full: give an offset there, or use `readFully` and `writeAll`, which see to it.
   */
  offset?: number | bigint;
  /** {@link RwFlags}. */
  rwFlags?: number;
  /** I/O priority, from {@link ioprio}. */
  ioprio?: number;
}

/** As {@link ReadWriteOptions}, with what only writes have. */
export interface WriteOptions extends ReadWriteOptions {
  /**
   * Number of a write stream of the device, which keeps data of one lifetime together; 0 (the default) is none.
   * Devices that have fewer answer `EINVAL`, and older kernels ignore it. Since Linux 6.16.
   */
  writeStream?: number;
}

/** @internal A read or write, but for its memory. */
export function readWrite<T = number>(
  opcode: number,
  fd: Fd,
  options: ReadWriteOptions | undefined,
): Operation<T> {
  const operation = new Operation<T>(opcode, options).on('fd', fd);
  operation.offset = -1;
  if (options?.offset !== undefined) operation.offset = checkOffset('options.offset', options.offset);
  if (options?.rwFlags !== undefined) {
    operation.opFlags = checkInteger('options.rwFlags', options.rwFlags, 0, UINT32_MAX);
  }
  if (options?.ioprio !== undefined) {
    operation.priority(checkInteger('options.ioprio', options.ioprio, 0, 0xffff));
  }
  return operation;
}

/** @internal A write, but for its memory. */
export function writing(opcode: number, fd: Fd, options: WriteOptions | undefined): Operation<number> {
  const operation = readWrite(opcode, fd, options);
  if (options?.writeStream !== undefined) {
    operation.fileIndex = checkInteger('options.writeStream', options.writeStream, 0, 0xff);
    operation.needs('options.writeStream', '6.16', true);
  }
  return operation;
}
