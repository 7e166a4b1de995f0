// A socket and what is done with it before anybody gets it.

import { type EncodedAddress, withAddress } from '../address.ts';
import { ChainError, type LinkResult, type SingleOperation } from '../chain.ts';
import { AbortError, type UringError } from '../errors.ts';
import type { FixedFile } from '../files.ts';
import type { Fd, Operation } from '../operation.ts';
import { listen, type SocketDomain, type SocketType, socket } from '../ops/socket.ts';
import { setsockopt } from '../ops/socket-options.ts';
import type { SocketOptionName, SocketOptionValue } from '../option-values.ts';
import { closeDescriptor } from '../platform/descriptors.ts';
import type { Ring } from '../ring.ts';
import { nextTurn } from '../runtime/turn.ts';
import { checkOptions, isSet } from '../validate.ts';

/** Options of a socket by name, such as `{ SO_RCVBUF: 65_536, IP_TOS: 0x10 }`. */
export type SocketOptionValues = { readonly [N in SocketOptionName]?: SocketOptionValue<N> };

/** A socket as a descriptor, which is yours to close, with the address that it is about. */
export interface OpenedSocket<A> {
  readonly fd: number;
  readonly address: A;
}

/** As {@link OpenedSocket}, in a registered slot. */
export interface OpenedSocketFile<A> {
  readonly file: FixedFile;
  readonly address: A;
}

/** Either of the two. */
export type Opened<A> = OpenedSocket<A> | OpenedSocketFile<A>;

/** What is done with a new socket. */
export interface Steps<T> {
  readonly domain: SocketDomain;
  readonly type: SocketType;
  readonly isDirect: boolean;
  /** Run in order; the first that fails is the last. */
  operations(fd: Fd): readonly SingleOperation[];
  /** What it is for, once they are done. */
  result(fd: Fd): T | Promise<T>;
  /** Takes back what the operations did outside of the socket, `done` of which were done. */
  undo?(done: number): Promise<void>;
}

/** Makes a socket and takes the steps; when one fails or the signal is aborted, nothing is left. */
export async function openSocket<T>(ring: Ring, steps: Steps<T>, signal: AbortSignal): Promise<T> {
  const fd = await ring.exec(newSocket(steps), { signal });
  let done = 0;
  try {
    const operations = steps.operations(fd);
    const ended = await inOrder(ring, operations, signal);
    done = ended.done;
    if (done < operations.length) throw ended.error;
    return await steps.result(fd);
  } catch (error) {
    await closeAnyway(ring, fd);
    if (done > 0) await steps.undo?.(done);
    throw error;
  }
}

function newSocket({ domain, type, isDirect }: Steps<unknown>): Operation<Fd> {
  const operation = isDirect ? socket(domain, type, { direct: true }) : socket(domain, type);
  return operation as Operation<Fd>;
}

interface InOrder {
  /** How many were done. */
  readonly done: number;
  /** Why not all. */
  readonly error?: unknown;
}

/** Runs operations one after the other, as many in one submission as the ring has room for. */
async function inOrder(
  ring: Ring,
  operations: readonly SingleOperation[],
  signal: AbortSignal,
): Promise<InOrder> {
  let step = ring.entries;
  for (let at = 0; at < operations.length; at += step) {
    try {
      await ring.chain(operations.slice(at, at + step), { signal });
    } catch (error) {
      if (step > 1 && (error as UringError).code === 'ERR_URING_SHARED_SQPOLL') {
        // Nothing of it ran; one by one nothing can be cut apart.
        step = 1;
        at -= 1;
        continue;
      }
      const done = at + linksOf(error).filter(({ status }) => status === 'done').length;
      return { done, error: error instanceof ChainError ? error.cause : error };
    }
  }
  return { done: operations.length };
}

function linksOf(error: unknown): readonly LinkResult[] {
  if (error instanceof ChainError) return error.results;
  // Undefined if the signal was aborted before.
  if (error instanceof AbortError) return (error.result as readonly LinkResult[] | undefined) ?? [];
  return [];
}

/** Runs an operation that has to be, signal or not; when the ring takes none any more, `otherwise` does the same. */
export async function anyway(ring: Ring, operation: Operation<void>, otherwise: () => void): Promise<void> {
  for (;;) {
    try {
      await ring.exec(operation);
      return;
    } catch (error) {
      const { code } = error as UringError;
      if (code === 'ERR_URING_QUEUE_FULL') await nextTurn();
      else if (code === 'ERR_URING_CLOSED' || code === 'ECANCELED') return otherwise();
      else return;
    }
  }
}

/** Closes a socket that nobody gets. */
export async function closeAnyway(ring: Ring, fd: Fd): Promise<void> {
  // Not by the ring: it may have no room, refuse it, or be told to cancel everything. Nothing was sent, so it does not wait.
  if (typeof fd === 'number') closeDescriptor(fd);
  else ring.runner.clearFile(fd);
}

/** The result that callers get. */
export function opened<A>(fd: Fd, address: A): Opened<A> {
  return typeof fd === 'number' ? { fd, address } : { file: fd, address };
}

/** The listen(2) of a bound socket, whose error says where: the port may have been taken since bind(2). */
export function listenAt(fd: Fd, backlog: number | undefined, at: EncodedAddress): Operation<void> {
  const operation = listen(fd, backlog);
  operation.traits = { explain: withAddress(at) };
  return operation;
}

/** The operations that set these options. */
export function settings(fd: Fd, values: SocketOptionValues | undefined): SingleOperation[] {
  return Object.entries(values ?? {}).map(([option, value]) =>
    setsockopt(fd, option as SocketOptionName, value as never),
  );
}

/** Options that all composites on sockets take. */
export interface SocketCompositeOptions {
  /** Options that the socket gets before anything else. Since Linux 6.7. */
  socketOptions?: SocketOptionValues;
}

/** Where the socket goes. */
export interface DirectSocketOptions {
  /**
   * A registered slot of the kernel's choice instead of a descriptor; the ring needs a files table
   * (`ring.registrar.registerFiles()`).
   */
  direct: true;
}

/** Checks these options; answers whether the socket goes into a slot. */
export function checkDirect(options: SocketCompositeOptions & Partial<DirectSocketOptions>): boolean {
  const { direct, socketOptions } = options;
  checkOptions('options.socketOptions', socketOptions);
  return isSet('options.direct', direct);
}

/** Makes the operations without running them, which checks their arguments before there is a socket. */
export function checkSteps(steps: Pick<Steps<unknown>, 'operations'>): void {
  steps.operations(0);
}
