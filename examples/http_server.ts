// A small web server: keep-alive, pipelining, bodies of a known length. Serves until Ctrl-C. Linux 6.11.
//
//   npm run example -- http_server [PORT]
//   curl -i http://127.0.0.1:7080/ http://127.0.0.1:7080/echo -d hello
import { once } from 'node:events';
import { Http, type Request, type Response } from './servers/http.ts';
import { Server } from './servers/server.ts';

const port = Number(process.argv[2] ?? 7080);
const TEXT = { 'Content-Type': 'text/plain' };
const BYTES_MAX = 64 * 1024 * 1024;

function respond({ method, path, body }: Request): Response {
  const isRead = method === 'GET' || method === 'HEAD';
  if (path === '/echo') {
    if (method !== 'POST' && method !== 'PUT') return { status: 405, fields: { Allow: 'POST, PUT' } };
    return { status: 200, fields: { 'Content-Type': 'application/octet-stream' }, body };
  }
  if (!isRead) return { status: 405, fields: { Allow: 'GET, HEAD' } };
  if (path === '/') return { status: 200, fields: TEXT, body: 'hello from io_uring\n' };
  const [, count] = /^\/bytes\/(\d{1,8})$/.exec(path) ?? [];
  if (count === undefined || Number(count) > BYTES_MAX)
    return { status: 404, fields: TEXT, body: 'there is no such thing\n' };
  return { status: 200, fields: TEXT, body: 'x'.repeat(Number(count)) };
}

const server = new Server(() => new Http(respond));
await server.listen(port);
console.log(`listening on 127.0.0.1:${port}`);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
const left = await server.stop();
console.log(`${server.count} connections`);
console.log(`left: ${server.open} connections, ${left}`);
