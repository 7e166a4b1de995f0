// The small web server of examples/, with clients that nobody here wrote: curl, and Node's own.
import test, { type ExecutionContext } from 'ava';
import { leakCheck, skipUnless } from './_helpers.ts';
import { kernelIs } from './_kernel.ts';
import { ExampleServer, has, nothingLeft, runClient, wentWell } from './_servers.ts';
import { numbered } from './_sockets.ts';

const KERNEL = kernelIs('6.11');
const serverTest = skipUnless(KERNEL, 'Linux 6.11', test.serial);
const curlTest = skipUnless(
  KERNEL && has('curl'),
  'Linux 6.11 and curl: scripts/install-clients.sh',
  test.serial,
);

type T = ExecutionContext<unknown>;

leakCheck(test);

/** Asks for something, and answers curl's body and what it says with -w. */
async function curl(t: T, args: readonly string[], input?: Uint8Array): Promise<string> {
  const result = await runClient('curl', ['-sS', '--max-time', '30', ...args], input);
  wentWell(t, result);
  return result.stdout;
}

curlTest('curl gets a page, its head, and a 404', async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  const url = `http://127.0.0.1:${server.port}`;
  const page = await curl(t, ['-i', `${url}/?query`]);
  t.regex(
    page,
    /^HTTP\/1\.1 200 OK\r\n.*Content-Length: 20\r\nConnection: keep-alive\r\n\r\nhello from io_uring\n$/s,
  );
  const head = await curl(t, ['-I', `${url}/`]);
  t.regex(head, /^HTTP\/1\.1 200 OK\r\n.*Content-Length: 20\r\nConnection: keep-alive\r\n\r\n$/s);
  t.regex(
    await curl(t, ['-i', `${url}/nothing`]),
    /^HTTP\/1\.1 404 Not Found\r\n.*\r\n\r\nthere is no such thing\n$/s,
  );
  t.regex(
    await curl(t, ['-i', '-X', 'DELETE', `${url}/`]),
    /^HTTP\/1\.1 405 Method Not Allowed\r\n.*Allow: GET, HEAD\r\n/s,
  );
  nothingLeft(t, await server.stop());
});

curlTest('curl keeps its connection for several requests, also after a head and a 404', async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  const url = `http://127.0.0.1:${server.port}`;
  const format = ['-o', '/dev/null', '-w', '%{http_code} %{num_connects} %{size_download}\n'];
  const urls = ['/', '/nothing', '/bytes/100000', '/bytes/0', '/'].flatMap((path) => [
    ...format,
    `${url}${path}`,
  ]);
  t.is(await curl(t, urls), '200 1 20\n404 0 23\n200 0 100000\n200 0 0\n200 0 20\n');
  t.is(await curl(t, [...format, '--http1.0', `${url}/`]), '200 1 20\n');
  const closing = ['-H', 'Connection: close', ...format, `${url}/`, ...format, `${url}/`];
  t.is(await curl(t, closing), '200 1 20\n200 1 20\n');
  const end = await server.stop();
  t.regex(end.stdout, /^4 connections$/m);
  nothingLeft(t, end);
});

curlTest('curl sends and fetches bodies that are larger than all buffers', async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  const url = `http://127.0.0.1:${server.port}`;
  // With more than a megabyte it asks first, with Expect: 100-continue.
  const body = Buffer.alloc(8_000_000, 'abcdefghi');
  t.true((await curl(t, ['--data-binary', '@-', `${url}/echo`], body)) === body.toString());
  const size = ['-o', '/dev/null', '-w', '%{http_code} %{size_download}', `${url}/bytes/60000000`];
  t.is(await curl(t, size), '200 60000000');
  const before = server.rss;
  t.is(
    await curl(
      t,
      ['-o', '/dev/null', '-w', '%{http_code}', '--data-binary', '@-', `${url}/echo`],
      Buffer.alloc(17 << 20),
    ),
    '413',
  );
  t.true(server.rss - before < 64 << 20);
  nothingLeft(t, await server.stop());
});

serverTest('HTTP requests that are pipelined, whole or byte by byte, are answered in order', async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  const requests = [
    'GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST /echo HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nhello',
    'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    'GET /after/the/end HTTP/1.1\r\nHost: x\r\n\r\n',
  ].join('');
  for (const how of ['whole', 'bytewise'] as const) {
    const client = await server.connect(t);
    if (how === 'whole') client.socket.write(requests);
    else await client.bytewise(requests);
    const answers = (await client.all())
      .toString()
      .split(/HTTP\/1\.1 /)
      .slice(1);
    t.deepEqual(
      answers.map((answer) => [answer.slice(0, 3), answer.split('\r\n\r\n')[1]]),
      [
        ['200', 'xxx'],
        ['200', 'hello'],
        ['200', ''],
        ['404', 'there is no such thing\n'],
      ],
    );
    client.socket.destroy();
  }
  nothingLeft(t, await server.stop());
});

serverTest('HTTP requests that could mean two things are refused', async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  for (const [request, status] of [
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['nonsense\r\n\r\n', 400],
    ['GET / HTTP/2.0\r\nHost: x\r\n\r\n', 505],
    ['POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    ['POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', 400],
    ['POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 501],
    ['GET / HTTP/1.1\r\nHost : x\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n', 413],
  ] as const) {
    const client = await server.connect(t);
    client.socket.write(request);
    t.regex(
      (await client.all()).toString(),
      new RegExp(`^HTTP/1.1 ${status} .*Connection: close`, 's'),
      request.slice(0, 60),
    );
    client.socket.destroy();
  }
  nothingLeft(t, await server.stop());
});

serverTest("Node's own fetch talks to the web server, many requests at a time", async (t) => {
  const server = await ExampleServer.start(t, 'http_server');
  const url = `http://127.0.0.1:${server.port}`;
  const body = numbered(100_000);
  const answers = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const response = await fetch(`${url}/echo`, { method: 'POST', body });
      return Buffer.from(await response.arrayBuffer());
    }),
  );
  t.true(answers.every((answer) => answer.equals(body)));
  t.is(await (await fetch(url)).text(), 'hello from io_uring\n');
  nothingLeft(t, await server.stop());
});
