// What storms need: dice that fall the same way each time, operations of every kind, and what may be left afterwards.

import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { median } from 'simple-statistics';
import {
  AbortError,
  accept,
  BufferLease,
  type BufferRing,
  close,
  type ExecOptions,
  type FixedFile,
  fsync,
  nop,
  openat,
  PollEvents,
  pollAdd,
  pollMultishot,
  type Ring,
  read,
  readv,
  recv,
  recvMultishot,
  socket,
  statx,
  timeout,
  timeoutMultishot,
  UringError,
  write,
} from 'uring';
import { gc, openFds } from './_helpers.ts';

const HOUR_MS = 3_600_000;
const SETTLE_MS = 5000;

/** Random numbers from 0 up to a limit, the same ones for the same seed. */
export function dice(seed: number): (limit: number) => number {
  const generator = xoroshiro128plus(seed);
  return (limit) => uniformInt(generator, 0, limit - 1);
}

/** What operations work on; it outlives all rings of a test. */
export interface World {
  readonly path: string;
  /** A file with some bytes, open for reading and writing. */
  readonly file: number;
  /** A pipe that nobody writes to. */
  readonly quiet: number;
  readonly listener: number;
  /** A connected socket; its peer talks now and then. */
  readonly socket: number;
}

/** What one ring has for its operations. */
export interface Means {
  readonly ring: Ring;
  readonly world: World;
  readonly buffers: BufferRing;
}

export const FILE_BYTES = 4096;

/** Gives a ring what the operations of a storm need. */
export function equip(ring: Ring, world: World): Means {
  ring.registrar.registerFiles({ slots: 8, kernelSlots: 64 });
  return { ring, world, buffers: ring.registrar.registerBufferRing({ entries: 16, sizeBytes: 64 }) };
}

type Maker = (means: Means, options: ExecOptions) => Promise<unknown>;

async function drop(ring: Ring, result: number | FixedFile): Promise<void> {
  if (typeof result === 'number') closeSync(result);
  // A ring that is closed meanwhile has no files either.
  else if (!ring.closed) await ring.exec(close(result)).catch(() => {});
}

/** Takes all that a multishot operation brings. */
async function iterate(results: AsyncIterable<unknown>): Promise<void> {
  for await (const result of results) if (result instanceof BufferLease) result.release();
}

/** Operations of every kind: those that are over soon, those that wait for ever, those that make something. */
const MAKERS: readonly Maker[] = [
  ({ ring }, options) => ring.exec(nop(), options),
  ({ ring, world }, options) => ring.exec(read(world.file, ring.alloc(FILE_BYTES), { offset: 0 }), options),
  ({ ring, world }, options) => ring.exec(read(world.file, Buffer.alloc(64), { offset: 8 }), options),
  ({ ring, world }, options) =>
    ring.exec(readv(world.file, [Buffer.alloc(64), ring.alloc(64)], { offset: 8 }), options),
  ({ ring, world }, options) => ring.exec(write(world.file, Buffer.alloc(64), { offset: 64 }), options),
  ({ ring, world }, options) => ring.exec(statx(world.path), options),
  ({ ring, world }, options) => ring.exec(read(world.quiet, ring.alloc(64)), options),
  ({ ring, world }, options) => ring.exec(read(world.quiet, Buffer.alloc(64)), options),
  ({ ring, world }, options) => ring.exec(pollAdd(world.quiet, PollEvents.IN), options),
  ({ ring }, options) => ring.exec(timeout(HOUR_MS), options),
  ({ ring }, options) => ring.exec(timeout(1), options),
  ({ ring, world }, options) => ring.exec(openat(world.path), options).then((fd) => drop(ring, fd)),
  ({ ring, world }, options) =>
    ring.exec(openat(world.path, { direct: true }), options).then((file) => drop(ring, file)),
  ({ ring }, options) => ring.exec(socket('IPv4', 'stream'), options).then((fd) => drop(ring, fd)),
  ({ ring }, options) =>
    ring.exec(socket('IPv4', 'dgram', { direct: true }), options).then((file) => drop(ring, file)),
  ({ ring, world }, options) => ring.exec(accept(world.listener), options).then((fd) => drop(ring, fd)),
  ({ ring, world }, options) =>
    ring.exec(accept(world.listener, { direct: true }), options).then((file) => drop(ring, file)),
  ({ ring, world, buffers }, options) =>
    ring.exec(recv(world.socket, buffers), options).then((lease) => lease?.release()),
  ({ ring, world }, options) =>
    ring.chain([write(world.file, Buffer.alloc(64), { offset: 0 }), fsync(world.file), nop()], options),
  ({ ring, world }, options) =>
    ring.chain([nop(), read(world.quiet, ring.alloc(64)), statx(world.path)], options),
  ({ ring, world, buffers }, { signal }) =>
    iterate(ring.multishot(recvMultishot(world.socket, buffers), signal ? { signal } : {})),
  ({ ring, world }, { signal }) =>
    iterate(ring.multishot(pollMultishot(world.quiet, PollEvents.IN), signal ? { signal } : {})),
  ({ ring }, { signal }) => iterate(ring.multishot(timeoutMultishot(1), signal ? { signal } : {})),
];

