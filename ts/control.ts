// Control messages of sockets (man 3 cmsg): what travels beside the bytes of a message.

import { isIPv4, isIPv6 } from 'node:net';
import { ReceivedDescriptors } from './descriptors.ts';
import { invalidType, invalidValue, outOfRange, shown } from './errors.ts';
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './ip.ts';
import { checkInteger, checkList, UINT32_MAX } from './validate.ts';

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
/** Levels whose messages are known to hold no address of user memory; Rust checks it again (crates/core/src/control.rs). */
const LEVELS_TO_SEND: ReadonlySet<number> = new Set([
  SOL_IP,
  SOL_SOCKET,
  SOL_UDP,
  SOL_IPV6,
  132, // IPPROTO_SCTP
  279, // SOL_ALG
  282, // SOL_TLS
]);

const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
/** SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING: old number, new number (asm-generic/socket.h). */
const SCM_TIMESTAMP = [29, 63];
const SCM_TIMESTAMPNS = [35, 64];
const SCM_TIMESTAMPING = [37, 65];
const IP_TOS = 1;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const IPV6_HOPLIMIT = 52;
const IPV6_TCLASS = 67;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

/** sizeof(struct cmsghdr); what follows is aligned to 8 bytes. */
const HEADER_BYTES = 16;
/** SCM_MAX_FD (include/net/scm.h). */
const DESCRIPTORS_MAX = 253;
/** net.core.optmem_max is 20 KiB by default, and no message needs nearly as much. */
export const CONTROL_BYTES_MAX = 65_536;

/** Who sent a message (`SCM_CREDENTIALS`). The kernel checks them; only root may send another's. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Where a datagram arrived, or is to leave from (`IP_PKTINFO`, `IPV6_PKTINFO`). */
export interface PacketInfo {
  readonly family: 'IPv4' | 'IPv6';
  /** Number of the interface; 0 lets the kernel choose when sending. */
  readonly interfaceIndex: number;
  /** Received: where the datagram was sent to. Sent: the address to send from; default: of the kernel's choice. */
  readonly address?: string;
  /** Received by IPv4: the address of this machine that the datagram came in on. */
  readonly localAddress?: string;
}

/** What of a control message is the same both ways. */
export type PlainControlMessage =
  | ({ readonly kind: 'credentials' } & Credentials)
  | ({ readonly kind: 'packetInfo' } & PacketInfo)
  /** Hops that an IPv4 datagram may still take (`IP_TTL`), or an IPv6 one (`IPV6_HOPLIMIT`). */
  | { readonly kind: 'ttl' | 'hopLimit'; readonly value: number }
  /** Type of service (`IP_TOS`), or traffic class (`IPV6_TCLASS`). */
  | { readonly kind: 'tos' | 'trafficClass'; readonly value: number }
  /** UDP: size of the datagrams that one long send is cut into, or that one long receive was joined from. */
  | { readonly kind: 'segmentSize'; readonly sizeBytes: number }
  /** Anything else, as the kernel has it. */
  | { readonly kind: 'other'; readonly level: number; readonly type: number; readonly data: Uint8Array };

/** A control message to send. */
export type ControlMessage =
  | PlainControlMessage
  /** Descriptors to pass to another process; they must stay open until the send has completed. */
  | { readonly kind: 'descriptors'; readonly fds: readonly number[] };

/** A control message that was received. */
export type ReceivedControlMessage =
  | PlainControlMessage
  | { readonly kind: 'descriptors'; readonly descriptors: ReceivedDescriptors }
  /** When it arrived, in nanoseconds since 1970 (`SO_TIMESTAMP`, `SO_TIMESTAMPNS`). */
  | { readonly kind: 'timestamp'; readonly nanoseconds: bigint }
  /** When it arrived or left, by the kernel's clock and by the network card's; 0n where there is none. */
  | { readonly kind: 'timestamping'; readonly software: bigint; readonly hardware: bigint };

const align = (bytes: number): number => (bytes + 7) & ~7;

/** Checks control messages and encodes them, one after the other. */
export function checkControl(name: string, messages: unknown): Uint8Array {
  const list = checkList(name, messages, 'an array of control messages', { max: CONTROL_BYTES_MAX });
  const encoded = list.map((message, at) => encode(`${name}[${at}]`, message));
  const total = encoded.reduce((sum, bytes) => sum + bytes.byteLength, 0);
  if (total > CONTROL_BYTES_MAX) throw outOfRange(name, `<= ${CONTROL_BYTES_MAX} bytes in all`, total);
  return Buffer.concat(encoded);
}

