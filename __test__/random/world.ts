// What random operations work on, and nothing else: descriptors, paths, memory and registrations of their own.
import { closeSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type AnyOperation,
  type BufferGroup,
  type BufferLease,
  type BufferRing,
  type Bytes,
  type ExecOptions,
  type Fd,
  type FixedFile,
  Op,
  type Ring,
  type SharedMemory,
  SqeFlags,
} from 'uring';
import { Dice } from './dice.ts';
import { Endpoints, type Kind } from './endpoints.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'dir/x', 'dir/y', 'dir', 'link', 'missing/z'];
/** Descriptors that are kept open at a time; older ones are closed. */
const OWNED_MAX = 64;
const SLOTS = 16;
/** What most requests about another operation are for. */
const TARGETS: ReadonlySet<number> = new Set([Op.timeout, Op.pollAdd]);
/** Leases that are kept for a while, so that buffers become rare. */
const HELD_MAX = 3;
/** A drained operation holds up all that comes after it, to the end of the round. */
const DRAIN_ONE_IN = 400;

/** No descriptor: nothing in the process may be hit by accident. */
const NO_FDS: readonly unknown[] = [
  -1,
  1 << 20,
  0x7fff_ffff,
  0x8000_0000,
  1.5,
  Number.NaN,
  '3',
  null,
  undefined,
  5n,
  {},
];

/** What a world cannot make for itself. */
export interface Surroundings {
  /** Makes the descriptors, and takes messages. */
  readonly other: Ring;
  /** An epoll instance that nobody waits for. */
  readonly epfd: number;
  /** A child process that sleeps. */
  readonly pid: number;
}

/** What decides on the operations of a ring. */
export interface Chance {
  readonly seed: number;
  /** The number of the first step. */
  readonly first: number;
  /** Whether operations may have DRAIN; a ring that had one refuses zero copy from then on. */
  readonly drains: boolean;
}

export class World extends Dice {
  readonly ring: Ring;
  readonly other: Ring;
  readonly epfd: number;
  readonly pid: number;
  readonly dir: string;
  /** Provided automatically, to receive into. */
  readonly receiving: (BufferRing | BufferGroup)[];
  /** To send from. */
  readonly sending: BufferRing;
  /** The older kind, provided by operations. */
  readonly byHand: BufferGroup;
  readonly shared: SharedMemory;
  readonly endpoints: Endpoints;
  readonly personality: number;
  /** Operations started lately, to be cancelled and updated. */
  readonly recent: AnyOperation[] = [];
  readonly #drains: boolean;
  readonly #owned: number[] = [];
  readonly #slots: FixedFile[] = [];
  readonly #memory: Bytes[];
  readonly #resizable: ArrayBuffer & { resize(sizeBytes: number): void };
  /** Descriptors that an operation is about to close. */
  readonly #closing = new Map<AnyOperation, number>();
  readonly #held: BufferLease[] = [];
  readonly #controllers: AbortController[] = [];

