// Values of socket options: which type each has, and how it is encoded (man 7 socket, tcp, ip, ipv6, udp).
import { invalidType, invalidValue, outOfRange } from './errors.ts';
import { checkBoolean, checkInteger } from './validate.ts';

const SOCKET = 1;
const IP = 0;
const TCP = 6;
const UDP = 17;
const IPV6 = 41;

/** Level, option and type of value; numbers of asm-generic/socket.h, as x86-64 and arm64 have them. */
export const OPTIONS = {
  SO_REUSEADDR: [SOCKET, 2, 'boolean'],
  SO_TYPE: [SOCKET, 3, 'number'],
  SO_ERROR: [SOCKET, 4, 'number'],
  SO_DONTROUTE: [SOCKET, 5, 'boolean'],
  SO_BROADCAST: [SOCKET, 6, 'boolean'],
  SO_SNDBUF: [SOCKET, 7, 'number'],
  SO_RCVBUF: [SOCKET, 8, 'number'],
  SO_KEEPALIVE: [SOCKET, 9, 'boolean'],
  SO_OOBINLINE: [SOCKET, 10, 'boolean'],
  SO_PRIORITY: [SOCKET, 12, 'number'],
  SO_LINGER: [SOCKET, 13, 'linger'],
  SO_REUSEPORT: [SOCKET, 15, 'boolean'],
  SO_PASSCRED: [SOCKET, 16, 'boolean'],
  SO_PEERCRED: [SOCKET, 17, 'credentials'],
  SO_RCVLOWAT: [SOCKET, 18, 'number'],
  SO_RCVTIMEO: [SOCKET, 20, 'timeval'],
  SO_SNDTIMEO: [SOCKET, 21, 'timeval'],
  SO_BINDTODEVICE: [SOCKET, 25, 'string'],
  SO_TIMESTAMP: [SOCKET, 29, 'boolean'],
  SO_ACCEPTCONN: [SOCKET, 30, 'boolean'],
  SO_SNDBUFFORCE: [SOCKET, 32, 'number'],
  SO_RCVBUFFORCE: [SOCKET, 33, 'number'],
  SO_TIMESTAMPNS: [SOCKET, 35, 'boolean'],
  SO_MARK: [SOCKET, 36, 'number'],
  SO_TIMESTAMPING: [SOCKET, 37, 'number'],
  SO_PROTOCOL: [SOCKET, 38, 'number'],
  SO_DOMAIN: [SOCKET, 39, 'number'],
  SO_BUSY_POLL: [SOCKET, 46, 'number'],
  SO_INCOMING_CPU: [SOCKET, 49, 'number'],
  SO_INCOMING_NAPI_ID: [SOCKET, 56, 'number'],
  SO_COOKIE: [SOCKET, 57, 'bigint'],
  SO_ZEROCOPY: [SOCKET, 60, 'boolean'],
  SO_PREFER_BUSY_POLL: [SOCKET, 69, 'boolean'],

  TCP_NODELAY: [TCP, 1, 'boolean'],
  TCP_MAXSEG: [TCP, 2, 'number'],
  TCP_CORK: [TCP, 3, 'boolean'],
  TCP_KEEPIDLE: [TCP, 4, 'number'],
  TCP_KEEPINTVL: [TCP, 5, 'number'],
  TCP_KEEPCNT: [TCP, 6, 'number'],
  TCP_SYNCNT: [TCP, 7, 'number'],
  TCP_LINGER2: [TCP, 8, 'number'],
  TCP_DEFER_ACCEPT: [TCP, 9, 'number'],
  TCP_WINDOW_CLAMP: [TCP, 10, 'number'],
  TCP_QUICKACK: [TCP, 12, 'boolean'],
  TCP_CONGESTION: [TCP, 13, 'string'],
  TCP_USER_TIMEOUT: [TCP, 18, 'number'],
  TCP_FASTOPEN: [TCP, 23, 'number'],
  TCP_NOTSENT_LOWAT: [TCP, 25, 'number'],
  TCP_FASTOPEN_CONNECT: [TCP, 30, 'boolean'],

  IP_TOS: [IP, 1, 'number'],
  IP_TTL: [IP, 2, 'number'],
  IP_PKTINFO: [IP, 8, 'boolean'],
  IP_MTU_DISCOVER: [IP, 10, 'number'],
  IP_RECVERR: [IP, 11, 'boolean'],
  IP_RECVTTL: [IP, 12, 'boolean'],
  IP_RECVTOS: [IP, 13, 'boolean'],
  IP_FREEBIND: [IP, 15, 'boolean'],
  IP_TRANSPARENT: [IP, 19, 'boolean'],
  IP_BIND_ADDRESS_NO_PORT: [IP, 24, 'boolean'],
  IP_MULTICAST_TTL: [IP, 33, 'number'],
  IP_MULTICAST_LOOP: [IP, 34, 'boolean'],

  IPV6_UNICAST_HOPS: [IPV6, 16, 'number'],
  IPV6_MULTICAST_HOPS: [IPV6, 18, 'number'],
  IPV6_MULTICAST_LOOP: [IPV6, 19, 'boolean'],
  IPV6_V6ONLY: [IPV6, 26, 'boolean'],
  IPV6_RECVPKTINFO: [IPV6, 49, 'boolean'],
  IPV6_RECVHOPLIMIT: [IPV6, 51, 'boolean'],
  IPV6_RECVTCLASS: [IPV6, 66, 'boolean'],
  IPV6_TCLASS: [IPV6, 67, 'number'],

  UDP_CORK: [UDP, 1, 'boolean'],
  UDP_SEGMENT: [UDP, 103, 'number'],
  UDP_GRO: [UDP, 104, 'boolean'],
} as const satisfies Record<string, readonly [level: number, option: number, type: keyof ValueTypes]>;

