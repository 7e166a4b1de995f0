// Connecting and listening that is stopped: whenever that is, nothing is left.
import { getEventListeners } from 'node:events';
import { closeSync, existsSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  AbortError,
  close,
  type ExecOptions,
  type OpenedSocket,
  type OpenedSocketFile,
  Ring,
  tcpConnect,
  tcpListen,
  UringError,
  udpConnect,
  unixConnect,
  unixListen,
} from 'uring';
import { assertUsable } from './_fixtures.ts';
import { leakCheck, openFds, tmpDir, withRing } from './_helpers.ts';
import { answering, neverAnswering } from './_lookup.ts';
import { abstractName, blackHole, closing, listening } from './_loopback.ts';
import { MOMENTS, type Moment, stoppingRing } from './_steps.ts';
import { settle, soon, until } from './_until.ts';

type T = ExecutionContext<unknown>;
type Result = OpenedSocket<unknown> | OpenedSocketFile<unknown>;
type Start = (ring: Ring, options: ExecOptions) => Promise<Result>;

leakCheck(test);

/** Rounds of all cases together. */
const ROUNDS = 1000;

async function give(ring: Ring, result: Result): Promise<void> {
  await ring.exec(close('fd' in result ? result.fd : result.file));
}

/** Every composite, and ways to succeed, to fail and to wait. */
async function composites(t: T, ring: Ring): Promise<Map<string, Start>> {
  ring.registrar.registerFiles({ slots: 1, kernelSlots: 8 });
  const hole = await blackHole(t, ring);
  const { at } = await listening(t, ring, 'IPv4', { backlog: 4096 });
  const unix = await unixListen(ring, abstractName(), { backlog: 4096 });
  closing(t, unix.fd);
  const dir = tmpDir(t);
  const loopback = { lookup: answering(['127.0.0.1', '127.0.0.2']), attemptDelayMs: 0 };
  const named = (port: number) => ({ host: 'a.test', port });
  const options = { noDelay: true, localAddress: '127.0.0.1' };
  let paths = 0;
  const path = (): string => {
    paths += 1;
    return join(dir, String(paths));
  };
  return new Map<string, Start>([
    ['to an address', (r, o) => tcpConnect(r, at, { ...options, ...o })],
    ['to an address that refuses', (r, o) => tcpConnect(r, { ...at, port: 1 }, o)],
    ['to nowhere', (r, o) => tcpConnect(r, hole.at, o)],
    ['to a host', (r, o) => tcpConnect(r, named(at.port), { ...loopback, ...o })],
    ['to a host that refuses', (r, o) => tcpConnect(r, named(1), { ...loopback, ...o })],
    ['to a host that is nowhere', (r, o) => tcpConnect(r, named(hole.port), { ...loopback, ...o })],
    ['to an address, direct', (r, o) => tcpConnect(r, at, { ...o, direct: true })],
    ['to nowhere, direct', (r, o) => tcpConnect(r, hole.at, { ...o, direct: true })],
    ['to a host over UDP', (r, o) => udpConnect(r, named(at.port), { ...loopback, ...o })],
    ['to a Unix socket', (r, o) => unixConnect(r, unix.address, o)],
    ['to a Unix socket that is not there', (r, o) => unixConnect(r, path(), o)],
    ['listening', (r, o) => tcpListen(r, { port: 0 }, { ...o, reusePort: true })],
    ['listening, direct', (r, o) => tcpListen(r, { port: 0 }, { ...o, direct: true })],
    ['listening on a port that is taken', (r, o) => tcpListen(r, at, o)],
    [
      'listening on a path',
      async (r, o) => {
        const where = path();
        try {
          return await unixListen(r, where, o);
        } catch (error) {
          if (existsSync(where)) t.fail(`${where} is left`);
          throw error;
        }
      },
    ],
  ]);
}

/** Runs something that is stopped at a step; answers whether it got that far. */
async function stopAt(t: T, ring: Ring, start: Start, step: number, moment: Moment): Promise<boolean> {
  const controller = new AbortController();
  const stopping = stoppingRing(ring, { step, moment }, () => controller.abort('stopped'));
  const started = start(stopping.ring, { signal: controller.signal });
  let isOver = false;
  const over = started
    .catch((error: unknown) => error as Error)
    .finally(() => {
      isOver = true;
    });
  // What goes nowhere does not come to its last steps.
  for (let turns = 0; turns < 100 && !isOver; turns += 1) await turn();
  controller.abort('late');
  const ended = await soon(over, `the end, stopped ${moment} step ${step}`);
  if (!(ended instanceof Error)) await give(ring, ended);
  else if (ended instanceof AbortError) t.is(ended.cause, controller.signal.reason);
  return stopping.isOver();
}

