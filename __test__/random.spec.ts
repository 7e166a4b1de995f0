// Random operations with random arguments on live rings. What a seed does can be seen again:
// URING_SEED=7 URING_FROM=120000 URING_OPERATIONS=9000 npm test -- __test__/random.spec.ts
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import * as uring from 'uring';
import { nop, Op, Ring, type RingOptions } from 'uring';
import { epoll } from './_epoll.ts';
import { gc, leakCheck, openFds } from './_helpers.ts';
import { eventually } from './_loopback.ts';
import { makers } from './random/makers/index.ts';
import { Run } from './random/run.ts';
import { Tally } from './random/tally.ts';
import type { Surroundings } from './random/world.ts';

leakCheck(test);

const SEED = Number(process.env['URING_SEED'] ?? 1);
const OPERATIONS = Number(process.env['URING_OPERATIONS'] ?? 1_000_000);
/** The first step, to see again what happened on one ring: a multiple of `SEGMENT`. */
const FROM = Number(process.env['URING_FROM'] ?? 0);
const PATIENCE_MS = 1_800_000;
/** Steps on one ring; then it is closed, and another of the next kind opened. */
const SEGMENT = 10_000;
/** From so many operations on, everything has had its chance. */
const ENOUGH = 100_000;

const KINDS: readonly RingOptions[] = [
  { entries: 64, cqEntries: 1024 },
  { entries: 64, cqEntries: 1024, cqeBytes: 32 },
  { entries: 1, cqEntries: 4 },
  { entries: 32, cqEntries: 512, sqpoll: { idleMs: 5 } },
  { entries: 16, cqEntries: 256, taskrun: 'coop' },
];

/** Operations that cannot succeed here, and why. */
const NEVER: ReadonlyMap<string, string> = new Map([
  ['blockDiscard', 'needs a block device'],
  ['getpeername', 'needs Linux 6.19'],
  ['getsockname', 'needs Linux 6.19'],
  ['nop128', 'needs Linux 6.19'],
  ['recvZc', 'needs a network card of its own'],
  ['uringCmd128', 'needs Linux 6.19'],
]);

/** Arenas that are left when everything else is collected: those that operations are staged in, among others. */
const ARENAS_MAX = 64;

async function child(t: ExecutionContext): Promise<number> {
  const started = spawn('/bin/sleep', ['3600'], { stdio: 'ignore' });
  t.teardown(async () => {
    const ended = once(started, 'exit');
    started.kill('SIGKILL');
    await ended;
  });
  await once(started, 'spawn');
  return started.pid as number;
}

/** Runs operations on a ring of their own. */
async function runPart(surroundings: Surroundings, tally: Tally, part: number): Promise<void> {
  const home = process.cwd();
  const kind = KINDS[(SEED + part) % KINDS.length] as RingOptions;
  const ring = new Ring(kind);
  try {
    // With a thread that polls the queue nothing can cancel what a drained operation waits for (docs/measured.md).
    const drains = part % 2 === 1 && kind.sqpoll === undefined;
    const chance = { seed: SEED, first: part * SEGMENT, drains };
    const run = new Run(ring, surroundings, tally, chance);
    // What is no absolute path is one in here.
    process.chdir(run.world.dir);
    await run.steps(Math.min(SEGMENT, OPERATIONS));
    await gc();
    const { arenas } = ring.stats();
    assert.ok(arenas <= ARENAS_MAX, `${arenas} arenas are left`);
  } finally {
    process.chdir(home);
    await ring.close();
  }
}

function assertAllTried(t: ExecutionContext, tally: Tally): void {
  const untried = Object.entries(Op).filter(([, opcode]) => !tally.opcodes.has(opcode));
  t.deepEqual(untried, [], 'operations that were not run');
  const failing = makers
    .map(([name]) => name)
    .filter((name) => !tally.successes.has(name) && !NEVER.has(name));
  t.deepEqual(failing, [], 'operations that never succeeded prove little');
}

test.serial(
  `${OPERATIONS} random operations end each once, with a result or a typed error, and leave nothing`,
  async (t) => {
    t.timeout(PATIENCE_MS);
    const surroundings = { other: new Ring(), epfd: await epoll(t), pid: await child(t) };
    // Its events come through the loop from now on.
    await surroundings.other.exec(nop());
    const before = openFds();
    const tally = new Tally();
    const limit = Error.stackTraceLimit;
    // Most operations fail here, and a stack for each would be most of the work.
    Error.stackTraceLimit = 0;
    try {
      for (let part = Math.floor(FROM / SEGMENT); tally.run < OPERATIONS; part += 1) {
        await runPart(surroundings, tally, part);
        await eventually(() => openFds().size === before.size);
        assert.deepEqual(openFds(), before);
      }
    } catch (error) {
      t.log(`URING_SEED=${SEED} URING_OPERATIONS=${OPERATIONS}`);
      throw error;
    } finally {
      Error.stackTraceLimit = limit;
    }
    t.log(`seed ${SEED}: ${tally.succeeded} results, ${tally.failed} errors, ${tally.refused} refusals`);
    await surroundings.other.close();
    t.true(tally.run >= OPERATIONS);
    if (OPERATIONS >= ENOUGH) assertAllTried(t, tally);
  },
);

const COMPOSITES: ReadonlySet<string> = new Set([
  'forEachFile',
  'readFile',
  'readFiles',
  'readFilesInOrder',
  'readFully',
  'recvExactly',
  'sendAll',
  'statFiles',
  'tcpConnect',
  'tcpListen',
  'udpConnect',
  'unixConnect',
  'unixListen',
  'writeAll',
  'writeFile',
]);

test('there is a maker for every function that makes an operation', (t) => {
  const made = new Set(makers.map(([name]) => name.replace(/:.*/, '')));
  const others = new Set(['availability', 'ioprio', 'probe', 'sendMessage', 'socketAddress']);
  // Composites take the ring first, and are made of operations.
  const functions = Object.entries(uring).filter(
    ([name, value]) => typeof value === 'function' && /^[a-z]/.test(name) && !COMPOSITES.has(name),
  );
  t.deepEqual(
    functions.map(([name]) => name).filter((name) => !made.has(name) && !others.has(name)),
    [],
  );
});
