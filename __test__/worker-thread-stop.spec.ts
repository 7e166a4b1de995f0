// Stopping what blocks on a worker thread of the kernel, where it can only be interrupted: opening a named pipe that
// nobody has open at the other end.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  AbortError,
  ChainError,
  forEachFile,
  nop,
  openat,
  type Ring,
  readFile,
  readFiles,
  SqeFlags,
  writeFile,
} from 'uring';
import { assertUsable } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { settle, soon } from './_until.ts';

type T = ExecutionContext<unknown>;

leakCheck(test);

/** Long enough for a worker thread to have begun, most of the time; it has to end either way. */
const SHORT_MS = 50;

/** A named pipe that nobody has open. */
function pipeAt(t: T): string {
  const path = join(tmpDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}

/** The same, by a way that the kernel does not walk without blocking (RESOLVE_CACHED stops at links of /proc). */
function viaProc(path: string): string {
  return `/proc/self/root${path}`;
}

function soonAborted(): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('enough')), SHORT_MS);
  return controller.signal;
}

/** Nothing of what was stopped is left, and the ring has not suffered. */
async function assertEnded(t: T, ring: Ring, before: ReadonlyMap<number, string>): Promise<void> {
  await assertUsable(t, ring);
  t.like(ring, { inFlight: 0, waiting: 0 });
  t.is(openFds().size, before.size);
}

const OPENINGS = [
  ['to write', { openFlags: 'w' }],
  ['to write, by a worker thread from the start', { openFlags: 'w', flags: SqeFlags.ASYNC }],
  ['to read, by a worker thread from the start', { openFlags: 'r', flags: SqeFlags.ASYNC }],
] as const;

for (const [what, options] of OPENINGS) {
  test.serial(`a deadline stops an open that blocks on a worker thread, ${what}`, async (t) => {
    const path = pipeAt(t);
    await withRing({}, async (ring) => {
      await assertUsable(t, ring);
      const before = openFds();
      const opening = ring.exec(openat(path, options), { timeoutMs: SHORT_MS });
      await t.throwsAsync(soon(opening, 'the end of opening'), { code: 'ERR_URING_TIMEOUT' });
      await assertEnded(t, ring, before);
    });
  });
}

test.serial('a deadline stops a chain at a link that blocks on a worker thread', async (t) => {
  const path = pipeAt(t);
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds();
    for (const hard of [false, true]) {
      const blocked = openat(path, { openFlags: 'w', flags: SqeFlags.ASYNC });
      const chain = ring.chain([nop(), blocked, nop()], { timeoutMs: SHORT_MS, hard });
      const error = await t.throwsAsync(soon(chain, 'the end of the chain'));
      t.is((error as ChainError).code, 'ERR_URING_TIMEOUT');
      if (error instanceof ChainError) t.is(error.results[0]?.status, 'done');
    }
    await assertEnded(t, ring, before);
  });
});

test.serial('writing to a pipe that nobody reads is stopped by a deadline and by a signal', async (t) => {
  const path = pipeAt(t);
  await withRing({}, async (ring) => {
    await assertUsable(t, ring);
    const before = openFds();
    const late = writeFile(ring, path, 'x', { timeoutMs: SHORT_MS });
    await t.throwsAsync(soon(late, 'the end of writing'), { code: 'ERR_URING_TIMEOUT' });
    const aborted = writeFile(ring, path, 'x', { signal: soonAborted() });
    await t.throwsAsync(soon(aborted, 'the end of writing'), { instanceOf: AbortError });
    await assertEnded(t, ring, before);
  });
});

test.serial(
  'reading files knows an open that was interrupted on a worker thread for one that was stopped',
  async (t) => {
    const path = viaProc(pipeAt(t));
    await withRing({}, async (ring) => {
      await assertUsable(t, ring);
      const before = openFds();
      const both = ['/etc/hostname', path];
      const forEach = (options: object): Promise<void> =>
        forEachFile(ring, both, (_error, _bytes, at) => t.is(at, 0), options);
      for (const read of [
        (options: object) => readFile(ring, path, options),
        (options: object) => readFiles(ring, both, options),
        forEach,
      ]) {
        const late = soon<unknown>(read({ timeoutMs: SHORT_MS }), 'the end of reading');
        await t.throwsAsync(late, { code: 'ERR_URING_TIMEOUT' });
        const aborted = soon<unknown>(read({ signal: soonAborted() }), 'the end of reading');
        await t.throwsAsync(aborted, { instanceOf: AbortError });
      }
      await settle();
      await assertEnded(t, ring, before);
    });
  },
);
