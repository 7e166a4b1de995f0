// What the two halves of a ring on two threads have in common.
import { Errno } from '../errnos.ts';
import { systemError } from '../errors.ts';
import { closedError } from './rejects.ts';

const { EBADF } = Errno;

/** Halves that were forgotten without being closed. */
export const forgottenHalves: FinalizationRegistry<{ isOpen(): boolean; close(): void }> =
  new FinalizationRegistry((half) => {
    if (!half.isOpen()) return;
    const message = 'A half of a ring was garbage collected without being closed: call its close()';
    process.emitWarning(message, 'UringWarning');
    half.close();
  });

/** What entering the kernel answered, or its error; EBADF says that a half is closed. */
export function entered(result: number): number {
  if (result === -EBADF) throw closedError();
  if (result < 0) throw systemError(result, 'io_uring_enter');
  return result;
}