function message(level: number, type: number, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + align(data.byteLength));
  bytes.writeBigUInt64LE(BigInt(HEADER_BYTES + data.byteLength), 0);
  bytes.writeInt32LE(level, 8);
  bytes.writeInt32LE(type, 12);
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

function int32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function encode(name: string, value: unknown): Uint8Array {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'a control message', value);
  const given = value as ControlMessage;
  switch (given.kind) {
    case 'descriptors':
      return message(SOL_SOCKET, SCM_RIGHTS, checkDescriptors(`${name}.fds`, given.fds));
    case 'credentials':
      return message(SOL_SOCKET, SCM_CREDENTIALS, checkCredentials(name, given));
    case 'packetInfo':
      return checkPacketInfo(name, given);
    case 'ttl':
      return message(SOL_IP, IP_TTL, int32(checkInteger(`${name}.value`, given.value, 1, 255)));
    case 'tos':
      return message(SOL_IP, IP_TOS, int32(checkInteger(`${name}.value`, given.value, 0, 255)));
    case 'hopLimit':
      return message(SOL_IPV6, IPV6_HOPLIMIT, int32(checkInteger(`${name}.value`, given.value, 0, 255)));
    case 'trafficClass':
      return message(SOL_IPV6, IPV6_TCLASS, int32(checkInteger(`${name}.value`, given.value, 0, 255)));
    case 'segmentSize': {
      const size = checkInteger(`${name}.sizeBytes`, given.sizeBytes, 1, 0xffff);
      return message(SOL_UDP, UDP_SEGMENT, int32(size).subarray(0, 2));
    }
    case 'other':
      return checkOther(name, given);
    default:
      throw invalidValue(
        `${name}.kind`,
        `is no kind of control message to send: '${shown((given as { kind: unknown }).kind)}'`,
      );
  }
}

function checkDescriptors(name: string, fds: unknown): Uint8Array {
  const list = checkList(name, fds, 'an array of file descriptors', { min: 1, max: DESCRIPTORS_MAX });
  return Buffer.concat(list.map((fd, at) => int32(checkInteger(`${name}[${at}]`, fd, 0, 0x7fff_ffff))));
}

function checkCredentials(name: string, { pid, uid, gid }: Credentials): Uint8Array {
  return Buffer.concat([
    int32(checkInteger(`${name}.pid`, pid, 0, 0x7fff_ffff)),
    int32(checkInteger(`${name}.uid`, uid, 0, UINT32_MAX)),
    int32(checkInteger(`${name}.gid`, gid, 0, UINT32_MAX)),
  ]);
}

function checkPacketInfo(name: string, info: PacketInfo): Uint8Array {
  const index = int32(checkInteger(`${name}.interfaceIndex`, info.interfaceIndex, 0, 0x7fff_ffff));
  const { family, address } = info;
  if (family !== 'IPv4' && family !== 'IPv6') {
    throw invalidValue(`${name}.family`, `is neither 'IPv4' nor 'IPv6': ${shown(family)}`);
  }
  const isRight = family === 'IPv4' ? isIPv4 : isIPv6;
  if (address !== undefined && (typeof address !== 'string' || !isRight(address) || address.includes('%'))) {
    throw invalidValue(`${name}.address`, `is no ${family} address: ${shown(address)}`);
  }
  if (family === 'IPv6') {
    return message(SOL_IPV6, IPV6_PKTINFO, Buffer.concat([parseIPv6(address ?? '::'), index]));
  }
  // The kernel takes the source from the middle field, ipi_spec_dst (net/ipv4/ip_sockglue.c, ip_cmsg_send).
  return message(
    SOL_IP,
    IP_PKTINFO,
    Buffer.concat([index, parseIPv4(address ?? '0.0.0.0'), Buffer.alloc(4)]),
  );
}

function checkOther(
  name: string,
  { level, type, data }: { level: number; type: number; data: Uint8Array },
): Uint8Array {
  if (!(data instanceof Uint8Array)) throw invalidType(`${name}.data`, 'an instance of Uint8Array', data);
  if (data.byteLength > CONTROL_BYTES_MAX) {
    throw outOfRange(`${name}.data.byteLength`, `<= ${CONTROL_BYTES_MAX}`, data.byteLength);
  }
  checkInteger(`${name}.level`, level, 0, 0x7fff_ffff);
  checkInteger(`${name}.type`, type, 0, 0x7fff_ffff);
  if (!LEVELS_TO_SEND.has(level)) {
    throw invalidValue(
      `${name}.level`,
      `is a level whose messages may hold memory addresses, which are never taken: ${level}`,
    );
  }
  return message(level, type, data);
}

