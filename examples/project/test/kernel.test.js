// The program as it is, where there is io_uring.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { availability, Ring } from 'uring';
import { ask } from '../src/client.js';
import { Server } from '../src/server.js';
import { Store } from '../src/store.js';
import { every } from '../src/ticker.js';

const answer = availability();
const skip = answer.available ? false : `${answer.code}: ${answer.reason}`;

test('a client sets, the disk has it, another client gets it', { skip, timeout: 20_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'uring-project-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'db');
  const ring = new Ring();
  const store = await Store.open(ring, path);
  const server = await Server.listen(ring, store, { address: '127.0.0.1', port: 0 });
  const ticked = new Promise((resolve) => {
    const stop = every(ring, 5, () => resolve(stop()));
  });
  const target = { address: '127.0.0.1', port: server.address.port };
  assert.equal(await ask(ring, target, 'set a 1'), 'ok');
  assert.equal(await ask(ring, target, 'set a 2'), 'ok');
  assert.equal(await ask(ring, target, 'get a'), '2');
  assert.equal(await readFile(path, 'utf8'), '["a","1"]\n["a","2"]\n');
  await ticked;
  await store.compact();
  assert.equal(await readFile(path, 'utf8'), '["a","2"]\n');
  await server.stop();
  await store.close();
  await ring.close();
});
