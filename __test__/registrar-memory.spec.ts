import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  acceptMultishot,
  FileSlots,
  type FixedFile,
  nop,
  openat,
  Ring,
  type RingEvent,
  read,
  readFixed,
  readv,
  write,
  writeFixed,
} from 'uring';
import { assertUsable, fifo, file, listen, pattern, waitFor } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { range, refuses, type, value, wrong } from './_refusals.ts';
import { until } from './_until.ts';

leakCheck(test);

/** The events that have arrived, in order. */
const events = (ring: Ring): RingEvent[] => [...ring.completions()].flatMap(({ event }) => event ?? []);

test('memory taken out of the table works unregistered, and registered again as before', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(100);
    const { registeredBytes } = ring.stats();
    t.true(registeredBytes > 0);
    ring.registrar.unregisterBuffers([buffer]);
    t.is(ring.stats().registeredBytes, 0);
    t.is(ring.stats().unregisteredBytes, registeredBytes);
    t.is(await ring.exec(read(fd, buffer, { offset: 0 })), 100);
    t.deepEqual(buffer, pattern(100));
    await t.throwsAsync(ring.exec(readFixed(fd, buffer, { offset: 0 })), {
      code: 'ERR_URING_NOT_REGISTERED',
    });
    t.throws(() => ring.registrar.unregisterBuffers([buffer]), {
      code: 'ENXIO',
    });
    ring.registrar.registerBuffers([buffer]);
    t.is(ring.stats().registeredBytes, registeredBytes);
    t.is(await ring.exec(readFixed(fd, buffer, { offset: 0 })), 100);
    t.throws(() => ring.registrar.registerBuffers([buffer]), { code: 'EBUSY', message: /is registered/ });
    await assertUsable(t, ring);
  });
});

test('neighbours in one arena are registered and unregistered once', async (t) => {
  await withRing({}, (ring) => {
    const [one, two] = [ring.alloc(64), ring.alloc(64)];
    t.is(one.buffer, two.buffer);
    ring.registrar.unregisterBuffers([one, two]);
    ring.registrar.registerBuffers([two, one], { tags: [undefined, 5] });
    ring.registrar.unregisterBuffers([two]);
    t.deepEqual(events(ring), [{ type: 'tag', tag: 5 }]);
    const twice = { tags: [1, 2] };
    t.throws(() => ring.registrar.registerBuffers([one, two], twice), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});

test('the tag of a buffer comes back when the last operation on it has ended', async (t) => {
  await withRing({}, (ring) => {
    const pipe = fifo(t);
    const buffer = ring.alloc(300_000);
    ring.registrar.unregisterBuffers([buffer]);
    const tag = Number.MAX_SAFE_INTEGER;
    ring.registrar.registerBuffers([buffer], { tags: [tag] });
    t.true(ring.prep(readFixed(pipe, buffer, { offset: -1 }), 'reads'));
    ring.submit();
    ring.registrar.unregisterBuffers([buffer]);
    t.is(ring.peek(), undefined, 'the kernel still has it');
    t.true(ring.prep(write(pipe, Buffer.from('end')), 'writes'));
    waitFor(ring, 3);
    const all = [...ring.completions()];
    t.deepEqual(
      all.flatMap(({ event }) => event ?? []),
      [{ type: 'tag', tag }],
    );
    t.is(all.find(({ userData }) => userData === 'reads')?.res, 3);
    t.is(buffer.toString('latin1', 0, 3), 'end');
  });
});

test('memory that a ring shares with another is used there without a copy', async (t) => {
  const { fd, path } = file(t, pattern(5000));
  await withRing({}, async (source) => {
    await withRing({}, async (ring) => {
      const buffer = source.alloc(5000);
      await t.throwsAsync(ring.exec(readFixed(fd, buffer, { offset: 0 })), {
        code: 'ERR_URING_NOT_REGISTERED',
      });
      ring.registrar.cloneBuffers(source, [buffer]);
      t.is(ring.stats().arenas, 1);
      t.is(await ring.exec(readFixed(fd, buffer, { offset: 0 })), 5000);
      t.deepEqual(buffer, pattern(5000));
      t.is(await ring.exec(read(fd, buffer.subarray(10, 20), { offset: 0 })), 10);
      t.is(await ring.exec(readv(fd, [buffer.subarray(20, 30)], { offset: 0 })), 10);
      t.deepEqual(buffer.subarray(20, 30), pattern(10));
      buffer.fill(7);
      t.is(await ring.exec(writeFixed(fd, buffer.subarray(0, 9), { offset: 0 })), 9);
      t.deepEqual(readFileSync(path).subarray(0, 9), Buffer.alloc(9, 7));
      t.is(await source.exec(readFixed(fd, buffer, { offset: 0 })), 5000);
      // Once more is the same.
      ring.registrar.cloneBuffers(source, [buffer, buffer]);
      t.is(ring.stats().arenas, 2, 'the staging block of readv, and the clone');
      // The source may let go of it.
      source.registrar.unregisterBuffers([buffer]);
      t.is(await ring.exec(readFixed(fd, buffer, { offset: 0 })), 5000);
    });
  });
});

test('shared memory outlives the ring that it comes from', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const source = new Ring();
    const buffer = source.alloc(100);
    ring.registrar.cloneBuffers(source, [buffer]);
    await source.close();
    t.is(await ring.exec(readFixed(fd, buffer, { offset: 0 })), 100);
    t.deepEqual(buffer, pattern(100));
    t.throws(() => ring.registrar.cloneBuffers(source, [buffer]), { code: 'ERR_URING_CLOSED' });
  });
});

