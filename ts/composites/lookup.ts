// From the name of a host to its addresses, in the order in which they are to be tried.
import { ADDRCONFIG, type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { AbortError, shown, UringError } from '../errors.ts';
import type { Ring } from '../ring.ts';
import { forgetAborted, whenAborted } from '../runtime/signals.ts';
import { checkFunction, checkInteger, checkName, UINT32_MAX } from '../validate.ts';

/** How a host name is looked up. */
export interface HostLookupOptions {
  /** Addresses of this family only. Default 0: both. */
  family?: 0 | 4 | 6 | 'IPv4' | 'IPv6';
  /** `dns.ADDRCONFIG`, `dns.V4MAPPED` and `dns.ALL`. Default, as in node:net: ADDRCONFIG, with a `family` none. */
  hints?: number;
  /** In place of `dns.lookup`, with the same arguments; it is asked for all addresses. */
  lookup?: LookupFunction;
}

/** These options, checked. */
export interface HostLookup {
  readonly family: 0 | 4 | 6;
  readonly hints: number;
  readonly lookup: LookupFunction;
}

type Answered = LookupAddress[] | string;

/** Any time: nobody waits for it. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

const FAMILIES = { IPv4: 4, IPv6: 6 } as const;

export function checkHostLookup({ family = 0, hints = 0, lookup }: HostLookupOptions): HostLookup {
  const version =
    typeof family === 'string' ? checkName('options.family', family, FAMILIES) : checkVersion(family);
  checkInteger('options.hints', hints, 0, UINT32_MAX);
  if (lookup !== undefined) checkFunction('options.lookup', lookup);
  return {
    family: version,
    hints: version === 0 && hints === 0 ? ADDRCONFIG : hints,
    lookup: lookup ?? (systemLookup as LookupFunction),
  };
}

function checkVersion(family: number): 0 | 4 | 6 {
  return checkName('options.family', shown(family), { 0: 0, 4: 4, 6: 6 } as const);
}

/**
 * The addresses of a host. A lookup cannot be stopped: what it answers after the signal is not looked at.
 *
 * Rejects with the lookup's own error (`ENOTFOUND`, with `syscall` `'getaddrinfo'` and the `hostname`).
 */
export function addressesOf(
  ring: Ring,
  host: string,
  { family, hints, lookup }: HostLookup,
  signal: AbortSignal,
): Promise<string[]> {
  // Nothing is in flight meanwhile; a lookup of the caller's may keep nothing alive, and its deadline does not.
  const keepsAlive = ring.hasRef() ? setInterval(() => {}, KEEP_ALIVE_MS) : undefined;
  const found = new Promise<string[]>((resolve, reject) => {
    const stop = (): void => reject(new AbortError(signal.reason));
    const answer = (error: Error | null, answered: Answered): void => {
      forgetAborted(signal, stop);
      if (error) {
        reject(error);
        return;
      }
      try {
        resolve(inOrder(host, family, typeof answered === 'string' ? [answered] : answered.map(addressOf)));
      } catch (problem) {
        reject(problem);
      }
    };
    whenAborted(signal, stop);
    lookup(host, { all: true, family, hints }, answer);
  });
  return found.finally(() => clearInterval(keepsAlive));
}

function addressOf({ address }: LookupAddress): string {
  return address;
}

/** Each address once, the families taking turns, beginning with that of the first (as node:net does it). */
function inOrder(host: string, family: 0 | 4 | 6, answered: readonly string[]): string[] {
  const wanted = [...new Set(answered)].filter((address) => {
    const version = isIP(address);
    if (version === 0) throw notAddress(host, address);
    return family === 0 || family === version;
  });
  const [first] = wanted;
  if (first === undefined) throw notFound(host);
  const isFirsts = (address: string): boolean => isIP(address) === isIP(first);
  const same = wanted.filter(isFirsts);
  const other = wanted.filter((address) => !isFirsts(address));
  const turns = Array.from({ length: Math.max(same.length, other.length) }, (_, at) => at);
  return turns.flatMap((at) => [same[at] ?? [], other[at] ?? []].flat());
}

function notAddress(host: string, address: unknown): TypeError {
  const error = new TypeError(`Invalid IP address: ${shown(address)}, which options.lookup answered`);
  return Object.assign(error, { code: 'ERR_INVALID_IP_ADDRESS', host });
}

function notFound(host: string): UringError {
  const details = { syscall: 'getaddrinfo', host };
  return new UringError('ENOTFOUND', `getaddrinfo ENOTFOUND ${host}: no address of that family`, details);
}
