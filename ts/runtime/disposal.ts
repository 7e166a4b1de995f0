import { closeSync } from 'node:fs';
import { BufferLease } from '../buffer-ring.ts';
import { FixedFile } from '../files.ts';
import { SqeFlags } from '../flags.ts';
import { Op, opInfo } from '../generated/ops.ts';
import type { AnyOperation } from '../operation.ts';
import type { Pipe } from '../ops/pipe.ts';
import type { NativeRing } from '../platform/native.ts';

const SOCK_DGRAM = 2;

/** Whether an operation works on a datagram socket, where receiving nothing is not the end. */
export function isDatagram(native: NativeRing, operation: AnyOperation): boolean {
  const isBySlot = operation.hasFlags(SqeFlags.FIXED_FILE);
  return !isBySlot && native.socketType(operation.fd) === SOCK_DGRAM;
}

/** Gives up a result that nobody took: closes descriptors and slots (of a ring that is there), gives buffers back. */
export function discard(native: NativeRing | undefined, operation: AnyOperation, result: unknown): void {
  if (operation.opcode === Op.pipe) {
    const { readFd, writeFd } = result as Pipe<number | FixedFile>;
    for (const end of [readFd, writeFd]) {
      if (typeof end === 'number') closeSync(end);
      else native?.clearFile(end.handle);
    }
  } else if (result instanceof FixedFile) {
    native?.clearFile(result.handle);
  } else if (result instanceof BufferLease) {
    result.release();
  } else if (typeof result === 'number' && opInfo[operation.opcode]?.result === 'descriptor') {
    closeSync(result);
  }
}
