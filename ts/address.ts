// Socket addresses: Node's objects on one side, struct sockaddr_* on the other (man 7 ip, ipv6, unix).

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { invalidType, invalidValue, outOfRange, shown, UringError } from './errors.ts';
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './ip.ts';
import { checkInteger, UINT32_MAX } from './validate.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
/** sizeof(struct sockaddr_storage): no address is longer. */
export const ADDRESS_BYTES_MAX = 128;
/** sizeof(sun_path). */
const UNIX_PATH_BYTES = 108;
const IPV4_BYTES = 16;
const IPV6_BYTES = 28;
/** 20 bits of label, 8 of traffic class (RFC 8200, section 3). */
const FLOW_LABEL_MAX = 0x0fff_ffff;

/** An address of the internet, as results have it. */
export interface IpSocketAddress {
  readonly address: string;
  readonly port: number;
  readonly family: 'IPv4' | 'IPv6';
  /** Number of the interface of a link-local IPv6 address. */
  readonly scopeId?: number;
  readonly flowLabel?: number;
}

/**
 * An address of a Unix socket, as results have it: a path, an abstract name that starts with `'\0'`, or `''` for a
 * socket without a name. Bytes that are no UTF-8 are replaced, as Node does it.
 */
export interface UnixSocketAddress {
  readonly path: string;
}

/** An address of another family: the bytes of the kernel's struct sockaddr, with the family in the first two. */
export interface OtherSocketAddress {
  readonly bytes: Uint8Array;
}

/** An address as results have it; `'path' in address` and `'bytes' in address` tell the kinds apart. */
export type SocketAddress = IpSocketAddress | UnixSocketAddress | OtherSocketAddress;

/**
 * An address as arguments take it: what results have, and what Node has (`net.SocketAddress`, `server.address()`,
 * `dgram.RemoteInfo`).
 */
export type SocketAddressLike =
  | {
      /** An IP address, never a host name; IPv6 with a scope if need be: `'fe80::1%eth0'`. */
      readonly address: string;
      readonly port: number;
      /** `'IPv4'`, `'ipv4'`, 4, `'IPv6'`, `'ipv6'` or 6; default: what the address is. */
      readonly family?: string | 4 | 6;
      /** Number or name of the interface of a link-local IPv6 address. */
      readonly scopeId?: number | string;
      readonly flowLabel?: number;
      /** As `net.SocketAddress` spells it. */
      readonly flowlabel?: number;
    }
  | { readonly path: string | Uint8Array }
  | { readonly bytes: Uint8Array };

/** An address that was checked, ready for the kernel. */
export interface EncodedAddress {
  readonly bytes: Uint8Array;
  /** For errors, as Node has them. */
  readonly text: string;
  readonly address?: string;
  readonly port?: number;
}

/** Checks an address and encodes it. */
export function checkAddress(name: string, value: unknown): EncodedAddress {
  if (typeof value !== 'object' || value === null) {
    throw invalidType(name, 'an address: { address, port }, { path } or { bytes }', value);
  }
  if ('path' in value) return encodeUnix(name, value.path);
  if ('bytes' in value) return encodeOther(name, value.bytes);
  if ('address' in value) return encodeIp(name, value as IpFields);
  throw invalidValue(name, 'has none of address, path and bytes');
}

interface IpFields {
  readonly address: unknown;
  readonly port?: unknown;
  readonly family?: unknown;
  readonly scopeId?: unknown;
  readonly flowLabel?: unknown;
  readonly flowlabel?: unknown;
}

function encodeIp(name: string, fields: IpFields): EncodedAddress {
  const { address } = fields;
  if (typeof address !== 'string') throw invalidType(`${name}.address`, 'of type string', address);
  const version = isIP(address);
  if (version === 0) {
    throw invalidValue(`${name}.address`, `is no IP address: '${address}' (look names up with dns.lookup)`);
  }
  checkFamily(name, fields.family, version);
  const port = checkInteger(`${name}.port`, fields.port, 0, 0xffff);
  const bytes =
    version === 4 ? encodeIPv4(name, address, port, fields) : encodeIPv6(name, address, port, fields);
  return { bytes, text: `${address}:${port}`, address, port };
}

function checkFamily(name: string, family: unknown, version: number): void {
  if (family === undefined) return;
  const wanted = typeof family === 'string' ? /^ipv([46])$/i.exec(family)?.[1] : shown(family);
  if (Number(wanted) !== version) {
    throw invalidValue(`${name}.family`, `is ${shown(family)}, but the address is IPv${version}`);
  }
}

function flowLabelOf({ flowLabel, flowlabel = 0 }: IpFields): unknown {
  return flowLabel === undefined ? flowlabel : flowLabel;
}

function encodeIPv4(name: string, address: string, port: number, fields: IpFields): Uint8Array {
  // net.SocketAddress has a flow label of 0 for IPv4 too.
  if (flowLabelOf(fields) !== 0 || (fields.scopeId !== undefined && fields.scopeId !== 0)) {
    throw invalidValue(name, 'has a scope or flow label, which are for IPv6 only');
  }
  const bytes = Buffer.alloc(IPV4_BYTES);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(parseIPv4(address), 4);
  return bytes;
}

