import assert from 'node:assert/strict';
import test from 'node:test';
import { mock } from 'uring/mock';
import { every } from '../src/ticker.js';

test('it ticks as time passes, until it is stopped', async () => {
  const kernel = mock({});
  const ring = new kernel.Ring();
  let ticks = 0;
  const stop = every(ring, 1000, () => {
    ticks += 1;
  });
  await kernel.clock.advance(3_600_000);
  assert.equal(ticks, 3600);
  await stop();
  await kernel.clock.advance(3_600_000);
  assert.equal(ticks, 3600);
  await ring.close();
  kernel.assertNoLeaks();
});

test('it may be stopped by a tick, and ticks no more', async () => {
  const kernel = mock({});
  const ring = new kernel.Ring();
  let ticks = 0;
  const stop = every(ring, 1000, () => {
    ticks += 1;
    stop();
  });
  await kernel.clock.advance(10_000);
  assert.equal(ticks, 1);
  await stop();
  await ring.close();
});
