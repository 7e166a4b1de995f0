import { FixedFile } from '../files.ts';
import { SqeFlags } from '../flags.ts';
import { Op, opInfo } from '../generated/ops.ts';
import type { AnyOperation } from '../operation.ts';
import { closeDescriptor } from '../platform/descriptors.ts';
import type { NativeRing } from '../platform/native.ts';

const SOCK_DGRAM = 2;

/** Whether an operation works on a datagram socket, where receiving nothing is not the end. */
export function isDatagram(native: NativeRing, operation: AnyOperation): boolean {
  const isBySlot = operation.hasFlags(SqeFlags.FIXED_FILE);
  return !isBySlot && native.socketType(operation.fd) === SOCK_DGRAM;
}

/**
 * Gives up a result that nobody took: closes descriptors and slots (of a ring that is there), gives buffers back.
 * Answers whether there was anything of the kind.
 */
export function discard(native: NativeRing | undefined, operation: AnyOperation, result: unknown): boolean {
  let isGivenUp = false;
  for (const part of operation.traits?.parts?.(result) ?? [result]) {
    if (part instanceof FixedFile) native?.clearFile(part.handle);
    else if (isDisposable(part)) part[Symbol.dispose]();
    else if (typeof part === 'number' && makesDescriptors(operation)) closeDescriptor(part);
    else continue;
    isGivenUp = true;
  }
  return isGivenUp;
}

function makesDescriptors({ opcode }: AnyOperation): boolean {
  return opcode === Op.pipe || opInfo[opcode]?.result === 'descriptor';
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === 'object' && value !== null && Symbol.dispose in value;
}
