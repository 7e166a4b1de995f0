// Lookups of host names that ask nobody.
import { isIP, type LookupFunction } from 'node:net';

/** A lookup that has these answers, and notes what it was asked. */
export function answering(addresses: readonly string[], asked: unknown[] = []): LookupFunction {
  return (host, options, callback) => {
    asked.push({ host, ...options });
    const answer = addresses.map((address) => ({ address, family: isIP(address) }));
    // Of one family node:net wants one address only.
    if (options.all === true) setImmediate(() => callback(null, answer));
    else setImmediate(() => callback(null, answer[0]?.address ?? '', answer[0]?.family));
  };
}

/** A lookup that never answers. */
export const neverAnswering: LookupFunction = () => {};
