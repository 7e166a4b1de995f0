// Connecting to an address of the internet or to a host by its name: what TCP and UDP have in common.

import { isIP } from 'node:net';
import {
  checkAddress,
  decodeAddress,
  type EncodedAddress,
  type IpSocketAddress,
  type SocketAddressLike,
  withAddress,
} from '../address.ts';
import type { SingleOperation } from '../chain.ts';
import { Errno } from '../errnos.ts';
import { invalidType, invalidValue, systemError, UringError } from '../errors.ts';
import { checkExecOptions, type ExecOptions } from '../exec-options.ts';
import type { Fd } from '../operation.ts';
import { bind, connect } from '../ops/socket.ts';
import type { Ring } from '../ring.ts';
import type { Limits } from '../runtime/together.ts';
import { checkInteger, checkMilliseconds } from '../validate.ts';
import { addressesOf, checkHostLookup, type HostLookup, type HostLookupOptions } from './lookup.ts';
import { Race } from './race.ts';
import {
  checkDirect,
  closeAnyway,
  type DirectSocketOptions,
  type Opened,
  opened,
  openSocket,
  type SocketCompositeOptions,
} from './sockets.ts';
import { within } from './within.ts';

const ETIMEDOUT = Errno.ETIMEDOUT;
const ANY = { 4: '0.0.0.0', 6: '::' } as const;

/** A host by its name, which is looked up. */
export interface HostTarget {
  /** A host name; an IP address is taken as it is. */
  readonly host: string;
  readonly port: number;
}

/** What to connect to: an IP address and port, or the name of a host and a port. */
export type ConnectTarget = Extract<SocketAddressLike, { readonly address: string }> | HostTarget;

/** What {@link tcpConnect} and {@link udpConnect} have in common. */
export interface ConnectOptions extends ExecOptions, HostLookupOptions, SocketCompositeOptions {
  /** Address to connect from. Default: the kernel's choice. Addresses of the other family are not tried then. */
  localAddress?: string;
  /** Port to connect from. Default: the kernel's choice. */
  localPort?: number;
  /** Longest time for one address, after which it counts as `ETIMEDOUT`. Default: no limit. */
  attemptTimeoutMs?: number;
  /** Try the other addresses of a host too. Default `net.getDefaultAutoSelectFamily()`, which is true. */
  autoSelectFamily?: boolean;
}

/** How one kind of socket is connected. */
export interface ConnectPlan extends Limits {
  readonly type: 'stream' | 'dgram';
  readonly isDirect: boolean;
  readonly hostLookup: HostLookup;
  readonly triesAll: boolean;
  /** How long an address is tried before the next one joins in. */
  readonly delayMs: number;
  readonly attemptTimeoutMs: number | undefined;
  readonly local: { readonly address: string | undefined; readonly port: number } | undefined;
  /** Options of the socket, before it is bound. */
  settings(fd: Fd): SingleOperation[];
}

/** Checks what both kinds have in common. */
export function checkConnectOptions(
  options: ConnectOptions & Partial<DirectSocketOptions>,
): Omit<ConnectPlan, 'type' | 'delayMs' | 'triesAll' | 'settings'> {
  const limits = checkExecOptions(options);
  const { attemptTimeoutMs, localAddress, localPort } = options;
  checkMilliseconds('options.attemptTimeoutMs', attemptTimeoutMs);
  const hostLookup = checkHostLookup(options);
  if (localPort !== undefined) checkInteger('options.localPort', localPort, 0, 0xffff);
  const isBound = localAddress !== undefined || localPort !== undefined;
  return {
    ...limits,
    isDirect: checkDirect(options),
    hostLookup: localAddress === undefined ? hostLookup : sameFamily(hostLookup, localAddress),
    attemptTimeoutMs: attemptTimeoutMs === Number.POSITIVE_INFINITY ? undefined : attemptTimeoutMs,
    local: isBound ? { address: localAddress, port: localPort ?? 0 } : undefined,
  };
}

function sameFamily(hostLookup: HostLookup, localAddress: unknown): HostLookup {
  checkAddress('options.localAddress', { address: localAddress, port: 0 });
  const family = isIP(localAddress as string) as 4 | 6;
  if (hostLookup.family !== 0 && hostLookup.family !== family)
    throw invalidValue('options.localAddress', `is IPv${family}, but options.family is ${hostLookup.family}`);
  return { ...hostLookup, family };
}

/** What is to be connected to, checked: an address, or the name of a host. */
type Target = { readonly at: EncodedAddress } | HostTarget;

