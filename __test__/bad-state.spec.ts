// What was right once: handles, buffers and rings that are gone, or that are another ring's.
import { closeSync, openSync } from 'node:fs';
import test from 'ava';
import {
  close,
  nop,
  Ring,
  read,
  readv,
  recv,
  recvMultishot,
  timeoutMultishot,
  UringError,
  write,
  writev,
} from 'uring';
import { assertUsable, file, pattern } from './_fixtures.ts';
import { leakCheck, skipUnless, withRing } from './_helpers.ts';
import { type Case, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

const FD = 0;

test('slots, descriptors and handles of the files table are checked', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
    const slot = files.set(0, 0);
    const cases: Case[] = [
      range('slot -1', () => files.set(-1, 0), /"slot" .* >= 0 and <= 1/),
      range('slot 2 (the kernel’s)', () => files.set(2, 0), /"slot" .* Received 2/),
      range('slot 0.5', () => files.set(0.5, 0), /"slot" .* must be an integer/),
      type("slot '0'", () => files.set(wrong('0'), 0), /"slot"/),
      range('fd -1', () => files.set(0, -1), /"fd" .* Received -1/),
      type('fd of another kind', () => files.alloc(wrong(slot)), /"fd" argument must be of type number/),
      type('clear(0)', () => files.clear(wrong(0)), /"file" argument must be a FixedFile/),
      type('clear(undefined)', () => files.clear(wrong(undefined)), /"file" argument must be a FixedFile/),
    ];
    for (const each of cases) await refuses(t, ring, each);
    t.is(ring.stats().fileSlots, 1);
  });
});

test('a detached buffer is refused, and one that is detached between runs too', async (t) => {
  const { fd } = file(t, pattern(64));
  await withRing({}, async (ring) => {
    const buffer = new Uint8Array(64);
    const operations = [
      read(fd, buffer, { offset: 0 }),
      write(fd, buffer, { offset: 0 }),
      readv(fd, [buffer], { offset: 0 }),
      writev(fd, [buffer], { offset: 0 }),
    ];
    structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
    await refuses(
      t,
      ring,
      value('new', () => read(fd, buffer), /"buffer" is empty \(or detached\)/),
    );
    for (const operation of operations) {
      await refuses(t, ring, [
        `operation ${operation.opcode}`,
        () => ring.exec(operation),
        UringError,
        'ERR_URING_BUFFER_DETACHED',
        /detached/,
      ]);
    }
  });
});

skipUnless('resize' in ArrayBuffer.prototype, 'resizable buffers')(
  'a view whose memory shrank away is refused',
  async (t) => {
    const { fd } = file(t, pattern(64));
    await withRing({}, async (ring) => {
      const memory = new (wrong(ArrayBuffer))(64, { maxByteLength: 128 });
      const operation = read(fd, new Uint8Array(memory, 32, 32), { offset: 0 });
      memory.resize(16);
      await refuses(t, ring, [
        'shrunk',
        () => ring.exec(operation),
        UringError,
        'ERR_URING_BUFFER_DETACHED',
        /detached/,
      ]);
    });
  },
);

test('a buffer ring of another ring, or one that is gone, is refused', async (t) => {
  await withRing({}, async (ring) => {
    await withRing({}, async (other) => {
      const foreign = other.registrar.registerBufferRing({ entries: 2, sizeBytes: 64 });
      const message = /belongs to another ring/;
      for (const act of [
        () => ring.prep(recv(FD, foreign)),
        () => ring.exec(recv(FD, foreign)),
        () => ring.multishot(recvMultishot(FD, foreign)).next(),
      ]) {
        await refuses(t, ring, ['foreign', act, UringError, 'ERR_URING_FOREIGN_RING', message]);
      }
      const gone = ring.registrar.registerBufferRing({ entries: 2, sizeBytes: 64 });
      gone.unregister();
      const stale = /was unregistered: register a new one/;
      await refuses(t, ring, [
        'gone',
        () => ring.exec(recv(FD, gone)),
        UringError,
        'ERR_URING_STALE_HANDLE',
        stale,
      ]);
    });
  });
});

test('every method of a closed ring that would do something says that it is closed', async (t) => {
  const ring = new Ring();
  const files = ring.registrar.registerFiles();
  const slot = files.alloc(0);
  const buffers = ring.registrar.registerBufferRing({ entries: 1, sizeBytes: 64 });
  const buffer = ring.alloc(16).fill(7);
  const stream = ring.multishot(timeoutMultishot(1));
  await ring.close();
  const expected = {
    instanceOf: UringError,
    code: 'ERR_URING_CLOSED',
    message: 'the ring is closed: make a new one',
  };
  const acts: (() => unknown)[] = [
    () => ring.fd,
    () => ring.prep(nop()),
    () => ring.prepChain([nop()]),
    () => ring.submit(),
    () => ring.submitAndWait(0),
    () => ring.exec(nop()),
    () => ring.start(nop(), () => t.fail('called')),
    () => ring.multishot(timeoutMultishot(1)),
    () => stream.next(),
    () => ring.alloc(1),
    () => ring.registrar.registerFiles(),
    () => ring.registrar.registerBufferRing(),
    () => ring.registrar.registerPersonality(),
    () => ring.registrar.unregisterPersonality(1),
    () => files.set(0, 0),
    () => files.alloc(0),
    () => files.clear(slot),
    () => new Ring({ attachTo: ring }),
  ];
  for (const act of acts) await t.throwsAsync(async () => act(), expected, String(act));
  t.is(await ring.close(), undefined, 'closing again is fine');
  await ring[Symbol.asyncDispose]();
  buffers.unregister();
  t.deepEqual(buffer, Buffer.alloc(16, 7), 'memory of the ring can still be read');
  t.like(ring, { closed: true, inFlight: 0, waiting: 0, cqReady: 0, overflowed: false });
  t.is(ring.peek(), undefined);
  t.deepEqual([...ring.completions()], []);
  t.is(
    ring.forEachCompletion(() => t.fail('nothing is there')),
    0,
  );
  t.is(typeof ring.stats().enters, 'number');
});

test('a full queue answers false, and is no error', async (t) => {
  await withRing({ entries: 1, cqEntries: 4 }, async (ring) => {
    t.true(ring.prep(nop(), 'first'));
    t.false(ring.prep(nop()));
    t.false(ring.prepChain([nop()]));
    t.throws(
      () => ring.prep(wrong(1)),
      { code: 'ERR_INVALID_ARG_TYPE' },
      'what is wrong is said all the same',
    );
    ring.submit();
    t.deepEqual(
      [...ring.completions()].map(({ userData }) => userData),
      ['first'],
    );
    await assertUsable(t, ring);
  });
});

test('closing a descriptor twice is EBADF the second time', async (t) => {
  await withRing({}, async (ring) => {
    const fd = openSync('/dev/null', 'r');
    const [first, second] = await Promise.allSettled([ring.exec(close(fd)), ring.exec(close(fd))]);
    t.is(first.status, 'fulfilled');
    t.is(second.status === 'rejected' && second.reason.code, 'EBADF');
    await assertUsable(t, ring);
    t.throws(() => closeSync(fd), { code: 'EBADF' });
  });
});
