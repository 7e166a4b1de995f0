// Options of sockets, by commands to them.
import { invalidType, invalidValue, type UringError } from '../errors.ts';
import { type Bytes, checkBytes } from '../memory/bytes.ts';
import type { StagedBlock } from '../memory/staging.ts';
import type { Fd, Operation, OperationOptions, Payload } from '../operation.ts';
import {
  decodeValue,
  encodeValue,
  OPTIONS,
  type OptionType,
  type ReadableSocketOptionName,
  type SocketOptionName,
  type SocketOptionValue,
  VALUE_BYTES,
} from '../option-values.ts';
import { checkInteger } from '../validate.ts';
import { nothing } from './results.ts';
import { command } from './socket-command.ts';

/** Commands to a socket (`SOCKET_URING_OP_*`). */
const GETSOCKOPT = 2;
const SETSOCKOPT = 3;
const SOL_SOCKET = 1;
/** More than any option of the kernel takes (net.core.optmem_max is 20 KiB by default). */
const VALUE_BYTES_MAX = 65_536;

/** A socket option by number, for those that have no name here. */
export interface SocketOptionNumber {
  /** `SOL_*` or `IPPROTO_*` number. */
  readonly level: number;
  readonly option: number;
}

interface Chosen {
  readonly level: number;
  readonly option: number;
  readonly type: OptionType | undefined;
}

function checkOption(option: unknown): Chosen {
  if (typeof option === 'string') {
    if (!Object.hasOwn(OPTIONS, option)) {
      throw invalidValue('option', `is '${option}', which has no name here: give its { level, option }`);
    }
    const [level, number, type] = OPTIONS[option as SocketOptionName];
    return { level, option: number, type };
  }
  if (typeof option !== 'object' || option === null) {
    throw invalidType('option', 'a name or { level, option }', option);
  }
  const { level, option: number } = option as Partial<SocketOptionNumber>;
  return {
    level: checkInteger('option.level', level, 0, 0x7fff_ffff),
    option: checkInteger('option.option', number, 0, 0x7fff_ffff),
    type: undefined,
  };
}

/** Level and number of an option, and memory for its value. */
class OptionPayload implements Payload {
  readonly usesLastWords = true;
  readonly sizeBytes: number;
  readonly #chosen: Chosen;
  readonly #value: Uint8Array | undefined;

  constructor(chosen: Chosen, sizeBytes: number, value?: Uint8Array) {
    this.#chosen = chosen;
    this.#value = value;
    this.sizeBytes = sizeBytes;
  }