  constructor(ring: Ring, { other, epfd, pid }: Surroundings, { seed, drains }: Chance) {
    super(seed);
    this.#drains = drains;
    this.ring = ring;
    this.other = other;
    this.epfd = epfd;
    this.pid = pid;
    // Memory, not a disk: syncing costs nothing.
    this.dir = mkdtempSync('/dev/shm/uring-random-');
    mkdirSync(join(this.dir, 'files'));
    this.endpoints = new Endpoints(other, join(this.dir, 'files'));
    ring.registrar.registerFiles({ slots: SLOTS, kernelSlots: SLOTS });
    const { registrar } = ring;
    this.personality = registrar.registerPersonality();
    this.receiving = [
      registrar.registerBufferRing({ entries: 8, sizeBytes: 512 }),
      registrar.registerBufferRing({ entries: 2, sizeBytes: 64, mmap: true }),
      registrar.registerBufferRing({ entries: 4, sizeBytes: 1024, incremental: true }),
      ring.createBufferGroup({ entries: 6, sizeBytes: 256 }),
    ];
    this.sending = registrar.registerBufferRing({ entries: 8, sizeBytes: 128, provide: 'manually' });
    this.byHand = ring.createBufferGroup({ entries: 4, sizeBytes: 64, provide: 'manually' });
    this.shared = ring.allocShared(4096);
    const Resizable = ArrayBuffer as unknown as new (size: number, options: object) => never;
    this.#resizable = new Resizable(16, { maxByteLength: 64 });
    this.#memory = [
      ...[1, 64, 512, 4096, 20_000].map((size) => ring.alloc(size)),
      ...[1, 100, 4096].map((size) => Buffer.alloc(size, 0x61)),
      new Uint16Array(33),
      new DataView(new ArrayBuffer(40)),
      new SharedArrayBuffer(128),
      this.#resizable,
    ];
  }

  /** Options that every operation takes, and some of these. */
  options(choices: Readonly<Record<string, unknown>> = {}): never {
    const options = this.some(choices);
    // No number by chance: it could be one with DRAIN.
    if (this.oneIn(6)) options['flags'] = this.ratherNumber(this.pick([SqeFlags.ASYNC, SqeFlags.ASYNC, 0]));
    if (this.oneIn(100))
      options['flags'] = this.pick([SqeFlags.LINK, SqeFlags.HARDLINK, SqeFlags.FIXED_FILE]);
    if (this.oneIn(DRAIN_ONE_IN) && this.#drains) options['flags'] = SqeFlags.DRAIN;
    if (this.oneIn(40)) options['personality'] = this.rather(this.personality);
    return options as never;
  }

  // Descriptors.

  /** Any descriptor of ours, a slot, or none. */
  fd(): Fd {
    const kind = this.int(0, 19);
    const choice = this.int(0, 0xffff);
    if (kind === 0) return this.noFd();
    const from = kind < 6 ? this.#slots : kind < 12 ? this.#owned : this.endpoints.all;
    if (from.length === 0) return this.noFd();
    return from[choice % from.length] as Fd;
  }

  /** A descriptor of a kind, or now and then of another. */
  of(...kinds: readonly Kind[]): Fd {
    if (this.oneIn(6)) return this.fd();
    return this.steady(...kinds);
  }

  /** A descriptor of a kind, by its number. */
  steady(...kinds: readonly Kind[]): number {
    return this.pick(this.endpoints.of(this.pick(kinds)));
  }

  /** No descriptor of anything. */
  noFd(): number {
    return this.pick(NO_FDS) as number;
  }

  slot(): FixedFile {
    const choice = this.int(0, 0xffff);
    if (this.#slots.length === 0) return undefined as never;
    // A number could be a descriptor that is not ours.
    return this.ratherNumber(this.#slots[choice % this.#slots.length] as FixedFile);
  }

  /** Where a direct descriptor goes. */
  direct(): true | number {
    return this.rather(this.oneIn(2) ? true : this.int(0, SLOTS));
  }

  /** A descriptor that an operation made. */
  own(fd: number): void {
    this.#owned.push(fd);
    while (this.#owned.length > OWNED_MAX) closeSync(this.#owned.shift() as number);
  }

  /** An operation that closes a descriptor of ours, or none. */
  closes(make: (fd: Fd) => AnyOperation): AnyOperation {
    if (this.oneIn(4)) return make(this.slot());
    const fd = this.oneIn(8) ? undefined : this.#owned.shift();
    if (fd === undefined) return make(this.noFd());
    try {
      const operation = make(fd);
      this.#closing.set(operation, fd);
      return operation;
    } catch (error) {
      this.#owned.push(fd);
      throw error;
    }
  }

  /** What closes a descriptor is over; answers whether the descriptor was gone before, which must not be. */
  closed(operation: AnyOperation, code: string | undefined): boolean {
    const fd = this.#closing.get(operation);
    this.#closing.delete(operation);
    if (fd === undefined || code === undefined) return false;
    // Its number was taken for that of a slot, it was cancelled, or refused.
    this.#owned.push(fd);
    return code === 'EBADF' && !operation.hasFlags(SqeFlags.FIXED_FILE) && operation.fileIndex === 0;
  }

  ownSlot(file: FixedFile): void {
    this.#slots.push(file);
    if (this.#slots.length > SLOTS) this.#clear(this.#slots.shift() as FixedFile);
  }

  /** A slot that may have been closed or replaced meanwhile. */
  #clear(file: FixedFile): void {
    try {
      this.ring.registrar.files?.clear(file);
    } catch (error) {
      const { code } = error as { code?: string };
      // An operation in flight fills or empties it: later.
      if (code === 'EBUSY') this.#slots.push(file);
      else if (code !== 'ERR_URING_STALE_HANDLE') throw error;
    }
  }

  // Memory.

  bytes(): Bytes {
    const memory = this.rather(this.pick(this.#memory));
    if (!(memory instanceof Uint8Array) || memory.length < 2 || this.oneIn(2)) return memory;
    const start = this.int(0, memory.length - 1);
    return memory.subarray(start, this.int(start, memory.length));
  }

  /** Memory of the ring. */
  ownBytes(): Buffer {
    return this.pick(this.#memory.slice(0, 5)) as Buffer;
  }

  list(): Bytes[] {
    return this.rather(Array.from({ length: this.int(0, 5) }, () => this.bytes()));
  }

  /** Parts of one buffer of the ring, or of several. */
  ownList(): Buffer[] {
    const [one, two] = [this.ownBytes(), this.ownBytes()];
    return this.rather([one.subarray(0, this.int(0, one.length)), this.oneIn(8) ? two : one]);
  }

  /** Changes the size of a buffer that operations may be using. */
  resize(): void {
    this.#resizable.resize(this.int(0, 64));
  }

  group(): BufferRing {
    return this.rather(this.pick(this.receiving)) as BufferRing;
  }

  /** The buffers to send from, with something in them if there is one left. */
  outgoing(): BufferRing {
    const lease = this.oneIn(4) ? undefined : this.sending.take();
    const bytes = this.int(1, this.sending.sizeBytes);
    lease?.provide(bytes);
    return this.rather(this.sending);
  }

  /** Keeps a lease for a while. */
  hold(lease: BufferLease): void {
    this.#held.push(lease);
    if (this.#held.length > HELD_MAX) this.#held.shift()?.release();
  }

  /** Gives all leases back. */
  letGo(): void {
    for (const lease of this.#held.splice(0)) lease.release();
  }

  // Paths.

  path(): string {
    const path = join(this.dir, 'files', this.pick(NAMES));
    const kind = this.int(0, 39);
    if (kind === 0) return this.rather(this.ratherNumber(''));
    if (kind === 1) return `${path}\0x`;
    if (kind === 2) return path.padEnd(5000, '/x');
    if (kind === 3) return Buffer.from(path) as unknown as string;
    if (kind === 4) return pathToFileURL(path) as unknown as string;
    return path;
  }

  offset(): number {
    return this.rather(this.pick([-1, -1, 0, 0, 1, 511, 4096, 20_000, 2 ** 40, Number.MAX_SAFE_INTEGER]));
  }

  /** What may stop an operation that has a promise. */
  limits(): ExecOptions {
    return this.some({ timeoutMs: this.rather(this.pick([0, 1, 20])), signal: this.#signal() });
  }

  #signal(): AbortSignal {
    const controller = new AbortController();
    this.#controllers.push(controller);
    if (this.oneIn(10)) controller.abort();
    return this.rather(controller.signal);
  }

  /** Aborts half of what was started with a signal. */
  abort(): void {
    for (const controller of this.#controllers.splice(0)) if (this.oneIn(2)) controller.abort();
  }

  target(): AnyOperation {
    const choice = this.int(0, 63);
    const from = this.oneIn(3) ? this.recent : this.recent.filter(({ opcode }) => TARGETS.has(opcode));
    return this.rather(from[choice % Math.max(1, from.length)] as AnyOperation);
  }

  started(operation: AnyOperation): void {
    this.recent.push(operation);
    if (this.recent.length > 64) this.recent.shift();
  }

  // Rounds.

  /** New descriptors, some of them in slots; the other ring with an empty table. */
  async renew(): Promise<void> {
    await this.endpoints.renew();
    this.other.registrar.files?.unregister();
    this.other.registrar.registerFiles({ slots: 8, kernelSlots: 64 });
    for (const kind of ['file', 'stream', 'tcp', 'udp', 'pipeIn', 'pipeOut', 'listener'] as const) {
      // Of the streams the end that does not block, see `splice`.
      const fd = this.endpoints.of(kind)[kind === 'stream' ? 1 : 0] as number;
      const file = this.ring.registrar.files?.set(this.#slots.length, fd);
      if (file !== undefined) this.#slots.push(file);
    }
  }

  /** Gives back what the operations of a round have made; nothing is in flight. */
  tidy(): void {
    this.recent.length = 0;
    this.letGo();
    for (const fd of this.#owned.splice(0)) closeSync(fd);
    for (const file of this.#slots.splice(0)) this.#clear(file);
  }

  /** Closes every descriptor, also those of operations in flight. */
  closeAll(): void {
    this.tidy();
    this.endpoints.close();
  }

  close(): void {
    this.closeAll();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
