import assert from 'node:assert/strict';
import test from 'node:test';
import { after, mock } from 'uring/mock';
import { Server } from '../src/server.js';

const TARGET = { address: '127.0.0.1', port: 7000 };

/** A server whose clients are scripts of what arrives from each, and what it has sent them. */
async function served(clients, { store = new Map(), handlers = {}, until }) {
  const sent = clients.map(() => '');
  const byFd = new Map();
  const kernel = mock({
    socket: () => {},
    setsockopt: 0,
    bind: 0,
    listen: 0,
    getsockname: { address: TARGET },
    *accept(operation) {
      for (const [at] of clients.entries()) {
        byFd.set(operation.newFd, at);
        yield;
      }
    },
    recv: ({ fd }) => clients[byFd.get(fd)],
    send({ fd, data }) {
      sent[byFd.get(fd)] += data;
    },
    ...handlers,
  });
  const ring = new kernel.Ring();
  const server = await Server.listen(ring, store, TARGET);
  await until(kernel, server);
  await server.stop();
  kernel.assertNoLeaks();
  await ring.close();
  return sent;
}

test('each client has its answers, however its lines are cut', async () => {
  const clients = [
    [Buffer.from('set a 1\nge'), Buffer.from('t a\n'), 0],
    [after(10, Buffer.from('get a\nnonsense\n')), 0],
  ];
  const sent = await served(clients, { until: (kernel) => kernel.clock.advance(20) });
  assert.deepEqual(sent, ['ok\n1\n', '1\nerror: what is nonsense?\n']);
});

test('a client that goes away takes nobody along', async () => {
  const clients = [['ECONNRESET'], [after(10, Buffer.from('get a\n')), 0]];
  const until = async (kernel, server) => {
    await kernel.clock.advance(5);
    assert.equal(server.connections, 1);
    await kernel.clock.advance(10);
  };
  assert.deepEqual(await served(clients, { store: new Map([['a', 'x']]), until }), ['', 'x\n']);
});

test('without a buffer nothing is lost', async () => {
  const clients = [[Buffer.from('get a'), 'ENOBUFS', Buffer.from('\n'), 0]];
  const sent = await served(clients, {
    store: new Map([['a', 'here']]),
    until: (kernel) => kernel.clock.advance(5),
  });
  assert.deepEqual(sent, ['here\n']);
});

test('what does not fit into a socket at once is sent in pieces', async () => {
  const pieces = [];
  const handlers = {
    send({ data }) {
      pieces.push(data.toString('utf8', 0, 3));
      return Math.min(3, data.byteLength);
    },
  };
  await served([[Buffer.from('get a\n'), 0]], {
    store: new Map([['a', 'abcdefg']]),
    handlers,
    until: (kernel) => kernel.clock.advance(5),
  });
  assert.deepEqual(pieces, ['abc', 'def', 'g\n']);
});

test('an error of the disk is told to the client', async () => {
  const store = { set: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) };
  const sent = await served([[Buffer.from('set a 1\n'), 0]], {
    store,
    until: (kernel) => kernel.clock.advance(5),
  });
  assert.deepEqual(sent, ['error: ENOSPC\n']);
});

test('stopping closes the connections of clients that say nothing', async () => {
  const clients = [[after(3_600_000, 0)], [after(3_600_000, 0)]];
  const until = async (kernel, server) => {
    await kernel.clock.advance(5);
    assert.equal(server.connections, 2);
  };
  assert.deepEqual(await served(clients, { until }), ['', '']);
});
