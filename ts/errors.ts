import { getSystemErrorMap } from 'node:util';
import { Errno } from './errnos.ts';
import { registrations } from './generated/registrations.ts';
import type { Unavailable } from './platform/unavailable.ts';

interface UringErrorDetails {
  errno?: number;
  syscall?: string;
  path?: string;
  dest?: string;
  address?: string;
  port?: number;
  host?: string;
  availability?: Unavailable;
}

/**
 * An error of the kernel or of this package, in the shape of Node's own.
 *
 * From the kernel: `code` is the errno's name (`ENOENT`), `errno` its negative number, `syscall` the operation,
 * `path` the path and `dest` the second one if there are any, `address` and `port` what a socket was to be bound,
 * connected or sent to, `host` the name that was looked up for it. From this package: `code` starts with
 * `ERR_URING_`, and the message says what to do; `availability` says why there is no io_uring (`ERR_URING_UNAVAILABLE`).
 *
 * @example
 * ```ts
 * import { Ring, UringError, openat } from 'uring';
 *
 * await using ring = new Ring();
 * await ring.exec(openat('/nowhere')).catch((error: UringError) => error.code === 'ENOENT');
 * ```
 */
export class UringError extends Error {
  readonly code: string;
  declare readonly errno?: number;
  declare readonly syscall?: string;
  declare readonly path?: string;
  declare readonly dest?: string;
  declare readonly address?: string;
  declare readonly port?: number;
  declare readonly host?: string;
  declare readonly availability?: Unavailable;

  constructor(code: string, message: string, details: UringErrorDetails = {}) {
    super(message);
    this.name = 'UringError';
    this.code = code;
    Object.assign(this, details);
  }
}

/**
 * An operation was stopped by its signal, as in Node's own functions: `code` is `ABORT_ERR`, `cause` the signal's reason.
 *
 * @example
 * ```ts
 * import { AbortError, Ring, timeout } from 'uring';
 *
 * await using ring = new Ring();
 * const error = await ring.exec(timeout(3_600_000), { signal: AbortSignal.timeout(5) }).catch((error) => error);
 * console.log(error instanceof AbortError);
 * ```
 */
export class AbortError extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';
  /**
   * What it had done all the same, such as bytes transferred, or what became of each link of a chain; undefined if
   * nothing. Descriptors and buffers are not among it: they were given back.
   */
  readonly result: unknown;

  constructor(reason: unknown, result?: unknown) {
    super('The operation was aborted', { cause: reason });
    this.result = result;
  }
}

