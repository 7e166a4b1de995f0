// The commands of a small Redis: those that redis-benchmark runs, and what people try first.
import type { Connection } from './connection.ts';
import { CommandError, Deque, Keyspace } from './keyspace.ts';
import type { Reply } from './resp.ts';

type Args = readonly Buffer[];
type Action = (args: Args, reply: Reply, keys: Keyspace, connection: Connection) => void;

interface Command {
  /** Arguments with the name: exactly so many, or at least so many if negative, as Redis counts them. */
  readonly arity: number;
  readonly action: Action;
}

const SYNTAX = 'ERR syntax error';
const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';

function text(args: Args, at: number): string {
  return args[at]?.toString('latin1') ?? '';
}

/** What stays: the memory of arguments does not. */
function kept(args: Args, at: number): Buffer {
  return Buffer.from(args[at] as Buffer);
}

function integer(digits: string): number {
  const value = Number(digits);
  if (!/^-?\d+$/.test(digits) || !Number.isSafeInteger(value)) throw new CommandError(NOT_AN_INTEGER);
  return value;
}

function float(digits: string): number {
  const value = Number(digits);
  if (digits === '' || Number.isNaN(value)) throw new CommandError('ERR value is not a valid float');
  return value;
}

function add(key: string, by: number, reply: Reply, keys: Keyspace): void {
  const before = integer(keys.string(key)?.toString('latin1') ?? '0');
  const value = before + by;
  if (!Number.isSafeInteger(value)) throw new CommandError('ERR increment or decrement would overflow');
  keys.change(key, Buffer.from(String(value)));
  reply.integer(value);
}

/** SET key value [NX | XX] [EX seconds | PX milliseconds | KEEPTTL] [GET] */
function set(args: Args, reply: Reply, keys: Keyspace): void {
  const key = text(args, 1);
  const seen = new Set<string>();
  let expiresMs = Number.POSITIVE_INFINITY;
  for (let at = 3; at < args.length; at += 1) {
    const option = text(args, at).toUpperCase();
    if (option === 'EX' || option === 'PX') {
      at += 1;
      if (at === args.length || expiresMs !== Number.POSITIVE_INFINITY) throw new CommandError(SYNTAX);
      const length = integer(text(args, at)) * (option === 'EX' ? 1000 : 1);
      if (length <= 0) throw new CommandError("ERR invalid expire time in 'set' command");
      expiresMs = Date.now() + length;
    } else if (!['NX', 'XX', 'KEEPTTL', 'GET'].includes(option)) {
      throw new CommandError(SYNTAX);
    }
    seen.add(option);
  }
  if (seen.has('NX') && seen.has('XX')) throw new CommandError(SYNTAX);
  const before = seen.has('GET') ? keys.string(key) : keys.get(key);
  if (seen.has('KEEPTTL')) expiresMs = keys.expires(key) ?? expiresMs;
  const isSet = !((seen.has('NX') && before !== undefined) || (seen.has('XX') && before === undefined));
  if (isSet) keys.set(key, kept(args, 2), expiresMs);
  if (seen.has('GET')) reply.bulk(before as Buffer | undefined);
  else if (isSet) reply.simple('OK');
  else reply.bulk(null);
}

function mset(args: Args, reply: Reply, keys: Keyspace): void {
  if (args.length % 2 === 0) throw new CommandError("ERR wrong number of arguments for 'mset' command");
  for (let at = 1; at < args.length; at += 2) keys.set(text(args, at), kept(args, at + 1));
  reply.simple('OK');
}

/** Adds to one end of a list. */
function pushing(end: 'unshift' | 'push'): Action {
  return (args, reply, keys) => {
    const list = keys.typedOrNew(text(args, 1), Deque);
    for (let at = 2; at < args.length; at += 1) list[end](kept(args, at));
    reply.integer(list.size);
  };
}

