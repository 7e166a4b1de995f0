// Callbacks and the asynchronous context of whoever started their operation.
import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import { nop, type Ring, timeoutMultishot } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const storage = new AsyncLocalStorage<string>();

const seen = (ring: Ring, count: number): Promise<(string | undefined)[]> =>
  new Promise((resolve) => {
    const stores: (string | undefined)[] = [];
    for (let at = 0; at < count; at += 1) {
      storage.run(`context ${at}`, () => {
        ring.start(nop(), () => {
          stores.push(storage.getStore());
          if (stores.length === count) resolve(stores);
        });
      });
    }
  });

test('a callback sees the context of whoever started the operation, also one that waited for room', async (t) => {
  await withRing({ entries: 4, cqEntries: 4 }, async (ring) => {
    t.deepEqual(
      await seen(ring, 20),
      Array.from({ length: 20 }, (_, at) => `context ${at}`),
    );
  });
});

test('each completion of a multishot operation sees it', async (t) => {
  await withRing({}, async (ring) => {
    const stores: unknown[] = [];
    await new Promise<void>((resolve) => {
      storage.run('timer', () => {
        ring.start(timeoutMultishot(1, { repeat: 3 }), (_error, _result, { hasMore }) => {
          stores.push(storage.getStore());
          if (!hasMore) resolve();
        });
      });
    });
    t.deepEqual(stores, ['timer', 'timer', 'timer']);
  });
});

test('with asyncContext: false callbacks do not follow those who start', async (t) => {
  await withRing({ asyncContext: false }, async (ring) => {
    const [one, two] = await seen(ring, 2);
    t.is(one, two);
  });
});

test('promises and iterators keep the context of whoever awaits them', async (t) => {
  await withRing({ asyncContext: false }, async (ring) => {
    await storage.run('awaited', async () => {
      await ring.exec(nop());
      t.is(storage.getStore(), 'awaited');
      await ring.chain([nop(), nop()]);
      t.is(storage.getStore(), 'awaited');
      for await (const _ of ring.multishot(timeoutMultishot(1, { repeat: 2 })))
        t.is(storage.getStore(), 'awaited');
    });
  });
});