/** @internal What an error says besides its code and message. */
export function detailsOf(error: UringError): UringErrorDetails {
  const { errno, syscall, path, dest, address, port, host } = error;
  const all = { errno, syscall, path, dest, address, port, host };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** @internal Whether an operation says that it was stopped: a worker thread is interrupted. */
export function wasStopped({ code }: { readonly code?: string }): boolean {
  return code === 'ECANCELED' || code === 'EINTR';
}

/**
 * @internal Whether an error says that an operation has not run: it was cancelled, with its ring or by a request for all, or
 * was refused before the kernel saw it (after a change of credentials).
 */
export function hasNotRun({ code }: { readonly code?: string }): boolean {
  return code === 'ECANCELED' || code?.startsWith('ERR_') === true;
}

/** @internal A composite was not through in time. */
export function lateError(name: string): UringError {
  return timeoutError(new UringError('ECANCELED', 'the deadline came first', { syscall: name }));
}

/** @internal An operation was not through in time. */
export function timeoutError(cause: UringError): UringError {
  const { syscall = 'io_uring_enter' } = cause;
  const details = { ...detailsOf(cause), errno: -Errno.ETIME, syscall };
  const error = new UringError(
    'ERR_URING_TIMEOUT',
    `${syscall} was not through within timeoutMs, and was stopped`,
    details,
  );
  return Object.assign(error, { cause });
}

/** Names by number; of two names for one number the first (`EAGAIN`, not `EWOULDBLOCK`). */
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

/** What libuv's table of errors lacks and io_uring answers (errno(3)). */
const MORE_MESSAGES: Readonly<Record<string, string>> = {
  ETIME: 'timer expired',
  EBADMSG: 'bad message',
  ECHILD: 'no child processes',
  EDEADLK: 'resource deadlock avoided',
  EDQUOT: 'disk quota exceeded',
  EINPROGRESS: 'operation now in progress',
  ENETRESET: 'network dropped connection on reset',
  ENOEXEC: 'exec format error',
  ENOLCK: 'no locks available',
  ESTALE: 'stale file handle',
  EBADR: 'invalid request descriptor',
  EBADFD: 'file descriptor in bad state',
  EOWNERDEAD: 'owner died',
  EHWPOISON: 'memory page has hardware error',
};

/** libuv's, by name, because its numbers are the platform's; Node makes a new table for every call. */
let messages: ReadonlyMap<string, string> | undefined;

/** The name and the meaning of an errno, given as a positive number. */
export function describeErrno(errno: number): readonly [name: string, message: string] {
  messages ??= new Map(getSystemErrorMap().values());
  const name = NAMES.get(errno) ?? `E${errno}`;
  return [name, messages.get(name) ?? MORE_MESSAGES[name] ?? `unknown error ${errno}`];
}

/** @internal The number of an errno, by its name; undefined if there is none. */
export function errnoOf(code: string): number | undefined {
  return Object.hasOwn(Errno, code) ? Errno[code as keyof typeof Errno] : undefined;
}

/** Results from here on down say which registration the kernel lacks (crates/core/src/register/mod.rs). */
const LACKS_REGISTRATION = -(1 << 16);

function unsupportedRegistration(result: number): UringError {
  const number = LACKS_REGISTRATION - result;
  const [name, about] = Object.entries(registrations).find(([, one]) => one.number === number) ?? [
    'of that number',
  ];
  const remedy = about === undefined ? '' : `: it needs Linux ${about.kernel} or later`;
  return new UringError('ERR_URING_UNSUPPORTED_FEATURE', `this kernel does not have IORING_${name}${remedy}`);
}

/** @internal Whether a result says that the kernel lacks this registration. */
export function isLacking(name: keyof typeof registrations, result: number): boolean {
  return result === LACKS_REGISTRATION - registrations[name].number;
}

/** The error for a negative result of the kernel. */
export function systemError(result: number, syscall: string, path?: string, dest?: string): UringError {
  if (result <= LACKS_REGISTRATION && syscall === 'io_uring_register') return unsupportedRegistration(result);
  const [code, meaning] = describeErrno(-result);
  const from = path === undefined ? '' : ` '${path}'`;
  const to = dest === undefined ? '' : ` -> '${dest}'`;
  const paths = { ...(path === undefined ? {} : { path }), ...(dest === undefined ? {} : { dest }) };
  return new UringError(code, `${code}: ${meaning}, ${syscall}${from}${to}`, {
    errno: result,
    syscall,
    ...paths,
  });
}

/** What kind of value it is. The name of a class is whatever the object says. */
function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' ? name : 'an object';
}

/** @internal A value in a message: of objects only the kind, because not all can be made strings. */
export function shown(value: unknown): string {
  return typeof value === 'object' || typeof value === 'function' ? kindOf(value) : String(value);
}

/** Node's `ERR_INVALID_ARG_TYPE`, which has no public constructor. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${kindOf(value)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** Node's `ERR_INVALID_ARG_VALUE`. */
export function invalidValue(name: string, problem: string): TypeError {
  return Object.assign(new TypeError(`The argument "${name}" ${problem}`), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** Node's `ERR_OUT_OF_RANGE`. */
export function outOfRange(name: string, allowed: string, value: unknown): RangeError {
  const error = new RangeError(
    `The value of "${name}" is out of range. It must be ${allowed}. Received ${shown(value)}`,
  );
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

/** @internal A buffer that went away between making an operation and running it. */
export function detachedBefore(): UringError {
  const message = 'a buffer was detached or shrunk after the operation was made: make a new one';
  return new UringError('ERR_URING_BUFFER_DETACHED', message);
}

/** @internal A buffer that went away while its operation was in flight. */
export function detached(bytes: number): UringError {
  const message = `the buffer was detached or shrunk while ${bytes} bytes were on their way into it, and they are lost`;
  return new UringError(
    'ERR_URING_BUFFER_DETACHED',
    `${message}; use ring.alloc() for memory that cannot go away`,
  );
}
