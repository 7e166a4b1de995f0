// The small Redis of examples/, and the echo server, with clients that nobody here wrote.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { leakCheck, skipUnless } from './_helpers.ts';
import { kernelIs } from './_kernel.ts';
import { eventually } from './_loopback.ts';
import { ExampleServer, has, nothingLeft, runClient, wentWell } from './_servers.ts';
import { numbered } from './_sockets.ts';

const KERNEL = kernelIs('6.11');
const serverTest = skipUnless(KERNEL, 'Linux 6.11', test.serial);
const redisTest = skipUnless(
  KERNEL && has('redis-cli') && has('redis-benchmark'),
  'Linux 6.11 and redis-tools: scripts/install-clients.sh',
  test.serial,
);

/** All that redis-benchmark has in version 7.0, and what it calls them. */
const BENCHMARKS = {
  ping: ['PING_INLINE', 'PING_MBULK'],
  set: ['SET'],
  get: ['GET'],
  incr: ['INCR'],
  lpush: ['LPUSH'],
  rpush: ['RPUSH'],
  lpop: ['LPOP'],
  rpop: ['RPOP'],
  sadd: ['SADD'],
  hset: ['HSET'],
  spop: ['SPOP'],
  zadd: ['ZADD'],
  zpopmin: ['ZPOPMIN'],
  lrange: ['LPUSH', 'LRANGE_100', 'LRANGE_300', 'LRANGE_500', 'LRANGE_600'],
  mset: ['MSET'],
};

leakCheck(test);

type T = ExecutionContext<unknown>;

async function benchmark(t: T, server: ExampleServer, args: readonly string[]): Promise<string[]> {
  const result = await runClient('redis-benchmark', ['-p', String(server.port), '--csv', ...args]);
  wentWell(t, result);
  t.notRegex(result.stdout, /error/i);
  return result.stdout
    .trim()
    .split('\n')
    .map((line) => /^"(\w+)/.exec(line)?.[1] ?? line)
    .filter((name) => name !== 'test');
}

for (const [how, args] of [
  ['one after the other', ['-n', '2000']],
  ['16 at a time', ['-n', '4000', '-P', '16']],
] as const) {
  redisTest(`redis-benchmark runs all it has, with requests ${how}`, async (t) => {
    const server = await ExampleServer.start(t, 'redis_server');
    const tests = Object.keys(BENCHMARKS).join(',');
    t.deepEqual(await benchmark(t, server, ['-t', tests, ...args]), Object.values(BENCHMARKS).flat());
    nothingLeft(t, await server.stop());
  });
}

redisTest('redis-benchmark stores and fetches values that are larger than all receive buffers', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const args = ['-n', '40', '-c', '4', '-P', '2', '-d', String(5 << 20), '-t', 'set,get'];
  t.deepEqual(await benchmark(t, server, args), ['SET', 'GET']);
  nothingLeft(t, await server.stop());
});

redisTest('redis-benchmark takes the echo server for a Redis that is asked for its own words', async (t) => {
  // A request is an array of strings, and so is a valid answer.
  const server = await ExampleServer.start(t, 'tcp_echo', '600');
  for (const pipelined of ['1', '16']) {
    const args = [
      '-p',
      String(server.port),
      '--csv',
      '-n',
      '4000',
      '-P',
      pipelined,
      '-t',
      'ping_mbulk,set,mset',
    ];
    const { code, stdout } = await runClient('redis-benchmark', args);
    t.is(code, 0);
    t.is(stdout.match(/^"(PING_MBULK|SET|MSET \(10 keys\))"/gm)?.length, 3, stdout);
  }
  t.like(await server.stop(), { code: 0, signal: null, timedOut: false });
});

redisTest('redis-cli gets the answers that a Redis would give', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const talk: [ask: string, answer: string][] = [
    ['PING', 'PONG'],
    ['PING hello', '"hello"'],
    ['ECHO "two words\\n"', '"two words\\n"'],
    ['SET key value', 'OK'],
    ['GET key', '"value"'],
    ['GET nothing', '(nil)'],
    ['SET key other NX', '(nil)'],
    ['SET key other XX GET', '"value"'],
    ['SET key x EX 100', 'OK'],
    ['TTL key', '(integer) 100'],
    ['EXPIRE key 0', '(integer) 1'],
    ['EXISTS key', '(integer) 0'],
    ['SET key x PX 0', "(error) ERR invalid expire time in 'set' command"],
    ['SET key x XX NX', '(error) ERR syntax error'],
    ['MSET a 1 b two', 'OK'],
    ['MGET a b c', '1) "1"\n2) "two"\n3) (nil)'],
    ['INCR a', '(integer) 2'],
    ['INCRBY a -12', '(integer) -10'],
    ['INCR b', '(error) ERR value is not an integer or out of range'],
    ['EXISTS a b b c', '(integer) 3'],
    ['DEL a b c', '(integer) 2'],
    ['RPUSH list 3 4 5', '(integer) 3'],
    ['LPUSH list 2 1', '(integer) 5'],
    ['LRANGE list 1 -2', '1) "2"\n2) "3"\n3) "4"'],
    ['LPOP list', '"1"'],
    ['RPOP list 3', '1) "5"\n2) "4"\n3) "3"'],
    ['RPOP list', '"2"'],
    ['EXISTS list', '(integer) 0'],
    ['SADD set x x y', '(integer) 2'],
    ['GET set', '(error) WRONGTYPE Operation against a key holding the wrong kind of value'],
    ['GET', "(error) ERR wrong number of arguments for 'get' command"],
    ['__proto__', "(error) ERR unknown command '__proto__'"],
    ['DBSIZE', '(integer) 1'],
  ];
  const result = await runClient(
    'redis-cli',
    ['--no-raw', '-p', String(server.port)],
    talk.map(([ask]) => `${ask}\n`).join(''),
  );
  wentWell(t, result);
  t.is(result.stdout, talk.map(([, answer]) => `${answer}\n`).join(''));
  nothingLeft(t, await server.stop());
});

