// Provided buffers of the older kind, given and taken by operations.
import type { BufferGroup } from '../buffer-group.ts';
import { invalidType } from '../errors.ts';
import { Op } from '../generated/ops.ts';
import { arenaIn } from '../memory/arena.ts';
import type { StagedBlock } from '../memory/staging.ts';
import { Operation, type OperationOptions, type Payload } from '../operation.ts';
import { ProvidedBuffers } from '../provided-buffers.ts';
import { checkInteger, checkOptions } from '../validate.ts';
import { nothing } from './results.ts';

/** Where the first of the buffers stands in the memory of its group. */
class ProvidedMemory implements Payload {
  readonly sizeBytes = 0;
  readonly #buffers: BufferGroup;
  readonly #offset: number;

  constructor(buffers: BufferGroup, first: number) {
    this.#buffers = buffers;
    this.#offset = first * buffers.sizeBytes;
  }

  write(_block: StagedBlock, record: Int32Array, base: number, ring: unknown): void {
    this.#buffers.assertRegistered();
    const arena = arenaIn(new Uint8Array(this.#buffers.memory), ring);
    record[base + 4] = this.#offset;
    record[base + 5] = arena?.handle ?? 0;
  }
}

/** Only groups have memory of this kind; asked so, because a group imports what is here. */
function checkGroup(buffers: unknown): asserts buffers is BufferGroup {
  if (!(buffers instanceof ProvidedBuffers) || !('memory' in buffers))
    throw invalidType('buffers', 'a BufferGroup', buffers);
}

function groupOperation<T>(
  opcode: number,
  buffers: BufferGroup,
  options: OperationOptions | undefined,
): Operation<T> {
  checkGroup(buffers);
  checkOptions('options', options);
  const operation = new Operation<T>(opcode, options);
  operation.group |= buffers.group;
  operation.owner = buffers.ring;
  return operation;
}

/** Which buffers {@link provideBuffers} gives. */
export interface ProvideBuffersOptions extends OperationOptions {
  /** Number of the first buffer. Default 0. */
  first?: number;
  /** How many. Default: all from the first on. */
  count?: number;
}

/**
 * Gives buffers of a group to the kernel: those of a group that was made with `provide: 'manually'`, or after
 * `removeBuffers`. Leases do it by themselves when they are released. A buffer that the kernel has already would be
 * filled twice.
 *
 * Results in nothing. Errors: `ENOMEM`, `ERR_URING_STALE_HANDLE` for a group that was removed. Since Linux 5.7.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_provide_buffers.3.html io_uring_prep_provide_buffers(3)}
 * @example
 * ```ts
 * import { Ring, provideBuffers, removeBuffers } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.createBufferGroup({ entries: 16, provide: 'manually' });
 * await ring.exec(provideBuffers(buffers, { count: 4 }));
 * console.log(await ring.exec(removeBuffers(buffers))); // 4
 * ```
 */
export function provideBuffers(buffers: BufferGroup, options?: ProvideBuffersOptions): Operation<void> {
  const operation = groupOperation<void>(Op.provideBuffers, buffers, options);
  const first = checkInteger('options.first', options?.first ?? 0, 0, buffers.entries - 1);
  const left = buffers.entries - first;
  operation.fd = checkInteger('options.count', options?.count ?? left, 1, left);
  operation.offset = first;
  operation.length = buffers.sizeBytes;
  operation.arguments(new ProvidedMemory(buffers, first));
  operation.decode = nothing;
  return operation;
}

/**
 * Takes buffers of a group from the kernel, those first that it would use next.
 *
 * Results in how many it had. Errors: `ENOENT` when none of the group were ever provided, `ERR_URING_STALE_HANDLE` for a
 * group that was removed. Since Linux 5.7.
 *
 * @param count the most to take. Default: all
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_remove_buffers.3.html io_uring_prep_remove_buffers(3)}
 * @example
 * ```ts
 * import { Ring, removeBuffers } from 'uring';
 *
 * await using ring = new Ring();
 * const buffers = ring.createBufferGroup({ entries: 16 });
 * console.log(await ring.exec(removeBuffers(buffers, 10))); // 10
 * ```
 */
export function removeBuffers(
  buffers: BufferGroup,
  count?: number,
  options?: OperationOptions,
): Operation<number> {
  const operation = groupOperation<number>(Op.removeBuffers, buffers, options);
  operation.fd = checkInteger('count', count ?? buffers.entries, 1, buffers.entries);
  return operation;
}