test.serial(`nothing is left when they are stopped at any of their steps, ${ROUNDS} times`, async (t) => {
  t.timeout(120_000);
  await withRing({}, async (ring) => {
    const all = await composites(t, ring);
    const before = openFds().size;
    const { fileSlots } = ring.stats();
    const reached = new Map<string, number>();
    let rounds = 0;
    while (rounds < ROUNDS) {
      for (const [name, start] of all) {
        for (const moment of MOMENTS) {
          for (let step = 0; await stopAt(t, ring, start, step, moment); step += 1) {
            rounds += 1;
            reached.set(name, Math.max(reached.get(name) ?? 0, step + 1));
          }
        }
        t.is(ring.inFlight, 0, name);
        t.is(openFds().size, before, name);
        t.is(ring.stats().fileSlots, fileSlots, name);
      }
    }
    t.is(reached.size, all.size);
    for (const [name, steps] of reached) t.true(steps >= 2, `${name}: ${steps} steps`);
    await assertUsable(t, ring);
  });
});

test('a signal that was aborted before lets nothing start, and nobody is asked', async (t) => {
  await withRing({}, async (ring) => {
    const asked: unknown[] = [];
    const lookup: LookupFunction = (...args) => void asked.push(args);
    const signal = AbortSignal.abort('before');
    const { submitted } = ring.stats();
    for (const started of [
      tcpConnect(ring, { host: 'a.test', port: 1 }, { signal, lookup }),
      udpConnect(ring, { host: 'a.test', port: 1 }, { signal, lookup }),
      unixConnect(ring, abstractName(), { signal }),
      tcpListen(ring, { port: 0 }, { signal }),
      unixListen(ring, abstractName(), { signal }),
    ]) {
      t.is((await t.throwsAsync(started, { instanceOf: AbortError })).cause, 'before');
    }
    t.deepEqual(asked, []);
    t.is(ring.stats().submitted, submitted);
  });
});

test('a signal that many share has one listener meanwhile, and none afterwards', async (t) => {
  await withRing({}, async (ring) => {
    const { at } = await listening(t, ring);
    const { signal } = new AbortController();
    const lookup = answering(['127.0.0.1', '127.0.0.2']);
    const targets = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0 ? at : { host: 'a.test', port: at.port },
    );
    const connecting = targets.map((target) => tcpConnect(ring, target, { signal, lookup }));
    t.is(getEventListeners(signal, 'abort').length, 1);
    for (const { fd } of await Promise.all(connecting)) closeSync(fd);
    await t.throwsAsync(tcpConnect(ring, { ...at, port: 1 }, { signal }), { code: 'ECONNREFUSED' });
    t.is(getEventListeners(signal, 'abort').length, 0);
  });
});

test('a lookup that does not answer is left at once when it is aborted, and in time', async (t) => {
  await withRing({}, async (ring) => {
    const controller = new AbortController();
    const reason = new Error('no longer needed');
    const options = { lookup: neverAnswering, signal: controller.signal };
    const started = tcpConnect(ring, { host: 'a.test', port: 1 }, options);
    await settle();
    controller.abort(reason);
    t.is((await t.throwsAsync(started, { instanceOf: AbortError })).cause, reason);
    const late = tcpConnect(ring, { host: 'a.test', port: 1 }, { lookup: neverAnswering, timeoutMs: 5 });
    const error = await t.throwsAsync(late, { instanceOf: UringError, code: 'ERR_URING_TIMEOUT' });
    t.like(error, { syscall: 'connect', errno: -62, host: 'a.test', port: 1 });
  });
});

test('an answer that comes after the end changes nothing', async (t) => {
  await withRing({}, async (ring) => {
    let answer: () => void = () => {};
    const lookup: LookupFunction = (_host, _options, callback) => {
      answer = () => callback(null, [{ address: '127.0.0.1', family: 4 }]);
    };
    const { submitted } = ring.stats();
    const controller = new AbortController();
    const started = tcpConnect(ring, { host: 'a.test', port: 1 }, { lookup, signal: controller.signal });
    await settle();
    controller.abort();
    await t.throwsAsync(started, { code: 'ABORT_ERR' });
    answer();
    await settle();
    t.is(ring.stats().submitted, submitted);
  });
});

