// What a ring tells of itself: counters, channels for what is slow or short of something, and its forms in a debugger.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import {
  type Completion,
  close,
  type FullQueue,
  type LongTurn,
  msgRing,
  nop,
  openat,
  pipe,
  Ring,
  type RingOptions,
  read,
  readMultishot,
  type SlowOperation,
  SqeFlags,
  type StarvedBuffers,
  timeout,
  timeoutMultishot,
  write,
} from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { ROOT } from './_process.ts';
import { settle, until } from './_until.ts';

leakCheck(test);

/** What a channel publishes about one ring until the test ends. */
function listen<T extends { readonly ring: Ring }>(t: ExecutionContext, name: string, ring: Ring): T[] {
  const messages: T[] = [];
  const listener = (message: unknown): void => {
    if ((message as T).ring === ring) messages.push(message as T);
  };
  subscribe(name, listener);
  t.teardown(() => unsubscribe(name, listener));
  return messages;
}

test('stats count what a ring has done, and what it has', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    await Promise.all(Array.from({ length: 10 }, () => ring.exec(nop())));
    await ring.exec(timeout(5));
    const files = ring.registrar.registerFiles({ slots: 1 });
    const file = files.set(0, 0);
    files.clear(file);
    await t.throwsAsync(ring.exec(read(file, ring.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    await ring.exec(msgRing(ring));
    await until(() => ring.stats().events === 1);
    const stats = ring.stats();
    t.like(stats, {
      inFlight: 0,
      inFlightMax: 4,
      waiting: 0,
      delayed: 6,
      queueFull: 0,
      overflows: 0,
      starved: 0,
    });
    t.like(stats, { submitted: 12, refused: 1, buffersLent: 0, fileSlots: 0 });
    t.true(stats.wakes >= 1);
    t.true(stats.turns >= 1);
    t.true(stats.enters >= 3);
    for (const [name, count] of Object.entries(stats))
      t.true(Number.isSafeInteger(count) && count >= 0, name);
    t.is([...ring.completions()].length, 1);
  });
});

test('a turn that ends with more to deliver is counted, and so is one operation too many', async (t) => {
  await withRing({ waitingMax: 1, cqEntries: 256 }, async (ring) => {
    let left = 20_000;
    await new Promise<void>((resolve) => {
      const again = (): void => {
        left -= 1;
        if (left > 0) ring.start(nop(), again);
        if (left === 0) resolve();
      };
      for (let at = 0; at < 128; at += 1) ring.start(nop(), again);
    });
    t.true(ring.stats().fullTurns >= 1);
    const many = Array.from({ length: 400 }, () => ring.exec(nop()).catch(({ code }) => code));
    const outcomes = await Promise.all(many);
    t.is(outcomes.filter((outcome) => outcome === 'ERR_URING_QUEUE_FULL').length, ring.stats().queueFull);
    t.true(ring.stats().queueFull > 0);
  });
});

test('a closed ring keeps what was counted, and has nothing', async (t) => {
  const ring = new Ring();
  ring.alloc(4096);
  ring.registrar.registerFiles({ slots: 1 }).set(0, 0);
  await ring.exec(nop());
  const cancelled = ring.exec(timeout(3_600_000)).catch(({ code }) => code);
  await settle();
  const { submitted, wakes, arenas, fileSlots } = ring.stats();
  t.like({ submitted, fileSlots }, { submitted: 2, fileSlots: 1 });
  t.true(arenas > 0);
  await ring.close();
  t.is(await cancelled, 'ECANCELED');
  const stats = ring.stats();
  t.like(stats, { submitted, completed: 2, refused: 0, inFlightMax: 1 });
  t.like(stats, {
    inFlight: 0,
    waiting: 0,
    arenas: 0,
    fileSlots: 0,
    registeredBytes: 0,
    unregisteredBytes: 0,
  });
  t.true(stats.turns > 0 && stats.enters > 0 && stats.wakes >= wakes);
});

test('a chain that is refused counts with all its links, and messages and multishot results are completions', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 1 });
    const file = files.set(0, 0);
    files.clear(file);
    await t.throwsAsync(ring.chain([nop(), read(file, ring.alloc(1)), nop()]));
    t.like(ring.stats(), { submitted: 0, refused: 3, completed: 0 });
    await ring.exec(msgRing(ring));
    await until(() => ring.stats().events === 1);
    t.like(ring.stats(), { submitted: 1, completed: 2 });
    for await (const _ of ring.multishot(timeoutMultishot(1, { repeat: 3 })));
    t.like(ring.stats(), { submitted: 2, completed: 5 });
    t.is([...ring.completions()].length, 1);
  });
});

