// What the kernel should expect of the use of memory.
import { invalidValue, outOfRange, UringError } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { arenaIn } from '../memory/arena.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Payload } from '../operation.ts';
import { checkName } from '../validate.ts';
import { nothing } from './results.ts';

/** MADV_* (include/uapi/asm-generic/mman-common.h), but for advice that would make memory unusable. */
const ADVICE = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  mergeable: 12,
  unmergeable: 13,
  hugepage: 14,
  nohugepage: 15,
  dontdump: 16,
  dodump: 17,
  cold: 20,
  pageout: 21,
  populateRead: 22,
  populateWrite: 23,
  collapse: 25,
} as const;

/** What to expect of the use of memory (`MADV_*`). */
export type MemoryAdvice = keyof typeof ADVICE;

/** Pages are at least so large; where they are larger the kernel answers EINVAL to what is aligned to less. */
const PAGE_BYTES = 4096;

/** Memory of the ring that is named and never copied. */
class OwnMemoryPayload implements Payload {
  readonly sizeBytes = 0;
  readonly #view: Uint8Array;
  readonly #length: number;

  constructor(view: Uint8Array) {
    this.#view = view;
    this.#length = view.byteLength;
  }

  write(_block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    const arena = arenaIn(this.#view, ring);
    if (arena === undefined || this.#view.byteLength !== this.#length) {
      const message = 'the buffer is not memory of this ring: take it from ring.alloc()';
      throw new UringError('ERR_URING_FOREIGN_MEMORY', message);
    }
    record[base + 4] = this.#view.byteOffset;
    record[base + 5] = arena.handle;
    record[base + 6] = this.#length;
  }
}

/**
 * Tells the kernel how memory of `ring.alloc()` will be used: whole pages, from `ring.alloc()` of at least 4096 bytes.
 *
 * `dontneed` and `free` take the contents away, and so are only for memory that is not registered with the kernel,
 * which would go on using the old pages: others fail with `ERR_URING_MEMORY_REGISTERED`. Memory that is not the ring's
 * fails with `ERR_URING_FOREIGN_MEMORY`. Other errors are those of madvise(2): `EINVAL` for advice that the kernel was
 * built without. Since Linux 5.6 (`populateRead`, `populateWrite` 5.14, `collapse` 6.1).
 *
 * @param buffer memory of `ring.alloc()`, start and size multiples of 4096
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_madvise.3.html io_uring_prep_madvise(3)}
 * @see {@link https://man7.org/linux/man-pages/man2/madvise.2.html madvise(2)}
 * @example
 * ```ts
 * import { madvise, Ring } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(madvise(ring.alloc(1 << 20), 'populateWrite'));
 * ```
 */
export function madvise(buffer: Bytes, advice: MemoryAdvice, options?: OperationOptions): Operation<void> {
  const operation = new Operation<void>(Op.madvise, options);
  operation.decode = nothing;
  const view = checkBytes('buffer', buffer, 'refused');
  operation.opFlags = checkName('advice', advice, ADVICE);
  if (view.byteOffset % PAGE_BYTES !== 0) {
    throw invalidValue('buffer', `starts inside a page: its byteOffset must be a multiple of ${PAGE_BYTES}`);
  }
  // The kernel would round up, into the buffer that is next.
  if (view.byteLength % PAGE_BYTES !== 0) {
    throw outOfRange('buffer.byteLength', `a multiple of ${PAGE_BYTES}`, view.byteLength);
  }
  operation.arguments(new OwnMemoryPayload(view));
  return operation;
}