function checkTarget(target: ConnectTarget, { hostLookup }: ConnectPlan): Target {
  if (typeof target !== 'object' || target === null)
    throw invalidType('target', '{ address, port } or { host, port }', target);
  const isNamed = 'host' in target;
  if (isNamed === 'address' in target) throw invalidValue('target', 'needs either an address or a host');
  if (!isNamed) return { at: ofFamily(checkAddress('target', target), hostLookup) };
  const { host, port } = target as Partial<HostTarget>;
  if (typeof host !== 'string') throw invalidType('target.host', 'of type string', host);
  if (host === '') throw invalidValue('target.host', 'is empty');
  checkInteger('target.port', port, 0, 0xffff);
  // A copy: it is used after the lookup, when the caller may have another use for its object.
  if (isIP(host) === 0) return { host, port: port as number };
  return { at: ofFamily(checkAddress('target', { address: host, port }), hostLookup) };
}

function ofFamily(at: EncodedAddress, { family }: HostLookup): EncodedAddress {
  if (family === 0 || isIP(at.address ?? '') === family) return at;
  throw invalidValue(
    'target',
    `is ${at.address}, which is not IPv${family} as options.family or localAddress`,
  );
}

/** Connects as planned: to an address, or to the first address of a host that answers. */
export async function connectTo(
  ring: Ring,
  target: ConnectTarget,
  plan: ConnectPlan,
): Promise<Opened<IpSocketAddress>> {
  const checked = checkTarget(target, plan);
  checkBefore(plan, 'at' in checked ? checked.at : undefined);
  try {
    return await within(ring, plan, 'connect', async (signal) => {
      if ('at' in checked) return attempt(ring, checked.at, plan, signal);
      const addresses = await addressesOf(ring, checked.host, plan.hostLookup, signal);
      const tried = plan.triesAll ? addresses : addresses.slice(0, 1);
      const at = tried.map((address) => checkAddress('address', { address, port: checked.port }));
      return race(ring, checked, at, plan, signal);
    });
  } catch (error) {
    throw withTarget(error, checked);
  }
}

/** Makes the operations once without running them, which checks their arguments before anything starts. */
function checkBefore(plan: ConnectPlan, at: EncodedAddress | undefined): void {
  plan.settings(0);
  if (plan.local?.address !== undefined) localOf(plan.local, at);
}

function withTarget(error: unknown, target: Target): unknown {
  if (!(error instanceof UringError)) return error;
  if ('host' in target) return Object.assign(error, { port: target.port, host: target.host });
  const { address, port } = target.at;
  return error.code === 'ERR_URING_TIMEOUT' ? Object.assign(error, { address, port }) : error;
}

function localOf(
  { address, port }: NonNullable<ConnectPlan['local']>,
  at: EncodedAddress | undefined,
): { address: string; port: number } {
  const family = isIP(at?.address ?? '') === 6 ? 6 : 4;
  return { address: address ?? ANY[family], port };
}

/** Tries one address. */
async function attempt(
  ring: Ring,
  at: EncodedAddress,
  plan: ConnectPlan,
  signal: AbortSignal,
): Promise<Opened<IpSocketAddress>> {
  const { type, isDirect, local, attemptTimeoutMs } = plan;
  const address = decodeAddress(at.bytes, at.bytes.byteLength) as IpSocketAddress;
  const operations = (fd: Fd): SingleOperation[] => [
    ...plan.settings(fd),
    ...(local === undefined ? [] : [bind(fd, localOf(local, at))]),
    connect(fd, address),
  ];
  const result = (fd: Fd): Opened<IpSocketAddress> => opened(fd, address);
  try {
    return await within(ring, { signal, timeoutMs: attemptTimeoutMs }, 'connect', (either) =>
      openSocket(ring, { domain: address.family, type, isDirect, operations, result }, either),
    );
  } catch (error) {
    if ((error as UringError).code !== 'ERR_URING_TIMEOUT') throw error;
    throw Object.assign(withAddress(at)(systemError(-ETIMEDOUT, 'connect')), { cause: error });
  }
}

function race(
  ring: Ring,
  { host, port }: HostTarget,
  at: readonly EncodedAddress[],
  plan: ConnectPlan,
  signal: AbortSignal,
): Promise<Opened<IpSocketAddress>> {
  const attempts = at.map((one) => (either: AbortSignal) => attempt(ring, one, plan, either));
  const rules = {
    delayMs: plan.delayMs,
    signal,
    clock: ring.clock,
    giveUp: (result: Opened<IpSocketAddress>) => closeAnyway(ring, 'fd' in result ? result.fd : result.file),
    mayGoOn: isKernels,
  };
  return new Race(attempts, rules).run((errors) => {
    const other = errors.find((error) => !isKernels(error));
    if (other !== undefined || errors.length === 1) return other ?? errors[0];
    for (const error of errors) Object.assign(error as UringError, { host });
    const { code, message } = errors[0] as UringError;
    const summary = `none of ${errors.length} addresses of ${host} could be connected to; the first: ${message}`;
    return Object.assign(new AggregateError(errors, summary), { code, syscall: 'connect', host, port });
  });
}

/** An error of one address, and not of the ring or the arguments. */
function isKernels(error: unknown): boolean {
  return error instanceof UringError && !error.code.startsWith('ERR_');
}
