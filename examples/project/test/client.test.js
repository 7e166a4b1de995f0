import assert from 'node:assert/strict';
import test from 'node:test';
import { after, mock } from 'uring/mock';
import { ask } from '../src/client.js';

const TARGET = { address: '127.0.0.1', port: 7000 };
const CONNECTS = { socket: () => {}, setsockopt: 0, connect: 0, send: () => {} };

async function asked(handlers, options, passMs) {
  const kernel = mock({ ...CONNECTS, ...handlers });
  const ring = new kernel.Ring();
  const answer = ask(ring, TARGET, 'get a', options).then(
    (text) => `${text} at ${kernel.clock.nowMs}`,
    (error) => `${error.code} at ${kernel.clock.nowMs}`,
  );
  await kernel.clock.advance(passMs);
  const seen = await answer;
  await ring.close();
  kernel.assertNoLeaks();
  return seen;
}

test('an answer in pieces is one answer', async () => {
  const recv = [Buffer.from('val'), after(20, Buffer.from('ue\n'))];
  assert.equal(await asked({ recv }, {}, 100), 'value at 20');
});

test('a server that is not there yet is asked again', async () => {
  const connect = ['ECONNREFUSED', 'ECONNREFUSED', 0];
  assert.equal(await asked({ connect, recv: Buffer.from('x\n') }, {}, 1000), 'x at 300');
  assert.equal(await asked({ connect: 'ECONNREFUSED' }, {}, 1000), 'ECONNREFUSED at 300');
});

test('a server that does not answer has a second', async () => {
  assert.equal(await asked({ recv: after(1001, Buffer.from('x\n')) }, {}, 5000), 'ERR_URING_TIMEOUT at 1000');
  assert.equal(await asked({ connect: after(5000, 0) }, { timeoutMs: 50 }, 5000), 'ERR_URING_TIMEOUT at 50');
});

test('a server that hangs up is asked again, on a new connection', async () => {
  assert.equal(await asked({ recv: [Buffer.from('ha'), 0, Buffer.from('x\n')] }, {}, 1000), 'x at 100');
});

test('what nobody has foreseen is told by its name', async () => {
  assert.equal(await asked({}, {}, 10), 'ERR_URING_NO_MOCK_HANDLER at 0');
});