/** How an operation can end in a storm. */
export type Fate = 'done' | 'aborted' | 'timed out' | 'canceled' | 'refused' | 'starved';

const FATES: Readonly<Record<string, Fate>> = {
  ABORT_ERR: 'aborted',
  ERR_URING_TIMEOUT: 'timed out',
  ECANCELED: 'canceled',
  ERR_URING_CLOSED: 'refused',
  // The buffers, or the slots, of the ring are all in use.
  ENOBUFS: 'starved',
  ENFILE: 'starved',
};

/** Starts an operation of some kind, and tells how it ended; any other end is an error. */
export async function start(means: Means, kind: number, options: ExecOptions = {}): Promise<Fate> {
  try {
    await (MAKERS[kind % MAKERS.length] as Maker)(means, options);
    return 'done';
  } catch (error) {
    const fate = FATES[(error as UringError).code ?? ''];
    if (fate === undefined || !(error instanceof UringError || error instanceof AbortError)) throw error;
    return fate;
  }
}

/** What a process has open: descriptors, and handles that keep the event loop alive. */
export class Holdings {
  readonly #fds = openFds();
  readonly #resources = resources();

  /** What there is more than at the start, once everything that is going has gone. */
  async more(): Promise<string[]> {
    const deadline = Date.now() + SETTLE_MS;
    while (this.#more().length > 0 && Date.now() < deadline) await sleep(5);
    return this.#more();
  }

  #more(): string[] {
    const fds = [...openFds()].filter(([fd, target]) => this.#fds.get(fd) !== target);
    const left = [...this.#resources];
    const handles = resources().filter((name) => {
      const at = left.indexOf(name);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    return [...fds.map(([fd, target]) => `${fd} -> ${target}`), ...handles];
  }
}

/** Without timers and immediates: the tests themselves have some. */
function resources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => !/Timeout|Immediate|FSReq/.test(name));
}

/** Memory of the process in bytes, round by round. */
export class Memory {
  readonly #rounds: number[] = [];

  async note(): Promise<void> {
    await gc();
    this.#rounds.push(process.memoryUsage.rss());
  }

  /** Growth over the last half of the rounds: V8 and malloc find their size in the first. */
  get growthBytes(): number {
    const half = this.#rounds.slice(Math.floor(this.#rounds.length / 2));
    assert.ok(half.length >= 4, 'a trend takes more rounds');
    const middle = Math.floor(half.length / 2);
    // Medians, because a round in which the system took pages back says nothing.
    return median(half.slice(middle)) - median(half.slice(0, middle));
  }

  toString(): string {
    return this.#rounds.map((bytes) => `${(bytes / 2 ** 20).toFixed(1)}`).join(' ');
  }
}