/** The control messages in `bytes`. Descriptors among them are owned by what is returned. */
export function decodeControl(bytes: Uint8Array): ReceivedControlMessage[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: ReceivedControlMessage[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= view.byteLength) {
    const length = view.readUInt32LE(at);
    // The kernel cuts the last one short when room is missing (MSG_CTRUNC), and leaves its length as it was.
    const data = view.subarray(at + HEADER_BYTES, at + Math.max(length, HEADER_BYTES));
    messages.push(decode(view.readInt32LE(at + 8), view.readInt32LE(at + 12), data));
    if (length < HEADER_BYTES || length > view.byteLength) break;
    at += align(length);
  }
  return messages;
}

function decode(level: number, type: number, data: Buffer): ReceivedControlMessage {
  const known =
    level === SOL_SOCKET
      ? ofSocket(type, data)
      : level === SOL_IP
        ? ofIPv4(type, data)
        : level === SOL_IPV6
          ? ofIPv6(type, data)
          : ofUdp(level, type, data);
  return known ?? { kind: 'other', level, type, data: Buffer.from(data) };
}

type Decoded = ReceivedControlMessage | undefined;

function ofSocket(type: number, data: Buffer): Decoded {
  const size = data.byteLength;
  if (type === SCM_RIGHTS) {
    const fds = Array.from({ length: size >>> 2 }, (_, at) => data.readInt32LE(4 * at));
    return { kind: 'descriptors', descriptors: new ReceivedDescriptors(fds) };
  }
  if (type === SCM_CREDENTIALS && size >= 12) {
    const [pid, uid, gid] = [data.readInt32LE(0), data.readUInt32LE(4), data.readUInt32LE(8)];
    return { kind: 'credentials', pid, uid, gid };
  }
  if (SCM_TIMESTAMP.includes(type) && size >= 16) {
    return { kind: 'timestamp', nanoseconds: nanosecondsAt(data, 0, 1000n) };
  }
  if (SCM_TIMESTAMPNS.includes(type) && size >= 16) {
    return { kind: 'timestamp', nanoseconds: nanosecondsAt(data, 0, 1n) };
  }
  if (SCM_TIMESTAMPING.includes(type) && size >= 48) {
    // Three timespecs, of which the second is no longer used (Documentation/networking/timestamping.rst).
    const [software, hardware] = [nanosecondsAt(data, 0, 1n), nanosecondsAt(data, 32, 1n)];
    return { kind: 'timestamping', software, hardware };
  }
  return undefined;
}

function nanosecondsAt(data: Buffer, at: number, scale: bigint): bigint {
  return data.readBigInt64LE(at) * 1_000_000_000n + data.readBigInt64LE(at + 8) * scale;
}

function ofIPv4(type: number, data: Buffer): Decoded {
  const size = data.byteLength;
  if (type === IP_TTL && size >= 4) return { kind: 'ttl', value: data.readInt32LE(0) };
  // One byte, not an int (net/ipv4/ip_sockglue.c, ip_cmsg_recv_tos).
  if (type === IP_TOS && size >= 1) return { kind: 'tos', value: data.readUInt8(0) };
  if (type === IP_PKTINFO && size >= 12) {
    return {
      kind: 'packetInfo',
      family: 'IPv4',
      interfaceIndex: data.readInt32LE(0),
      localAddress: formatIPv4(data.subarray(4, 8)),
      address: formatIPv4(data.subarray(8, 12)),
    };
  }
  return undefined;
}

function ofIPv6(type: number, data: Buffer): Decoded {
  const size = data.byteLength;
  if (type === IPV6_HOPLIMIT && size >= 4) return { kind: 'hopLimit', value: data.readInt32LE(0) };
  if (type === IPV6_TCLASS && size >= 4) return { kind: 'trafficClass', value: data.readInt32LE(0) };
  if (type === IPV6_PKTINFO && size >= 20) {
    return {
      kind: 'packetInfo',
      family: 'IPv6',
      interfaceIndex: data.readInt32LE(16),
      address: formatIPv6(data.subarray(0, 16)),
    };
  }
  return undefined;
}

function ofUdp(level: number, type: number, data: Buffer): Decoded {
  const isSize = level === SOL_UDP && type === UDP_GRO && data.byteLength >= 4;
  return isSize ? { kind: 'segmentSize', sizeBytes: data.readInt32LE(0) } : undefined;
}
