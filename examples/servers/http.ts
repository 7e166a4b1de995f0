// HTTP/1.1, as far as a small server needs it: RFC 9112, without chunked requests.
import { STATUS_CODES } from 'node:http';
import type { Connection, Protocol } from './connection.ts';

const HEAD_BYTES_MAX = 16 * 1024;
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const HEAD_END = '\r\n\r\n';
const REQUEST_LINE = /^([!#$%&'*+.^_`|~\w-]+) (\S+) HTTP\/(1)\.([01])$/;
const FIELD = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/;

export interface Request {
  readonly method: string;
  /** As it was sent, without the query. */
  readonly path: string;
  /** By their names in small letters; several of a name are joined by commas. */
  readonly fields: ReadonlyMap<string, string>;
  /** Gone after the request is answered. */
  readonly body: Buffer;
}

export interface Response {
  readonly status: number;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** A request that cannot be answered otherwise; what follows it cannot be trusted, so that the connection ends. */
class HttpError extends Error {
  readonly status: number;

  constructor(status: number) {
    super();
    this.status = status;
  }
}

interface Head {
  readonly method: string;
  readonly path: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly bodyBytes: number;
  readonly keepsAlive: boolean;
}

export class Http implements Protocol {
  readonly #respond: (request: Request) => Response;
  /** The client waits for a word before it sends the body, and has got it. */
  #continued = false;

  constructor(respond: (request: Request) => Response) {
    this.#respond = respond;
  }

  answer(input: Buffer, connection: Connection): number {
    try {
      return this.#answer(input, connection);
    } catch (error) {
      const status = error instanceof HttpError ? error.status : 500;
      if (!(error instanceof HttpError)) console.error(error);
      write(connection, { status }, { isHead: false, keepsAlive: false });
      connection.end();
      return input.length;
    }
  }

  #answer(input: Buffer, connection: Connection): number {
    const headEnd = input.subarray(0, HEAD_BYTES_MAX).indexOf(HEAD_END);
    if (headEnd < 0) {
      if (input.length >= HEAD_BYTES_MAX) throw new HttpError(431);
      return -(input.length + 1);
    }
    const head = parse(input.toString('latin1', 0, headEnd));
    const bodyAt = headEnd + HEAD_END.length;
    const end = bodyAt + head.bodyBytes;
    if (input.length < end) {
      if (!this.#continued && head.fields.get('expect')?.toLowerCase() === '100-continue') {
        this.#continued = true;
        connection.write('HTTP/1.1 100 Continue\r\n\r\n');
      }
      return -end;
    }
    this.#continued = false;
    const response = this.#respond({ ...head, body: input.subarray(bodyAt, end) });
    write(connection, response, { isHead: head.method === 'HEAD', keepsAlive: head.keepsAlive });
    if (!head.keepsAlive) connection.end();
    return end;
  }
}

function parse(head: string): Head {
  const [requestLine = '', ...lines] = head.split('\r\n');
  const [, method = '', target = '', , minor] = REQUEST_LINE.exec(requestLine) ?? [];
  if (method === '') throw new HttpError(/ HTTP\/[2-9]/.test(requestLine) ? 505 : 400);
  const fields = new Map<string, string>();
  for (const line of lines) {
    // A space before the colon, or a line that goes on, is how requests are smuggled past others.
    const [, name, value = ''] = FIELD.exec(line) ?? [];
    if (name === undefined) throw new HttpError(400);
    const key = name.toLowerCase();
    const before = fields.get(key);
    if (before !== undefined && (key === 'content-length' || key === 'host')) throw new HttpError(400);
    fields.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  if (minor === '1' && !fields.has('host')) throw new HttpError(400);
  const wish = fields.get('connection')?.toLowerCase() ?? '';
  const keepsAlive = minor === '1' ? !wish.includes('close') : wish.includes('keep-alive');
  const path = target.replace(/\?.*$/s, '');
  return { method, path, fields, bodyBytes: bodyLength(fields), keepsAlive };
}

function bodyLength(fields: ReadonlyMap<string, string>): number {
  if (fields.has('transfer-encoding')) throw new HttpError(501);
  const length = fields.get('content-length') ?? '0';
  if (!/^\d+$/.test(length)) throw new HttpError(400);
  if (Number(length) > BODY_BYTES_MAX) throw new HttpError(413);
  return Number(length);
}

function write(
  connection: Connection,
  { status, fields = {}, body = '' }: Response,
  { isHead, keepsAlive }: { isHead: boolean; keepsAlive: boolean },
): void {
  const all = {
    Date: new Date().toUTCString(),
    ...fields,
    'Content-Length': body.length,
    Connection: keepsAlive ? 'keep-alive' : 'close',
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`);
  if (!isHead) connection.write(body);
}