test.serial('a connection that is not there in time is given up, with its address', async (t) => {
  await withRing({}, async (ring) => {
    const hole = await blackHole(t, ring);
    const before = openFds().size;
    const error = await t.throwsAsync(tcpConnect(ring, hole.at, { timeoutMs: 5 }), {
      instanceOf: UringError,
    });
    t.like(error, { code: 'ERR_URING_TIMEOUT', syscall: 'connect', ...hole.at });
    const both = { lookup: answering(['127.0.0.1', '127.0.0.2']), attemptDelayMs: 1, timeoutMs: 20 };
    const named = tcpConnect(ring, { host: 'a.test', port: hole.port }, both);
    await t.throwsAsync(named, { code: 'ERR_URING_TIMEOUT' });
    t.is(openFds().size, before);
    t.is(ring.inFlight, 0);
  });
});

test('a deadline that is far away, and none at all, keep nobody waiting', async (t) => {
  await withRing({}, async (ring) => {
    const { at } = await listening(t, ring);
    for (const timeoutMs of [3_600_000, 2 ** 40, Number.POSITIVE_INFINITY])
      closing(t, (await tcpConnect(ring, at, { timeoutMs })).fd);
    t.is(ring.inFlight, 0);
  });
});

test.serial('closing the ring ends what connects, and closes its descriptors', async (t) => {
  const before = openFds().size;
  for (let turns = 0; turns < 12; turns += 1) {
    const ring = new Ring();
    const server = await tcpListen(ring, { address: '127.0.0.1', port: 0 }, { backlog: 0 });
    const first = await tcpConnect(ring, server.address);
    const waiting = [
      ...Array.from({ length: 8 }, () => tcpConnect(ring, server.address)),
      ...Array.from({ length: 8 }, () => unixListen(ring, abstractName())),
    ].map((promise) => promise.catch((error: unknown) => error as UringError));
    await settle(turns);
    await ring.close();
    for (const ended of await Promise.all(waiting)) {
      if (ended instanceof Error) t.regex(ended.code, /^(ECANCELED|ERR_URING_CLOSED)$/);
      else closeSync(ended.fd);
    }
    for (const { fd } of [server, first]) closeSync(fd);
    t.is(openFds().size, before);
  }
});

/** The same numbers every time. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed >>> 0; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state >>> 8;
  }
}

test.serial('1,000 connections opened and dropped in the middle leave nothing', async (t) => {
  t.timeout(120_000);
  await withRing({}, async (ring) => {
    const hole = await blackHole(t, ring);
    const server = await listening(t, ring, 'IPv4', { backlog: 4096 });
    const before = openFds().size;
    const random = numbers(4);
    const ended = { connected: 0, aborted: 0, late: 0 };
    const drop = async (): Promise<void> => {
      const controller = new AbortController();
      const { signal } = controller;
      const to = [hole.at, server.at][random.next().value % 2] as typeof hole.at;
      const isNamed = random.next().value % 2 === 0;
      const target = isNamed ? { host: 'a.test', port: to.port } : to;
      const lookup = answering(['127.0.0.1', '::1']);
      const options = { signal, lookup, attemptDelayMs: random.next().value % 3, timeoutMs: 2000 };
      const connecting = tcpConnect(ring, target, options).then(
        ({ fd }) => {
          closeSync(fd);
          ended.connected += 1;
        },
        ({ code }: UringError) => {
          if (code === 'ABORT_ERR') ended.aborted += 1;
          else if (code === 'ERR_URING_TIMEOUT') ended.late += 1;
          else t.fail(`ended with ${code}`);
        },
      );
      for (let turns = random.next().value % 8; turns > 0; turns -= 1) await turn();
      controller.abort();
      await connecting;
    };
    await soon(Promise.all(Array.from({ length: 1000 }, drop)), 'the end of the storm');
    t.is(ended.connected + ended.aborted + ended.late, 1000);
    t.true(ended.aborted > 100, JSON.stringify(ended));
    await until(() => ring.inFlight === 0);
    t.is(openFds().size, before);
    await assertUsable(t, ring);
  });
});
