/**
 * Flags of sending and receiving (`MSG_*`), to be combined with `|` and given as `messageFlags`. Some come back in the
 * `flags` of a received message.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/recv.2.html recv(2)}
 * @see {@link https://man7.org/linux/man-pages/man2/send.2.html send(2)}
 * @example
 * ```ts
 * import { MessageFlags, Ring, bind, recv, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'dgram'));
 * await ring.exec(bind(fd, { address: '127.0.0.1', port: 0 }));
 * const nothing = ring.exec(recv(fd, ring.alloc(64), { messageFlags: MessageFlags.DONTWAIT }));
 * await nothing.catch((error) => console.log(error.code)); // EAGAIN
 * ```
 */
export const MessageFlags = {
  /** Urgent data. */
  OOB: 0x1,
  /** Receive and leave the data there. */
  PEEK: 0x2,
  /** Send to hosts on a local network only. */
  DONTROUTE: 0x4,
  /** Control messages did not fit (received). */
  CTRUNC: 0x8,
  /** A datagram did not fit (received); given to a receive, results count the whole datagram. */
  TRUNC: 0x20,
  /** Fail with `EAGAIN` instead of waiting. */
  DONTWAIT: 0x40,
  /** End of a record. */
  EOR: 0x80,
  /** Wait until all bytes are there, on streams. */
  WAITALL: 0x100,
  /** The neighbour is known to answer (link layer). */
  CONFIRM: 0x800,
  /** Receive from the error queue; or, received, it came from there. */
  ERRQUEUE: 0x2000,
  /** No SIGPIPE; always set. */
  NOSIGNAL: 0x4000,
  /** More data follows: wait with a short segment. */
  MORE: 0x8000,
  /** TCP Fast Open: connect and send. */
  FASTOPEN: 0x2000_0000,
  /** Received descriptors are close-on-exec; always set. */
  CMSG_CLOEXEC: 0x4000_0000,
} as const;
