import { Errno } from './errnos.ts';
import { systemError } from './errors.ts';
import type { MessageTarget } from './ops/message.ts';
import { native } from './platform/native.ts';
import { tokenOf } from './ring-handle.ts';
import { staleRing } from './runtime/rejects.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** What to send to a ring. */
export interface MessageOptions {
  /** A number that arrives as `completion.event.data`, up to 2^53 - 1. Default 0. */
  data?: number;
  /** A number of 32 bits that arrives as `completion.event.res`. Default 0. */
  res?: number;
}

/**
 * Sends a message to a ring at once, from a thread that need not have a ring itself: it arrives as a completion with
 * an `event`. A ring of another thread is named by its handle, `ring.handle`. Since Linux 6.13; earlier, and for files,
 * use the operation `msgRing`.
 *
 * @param target a ring, or the handle of one
 * @throws `ERR_URING_STALE_HANDLE` for a ring that is closed, `EBADFD` for one that is disabled, `EINVAL` before Linux
 * 6.13
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_register_sync_msg.3.html io_uring_register_sync_msg(3)}
 * @example
 * ```ts
 * import { Ring, sendMessage } from 'uring';
 *
 * await using ring = new Ring();
 * sendMessage(ring, { data: 42 });
 * for (const { event } of ring.completions()) console.log(event); // { type: 'message', data: 42, ... }
 * ```
 */
export function sendMessage(target: MessageTarget, options: MessageOptions = {}): void {
  const token = tokenOf('target', target);
  checkOptions('options', options);
  const data = checkInteger('options.data', options.data ?? 0, 0, Number.MAX_SAFE_INTEGER);
  const res = checkInteger('options.res', options.res ?? 0, -0x8000_0000, 0x7fff_ffff);
  const result = native().sendMessage(token, res, data);
  if (result === -Errno.ESTALE) throw staleRing('sendMessage');
  if (result < 0) throw systemError(result, 'io_uring_register');
}