test('an operation that takes longer than the threshold is told of, if somebody wants to know', async (t) => {
  await withRing({ slowOperationMs: 20 }, async (ring) => {
    const { readFd, writeFd } = await ring.exec(pipe());
    const before = ring.exec(read(readFd, Buffer.alloc(1)));
    await ring.exec(nop());
    const messages = listen<SlowOperation>(t, 'uring:operation:slow', ring);
    await ring.exec(timeout(40));
    await ring.exec(write(writeFd, Buffer.from('x')));
    await before;
    t.deepEqual(messages, [], 'begun before anybody listened, quick, or slow on purpose');
    const slow = read(readFd, Buffer.alloc(1));
    const reading = ring.exec(slow);
    const failing = read(readFd, Buffer.alloc(1));
    await ring.exec(timeout(40));
    await ring.exec(write(writeFd, Buffer.from('x')));
    await reading;
    await t.throwsAsync(ring.exec(failing, { timeoutMs: 40 }), { code: 'ERR_URING_TIMEOUT' });
    t.deepEqual(
      messages.map(({ operation, name, res }) => [operation === slow, operation === failing, name, res]),
      [
        [true, false, 'read', 1],
        [false, true, 'read', -125],
      ],
    );
    for (const { durationMs } of messages) t.true(durationMs >= 20 && durationMs < 20_000);
    await Promise.all([ring.exec(close(readFd)), ring.exec(close(writeFd))]);
  });
});

test('what is subscribed to and left again costs nothing and tells nothing', async (t) => {
  await withRing({ slowOperationMs: 0 }, async (ring) => {
    const seen: unknown[] = [];
    const listener = (message: unknown): unknown => seen.push(message);
    const counted = (): number => seen.filter((message) => (message as SlowOperation).ring === ring).length;
    subscribe('uring:operation:slow', listener);
    await ring.exec(nop());
    await ring.exec(nop());
    unsubscribe('uring:operation:slow', listener);
    t.is(counted(), 2);
    // Timed, and never submitted: it is taken back.
    t.throws(() => ring.prep(read(0, Buffer.alloc(0))));
    await ring.exec(nop());
    t.is(counted(), 2);
  });
});

test('streams that wait for a buffer are told of', async (t) => {
  await withRing({}, async (ring) => {
    const messages = listen<StarvedBuffers>(t, 'uring:buffers:starved', ring);
    const { readFd, writeFd } = await ring.exec(pipe());
    const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 64 });
    const operation = readMultishot(readFd, buffers);
    const stream = ring.multishot(operation);
    const first = stream.next();
    await ring.exec(write(writeFd, Buffer.from('one')));
    const { value: lease } = await first;
    t.is(ring.stats().buffersLent, 1);
    const second = stream.next();
    await ring.exec(write(writeFd, Buffer.from('two')));
    await until(() => messages.length === 1);
    t.is(messages[0]?.buffers, buffers);
    t.is(messages[0]?.operation, operation);
    t.is(stream.description.state, 'waits for a buffer');
    t.is(ring.stats().starved, 1);
    lease?.release();
    t.is((await second).value?.data.toString(), 'two');
    await stream.return();
    await Promise.all([ring.exec(close(readFd)), ring.exec(close(writeFd))]);
  });
});

test('a queue without room is told of when operations begin to wait, and for each that is refused', async (t) => {
  await withRing({ entries: 4, cqEntries: 4, waitingMax: 2 }, async (ring) => {
    const messages = listen<FullQueue>(t, 'uring:queue:full', ring);
    const timers = Array.from({ length: 4 }, () => ring.exec(timeout(10)));
    t.deepEqual(messages, []);
    const waiting = [ring.exec(nop()), ring.exec(nop())];
    await t.throwsAsync(ring.exec(nop()), { code: 'ERR_URING_QUEUE_FULL' });
    await Promise.all([...timers, ...waiting]);
    t.deepEqual(messages, [
      { ring, refused: false, waiting: 0, inFlight: 4 },
      { ring, refused: true, waiting: 2, inFlight: 4 },
    ]);
  });
});

test.serial('a turn whose callbacks take long is told of', async (t) => {
  await withRing({ longTurnMs: 400 }, async (ring) => {
    const messages = listen<LongTurn>(t, 'uring:turn:long', ring);
    await ring.exec(nop());
    await settle();
    await new Promise<void>((resolve) => {
      ring.start(nop(), () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500));
      ring.start(nop(), () => resolve());
    });
    await until(() => messages.length > 0);
    t.is(messages.length, 1);
    t.true((messages[0]?.durationMs ?? 0) >= 400);
    t.is(messages[0]?.completions, 2);
  });
});