function encodeIPv6(name: string, address: string, port: number, fields: IpFields): Uint8Array {
  const [plain = '', zone] = address.split('%');
  if (zone !== undefined && fields.scopeId !== undefined && shown(fields.scopeId) !== zone) {
    throw invalidValue(`${name}.scopeId`, `is not the scope of the address, '${zone}': give one of them`);
  }
  const bytes = Buffer.alloc(IPV6_BYTES);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  const flowLabel = flowLabelOf(fields);
  bytes.writeUInt32BE(checkInteger(`${name}.flowLabel`, flowLabel, 0, FLOW_LABEL_MAX), 4);
  bytes.set(parseIPv6(plain), 8);
  bytes.writeUInt32LE(
    checkScope(`${name}.scopeId`, fields.scopeId === undefined ? (zone ?? 0) : fields.scopeId),
    24,
  );
  return bytes;
}

/** The number of an interface, which may be given by its name. */
function checkScope(name: string, scope: unknown): number {
  if (typeof scope !== 'string') {
    if (typeof scope !== 'number') throw invalidType(name, 'a number or the name of an interface', scope);
    return checkInteger(name, scope, 0, UINT32_MAX);
  }
  if (/^\d+$/.test(scope)) return checkInteger(name, Number(scope), 0, UINT32_MAX);
  // A name has at most 15 bytes, no slash and is no dot name (net/core/dev.c, dev_valid_name).
  if (/^(?!\.{1,2}$)[^/\s:]{1,15}$/.test(scope)) {
    try {
      return Number(readFileSync(`/sys/class/net/${scope}/ifindex`, 'latin1'));
    } catch {
      // Said below.
    }
  }
  throw invalidValue(name, `names the interface '${scope}', which is not there`);
}

function encodeUnix(name: string, path: unknown): EncodedAddress {
  if (typeof path !== 'string' && !(path instanceof Uint8Array)) {
    throw invalidType(`${name}.path`, 'of type string or an instance of Buffer', path);
  }
  const sun = typeof path === 'string' ? Buffer.from(path) : path;
  const isAbstract = sun[0] === 0;
  // A path ends with a NUL; an abstract name is as long as it is, and may have more of them (man 7 unix).
  if (!isAbstract && sun.includes(0)) throw invalidValue(`${name}.path`, 'must not contain null bytes');
  const max = isAbstract ? UNIX_PATH_BYTES : UNIX_PATH_BYTES - 1;
  if (sun.byteLength > max) {
    throw invalidValue(`${name}.path`, `is longer than ${max} bytes, the most that a Unix socket takes`);
  }
  const end = sun.byteLength > 0 && !isAbstract ? 1 : 0;
  const bytes = Buffer.alloc(2 + sun.byteLength + end);
  bytes.writeUInt16LE(AF_UNIX, 0);
  bytes.set(sun, 2);
  const text = Buffer.from(sun).toString();
  return { bytes, text, address: text };
}

function encodeOther(name: string, bytes: unknown): EncodedAddress {
  if (!(bytes instanceof Uint8Array)) throw invalidType(`${name}.bytes`, 'an instance of Uint8Array', bytes);
  if (bytes.byteLength < 2 || bytes.byteLength > ADDRESS_BYTES_MAX) {
    throw outOfRange(`${name}.bytes.byteLength`, `>= 2 and <= ${ADDRESS_BYTES_MAX}`, bytes.byteLength);
  }
  const copy = Buffer.from(bytes);
  return { bytes: copy, text: `address family ${copy.readUInt16LE(0)}` };
}

/** The address in `bytes`, of which the kernel says it has `length`; undefined if there is none. */
export function decodeAddress(bytes: Uint8Array, length: number): SocketAddress | undefined {
  const size = Math.min(length, bytes.byteLength);
  if (size < 2) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, size);
  const family = view.readUInt16LE(0);
  if (family === AF_INET && size >= IPV4_BYTES) {
    return { address: formatIPv4(view.subarray(4, 8)), port: view.readUInt16BE(2), family: 'IPv4' };
  }
  if (family === AF_INET6 && size >= IPV6_BYTES) return decodeIPv6(view);
  if (family === AF_UNIX) return { path: decodePath(view.subarray(2)) };
  return { bytes: Buffer.from(view) };
}

function decodeIPv6(view: Buffer): IpSocketAddress {
  const flowLabel = view.readUInt32BE(4);
  const scopeId = view.readUInt32LE(24);
  return {
    address: formatIPv6(view.subarray(8, 24)),
    port: view.readUInt16BE(2),
    family: 'IPv6',
    ...(scopeId === 0 ? {} : { scopeId }),
    ...(flowLabel === 0 ? {} : { flowLabel }),
  };
}

function decodePath(sun: Buffer): string {
  const end = sun[0] === 0 ? -1 : sun.indexOf(0);
  return (end < 0 ? sun : sun.subarray(0, end)).toString();
}

/** Makes an error of the kernel say which address it is about, as Node's do. */
export function withAddress({ text, address, port }: EncodedAddress): (error: UringError) => UringError {
  return (error) =>
    new UringError(error.code, `${error.message} ${text}`, {
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      ...(error.syscall === undefined ? {} : { syscall: error.syscall }),
      ...(address === undefined ? {} : { address }),
      ...(port === undefined ? {} : { port }),
    });
}
