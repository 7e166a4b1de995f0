/**
 * Flags of a submission (`IOSQE_*`), to be combined with `|`.
 *
 * `LINK`: the next operation starts when this one has succeeded in full (a short read or write breaks the link,
 * and what follows completes with `ECANCELED`). `HARDLINK`: the next starts whatever becomes of this one.
 * `DRAIN`: starts when everything submitted before has completed; what is submitted after it waits for it, cancel requests
 * too, and on Linux 6.16 and later may wait for everything else that was. Do not mix it with operations that wait for
 * long, such as `accept`, above all with `sqpoll`, where nothing may cancel what it waits for; zero-copy sends are refused
 * on a ring that has used it. `ASYNC`: straight to a worker thread of the kernel. `FIXED_FILE`: `fd` is the number of a
 * registered slot (a `FixedFile` sets it by itself). `BUFFER_SELECT`: the kernel takes a provided buffer; it follows from
 * giving a buffer ring. `CQE_SKIP_SUCCESS`: no completion when all goes well; it is refused, because the package would
 * never learn that the operation's memory is free.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_enter.2.html io_uring_enter(2)}
 */
export const SqeFlags = {
  FIXED_FILE: 1 << 0,
  DRAIN: 1 << 1,
  LINK: 1 << 2,
  HARDLINK: 1 << 3,
  ASYNC: 1 << 4,
  BUFFER_SELECT: 1 << 5,
  CQE_SKIP_SUCCESS: 1 << 6,
} as const;

/** The flags a caller may set. */
export const SQE_FLAGS_ALLOWED: number =
  SqeFlags.FIXED_FILE | SqeFlags.DRAIN | SqeFlags.LINK | SqeFlags.HARDLINK | SqeFlags.ASYNC;

/**
 * Flags of a completion (`IORING_CQE_F_*`).
 *
 * `BUFFER`: it names a provided buffer (`completion.bufferId`). `MORE`: more completions of the operation follow.
 * `SOCK_NONEMPTY`: the socket holds more than was received. `NOTIF`: the notification of a zero-copy send. `BUF_MORE`:
 * more comes in the same buffer. `SKIP`: it only fills the queue's end; the package takes those out. `F_32`: it has 32
 * bytes (`completion.extra`). `TSTAMP_HW`: the network card measured the time, only of `txTimestamp`; elsewhere the bit
 * belongs to the buffer's number.
 *
 * @see {@link https://man7.org/linux/man-pages/man7/io_uring.7.html io_uring(7)}
 */
export const CqeFlags = {
  BUFFER: 1 << 0,
  MORE: 1 << 1,
  SOCK_NONEMPTY: 1 << 2,
  NOTIF: 1 << 3,
  BUF_MORE: 1 << 4,
  SKIP: 1 << 5,
  F_32: 1 << 15,
  TSTAMP_HW: 1 << 16,
} as const;

/** What a cancel request looks for (`IORING_ASYNC_CANCEL_*`). */
export const CancelFlags = { ALL: 1 << 0, FD: 1 << 1, ANY: 1 << 2, FD_FIXED: 1 << 3, OP: 1 << 5 } as const;

/** IORING_CQE_BUFFER_SHIFT: a buffer id stands above the flags. */
export const CQE_BUFFER_SHIFT = 16;

/** Feature bits of a ring (`IORING_FEAT_*`), in the order of their bits from 0 on. */
export const FEATURES = [
  'SINGLE_MMAP',
  'NODROP',
  'SUBMIT_STABLE',
  'RW_CUR_POS',
  'CUR_PERSONALITY',
  'FAST_POLL',
  'POLL_32BITS',
  'SQPOLL_NONFIXED',
  'EXT_ARG',
  'NATIVE_WORKERS',
  'RSRC_TAGS',
  'CQE_SKIP',
  'LINKED_FILE',
  'REG_REG_RING',
  'RECVSEND_BUNDLE',
  'MIN_TIMEOUT',
  'RW_ATTR',
  'NO_IOWAIT',
] as const;
