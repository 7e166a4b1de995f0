import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import ava, { type ExecutionContext, type Implementation, type TestFn } from 'ava';
import { Ring } from 'uring';

type RingOptions = ConstructorParameters<typeof Ring>[0];

/** How long a closed descriptor may take to leave /proc/self/fd: io_uring drops its files asynchronously. */
const FD_SETTLE_MS = 2000;

/** Makes a directory that is removed when the test ends, however it ends. */
export function tmpDir(t: ExecutionContext<unknown>): string {
  const dir = mkdtempSync(join(tmpdir(), 'uring-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The open descriptors of this process and what each of them is. */
export function openFds(): Map<number, string> {
  const fds = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      fds.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The descriptor that readdir itself used, closed by now.
    }
  }
  return fds;
}

function openedSince(before: ReadonlyMap<number, string>): string[] {
  return [...openFds()]
    .filter(([fd, target]) => before.get(fd) !== target)
    .map(([fd, target]) => `${fd} -> ${target}`);
}

/**
 * Fails the file if its tests leave a descriptor open. Called once, above all other hooks of the file, so that
 * what those open is counted; what was open before (ava's channel, the loop's epoll) is not.
 */
export function leakCheck(test: TestFn<unknown>): void {
  let before: ReadonlyMap<number, string> = new Map();
  test.before('descriptors are noted', () => {
    before = openFds();
  });
  test.after.always('no descriptor is left open', async (t) => {
    const deadline = Date.now() + FD_SETTLE_MS;
    while (openedSince(before).length > 0 && Date.now() < deadline) await sleep(20);
    t.deepEqual(openedSince(before), []);
  });
}

/** Collects garbage, with turns of the event loop between, in which finalizers run. */
export async function gc(): Promise<void> {
  assert.ok(globalThis.gc, 'tests run with --expose-gc');
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc();
    await turn();
  }
}

/** Lends a ring to `use` and closes it in any case; nothing may be in flight in a closed ring. */
export async function withRing<T>(options: RingOptions, use: (ring: Ring) => T | Promise<T>): Promise<T> {
  const ring = new Ring(options);
  try {
    return await use(ring);
  } finally {
    await ring.close();
    assert.equal(ring.inFlight, 0, 'a closed ring has operations in flight');
  }
}

type Declare = (title: string, implementation: Implementation<[]>) => void;

/**
 * Declares a test that runs only if `condition` holds, and is otherwise reported as skipped with the reason in
 * its title: `skipUnless(probe.has('futex_wait'), 'futex operations')('wakes a waiter', (t) => ...)`. With
 * `test.serial` it runs alone.
 */
export function skipUnless(condition: boolean, reason: string, declare: Declare = ava): Declare {
  return (title, implementation) => {
    if (condition) declare(title, implementation);
    else ava.skip(`${title} (needs ${reason})`, implementation);
  };
}