/** `SO_LINGER`: whether close waits for data that is not sent yet, and how long. */
export interface Linger {
  readonly on: boolean;
  readonly seconds: number;
}

/** What each type of value is in JavaScript. */
export interface ValueTypes {
  number: number;
  boolean: boolean;
  bigint: bigint;
  string: string;
  linger: Linger;
  /** Milliseconds, with fractions down to a microsecond; 0 is no limit. */
  timeval: number;
  credentials: { readonly pid: number; readonly uid: number; readonly gid: number };
}

export type OptionType = keyof ValueTypes;
/** Names of socket options. */
export type SocketOptionName = keyof typeof OPTIONS;
/** Names of those that can be read through io_uring. */
export type ReadableSocketOptionName = Extract<SocketOptionName, `SO_${string}`>;
/** The value of a socket option. */
export type SocketOptionValue<N extends SocketOptionName> = ValueTypes[(typeof OPTIONS)[N][2]];

/** IFNAMSIZ and TCP_CA_NAME_MAX. */
const STRING_BYTES_MAX = 16;
/** Room for the longest value of each type. */
export const VALUE_BYTES: Readonly<Record<OptionType, number>> = {
  number: 4,
  boolean: 4,
  bigint: 8,
  string: STRING_BYTES_MAX,
  linger: 8,
  timeval: 16,
  credentials: 12,
};

export function encodeValue(type: OptionType, value: unknown): Uint8Array {
  const bytes = Buffer.alloc(VALUE_BYTES[type]);
  switch (type) {
    case 'number':
      bytes.writeInt32LE(checkInteger('value', value, -0x8000_0000, 0x7fff_ffff));
      break;
    case 'boolean':
      bytes.writeInt32LE(checkBoolean('value', value) ? 1 : 0);
      break;
    case 'timeval':
      writeTimeval(bytes, value);
      break;
    case 'linger':
      writeLinger(bytes, value);
      break;
    case 'string':
      return checkText(value);
    default:
      throw invalidValue('option', 'can only be read');
  }
  return bytes;
}

function writeTimeval(bytes: Buffer, value: unknown): void {
  if (typeof value !== 'number') throw invalidType('value', 'of type number (milliseconds)', value);
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER / 1000)) {
    throw outOfRange('value', '>= 0 milliseconds and <= 2 ** 53 - 1 microseconds', value);
  }
  const microseconds = Math.round(value * 1000);
  bytes.writeBigInt64LE(BigInt(Math.floor(microseconds / 1e6)), 0);
  bytes.writeBigInt64LE(BigInt(microseconds % 1e6), 8);
}

function writeLinger(bytes: Buffer, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidType('value', '{ on, seconds }', value);
  const { on, seconds } = value as Partial<Linger>;
  bytes.writeInt32LE(checkBoolean('value.on', on) ? 1 : 0, 0);
  bytes.writeInt32LE(checkInteger('value.seconds', seconds, 0, 0xffff), 4);
}

function checkText(value: unknown): Uint8Array {
  if (typeof value !== 'string') throw invalidType('value', 'of type string', value);
  const bytes = Buffer.from(`${value}\0`);
  if (bytes.indexOf(0) !== bytes.byteLength - 1) throw invalidValue('value', 'must not contain null bytes');
  if (bytes.byteLength > STRING_BYTES_MAX) {
    throw invalidValue('value', `is longer than ${STRING_BYTES_MAX - 1} bytes`);
  }
  return bytes;
}

export function decodeValue(type: OptionType, bytes: Buffer): ValueTypes[OptionType] {
  switch (type) {
    case 'number':
      return bytes.readInt32LE(0);
    case 'boolean':
      return bytes.readInt32LE(0) !== 0;
    case 'bigint':
      return bytes.readBigUInt64LE(0);
    case 'timeval':
      return Number(bytes.readBigInt64LE(0)) * 1000 + Number(bytes.readBigInt64LE(8)) / 1000;
    case 'linger':
      return { on: bytes.readInt32LE(0) !== 0, seconds: bytes.readInt32LE(4) };
    case 'credentials':
      return { pid: bytes.readInt32LE(0), uid: bytes.readUInt32LE(4), gid: bytes.readUInt32LE(8) };
    case 'string':
      return bytes.toString('utf8').replace(/\0.*$/s, '');
  }
}
