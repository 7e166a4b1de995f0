import type { SocketAddress } from '../address.ts';
import type { MockOperationName } from './answers.ts';

/**
 * What a handler of a mock is told of an operation. What an operation does not have is empty: `''`, -1 for descriptors,
 * a buffer of no bytes, 0.
 *
 * @example
 * ```ts
 * import { openat, write } from 'uring';
 * import { mock } from 'uring/mock';
 *
 * const written = [];
 * const kernel = mock({
 *   openat: ({ path }) => (path === '/log' ? undefined : 'EACCES'),
 *   write: ({ data }) => {
 *     written.push(data.toString());
 *   },
 * });
 * await using ring = new kernel.Ring();
 * const fd = await ring.exec(openat('/log', { openFlags: 'a' }));
 * await ring.exec(write(fd, Buffer.from('hello')));
 * console.log(written); // [ 'hello' ]
 * ```
 */
export class MockOperation {
  /** Its name in this package. */
  readonly name: MockOperationName;
  /** The descriptor that it works on; of a registered file the one that it was registered with. */
  fd = -1;
  /** Where `splice` and `tee` take bytes from. */
  fdIn = -1;
  /** It works on a registered file, in this slot. */
  slot: number | undefined = undefined;
  /** `SqeFlags`. */
  sqeFlags = 0;
  /** The operation's own flags: `O_*`, `MessageFlags`, `AT_*`, poll events, ... */
  flags = 0;
  path = '';
  /** The second path: of `renameat` and `linkat` the new one, of `symlinkat` the link. */
  newPath = '';
  /** Where a relative path starts from; -100 (`AT_FDCWD`) is the working directory. */
  dirFd = -100;
  newDirFd = -100;
  /** Permissions of something new. */
  mode = 0;
  /** Where in the file; -1 is the file's own position, see `position`. */
  offset = 0;
  /** Where in the file this is: `offset`, or the file's own position, which goes on with every read and write of it. */
  position = 0;
  /** A length, a count, or another number, in the kernel's field `len`. */
  length = 0;
  /** A copy of the bytes that are to be written or sent, of all buffers. */
  data: Buffer = Buffer.alloc(0);
  /** The buffers to fill, unless the kernel is to choose one: to write into, or answer bytes instead. */
  buffers: readonly Buffer[] = [];
  /** How many bytes fit. */
  room = 0;
  /** Where to connect, bind or send to. */
  address: SocketAddress | undefined = undefined;
  /** Name of an extended attribute. */
  attribute = '';
  /** What kind of socket: `AF_*`, `SOCK_*` without flags, `IPPROTO_*`. */
  socket: { readonly domain: number; readonly type: number; readonly protocol: number } | undefined =
    undefined;
  /** A new file goes into a registered slot. */
  direct = false;
  /** It takes more than one answer. */
  multishot = false;
  readonly #controller = new AbortController();
  readonly #reserve: () => number;
  #newFd: number | undefined;
  #newWriteFd: number | undefined;

  /** @internal */
  constructor(name: MockOperationName, reserve: () => number) {
    this.name = name;
    this.#reserve = reserve;
  }

  /** The descriptor that a new file gets, unless the handler answers another; of a pipe, its end to read from. */
  get newFd(): number {
    this.#newFd ??= this.#reserve();
    return this.#newFd;
  }

  /** The descriptor that the end of a new pipe gets to which is written. */
  get newWriteFd(): number {
    this.#newWriteFd ??= this.#reserve();
    return this.#newWriteFd;
  }

  /** @internal The same; the next file gets another. */
  takeNewFd(): number {
    const { newFd } = this;
    this.#newFd = undefined;
    return newFd;
  }

  /** Aborted when the operation is cancelled, before it has an answer. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** @internal */
  stop(): void {
    this.#controller.abort();
  }

  /** @internal For messages. */
  get summary(): string {
    if (this.path !== '') return `${this.name} '${this.path}'`;
    return this.fd < 0 ? this.name : `${this.name} on ${this.fd}`;
  }
}
