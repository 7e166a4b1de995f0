// Written by crates/core/tests/generated.rs from the Rust tables; do not edit.

/** Version of the package. */
export const VERSION = '0.1.0';

/** Indexes of the control words at the start of the shared block. */
export const Word = {
  sqHead: 0,
  sqTail: 1,
  cqHead: 2,
  cqTail: 3,
  inFlight: 4,
  referenced: 5,
  pending: 6,
  recycleCount: 7,
  overflowed: 8,
  listening: 9,
  unref: 10,
  unreferenced: 11,
  waiting: 12,
} as const;

/** Why Rust refused an operation record. */
export const Reject = {
  unknownOperation: 1,
  unsupportedOperation: 2,
  badField: 3,
  staleMemory: 4,
  outOfBounds: 5,
  notRegistered: 6,
  staleFile: 7,
  slotUnavailable: 8,
  unknownBufferGroup: 9,
  badIndex: 10,
  chainBroken: 11,
  closed: 12,
  couldBeAddress: 13,
  needsLargeEntry: 14,
  registered: 15,
  afterDrain: 16,
  staleRing: 17,
  credentialsChanged: 18,
} as const;

/** Setup flags of a ring (`IORING_SETUP_*`). */
export const SetupFlags = {
  IOPOLL: 1 << 0,
  SQPOLL: 1 << 1,
  SQ_AFF: 1 << 2,
  CQSIZE: 1 << 3,
  CLAMP: 1 << 4,
  ATTACH_WQ: 1 << 5,
  R_DISABLED: 1 << 6,
  SUBMIT_ALL: 1 << 7,
  COOP_TASKRUN: 1 << 8,
  TASKRUN_FLAG: 1 << 9,
  SQE128: 1 << 10,
  CQE32: 1 << 11,
  SINGLE_ISSUER: 1 << 12,
  DEFER_TASKRUN: 1 << 13,
  NO_MMAP: 1 << 14,
  REGISTERED_FD_ONLY: 1 << 15,
  NO_SQARRAY: 1 << 16,
  HYBRID_IOPOLL: 1 << 17,
  CQE_MIXED: 1 << 18,
  SQE_MIXED: 1 << 19,
  SQ_REWIND: 1 << 20,
} as const;

export const RECORD_WORDS = 16;
/** Words of a completion record in a ring with large completions. */
export const LARGE_COMPLETION_WORDS = 8;
export const RECYCLE_CAPACITY = 4096;
/** As many free indexes as one call of a submitting half hands out. */
export const FREED_BATCH = 512;
/** Bit of a completion record's fourth word: Rust made it, with the reason in the low 16 bits. */
export const EXTRA_IS_LOCAL = 1073741824;
export const EXTRA_LOW_MASK = 0xffff;
/** It belongs to no operation: a message of another ring, one that put a file into a slot, or a tag. */
export const EXTRA_IS_EVENT = 536870912;
export const EXTRA_IS_FILE_EVENT = 134217728;
export const EXTRA_IS_TAG_EVENT = 67108864;
export const EXTRA_IS_PARCEL_EVENT = 33554432;
/** Where an event's number has its upper 21 bits. */
export const EXTRA_NUMBER_MASK = 0x1fffff;
