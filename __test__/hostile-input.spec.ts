// What `npm run fuzz -- api` has found: input that no type allows is refused with a code too.
import test from 'ava';
import * as u from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { declare, range, refuses, type, value, wrong } from './_refusals.ts';

leakCheck(test);

/** Has no way to become a string: String() of it throws a TypeError of the engine's. */
const bare = Object.create(null);
/** A class whose name is no string. */
const nameless = { constructor: { name: Symbol('name') } };
const memory = Buffer.alloc(16);
/** A list with a hole in it, which `map` and `forEach` pass over. */
const holed = (item: unknown): unknown[] => Object.assign([], { 1: item });

declare('values that cannot be made strings are refused like all others', [
  type('an argument', () => u.read(wrong(bare), memory), /"fd" .* Received an object/),
  type('a class without a name', () => u.read(wrong(nameless), memory), /"fd" .* Received an object/),
  value('a name', (ring) => ring.supports(wrong(bare)), /"name" is no operation: an object/),
  value(
    'a feature',
    () => new u.Ring({ requireFeatures: [wrong(bare)] }),
    /"options.requireFeatures" has an object, which/,
  ),
  value(
    'an encoding',
    (ring) => u.readFile(ring, 'x', { encoding: wrong(bare) }),
    /"options.encoding" is no encoding: an object/,
  ),
  value(
    'a family',
    () => u.bind(0, { address: '127.0.0.1', port: 1, family: wrong(bare) }),
    /"address.family" is an object, but/,
  ),
  value(
    'when to be durable',
    (ring) => u.writeFile(ring, 'x', 'y', { fsync: wrong(bare) }),
    /"options.fsync" must be .* Received an object/,
  ),
  value(
    'a restriction',
    (ring) => ring.registrar.restrict({ operations: [wrong(bare)] }),
    /"restrictions.operations\[0\]" is no such name: an object/,
  ),
]);

declare('an offset that is no number any more is refused when the operation runs', [
  ...[7n, '1', Symbol('s'), bare, undefined].map((offset) =>
    range(
      typeof offset,
      (ring) => ring.exec(Object.assign(u.read(0, memory), { offset })),
      /"operation.offset" .* an integer from -1/,
    ),
  ),
]);

declare('a hole in a list is refused as what is not there', [
  type('buffers', () => u.readv(0, wrong(holed(memory))), /"buffers\[0\]" .* Received undefined/),
  type('waiters', () => u.futexWaitv(wrong(holed({}))), /"waiters\[0\]" .* Received undefined/),
  type('descriptors', () => u.filesUpdate(0, wrong(holed(0))), /"fds\[0\]" .* Received undefined/),
  type(
    'processors',
    (ring) => ring.registrar.setWorkerAffinity(wrong(holed(0))),
    /"cpus\[0\]" .* Received undefined/,
  ),
  value(
    'names',
    (ring) => ring.registrar.restrict({ operations: wrong(holed('read')) }),
    /"restrictions.operations\[0\]" is no such name: undefined/,
  ),
  value(
    'memory of the ring',
    (ring) => ring.registrar.unregisterBuffers(wrong(holed(ring.alloc(16)))),
    /"buffers\[0\]" is no memory of ring.alloc\(\)/,
  ),
]);

test('a list that only claims to be long is refused at once', async (t) => {
  const endless = wrong(Object.assign([], { length: 2 ** 32 - 1 }));
  await withRing({ entries: 4 }, async (ring) => {
    for (const refusal of [
      range('buffers', () => ring.registrar.registerBuffers(endless), /"buffers.length" .* <= 65535/),
      range('parts', () => u.writeAll(ring, 0, endless), /"data.length" .* <= 16777216/),
      range('rules', () => u.openat2('x', { resolve: endless }), /"options.resolve.length" .* <= 64/),
    ])
      await refuses(t, ring, refusal);
  });
});

test('each item of a list is looked at once, so what is checked is what is used', async (t) => {
  await withRing({ entries: 4 }, (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 0 });
    let looks = 0;
    const shifty = Object.defineProperty([-1], 0, { get: () => (looks++ === 0 ? -1 : 'nothing') });
    t.deepEqual(files.update(0, shifty), [undefined]);
    t.is(looks, 1);
  });
});

test('a getter in the place of an offset may prepare operations itself', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const inner: Promise<number>[] = [];
    const get = (): number => {
      inner.push(ring.exec(u.nop({ result: 7 })));
      return 0;
    };
    const outer = Object.defineProperty(u.nop({ result: 5 }), 'offset', { get });
    t.is(await ring.exec(outer), 5);
    t.deepEqual(await Promise.all(inner), [7]);
  });
});

test('a getter on a buffer that prepares operations fails the one that it belongs to', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    let isArmed = false;
    const inner: Promise<number>[] = [];
    const get = (): number => {
      if (isArmed) inner.push(ring.exec(u.nop({ result: 7 })));
      return 16;
    };
    const shifty = Object.defineProperty(new Uint8Array(16), 'length', { get });
    const operation = u.read(0, shifty);
    isArmed = true;
    await t.throwsAsync(async () => ring.exec(operation), { code: 'ERR_URING_REENTERED' });
    t.deepEqual((await Promise.allSettled(inner)).length, 1);
  });
});

test('a getter on a buffer whose own operation fails spoils nothing of the one that it belongs to', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const detached = new Uint8Array(16);
    const failing = u.write(1, detached);
    structuredClone(detached, { transfer: [detached.buffer] });
    let isArmed = false;
    const inner: string[] = [];
    const get = (): number => {
      try {
        if (isArmed) ring.prep(failing);
      } catch (error) {
        inner.push((error as { code: string }).code);
      }
      return 16;
    };
    const shifty = Object.defineProperty(new Uint8Array(16), 'length', { get });
    const operation = u.read(0, shifty);
    isArmed = true;
    await t.throwsAsync(async () => ring.exec(operation), { code: 'ERR_URING_REENTERED' });
    t.deepEqual([...new Set(inner)], ['ERR_URING_BUFFER_DETACHED']);
    t.is(await ring.exec(u.nop({ result: 7 })), 7);
    t.is(ring.inFlight, 0);
  });
});

test('an injected result below all errnos is told as it is', async (t) => {
  await withRing({ entries: 4 }, async (ring) => {
    const error = await t.throwsAsync(ring.exec(u.nop({ result: -65_581 })));
    t.like(error, { syscall: 'nop', errno: -65_581 });
  });
});

test('options of a ring are looked at once, so that a getter which throws the second time leaves nothing open', async (t) => {
  for (const name of ['attachTo', 'asyncContext', 'waitingMax', 'slowOperationMs']) {
    let looks = 0;
    const get = (): undefined => {
      looks += 1;
      if (looks > 1) throw new Error('looked at twice');
      return undefined;
    };
    const ring = new u.Ring(Object.defineProperty({}, name, { get, enumerable: true }));
    t.is(looks, 1, name);
    await ring.close();
  }
});

declare('sizes that are not given at all are refused', [
  type('resize()', (ring) => ring.resize(wrong(undefined)), /"options" argument must be of type object/),
]);

declare('what only looks like an operation is refused', [
  type('a proxy', (ring) => ring.exec(new Proxy(u.nop(), {})), /"operation" argument must be an operation/),
  type('in a chain', (ring) => ring.chain([u.nop(), new Proxy(u.nop(), {})]), /"operation" argument must be/),
  type('by hand', (ring) => ring.prep(new Proxy(u.nop(), {})), /"operation" argument must be an operation/),
  type('an heir', (ring) => ring.exec(Object.create(u.nop())), /"operation" argument must be an operation/),
]);