/** Takes from one end of a list, one or (with a count) several. */
function popping(end: 'shift' | 'pop'): Action {
  return (args, reply, keys) => {
    const count = args.length > 2 ? integer(text(args, 2)) : undefined;
    if (count !== undefined && count < 0) throw new CommandError(NOT_AN_INTEGER);
    const key = text(args, 1);
    const list = keys.typed(key, Deque);
    if (list === undefined) {
      if (count === undefined) reply.bulk(null);
      else reply.array(-1);
      return;
    }
    if (count === undefined) {
      reply.bulk(list[end]());
    } else {
      reply.bulks(Array.from({ length: Math.min(count, list.size) }, () => list[end]()));
    }
    keys.deleteEmpty(key, list);
  };
}

function sadd(args: Args, reply: Reply, keys: Keyspace): void {
  const members = keys.typedOrNew<Set<string>>(text(args, 1), Set);
  const before = members.size;
  for (let at = 2; at < args.length; at += 1) members.add(text(args, at));
  reply.integer(members.size - before);
}

function spop(args: Args, reply: Reply, keys: Keyspace): void {
  const key = text(args, 1);
  const members = keys.typed<Set<string>>(key, Set);
  const [member] = members ?? [];
  reply.bulk(member);
  if (members === undefined || member === undefined) return;
  members.delete(member);
  keys.deleteEmpty(key, members);
}

function hset(args: Args, reply: Reply, keys: Keyspace): void {
  if (args.length % 2 !== 0) throw new CommandError("ERR wrong number of arguments for 'hset' command");
  const fields = keys.typedOrNew<Map<string, Buffer | number>>(text(args, 1), Map);
  const before = fields.size;
  for (let at = 2; at < args.length; at += 2) fields.set(text(args, at), kept(args, at + 1));
  reply.integer(fields.size - before);
}

function zadd(args: Args, reply: Reply, keys: Keyspace): void {
  if (args.length % 2 !== 0) throw new CommandError(SYNTAX);
  const scores = args.flatMap((_, at) => (at >= 2 && at % 2 === 0 ? [float(text(args, at))] : []));
  const members = keys.typedOrNew<Map<string, Buffer | number>>(text(args, 1), Map);
  const before = members.size;
  for (const [at, score] of scores.entries()) members.set(text(args, 2 * at + 3), score);
  reply.integer(members.size - before);
}

/** The member with the least score. */
function zpopmin(args: Args, reply: Reply, keys: Keyspace): void {
  const key = text(args, 1);
  const members = keys.typed<Map<string, Buffer | number>>(key, Map);
  const [least] = [...(members ?? [])].sort(([, one], [, other]) => Number(one) - Number(other));
  if (members === undefined || least === undefined) {
    reply.array(0);
    return;
  }
  reply.bulks([least[0], String(least[1])]);
  members.delete(least[0]);
  keys.deleteEmpty(key, members);
}

/** Time to live. */
function living(unitMs: number): Action {
  return (args, reply, keys) => {
    const expiresMs = keys.expires(text(args, 1));
    if (expiresMs === undefined) reply.integer(-2);
    else if (expiresMs === Number.POSITIVE_INFINITY) reply.integer(-1);
    else reply.integer(Math.ceil((expiresMs - Date.now()) / unitMs));
  };
}

const SETTINGS: Readonly<Record<string, string>> = { save: '', appendonly: 'no' };

/** CONFIG GET name...: redis-benchmark asks what the server saves. */
function config(args: Args, reply: Reply): void {
  if (text(args, 1).toUpperCase() !== 'GET') throw new CommandError('ERR only CONFIG GET is here');
  const names = args.slice(2).map((name) => name.toString('latin1').toLowerCase());
  reply.bulks(Object.entries(SETTINGS).flatMap((setting) => (names.includes(setting[0]) ? setting : [])));
}

