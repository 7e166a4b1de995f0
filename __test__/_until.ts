import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

const LONGEST_WAIT_MS = 60_000;

/** Turns the event loop until something is so. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + LONGEST_WAIT_MS;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain until ${condition}`);
    await turn();
  }
}

/** Turns the event loop a few times: enough for everything that is ready to be submitted and delivered. */
export async function settle(turns = 10): Promise<void> {
  for (let count = 0; count < turns; count += 1) await turn();
}

/** Fails instead of hanging, with a sentence that says what for. */
export function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never came: ${what}`)), LONGEST_WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