redisTest('redis-cli --pipe loads twenty thousand keys in one stream', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const keys = Array.from({ length: 20_000 }, (_, at) => `SET key:${at} ${'v'.repeat(at % 300)}x\r\n`);
  const result = await runClient('redis-cli', ['-p', String(server.port), '--pipe'], keys.join(''));
  t.is(result.code, 0);
  t.regex(result.stdout, /errors: 0, replies: 20000/);
  nothingLeft(t, await server.stop());
});

/** Requests in both forms, with bytes of all values, and what a server answers. */
const SCRIPT = Buffer.concat([
  Buffer.from('PING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*3\r\n$3\r\nSET\r\n$5\r\nbytes\r\n$256\r\n'),
  Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
  Buffer.from('\r\n\r\n  GET   bytes  \n*0\r\n*2\r\n$3\r\nDEL\r\n$5\r\nbytes\r\nQUIT\r\n'),
]);
const ANSWERS = Buffer.concat([
  Buffer.from('+PONG\r\n$0\r\n\r\n+OK\r\n$256\r\n'),
  Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
  Buffer.from('\r\n:1\r\n+OK\r\n'),
]);

serverTest('requests that come byte by byte are answered as those that come at once', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const whole = await server.connect(t);
  whole.socket.write(SCRIPT);
  t.deepEqual(await whole.all(), ANSWERS);
  const slow = await server.connect(t);
  await slow.bytewise(SCRIPT);
  t.deepEqual(await slow.all(), ANSWERS);
  nothingLeft(t, await server.stop());
});

serverTest('requests that are cut in two at any byte are answered', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const cut = async (at: number): Promise<void> => {
    const client = await server.connect(t);
    client.socket.write(SCRIPT.subarray(0, at));
    // Each comes in a receive of its own.
    await new Promise((resolve) => setImmediate(resolve));
    client.socket.write(SCRIPT.subarray(at));
    if (Buffer.compare(await client.all(), ANSWERS) !== 0) t.fail(`cut at ${at}: ${client.received}`);
    client.socket.destroy();
  };
  // The keys are the same, so one after the other.
  for (let at = 1; at < SCRIPT.length; at += at < 60 || at > SCRIPT.length - 80 ? 1 : 16) await cut(at);
  nothingLeft(t, await server.stop());
});

serverTest('a value that expires is gone', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const client = await server.connect(t);
  client.socket.write('SET key value PX 300\r\nEXISTS key\r\nPTTL key\r\n');
  await client.until('+OK\r\n:1\r\n:1\r\n'.length);
  t.regex(client.received.toString(), /^\+OK\r\n:1\r\n:\d/);
  await eventually(async () => {
    client.socket.write('GET key\r\n');
    await sleep(5);
    return client.received.toString().endsWith('$-1\r\n');
  });
  client.socket.destroy();
  nothingLeft(t, await server.stop());
});

serverTest('what is no protocol is answered with an error, and the connection ends', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  for (const [nonsense, problem] of [
    ['*x\r\n', 'invalid multibulk length'],
    ['*1\r\nGET\r\n', "expected '$', got 'G'"],
    ['*1\r\n$-5\r\n', 'invalid bulk length'],
    ['*1\r\n$99999999999\r\n', 'invalid bulk length'],
    [`*1\r\n$4\r\nPINGxx`, 'no line end after a bulk string'],
    ['x'.repeat(100_000), 'too big inline request'],
    [`*${'1'.repeat(100)}`, 'invalid length'],
  ] as const) {
    const client = await server.connect(t);
    client.socket.write(`PING\r\n${nonsense}`);
    t.is((await client.all()).toString(), `+PONG\r\n-ERR Protocol error: ${problem}\r\n`);
    client.socket.destroy();
  }
  nothingLeft(t, await server.stop());
});

