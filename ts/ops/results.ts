// What several operations make of their completions.
import type { BufferLease } from '../buffer-ring.ts';
import { CQE_BUFFER_SHIFT, CqeFlags } from '../flags.ts';
import type { Operation, Outcome } from '../operation.ts';
import type { ProvidedBuffers } from '../provided-buffers.ts';

/** @internal Decoder of operations that result in nothing. */
export function nothing(): void {}

/** @internal The buffer that the kernel took, or null if it took none. */
export function leaseOf(buffers: ProvidedBuffers, { res, flags }: Outcome): BufferLease | null {
  if ((flags & CqeFlags.BUFFER) === 0) return null;
  // With MSG_TRUNC the result is the size of a datagram that did not fit.
  const bytes = Math.min(res, buffers.sizeBytes);
  return buffers.lease(flags >>> CQE_BUFFER_SHIFT, bytes, (flags & CqeFlags.BUF_MORE) !== 0);
}

/** @internal Makes an operation take its memory from a buffer ring, and result in what it took. */
export function takeFrom<T extends Operation<BufferLease | null, 'single' | 'multishot'>>(
  operation: T,
  buffers: ProvidedBuffers,
): T {
  operation.takesFrom(buffers);
  operation.decode = (outcome) => leaseOf(buffers, outcome);
  return operation;
}