  write(block: StagedBlock, record: Int32Array, base: number): void {
    if (this.#value === undefined) block.view.fill(0, 0, this.sizeBytes);
    else block.view.set(this.#value);
    record[base + 4] = this.#chosen.level;
    record[base + 5] = this.#chosen.option;
    record[base + 12] = block.offset;
    record[base + 13] = block.handle;
  }
}

/**
 * EOPNOTSUPP, which Node calls ENOTSUP. Before 6.18 Unix sockets have it too: the kernel took commands for protocols
 * with an ioctl only (io_uring/cmd_net.c).
 */
function explain(error: UringError): UringError {
  if (error.code === 'ENOTSUP') {
    error.message +=
      '; it is no socket, or one whose options this kernel does not take through io_uring (TCP and UDP since Linux 6.7)';
  }
  return error;
}

/**
 * Reads an option of a socket. Through io_uring the kernel answers those of the socket level only (`SO_*`).
 *
 * Results in the option's value: a number, a boolean, `{ on, seconds }` for `SO_LINGER`, milliseconds for a timeout.
 * By number, and with `sizeBytes` as room for it, it results in its bytes. Errors are those of getsockopt(2),
 * `ENOPROTOOPT` for an option that is unknown, `ENOTSUP` for what is no socket. Since Linux 6.7 (Unix sockets later, 6.18 at the latest).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_cmd.3.html io_uring_prep_cmd_sock(3)}
 * @see {@link https://man7.org/linux/man-pages/man7/socket.7.html socket(7)}
 * @example
 * ```ts
 * import { Ring, getsockopt, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * console.log(await ring.exec(getsockopt(fd, 'SO_RCVBUF'))); // 131072, say
 * console.log(await ring.exec(getsockopt(fd, { level: 1, option: 39, sizeBytes: 4 }))); // SO_DOMAIN: 02 00 00 00
 * ```
 */
export function getsockopt<N extends ReadableSocketOptionName>(
  fd: Fd,
  option: N,
  options?: OperationOptions,
): Operation<SocketOptionValue<N>>;
export function getsockopt(
  fd: Fd,
  option: SocketOptionNumber & { sizeBytes: number },
  options?: OperationOptions,
): Operation<Buffer>;
export function getsockopt(
  fd: Fd,
  option: ReadableSocketOptionName | (SocketOptionNumber & { sizeBytes: number }),
  options?: OperationOptions,
): unknown {
  const operation = command<unknown>(GETSOCKOPT, 'getsockopt', fd, options);
  operation.traits = { explain };
  const chosen = checkOption(option);
  if (chosen.level !== SOL_SOCKET) {
    throw invalidValue(
      'option',
      'is of another level than SOL_SOCKET, and only those can be read through io_uring',
    );
  }
  const { type } = chosen;
  const sizeBytes =
    type === undefined
      ? checkInteger('option.sizeBytes', (option as { sizeBytes?: unknown }).sizeBytes, 1, VALUE_BYTES_MAX)
      : VALUE_BYTES[type];
  operation.fileIndex = sizeBytes;
  operation.arguments(new OptionPayload(chosen, sizeBytes));
  operation.decode = ({ res, staged }) => {
    // A value may be shorter than the room for it; the rest is zero.
    const bytes = Buffer.from(staged?.view.subarray(0, type === undefined ? res : sizeBytes) ?? []);
    return type === undefined ? bytes : decodeValue(type, bytes);
  };
  return operation;
}

/**
 * Options whose value holds memory addresses, or of which nobody has looked whether it does; Rust refuses them too
 * (`option_holds_no_address` in crates/core/src/ops/socket.rs). By level: those that are refused.
 */
const HOLDS_ADDRESS: ReadonlyMap<number, readonly number[]> = new Map<number, readonly number[]>([
  // SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF.
  [SOL_SOCKET, [26, 51]],
  // Tables of netfilter.
  [0, [64, 65, 96, 97, 128, 129]],
  [41, [64, 65]],
  // TCP, UDP, ICMPv6, UDP-Lite, raw, TLS, MPTCP.
  ...[6, 17, 58, 136, 255, 282, 284].map((level): [number, number[]] => [level, []]),
]);

function checkPlain({ level, option }: Chosen): void {
  const refused = HOLDS_ADDRESS.get(level);
  if (refused === undefined) {
    throw invalidValue(
      'option.level',
      `is ${level}, whose options may hold memory addresses: they are never taken`,
    );
  }
  if (refused.includes(option)) {
    throw invalidValue('option', `${option} of level ${level} holds memory addresses, which are never taken`);
  }
}

/**
 * Sets an option of a socket, of any level.
 *
 * By name the value has the option's type: a number, a boolean, a string, `{ on, seconds }` for `SO_LINGER`,
 * milliseconds for a timeout. By number it is a 32-bit number or bytes. Options whose value holds memory addresses
 * (socket filters, tables of netfilter) are refused. Errors are those of setsockopt(2), `ENOTSUP` for what is no
 * socket. Since Linux 6.7 (Unix sockets later, 6.18 at the latest).
 *
 * @see {@link https://man7.org/linux/man-pages/man3/io_uring_prep_cmd.3.html io_uring_prep_cmd_sock(3)}
 * @example
 * ```ts
 * import { Ring, setsockopt, socket } from 'uring';
 *
 * await using ring = new Ring();
 * const fd = await ring.exec(socket('IPv4', 'stream'));
 * await ring.exec(setsockopt(fd, 'SO_REUSEADDR', true));
 * await ring.exec(setsockopt(fd, 'TCP_NODELAY', true));
 * await ring.exec(setsockopt(fd, { level: 6, option: 4 }, 30)); // TCP_KEEPIDLE
 * ```
 */
export function setsockopt<N extends SocketOptionName>(
  fd: Fd,
  option: N,
  value: SocketOptionValue<N>,
  options?: OperationOptions,
): Operation<void>;
export function setsockopt(
  fd: Fd,
  option: SocketOptionNumber,
  value: number | Bytes,
  options?: OperationOptions,
): Operation<void>;
export function setsockopt(
  fd: Fd,
  option: SocketOptionName | SocketOptionNumber,
  value: unknown,
  options?: OperationOptions,
): Operation<void> {
  const operation = command<void>(SETSOCKOPT, 'setsockopt', fd, options);
  operation.traits = { explain };
  const chosen = checkOption(option);
  checkPlain(chosen);
  const bytes = chosen.type === undefined ? plainValue(value) : encodeValue(chosen.type, value);
  operation.fileIndex = bytes.byteLength;
  operation.arguments(new OptionPayload(chosen, bytes.byteLength, bytes));
  operation.decode = nothing;
  return operation;
}

function plainValue(value: unknown): Uint8Array {
  if (typeof value === 'number') return encodeValue('number', value);
  const bytes = checkBytes('value', value, 'refused');
  if (bytes.byteLength > VALUE_BYTES_MAX)
    throw invalidValue('value', `is longer than ${VALUE_BYTES_MAX} bytes`);
  // The option is set when the operation runs, with what was given when it was made.
  return Uint8Array.from(bytes);
}