serverTest(
  'a reader that does not read is bounded in memory, and keeps nobody from being served',
  async (t) => {
    const VALUE_BYTES = 1 << 20;
    const COUNT = 200;
    const server = await ExampleServer.start(t, 'redis_server');
    const value = numbered(VALUE_BYTES);
    const slow = await server.connect(t);
    slow.socket.write(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${VALUE_BYTES}\r\n`);
    slow.socket.write(value);
    slow.socket.write('\r\n');
    await slow.until(5);
    const before = server.rss;
    slow.socket.pause();
    slow.socket.write('GET big\r\n'.repeat(COUNT));
    const other = await server.connect(t);
    for (let count = 1; count <= 300; count += 1) {
      other.socket.write('PING\r\n');
      await other.until(7 * count);
    }
    t.true(server.rss - before < 64 << 20, `${server.rss - before} bytes more`);
    slow.socket.resume();
    const answer = Buffer.concat([Buffer.from(`$${VALUE_BYTES}\r\n`), value, Buffer.from('\r\n')]);
    await slow.until(5 + COUNT * answer.length);
    const { received } = slow;
    for (let at = 0; at < COUNT; at += 1) {
      const from = 5 + at * answer.length;
      if (received.compare(answer, 0, answer.length, from, from + answer.length) !== 0)
        t.fail(`answer ${at}`);
    }
    slow.socket.destroy();
    other.socket.destroy();
    nothingLeft(t, await server.stop());
  },
);

serverTest('many readers that do not read, and send on, take no buffer from others', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const request = Buffer.from(`*2\r\n$4\r\nECHO\r\n$16384\r\n${'e'.repeat(16_384)}\r\n`);
  const slow = await Promise.all(Array.from({ length: 30 }, () => server.connect(t)));
  for (const { socket } of slow) {
    socket.pause();
    for (let count = 0; count < 300; count += 1) socket.write(request);
  }
  const other = await server.connect(t);
  for (let count = 1; count <= 300; count += 1) {
    other.socket.write('PING\r\n');
    await other.until(7 * count);
  }
  for (const client of slow) client.socket.resume();
  for (const client of slow) await client.until(300 * (16_384 + 10));
  for (const client of [...slow, other]) client.socket.destroy();
  nothingLeft(t, await server.stop());
});

serverTest('a client that has closed its side still gets all of its answers', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const client = await server.connect(t);
  client.socket.end(`${'ECHO x\r\n'.repeat(50_000)}GET unfinished`);
  t.is((await client.all()).toString(), '$1\r\nx\r\n'.repeat(50_000));
  nothingLeft(t, await server.stop());
});

serverTest('connections that are reset in the middle leave nothing behind', async (t) => {
  const server = await ExampleServer.start(t, 'redis_server');
  const big = Buffer.concat([
    Buffer.from('*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$900000\r\n'),
    Buffer.alloc(300_000),
  ]);
  const moments = ['GET x\r\nGET', '', 'PING\r\n'.repeat(20_000), big, 'QUIT\r\n'];
  for (let round = 0; round < 10; round += 1) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => server.connect(t)));
    for (const [at, { socket }] of clients.entries()) {
      socket.write(moments[at % moments.length] as string);
      if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      socket.resetAndDestroy();
    }
  }
  const client = await server.connect(t);
  client.socket.end('PING\r\n');
  t.is((await client.all()).toString(), '+PONG\r\n');
  const end = await server.stop();
  t.regex(end.stdout, /^501 connections/m);
  nothingLeft(t, end);
});

serverTest(
  'a server that is stopped sends what it owes, and closes connections that say nothing',
  async (t) => {
    const server = await ExampleServer.start(t, 'redis_server');
    const idle = await server.connect(t);
    const busy = await server.connect(t);
    const value = 'v'.repeat(200_000);
    busy.socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n${value}\r\nGET k\r\n`);
    await busy.until(20);
    const stopped = server.stop();
    t.is((await busy.all()).toString(), `+OK\r\n$200000\r\n${value}\r\n`);
    t.is((await idle.all()).length, 0);
    idle.socket.end();
    busy.socket.end();
    nothingLeft(t, await stopped);
  },
);

serverTest(
  'the echo server gives everything back to a client that half-closes, and outlives resets',
  async (t) => {
    const server = await ExampleServer.start(t, 'tcp_echo', '600');
    const data = numbered(3_000_000);
    const client = await server.connect(t);
    client.socket.end(data);
    t.is(Buffer.compare(await client.all(), data), 0);
    for (let round = 0; round < 50; round += 1) {
      const { socket } = await server.connect(t);
      socket.write(data.subarray(0, 20_000));
      if (round % 2 === 0) await once(socket, 'data');
      socket.resetAndDestroy();
    }
    const bytewise = await server.connect(t);
    await bytewise.bytewise('byte by byte');
    bytewise.socket.end();
    t.is((await bytewise.all()).toString(), 'byte by byte');
    t.like(await server.stop(), { code: 0, signal: null, timedOut: false });
  },
);
