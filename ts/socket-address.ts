// Addresses of sockets, without an operation.
import { decodeAddress, type SocketAddress } from './address.ts';
import { systemError } from './errors.ts';
import { native } from './platform/native.ts';
import { checkInteger, checkName } from './validate.ts';

const WHOSE = { local: false, peer: true } as const;

/**
 * The address of a socket, or of the one that it is connected to: the port that the kernel chose, where an accepted
 * connection comes from. It is asked at once, by a system call that does not wait, where the operations `getsockname`
 * and `getpeername` need Linux 6.19.
 *
 * @param fd a descriptor; registered files have none, see `fixedFdInstall`
 * @returns undefined for a socket without an address
 * @throws `EBADF` for a descriptor that is not open, `ENOTSOCK` for one that is no socket, `ENOTCONN` for a peer that is
 * not there
 * @see {@link https://man7.org/linux/man-pages/man2/getsockname.2.html getsockname(2)}
 * @see {@link https://man7.org/linux/man-pages/man2/getpeername.2.html getpeername(2)}
 * @example
 * ```ts
 * import { Ring, bind, socket, socketAddress } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * await ring.exec(bind(fd, { address: '127.0.0.1', port: 0 }));
 * console.log(socketAddress(fd)); // { address: '127.0.0.1', port: 40123, family: 'IPv4' }
 * ```
 */
export function socketAddress(fd: number, whose: keyof typeof WHOSE = 'local'): SocketAddress | undefined {
  checkInteger('fd', fd, 0, 0x7fff_ffff);
  const isPeer = checkName('whose', whose, WHOSE);
  const answer = native().socketAddress(fd, isPeer);
  if (typeof answer === 'number') throw systemError(answer, isPeer ? 'getpeername' : 'getsockname');
  return decodeAddress(answer, answer.byteLength);
}
