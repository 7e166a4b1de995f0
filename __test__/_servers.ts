// Servers of examples/ as processes of their own, and the clients that other people wrote.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { unusedPort } from './_ports.ts';
import { type Ended, ROOT } from './_process.ts';
import { soon } from './_until.ts';

type T = ExecutionContext<unknown>;

const CLIENT_TIMEOUT_MS = 120_000;

/** Whether a program is installed. */
export function has(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Collects what a process says; it is killed when it takes too long. */
function ended(child: ChildProcess, timeoutMs: number): Promise<Ended> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ...output, timedOut });
    });
  });
}

/** Runs a program with these arguments and this input. */
export function runClient(
  program: string,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<Ended> {
  const child = spawn(program, args, { stdio: 'pipe' });
  // It may end without reading all of it.
  child.stdin.on('error', () => {}).end(input);
  return ended(child, CLIENT_TIMEOUT_MS);
}

/** A server of examples/, in a process of its own. */
export class ExampleServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    this.#ended = ended(child, 2 * CLIENT_TIMEOUT_MS);
  }

  /** Starts it, and stops it when the test ends at the latest. */
  static async start(t: T, name: string, ...more: readonly string[]): Promise<ExampleServer> {
    const port = unusedPort();
    const path = join(ROOT, 'build', 'examples', `${name}.js`);
    const child = spawn(process.execPath, [path, String(port), ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new ExampleServer(port, child);
    t.teardown(async () => {
      child.kill('SIGKILL');
      await server.#ended;
    });
    await soon(
      Promise.race([once(child.stdout as NodeJS.EventEmitter, 'data'), server.#ended]),
      'the first line',
    );
    return server;
  }

  /** Memory that it has, in bytes. */
  get rss(): number {
    const [, kilobytes] =
      /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'latin1')) ?? [];
    return Number(kilobytes) * 1024;
  }

  /** Ends it as Ctrl-C would. */
  stop(): Promise<Ended> {
    this.#child.kill('SIGINT');
    return soon(this.#ended, 'the end of the server');
  }

  /** A connection to it, closed when the test ends. */
  async connect(t: T): Promise<Client> {
    const client = new Client(connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true }));
    t.teardown(() => client.socket.destroy());
    await once(client.socket, 'connect');
    return client;
  }
}

/** A connection of node:net, which remembers what it received. */
export class Client {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  bytes = 0;
  #isOver = false;
  #error: Error | undefined;
  #changed = (): void => {};

  constructor(socket: Socket) {
    this.socket = socket.setNoDelay();
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.bytes += chunk.length;
      this.#changed();
    });
    socket.once('end', () => {
      this.#isOver = true;
      this.#changed();
    });
    socket.once('error', (error: Error) => {
      this.#error = error;
      this.#changed();
    });
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Waits for so many bytes at least. */
  until(bytes: number): Promise<void> {
    return this.#until(() => this.bytes >= bytes, `${bytes} bytes`);
  }

  /** All that is received until the other side ends. */
  async all(): Promise<Buffer> {
    await this.#until(() => this.#isOver, 'the end of the connection');
    return this.received;
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    while (!isSo()) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) throw new Error(`over after ${this.bytes} bytes, while waiting for ${what}`);
      const change = new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
      await soon(change, what);
    }
  }

  /** Sends the bytes one by one, each in a segment of its own. */
  async bytewise(data: string | Uint8Array): Promise<void> {
    for (const byte of Buffer.from(data as string, 'latin1')) {
      await new Promise((resolve) => this.socket.write(Buffer.of(byte), resolve));
    }
  }
}

/** A server has ended well, and nothing was left in it: no connection, no buffer, no operation. */
export function nothingLeft(t: T, { code, signal, stdout, stderr }: Ended): void {
  t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
  t.regex(stdout, /^left: 0 connections, 0 buffers lent, 0 in flight$/m);
}

export function wentWell(t: T, { code, signal, stderr, timedOut }: Ended): void {
  t.deepEqual({ code, signal, stderr, timedOut }, { code: 0, signal: null, stderr: '', timedOut: false });
}
