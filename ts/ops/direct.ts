// Direct descriptors: new files that go into registered slots.
import { FixedFile, SLOTS_MAX } from '../files.ts';
import type { AnyOperation, Operation, Outcome } from '../operation.ts';
import { checkInteger } from '../validate.ts';

/** @internal IORING_FILE_INDEX_ALLOC: the kernel chooses the slot. */
export const FILE_INDEX_ALLOC = -1;

/** Where a direct descriptor goes: a slot of the kernel's choice, or a free slot of ours by number. */
export interface DirectOptions {
  /** True for a slot of the kernel's choice, or the number of a free slot. */
  direct: true | number;
}

/** @internal Makes an operation put its new file into a registered slot instead of a descriptor. */
export function makeDirect(
  operation: Operation<FixedFile, 'single' | 'multishot'>,
  direct: true | number,
): void {
  const slot = takeSlot(operation, direct, SLOTS_MAX - 1);
  operation.decode = ({ ring, res, generation }: Outcome) => FixedFile.filled(ring, slot ?? res, generation);
}

/** @internal Names the slot that a new file goes to; answers its number unless the kernel chooses. */
export function takeSlot(
  operation: AnyOperation,
  direct: true | number,
  slotMax: number,
): number | undefined {
  const slot = direct === true ? undefined : checkInteger('options.direct', direct, 0, slotMax);
  operation.fileIndex = slot === undefined ? FILE_INDEX_ALLOC : slot + 1;
  operation.needs('options.direct', slot === undefined ? '5.19' : '5.15');
  return slot;
}
