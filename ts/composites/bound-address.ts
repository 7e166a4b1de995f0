import type { SocketAddress } from '../address.ts';
import type { UringError } from '../errors.ts';
import type { Fd } from '../operation.ts';
import { fixedFdInstall } from '../ops/fixed-files.ts';
import { getsockname } from '../ops/socket-command.ts';
import type { Ring } from '../ring.ts';
import { socketAddress } from '../socket-address.ts';
import { closeAnyway } from './sockets.ts';

/**
 * The address that a socket was bound to, with what the kernel chose. Before Linux 6.19, where the operation is not
 * there, the system call answers it; for that a registered file is lent a descriptor.
 */
export async function boundAddress(
  ring: Ring,
  fd: Fd,
  signal: AbortSignal,
): Promise<SocketAddress | undefined> {
  try {
    return await ring.exec(getsockname(fd), { signal });
  } catch (error) {
    if ((error as UringError).code !== 'ERR_URING_UNSUPPORTED_OP') throw error;
  }
  if (typeof fd === 'number') return socketAddress(fd);
  const lent = await ring.exec(fixedFdInstall(fd), { signal });
  try {
    return socketAddress(lent);
  } finally {
    await closeAnyway(ring, lent);
  }
}
