// What a case works with: files and sockets of its own, memory of every kind, and what must not change.
import assert from 'node:assert/strict';
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { bind, pipe, Ring, socket } from 'uring';
import { hostile } from './hostile.mjs';

const PATTERN = 0xa5;
/** A view given to operations lies between so many bytes of the pattern. */
const MARGIN = 64;

/** Which file a descriptor is open for, whatever its name has become, or nothing. */
function fileOf(fd) {
  try {
    const { dev, ino } = fstatSync(fd);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

export function openDescriptors() {
  const entries = readdirSync('/proc/self/fd').map((name) => [Number(name), fileOf(Number(name))]);
  // The directory that was being read is closed.
  return new Map(entries.filter(([, file]) => file !== undefined));
}

/** Files and sockets that all cases share: opening them costs more than a case. */
export async function makeEndpoints() {
  const ring = new Ring({ entries: 8 });
  const loopback = { address: '127.0.0.1', port: 0 };
  // One that is likely free; datagrams that reach nobody would do as well.
  const address = { address: '127.0.0.1', port: 20_000 + (process.pid % 40_000) };
  const made = { address, file: openSync('file', 'w+'), directory: openSync('.', 'r') };
  writeSync(made.file, Buffer.alloc(20_000, 'text '));
  [made.reader, made.writer] = Object.values(await ring.exec(pipe()));
  for (const name of ['udp', 'peer']) {
    made[name] = await ring.exec(socket('IPv4', 'dgram'));
    await ring.exec(bind(made[name], name === 'udp' ? address : loopback));
  }
  made.tcp = await ring.exec(socket('IPv4', 'stream'));
  await ring.exec(bind(made.tcp, loopback));
  await ring.close();
  return made;
}

export class World {
  /** Whether something was given that only looks like what it should be; its errors may be the engine's. */
  isForged = false;
  /** A view has lied about its place in its own memory: what lies beside it there is the program's own doing. */
  hasLied = false;
  optionNames = [];
  /** What was done, for whoever wants to know how it came to an error that depends on time. */
  log = [];
  operations = [];
  resources = { buffers: [], files: [], groups: [], shared: [], tables: [], leases: [] };
  /** Descriptors that operations have brought, which belong to the case now, and the file that each was. */
  #brought = new Map();
  #margins = [];
  #sources = [];
  #resizable = [];
  #canaries = [];

  constructor(ring, other, endpoints, step) {
    this.ring = ring;
    this.other = other;
    this.endpoints = endpoints;
    this.step = step;
    this.closeSoon = () => void ring.close();
    for (let count = 0; count < 3; count += 1) this.#own(ring, 64).fill(PATTERN);
  }

  /** Memory of the ring that no operation gets, between some that they do. */
  #own(ring, sizeBytes) {
    const canary = ring.alloc(sizeBytes);
    this.#canaries.push(canary);
    return canary;
  }

  /** Bytes of one kind or another that an operation may write to. */
  bytes(dice) {
    const size = dice.pick([1, 8, 16, 64, 100, 4096, 10_000]);
    const framed = (memory) => {
      const all = new Uint8Array(memory).fill(PATTERN);
      this.#margins.push({ all, size });
      return new Uint8Array(memory, MARGIN, size);
    };
    const total = size + 2 * MARGIN;
    return dice.pick([
      () => framed(new ArrayBuffer(total)),
      () => framed(new SharedArrayBuffer(total)),
      () => Buffer.from(new ArrayBuffer(size)),
      () => this.#resizableBytes(size),
      () => new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, size),
      () => new DataView(new ArrayBuffer(size)),
      () => new BigInt64Array(2),
      () => new Float64Array(size),
      () => new ArrayBuffer(size),
      () => this.#fromRing(size),
      () => this.#fromRing(size),
      () => this.#fromRing(size).subarray(dice.int(0, size - 1)),
    ])();
  }

  #fromRing(size) {
    if (this.ring.closed) return Buffer.alloc(size);
    try {
      return this.ring.alloc(size);
    } catch {
      return Buffer.alloc(size);
    }
  }

  #resizableBytes(size) {
    const memory = new ArrayBuffer(size, { maxByteLength: 2 * size });
    this.#resizable.push(memory);
    return new Uint8Array(memory);
  }

  /** Bytes that operations only read. */
  source(dice) {
    const size = dice.pick([1, 16, 100, 5000]);
    const bytes = dice.oneIn(3) ? this.#fromRing(size) : Buffer.alloc(size);
    this.#sources.push(bytes.fill(PATTERN));
    return bytes;
  }

  /** Resizes or takes away memory that operations may have. */
  spoilMemory(dice) {
    const memory = this.#resizable.at(-1);
    const length = dice === undefined ? 0 : dice.int(0, memory?.maxByteLength ?? 0);
    if (memory !== undefined && !memory.detached) memory.resize(length);
    const framed = this.#margins.at(-1);
    if (
      framed !== undefined &&
      dice?.oneIn(3) &&
      framed.all.buffer instanceof ArrayBuffer &&
      framed.all.length > 0
    ) {
      structuredClone(framed.all.buffer, { transfer: [framed.all.buffer] });
      this.#margins.pop();
    }
  }

  /** One of the things that the package has given out. */
  anything(dice) {
    const all = Object.values(this.resources).flat().concat(this.operations, this.ring, this.other);
    return dice.pick(all);
  }

  one(dice, kind) {
    const list = this.resources[kind];
    return list.length === 0 ? hostile(dice, this) : dice.pick(list);
  }

  /** A table of files; nothing else has its methods, and some have others of the same name. */
  table(dice) {
    return dice.pick(this.resources.tables);
  }

  /** A descriptor of ours, or a number that is none; never one of the process's own. */
  fd(dice, ...names) {
    if (dice.oneIn(8) && this.resources.files.length > 0) return dice.pick(this.resources.files);
    if (dice.oneIn(15)) return dice.pick([1_000_000, 2 ** 31 - 1]);
    return this.endpoints[
      dice.pick(
        names.length > 0 && !dice.oneIn(6)
          ? names
          : ['file', 'directory', 'reader', 'writer', 'udp', 'peer', 'tcp'],
      )
    ];
  }

  /** An operation has brought a descriptor. Its number may be another's later, if it is closed. */
  brings(fd) {
    this.#brought.set(fd, fileOf(fd));
    this.log.push(`brought ${fd} (${this.#brought.get(fd)})`);
  }

  /** One to be closed; a case ends by closing those that were not. */
  disposable() {
    const fd = openSync('/dev/null', 'r');
    this.brings(fd);
    return fd;
  }

  /** Nobody has written where nobody was allowed to. */
  checkMemory() {
    const isUntouched = (bytes) => bytes.every((byte) => byte === PATTERN);
    for (const bytes of this.#sources)
      assert(isUntouched(bytes), 'memory that was only to be read has changed');
    if (this.hasLied) return;
    for (const bytes of this.#canaries)
      assert(isUntouched(bytes), 'memory of the ring that nobody was given has changed');
    for (const { all, size } of this.#margins) {
      assert(isUntouched(all.subarray(0, MARGIN)), 'what stands before a buffer has changed');
      assert(isUntouched(all.subarray(MARGIN + size)), 'what stands behind a buffer has changed');
    }
  }

  /** Closes what operations have brought; answers the descriptors that nobody knows of. */
  closeBrought(before) {
    const unknown = [];
    for (const [fd, file] of openDescriptors()) {
      if (before.has(fd)) continue;
      if (this.#brought.get(fd) === file) closeSync(fd);
      else unknown.push(`${fd} (${readlinkSync(`/proc/self/fd/${fd}`)})`);
    }
    for (const [fd, file] of before)
      assert.equal(openDescriptors().get(fd), file, `descriptor ${fd} was closed`);
    if (fstatSync(this.endpoints.file).size !== 20_000) ftruncateSync(this.endpoints.file, 20_000);
    return unknown;
  }
}