test('memory that is not registered cannot be shared', async (t) => {
  await withRing({}, async (source) => {
    await withRing({}, (ring) => {
      const buffer = source.alloc(100);
      source.registrar.unregisterBuffers([buffer]);
      t.throws(() => ring.registrar.cloneBuffers(source, [buffer]), {
        code: 'ENXIO',
        message: /not registered/,
      });
    });
  });
});

test('what is no memory of the ring is refused', async (t) => {
  await withRing({}, async (other) => {
    await withRing({}, async (ring) => {
      const foreign = other.alloc(10);
      const registrar = ring.registrar;
      const cases = [
        type('no list', () => registrar.registerBuffers(wrong('x')), /"buffers" argument must be an array/),
        type('no list', () => registrar.unregisterBuffers(wrong({})), /"buffers" argument must be an array/),
        value(
          'not ours',
          () => registrar.registerBuffers([Buffer.alloc(3)]),
          /buffers\[0\]" is no memory of/,
        ),
        value('foreign', () => registrar.unregisterBuffers([foreign]), /of ring.alloc\(\) of this ring/),
        value('own', () => registrar.cloneBuffers(ring, []), /is this ring/),
        type('no ring', () => registrar.cloneBuffers(wrong({}), []), /"source" argument must be a Ring/),
        value('own buffer', () => registrar.cloneBuffers(other, [ring.alloc(1)]), /of the source/),
        range('tag', () => registrar.registerBuffers([ring.alloc(1)], { tags: [-1] }), /options.tags\[0\]/),
        type(
          'tag',
          () => registrar.registerBuffers([ring.alloc(1)], { tags: [wrong('1')] }),
          /of type number/,
        ),
      ];
      for (const one of cases) await refuses(t, ring, one);
    });
  });
});

test('an update fills, empties and keeps slots in one call', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 4, kernelSlots: 0 });
    const kept = files.set(1, fd);
    const old = files.set(2, fd);
    const [first, second, third] = files.update(0, [fd, FileSlots.SKIP, -1]);
    t.is(first?.slot, 0);
    t.is(second?.handle, kept.handle);
    t.is(third, undefined);
    t.is(ring.stats().fileSlots, 2);
    t.is(await ring.exec(read(first as FixedFile, Buffer.alloc(10), { offset: 0 })), 10);
    t.is(await ring.exec(read(kept, Buffer.alloc(10), { offset: 0 })), 10);
    await t.throwsAsync(ring.exec(read(old, Buffer.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    const [again] = files.update(0, [fd]);
    t.not(again?.handle, first?.handle);
    await t.throwsAsync(ring.exec(read(first as FixedFile, Buffer.alloc(1))), {
      code: 'ERR_URING_STALE_HANDLE',
    });
  });
});

