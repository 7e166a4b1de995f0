// Written by crates/core/tests/generated.rs from the Rust tables; do not edit.

/** Operation numbers, by name. */
export const Op = {
  nop: 0,
  readv: 1,
  writev: 2,
  fsync: 3,
  readFixed: 4,
  writeFixed: 5,
  pollAdd: 6,
  timeout: 11,
  accept: 13,
  asyncCancel: 14,
  openat: 18,
  close: 19,
  statx: 21,
  read: 22,
  write: 23,
  send: 26,
  recv: 27,
} as const;

/** What is known of an operation besides its number. */
export interface OpInfo {
  readonly name: keyof typeof Op;
  /** First kernel that has it. */
  readonly kernel: string;
  readonly result: 'nothing' | 'bytes' | 'count' | 'descriptor' | 'pollEvents';
  readonly multishot: boolean;
}

/** Rows of the table of operations, by number. */
export const opInfo: Readonly<Record<number, OpInfo>> = {
  0: { name: 'nop', kernel: '5.1', result: 'nothing', multishot: false },
  1: { name: 'readv', kernel: '5.1', result: 'bytes', multishot: false },
  2: { name: 'writev', kernel: '5.1', result: 'bytes', multishot: false },
  3: { name: 'fsync', kernel: '5.1', result: 'nothing', multishot: false },
  4: { name: 'readFixed', kernel: '5.1', result: 'bytes', multishot: false },
  5: { name: 'writeFixed', kernel: '5.1', result: 'bytes', multishot: false },
  6: { name: 'pollAdd', kernel: '5.1', result: 'pollEvents', multishot: true },
  11: { name: 'timeout', kernel: '5.4', result: 'nothing', multishot: true },
  13: { name: 'accept', kernel: '5.5', result: 'descriptor', multishot: true },
  14: { name: 'asyncCancel', kernel: '5.5', result: 'count', multishot: false },
  18: { name: 'openat', kernel: '5.6', result: 'descriptor', multishot: false },
  19: { name: 'close', kernel: '5.6', result: 'nothing', multishot: false },
  21: { name: 'statx', kernel: '5.6', result: 'nothing', multishot: false },
  22: { name: 'read', kernel: '5.6', result: 'bytes', multishot: false },
  23: { name: 'write', kernel: '5.6', result: 'bytes', multishot: false },
  26: { name: 'send', kernel: '5.6', result: 'bytes', multishot: false },
  27: { name: 'recv', kernel: '5.6', result: 'bytes', multishot: true },
};