for (const [name, options] of [
  ['slowOperationMs', { slowOperationMs: -1 }],
  ['longTurnMs', { longTurnMs: '5' }],
] as const) {
  test(`${name} is a number that makes sense`, (t) => {
    t.throws(() => new Ring(options as unknown as RingOptions), { message: new RegExp(`options.${name}`) });
  });
}

test('the channels and their messages are documented', (t) => {
  const text = readFileSync(join(ROOT, 'docs/observability.md'), 'utf8');
  for (const name of ['operation:slow', 'buffers:starved', 'queue:full', 'turn:long'])
    t.true(text.includes(`\`uring:${name}\``), name);
});

/** Everything that can be looked at, with the words that tell it. */
async function specimens(ring: Ring): Promise<[thing: object, words: RegExp][]> {
  const file = await ring.exec(openat('/etc/hostname', { direct: true }));
  const buffers = ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 });
  const group = ring.createBufferGroup({ entries: 2, sizeBytes: 64 });
  const bytes = read(file, ring.alloc(10), { offset: 3 });
  const outgoing = ring.registrar.registerBufferRing({ entries: 1, provide: 'manually' });
  ring.prep(bytes, 'mine');
  ring.submitAndWait(1);
  const [completion] = ring.completions();
  return [
    [ring, /^Ring \{.*inFlight: .*setupFlags/],
    [bytes, /^Operation \{ name: 'read', slot: \d+, offset: 3, sizeBytes: 10, flags: .*FIXED_FILE/],
    [openat('/a/path'), /^Operation \{ name: 'openat', path: '\/a\/path'/],
    [nop({ flags: SqeFlags.ASYNC }), /^Operation \{ name: 'nop', flags: \[ 'ASYNC' \] \}$/],
    [completion as Completion, /^Completion \{ operation: 'read', res: \d+, userData: 'mine' \}$/],
    [buffers, /^BufferRing \{ group: \d+, entries: 4, sizeBytes: 64, .*lent: 0 \}$/],
    [group, /^BufferGroup \{ group: \d+, entries: 2, sizeBytes: 64, lent: 0 \}$/],
    [outgoing.take() as object, /^BufferLease \{ id: 0, isReleased: false, sizeBytes: 4096 \}$/],
    [file, /^FixedFile \{ slot: \d+ \}$/],
    [ring.multishot(timeoutMultishot(1)), /^MultishotStream \{ operation: 'timeout', state: 'not started/],
  ];
}

const shown = (thing: object, depth = 2): string =>
  inspect(thing, { depth, breakLength: Number.POSITIVE_INFINITY, compact: 10 });

test('what is shown in a debugger says what it is, without handles, also when its ring is closed', async (t) => {
  const ring = new Ring();
  ring.registrar.registerFiles();
  const all = await specimens(ring);
  const handle = String(ring.handle.ringToken);
  const check = (thing: object, words: RegExp): void => {
    const texts = [
      shown(thing),
      String(thing),
      shown(thing, 0),
      inspect({ deep: { deeper: thing } }),
      `${thing}`,
    ];
    for (const text of texts) {
      t.false(/handle|token|Symbol|#|native|0x/i.test(text), text);
      t.false(text.includes(handle), text);
    }
    t.regex(shown(thing), words);
    t.true(String(thing).startsWith(thing.constructor.name));
    t.is(inspect([[[[thing]]]]).replaceAll(/[\s[\]]/g, ''), 'Array', 'not deeper than asked');
  };
  for (const [thing, words] of all) check(thing, words);
  await ring.close();
  for (const [thing] of all) check(thing, new RegExp(`^${thing.constructor.name} \\{`));
  t.regex(shown(ring), /^Ring \{ closed: true, inFlight: 0/);
  for (const thing of all.map(([one]) => one.constructor.prototype)) {
    t.notThrows(() => inspect(thing));
    t.notThrows(() => inspect(Object.create(thing)));
  }
});

test('an error is shown in its completion, and an event too', async (t) => {
  await withRing({}, async (ring) => {
    ring.prep(nop({ result: -2 }));
    await ring.exec(msgRing(ring, { data: 5 }));
    const texts = [...ring.completions()].map((completion) => shown(completion));
    t.is(texts.length, 2);
    const text = texts.join('\n');
    t.regex(text, /Completion \{\s+operation: 'nop',\s+res: -2,\s+error: UringError: ENOENT/);
    t.regex(text, /Completion \{ event: \{ type: 'message', data: 5, res: 0, flags: 0 \}, res: 0 \}/);
  });
});