test('an update that meets a bad descriptor has done what stands before it', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 4, kernelSlots: 0 });
    const replaced = files.set(1, fd);
    const after = files.set(2, fd);
    t.throws(() => files.update(0, [fd, 9999, -1]), { code: 'EBADF' });
    t.is(ring.stats().fileSlots, 2, 'the first one is filled, the second emptied');
    await t.throwsAsync(ring.exec(read(replaced, Buffer.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    t.is(await ring.exec(read(after, Buffer.alloc(10), { offset: 0 })), 10);
    t.throws(() => files.set(2, 9999), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(read(after, Buffer.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    t.deepEqual(
      new Set([files.alloc(fd), files.alloc(fd), files.alloc(fd)].map(({ slot }) => slot)),
      new Set([1, 2, 3]),
    );
  });
});

test('the tag of a file comes back when the kernel has let go of it', async (t) => {
  const { fd } = file(t, pattern(10));
  await withRing({}, (ring) => {
    const files = ring.registrar.registerFiles({ slots: 4, kernelSlots: 0 });
    const one = files.set(0, fd, { tag: 10 });
    const two = files.alloc(fd, { tag: 11 });
    files.update(2, [fd, fd], { tags: [12, undefined] });
    files.clear(one);
    files.set(two.slot, fd, { tag: 13 });
    t.deepEqual(events(ring), [
      { type: 'tag', tag: 10 },
      { type: 'tag', tag: 11 },
    ]);
    files.update(0, [-1, -1, -1, -1]);
    t.deepEqual(
      events(ring)
        .map((event) => event.type === 'tag' && event.tag)
        .sort(),
      [12, 13],
    );
  });
});

test('an unregistered table leaves stale files behind, and another can be made', async (t) => {
  const { fd, path } = file(t, pattern(10));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 4, kernelSlots: 2 });
    const old = files.set(0, fd);
    const direct = await ring.exec(openat(path, { direct: true }));
    t.throws(() => ring.registrar.registerFiles(), { code: 'EBUSY' });
    files.unregister();
    t.is(ring.registrar.files, undefined);
    t.throws(() => files.set(0, fd), { code: 'ERR_URING_STALE_HANDLE' });
    t.throws(() => files.unregister(), { code: 'ERR_URING_STALE_HANDLE' });
    await t.throwsAsync(ring.exec(read(old, Buffer.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    const again = ring.registrar.registerFiles({ slots: 8, kernelSlots: 0 });
    const fresh = again.set(0, fd);
    again.set(4, fd);
    for (const stale of [old, direct]) {
      await t.throwsAsync(ring.exec(read(stale, Buffer.alloc(1))), { code: 'ERR_URING_STALE_HANDLE' });
    }
    t.is(await ring.exec(read(fresh, Buffer.alloc(10), { offset: 0 })), 10);
  });
});

test('a table is not unregistered under an operation that may be given a slot', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 1, kernelSlots: 1 });
    const { fd } = await listen(t);
    const stream = ring.multishot(acceptMultishot(fd, { direct: true }));
    const first = stream.next();
    await ring.exec(nop());
    t.throws(() => files.unregister(), { code: 'EBUSY', message: /wait for it, or cancel it/ });
    await stream.return();
    await first;
    files.unregister();
    t.is(ring.registrar.files, undefined);
  });
});

test('arguments of an update are checked', async (t) => {
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 2 });
    const cases = [
      range('first', () => files.update(2, [0]), /"first" is out of range/),
      range('too many', () => files.update(1, [0, 0]), /"fds.length" is out of range/),
      range('none', () => files.update(0, []), /"fds.length" is out of range/),
      type('no list', () => files.update(0, wrong(3)), /"fds" argument must be an array/),
      range('fd', () => files.update(0, [-3]), /"fds\[0\]" is out of range/),
      value('tag without a file', () => files.update(0, [-1], { tags: [4] }), /slot that gets no file/),
      range('tag', () => files.set(0, 0, { tag: 2 ** 53 }), /"options.tag" is out of range/),
    ];
    for (const one of cases) await refuses(t, ring, one);
  });
});

test('shared memory is given up by both rings when its buffer is collected', async (t) => {
  await withRing({}, async (source) => {
    await withRing({}, async (ring) => {
      const share = (): void => ring.registrar.cloneBuffers(source, [source.alloc(300_000)]);
      share();
      t.is(ring.stats().arenas, 1);
      await until(() => {
        globalThis.gc?.();
        return ring.stats().arenas + source.stats().arenas === 0;
      });
      t.is(ring.stats().registeredBytes, 0);
    });
  });
});
