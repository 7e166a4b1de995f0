// @ts-check
// `echo.tcp.*` and `idle.tcp.rss`: a server that sends back what it gets, on node:net.

import { createServer } from 'node:net';

import { parseOptions, report } from '../common.mjs';

const BACKLOG = 4096;

const { port } = parseOptions();
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (data) => socket.write(data));
  // The load generator resets its connections when it is done.
  socket.on('error', () => socket.destroy());
});
server.listen({ port, host: '0.0.0.0', backlog: BACKLOG }, () => report({ listening: port }));
