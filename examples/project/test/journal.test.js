import assert from 'node:assert/strict';
import test from 'node:test';
import { mock } from 'uring/mock';
import { Store } from '../src/store.js';
import { disk } from '../testing/disk.js';

/** A store on a disk of its own, of which nothing is left open at the end. */
async function withStore(files, handlers, use) {
  const world = disk(files);
  const kernel = mock({ ...world.handlers, ...handlers(world) });
  const ring = new kernel.Ring();
  try {
    const store = await Store.open(ring, '/db');
    await use(store, world, kernel);
    await store.close();
  } finally {
    await ring.close();
  }
  kernel.assertNoLeaks();
}

const as = (...entries) => entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');

test('what was set is there, and there again after a restart', async () => {
  await withStore(
    { '/db': as(['a', '1'], ['a', '2']) },
    () => ({}),
    async (store, { text }) => {
      assert.equal(store.get('a'), '2');
      await store.set('b', '3');
      assert.equal(text('/db'), as(['a', '1'], ['a', '2'], ['b', '3']));
    },
  );
});

test('a line that was not finished is written over', async () => {
  await withStore(
    { '/db': `${as(['a', '1'])}["a","a long va` },
    () => ({}),
    async (store, { text }) => {
      await store.set('b', '2');
      assert.ok(text('/db').startsWith(as(['a', '1'], ['b', '2'])));
    },
  );
});

test('a short write breaks the chain, and is finished before the sync', async () => {
  const seen = [];
  const handlers = (world) => ({
    write(operation) {
      seen.push(`write ${operation.data.byteLength} at ${operation.offset}`);
      return world.write(operation, seen.length === 1 ? 4 : 100);
    },
    fsync: () => void seen.push('fsync'),
  });
  await withStore({}, handlers, async (store, { text }) => {
    await store.set('key', 'value');
    assert.deepEqual(seen, ['write 16 at 0', 'write 12 at 4', 'fsync']);
    assert.equal(text('/db'), as(['key', 'value']));
  });
});

test('when the disk is full nothing is set, and later there may be room', async () => {
  let isFull = true;
  const handlers = (world) => ({ write: (operation) => (isFull ? 'ENOSPC' : world.write(operation)) });
  await withStore({}, handlers, async (store) => {
    await assert.rejects(store.set('a', '1'), { code: 'ENOSPC', failedIndex: 0 });
    assert.equal(store.get('a'), undefined);
    isFull = false;
    await store.set('a', '2');
    assert.equal(store.get('a'), '2');
  });
});

test('what could not be synced is not told to be set', async () => {
  await withStore(
    {},
    () => ({ fsync: 'EIO' }),
    async (store) => {
      await assert.rejects(store.set('a', '1'), { code: 'EIO', failedIndex: 1 });
      assert.equal(store.get('a'), undefined);
    },
  );
});

test('compacting replaces the file, or leaves it as it was', async () => {
  const files = { '/db': as(['a', '1'], ['a', '2'], ['b', '3']) };
  await withStore(
    files,
    () => ({}),
    async (store, { text, paths }) => {
      await store.compact();
      assert.equal(text('/db'), as(['a', '2'], ['b', '3']));
      assert.deepEqual(paths(), ['/db']);
      await store.set('c', '4');
      assert.equal(text('/db'), as(['a', '2'], ['b', '3'], ['c', '4']));
    },
  );
  await withStore(
    files,
    () => ({ renameat: 'EROFS' }),
    async (store, { text, paths }) => {
      await assert.rejects(store.compact(), { code: 'EROFS' });
      assert.equal(text('/db'), files['/db']);
      assert.deepEqual(paths(), ['/db']);
    },
  );
});