const COMMANDS: Readonly<Record<string, Command>> = {
  PING: {
    arity: -1,
    action: (args, reply) => (args.length > 1 ? reply.bulk(args[1]) : reply.simple('PONG')),
  },
  ECHO: { arity: 2, action: (args, reply) => reply.bulk(args[1]) },
  SET: { arity: -3, action: set },
  GET: { arity: 2, action: (args, reply, keys) => reply.bulk(keys.string(text(args, 1))) },
  DEL: {
    arity: -2,
    action: (args, reply, keys) =>
      reply.integer(args.slice(1).filter((key) => keys.delete(key.toString('latin1'))).length),
  },
  EXISTS: {
    arity: -2,
    action: (args, reply, keys) =>
      reply.integer(args.slice(1).filter((key) => keys.get(key.toString('latin1')) !== undefined).length),
  },
  INCR: { arity: 2, action: (args, reply, keys) => add(text(args, 1), 1, reply, keys) },
  DECR: { arity: 2, action: (args, reply, keys) => add(text(args, 1), -1, reply, keys) },
  INCRBY: {
    arity: 3,
    action: (args, reply, keys) => add(text(args, 1), integer(text(args, 2)), reply, keys),
  },
  MGET: {
    arity: -2,
    action: (args, reply, keys) => {
      const values = args.slice(1).map((key) => keys.get(key.toString('latin1')));
      reply.bulks(values.map((value) => (value instanceof Buffer ? value : null)));
    },
  },
  MSET: { arity: -3, action: mset },
  EXPIRE: {
    arity: 3,
    action: (args, reply, keys) =>
      reply.integer(Number(keys.expire(text(args, 1), Date.now() + 1000 * integer(text(args, 2))))),
  },
  TTL: { arity: 2, action: living(1000) },
  PTTL: { arity: 2, action: living(1) },
  LPUSH: { arity: -3, action: pushing('unshift') },
  RPUSH: { arity: -3, action: pushing('push') },
  LPOP: { arity: -2, action: popping('shift') },
  RPOP: { arity: -2, action: popping('pop') },
  LLEN: {
    arity: 2,
    action: (args, reply, keys) => reply.integer(keys.typed(text(args, 1), Deque)?.size ?? 0),
  },
  LRANGE: {
    arity: 4,
    action: (args, reply, keys) => {
      const [first, last] = [integer(text(args, 2)), integer(text(args, 3))];
      reply.bulks(keys.typed(text(args, 1), Deque)?.range(first, last) ?? []);
    },
  },
  SADD: { arity: -3, action: sadd },
  SPOP: { arity: 2, action: spop },
  HSET: { arity: -4, action: hset },
  ZADD: { arity: -4, action: zadd },
  ZPOPMIN: { arity: 2, action: zpopmin },
  CONFIG: { arity: -2, action: config },
  // redis-cli asks for the commands it may complete: it can do without.
  COMMAND: { arity: -1, action: (_, reply) => reply.array(0) },
  SELECT: {
    arity: 2,
    action: (args, reply) =>
      text(args, 1) === '0' ? reply.simple('OK') : reply.error('ERR DB index is out of range'),
  },
  DBSIZE: { arity: 1, action: (_, reply, keys) => reply.integer(keys.size) },
  FLUSHALL: {
    arity: -1,
    action: (_, reply, keys) => {
      keys.clear();
      reply.simple('OK');
    },
  },
  QUIT: {
    arity: -1,
    action: (_, reply, __, connection) => {
      reply.simple('OK');
      connection.end();
    },
  },
};
/** Not an object: `__proto__` is no command. */
const commands = new Map(Object.entries(COMMANDS));

/** Runs the commands of one client after the other on the same keys. */
export class Commands {
  readonly #keys = new Keyspace();
  /** Commands so far. */
  count = 0;

  run(args: Args, reply: Reply, connection: Connection): void {
    this.count += 1;
    const name = text(args, 0);
    const command = commands.get(name.toUpperCase());
    if (command === undefined) {
      reply.error(`ERR unknown command '${name.slice(0, 128)}'`);
      return;
    }
    const { arity, action } = command;
    if (arity >= 0 ? args.length !== arity : args.length < -arity) {
      reply.error(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
      return;
    }
    try {
      action(args, reply, this.#keys, connection);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      reply.error(error.message);
    }
  }
}
