// The protocol of Redis, as far as a server needs it: requests in both forms, answers of version 2.
//
// https://redis.io/docs/latest/develop/reference/protocol-spec/
import type { Connection, Protocol } from './connection.ts';

const INLINE_BYTES_MAX = 64 * 1024;
const ARGUMENTS_MAX = 1024 * 1024;
const ARGUMENT_BYTES_MAX = 64 * 1024 * 1024;

const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const LF = 0x0a;
const CR = 0x0d;

/** What the peer sends is not the protocol: it is told, and the connection ends. */
class ProtocolError extends Error {}

/** The request at the front of the input: its arguments, and where it ends. */
interface Request {
  readonly args: Buffer[];
  readonly end: number;
}

/** Runs a command. The arguments are gone afterwards. */
export type Run = (args: readonly Buffer[], reply: Reply, connection: Connection) => void;

export class Resp implements Protocol {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  answer(input: Buffer, connection: Connection): number {
    const reply = new Reply(connection);
    try {
      const request = input[0] === ASTERISK ? multibulk(input) : inline(input);
      if (typeof request === 'number') return -request;
      if (request.args.length > 0) this.#run(request.args, reply, connection);
      return request.end;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      reply.error(`ERR Protocol error: ${error.message}`);
      connection.end();
      return input.length;
    }
  }
}

/** A request as a person types it. */
function inline(input: Buffer): Request | number {
  const end = input.indexOf(LF);
  if (end > INLINE_BYTES_MAX || (end < 0 && input.length > INLINE_BYTES_MAX))
    throw new ProtocolError('too big inline request');
  if (end < 0) return input.length + 1;
  const words = input.toString('latin1', 0, end).split(/[ \t\r]+/);
  const args = words.filter((word) => word !== '').map((word) => Buffer.from(word, 'latin1'));
  return { args, end: end + 1 };
}

/** A request as programs send it; of one that is not complete, how many bytes it has at least. */
function multibulk(input: Buffer): Request | number {
  let at = lineEnd(input, 0);
  if (at < 0) return input.length + 1;
  const count = integer(input, 1, at);
  if (count === undefined || count > ARGUMENTS_MAX) throw new ProtocolError('invalid multibulk length');
  const args: Buffer[] = [];
  while (args.length < count) {
    // `$0\r\n\r\n` is the shortest argument.
    if (at >= input.length) return at + 6 * (count - args.length);
    if (input[at] !== DOLLAR)
      throw new ProtocolError(`expected '$', got '${String.fromCharCode(input[at] ?? 0)}'`);
    const from = lineEnd(input, at);
    if (from < 0) return input.length + 1;
    const bytes = integer(input, at + 1, from);
    if (bytes === undefined || bytes < 0 || bytes > ARGUMENT_BYTES_MAX)
      throw new ProtocolError('invalid bulk length');
    at = from + bytes + 2;
    if (at > input.length) return at + 6 * (count - args.length - 1);
    if (input[at - 2] !== CR || input[at - 1] !== LF)
      throw new ProtocolError('no line end after a bulk string');
    args.push(input.subarray(from, from + bytes));
  }
  return { args, end: at };
}

/** Place after the end of a line, or -1 while that has not come. */
function lineEnd(input: Buffer, from: number): number {
  // A length, after one character: what goes on for longer is none.
  for (let at = from + 1; at < Math.min(input.length, from + 32); at += 1)
    if (input[at] === LF) return at + 1;
  if (input.length >= from + 32) throw new ProtocolError('invalid length');
  return -1;
}

/** The number between `from` and the end of its line. */
function integer(input: Buffer, from: number, lineEndAt: number): number | undefined {
  const digits = input.toString('latin1', from, lineEndAt - (input[lineEndAt - 2] === CR ? 2 : 1));
  return /^-?\d{1,16}$/.test(digits) ? Number(digits) : undefined;
}

/** Writes answers. */
export class Reply {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  simple(text: string): void {
    this.#connection.write(`+${text}\r\n`);
  }

  error(text: string): void {
    this.#connection.write(`-${text.replaceAll(/[\r\n]/g, ' ')}\r\n`);
  }

  integer(value: number): void {
    this.#connection.write(`:${value}\r\n`);
  }

  /** A value; null for one that is not there. */
  bulk(value: Uint8Array | string | null | undefined): void {
    if (value === null || value === undefined) {
      this.#connection.write('$-1\r\n');
      return;
    }
    this.#connection.write(`$${value.length}\r\n`);
    this.#connection.write(value);
    this.#connection.write('\r\n');
  }

  /** Says how many answers follow. */
  array(count: number): void {
    this.#connection.write(`*${count}\r\n`);
  }

  bulks(values: readonly (Uint8Array | string | null | undefined)[]): void {
    this.array(values.length);
    for (const value of values) this.bulk(value);
  }
}
