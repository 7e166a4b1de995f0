import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type { Native } from './native.ts';

/** What changes the credentials of all threads; only the main thread has them. */
const SETTERS = ['setuid', 'setgid', 'seteuid', 'setegid', 'setgroups', 'initgroups'] as const;

let watched = false;

/**
 * Has every change of credentials by Node's own functions told to the rings, so that they notice it before they take anything
 * else. They notice others too, a tick of the clock later (crates/core/src/credentials.rs).
 */
export function watchCredentials(native: Native): void {
  if (watched || !isMainThread) return;
  watched = true;
  for (const name of SETTERS) {
    const original = (process as Partial<Record<typeof name, (...values: unknown[]) => void>>)[name];
    if (original === undefined) continue;
    const watching = (...values: unknown[]): void => {
      try {
        Reflect.apply(original, process, values);
      } finally {
        native.credentialsMayHaveChanged();
      }
    };
    Object.defineProperties(watching, { name: { value: name }, length: { value: original.length } });
    Object.assign(process, { [name]: watching });
  }
  // For who imports them by name from node:process.
  syncBuiltinESMExports();
}
