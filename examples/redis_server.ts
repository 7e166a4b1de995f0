// A small Redis: enough for redis-cli and for all of redis-benchmark. Serves until Ctrl-C. Linux 6.11.
//
//   npm run example -- redis_server [PORT]
//   redis-benchmark -p 7379 -P 16
import { once } from 'node:events';
import { Commands } from './servers/commands.ts';
import { Resp } from './servers/resp.ts';
import { Server } from './servers/server.ts';

const port = Number(process.argv[2] ?? 7379);

const commands = new Commands();
const server = new Server(() => new Resp((args, reply, connection) => commands.run(args, reply, connection)));
await server.listen(port);
console.log(`listening on 127.0.0.1:${port}`);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
const left = await server.stop();
console.log(`${server.count} connections, ${commands.count} commands`);
console.log(`left: ${server.open} connections, ${left}`);
