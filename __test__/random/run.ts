// Throws random operations at a live ring, in every way of running one, and follows each of them to its end.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type AnyOperation,
  asyncCancel,
  BufferLease,
  ChainError,
  type Completion,
  type ExecOptions,
  FixedFile,
  LeasedMessage,
  type LinkResult,
  linkTimeout,
  type MultishotStream,
  Op,
  ReceivedMessage,
  type Ring,
  type SingleOperation,
} from 'uring';
import { makers, multishotMakers, type NamedMaker } from './makers/index.ts';
import { OTHER_USER_DATA } from './makers/rings.ts';
import { codeOf, type Tally } from './tally.ts';
import { type Chance, type Surroundings, World } from './world.ts';

/** Operations started before everything is cancelled and counted. */
const ROUND = 500;
const ROUND_MS = 30_000;
const CANCEL_MS = 5;
const PATIENT_TRIES = 20;

type Outcome = Pick<Completion, 'result'> & { readonly error: Error | null };

/** An operation that was started and has not ended. */
interface Open {
  readonly name: string;
  readonly serial: number;
  readonly operation: AnyOperation;
}

/** Operations whose number is a new descriptor of ours. */
const MAKES_DESCRIPTOR: ReadonlySet<number> = new Set([
  Op.openat,
  Op.openat2,
  Op.accept,
  Op.socket,
  Op.fixedFdInstall,
]);

const NOT_RUN: Error = Object.assign(new Error('it did not run'), { code: 'ECANCELED' });

/** What became of a link of a chain that failed. */
function outcomeOf(chain: ChainError, at: number): Outcome {
  const link = chain.results[at] as LinkResult;
  if (link.status === 'failed') return { error: link.error, result: undefined };
  if (link.status === 'cancelled') return { error: NOT_RUN, result: undefined };
  return { error: null, result: link.value };
}

export class Run {
  readonly world: World;
  readonly #ring: Ring;
  readonly #tally: Tally;
  readonly #open = new Map<AnyOperation, Open>();
  readonly #streams = new Set<MultishotStream<unknown>>();
  #serial: number;
  #cancelling = false;
  /** Prepared by hand, and perhaps not submitted: the last of them may be links of a chain that is not complete. */
  readonly #linked: Open[] = [];
  /** What went wrong in a callback, where nobody could catch it. */
  #wrong: unknown;

  constructor(ring: Ring, surroundings: Surroundings, tally: Tally, chance: Chance) {
    this.#ring = ring;
    this.#tally = tally;
    this.#serial = chance.first;
    this.world = new World(ring, surroundings, chance);
  }

  /** Takes so many steps, each of which runs an operation or several, and leaves nothing behind. */
  async steps(total: number): Promise<void> {
    const end = this.#serial + total;
    try {
      while (this.#serial < end) await this.#round(Math.min(end, this.#serial + ROUND));
    } catch (error) {
      const message = `after operation ${this.#serial}: ${(error as Error).message}\n(${this.#tally.last})`;
      throw new Error(message, { cause: error });
    } finally {
      this.world.close();
    }
  }

  async #round(end: number): Promise<void> {
    await this.world.renew();
    while (this.#serial < end) {
      this.world.step(this.#serial);
      this.#step(this.world.int(0, 19));
      if (this.world.oneIn(50)) this.#reap();
      if (this.world.oneIn(100)) this.world.resize();
      if (this.world.oneIn(100)) this.world.abort();
      if (this.world.oneIn(100)) await turn();
      if (this.#wrong !== undefined) throw this.#wrong;
    }
    await this.#drain();
    this.#check();
  }

  #step(way: number): void {
    if (way < 9) this.#onTheLoop('start', (open) => this.#start(open));
    else if (way < 13) this.#onTheLoop('exec', (open) => this.#exec(open));
    else if (way < 14) this.#stream();
    else if (way < 17) this.#byHand();
    else if (way < 19) this.#chain();
    else this.#promisedChain();
  }

  /** Everything that has to be so when nothing is in flight. */
  #check(): void {
    const { world } = this;
    if (this.#wrong !== undefined) throw this.#wrong;
    assert.equal(this.#ring.inFlight, 0);
    assert.equal(this.#ring.waiting, 0);
    world.tidy();
    // What was released reaches the kernel with the next submission.
    this.#ring.submit();
    for (const group of [...world.receiving, world.byHand])
      assert.equal(group.lent, 0, `a buffer of group ${group.group} is lent`);
    assert.equal(this.#ring.stats().fileSlots, 0, 'a slot is in use');
  }

  #make(from: readonly NamedMaker[]): Open | undefined {
    const [name, make] = this.world.pick(from);
    this.#serial += 1;
    try {
      return { operation: make(this.world), name, serial: this.#serial };
    } catch (error) {
      this.#tally.failure(error, false);
      return undefined;
    }
  }

  #begun(open: Open, way: string): void {
    const { operation, name, serial } = open;
    this.#open.set(operation, open);
    this.#tally.started(operation, `${serial} ${way} ${name}`);
    this.world.started(operation);
  }

  /** They never ran. */
  #refused(...refused: readonly Open[]): void {
    for (const { operation } of refused) {
      this.#open.delete(operation);
      this.world.closed(operation, 'refused');
    }
  }

  #onTheLoop(way: string, run: (open: Open) => void): void {
    const open = this.#make(makers);
    if (open === undefined) return;
    this.#begun(open, way);
    try {
      run(open);
    } catch (error) {
      this.#refused(open);
      this.#tally.failure(error, false);
    }
  }

  #start({ operation, serial }: Open): void {
    const callback = (_error: unknown, _result: unknown, completion: Completion): void => {
      this.#guarded(() => this.#completed(completion));
    };
    this.#ring.start(operation, callback, serial);
  }

  #exec(open: Open): void {
    const settled = (outcome: Outcome): void => {
      this.#guarded(() => {
        assert.ok(this.#open.delete(open.operation), `operation ${open.serial} settled twice`);
        this.#settled(open, outcome);
      });
    };
    this.#ring.exec(open.operation as never, this.#limits([open])).then(
      (result) => settled({ error: null, result }),
      (error) => settled({ error, result: undefined }),
    );
  }

  /** An exception in a callback of the ring would end the process. */
  #guarded(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#wrong ??= error;
    }
  }

  #stream(): void {
    const open = this.#make(multishotMakers);
    if (open === undefined) return;
    this.#begun(open, 'stream');
    const stream = this.#ring.multishot(open.operation as never) as MultishotStream<unknown>;
    this.#streams.add(stream);
    const results = this.world.int(0, 4);
    this.#consume(stream, open, results).then(
      () => this.#open.delete(open.operation),
      (error) => {
        this.#wrong ??= error;
      },
    );
  }

  /** Takes so many results of a stream, and leaves it. */
  async #consume(stream: MultishotStream<unknown>, open: Open, results: number): Promise<void> {
    let left = results;
    try {
      for await (const result of stream) {
        this.#settled(open, { error: null, result });
        if (left === 0) break;
        left -= 1;
      }
    } catch (error) {
      this.#tally.failure(error, true);
    }
    this.#streams.delete(stream);
  }

  #byHand(): void {
    const open = this.#make(makers);
    if (open === undefined) return;
    this.#begun(open, 'prep');
    this.#prepare([open], () => this.#ring.prep(open.operation, open.serial));
  }

  /** Prepares operations by hand; a queue that is full, or has no room for all, takes none. */
  #prepare(opened: readonly Open[], prepare: () => boolean): void {
    const before = this.#ring.sqReady;
    // Those before them may have gone to the kernel meanwhile.
    this.#linked.splice(0, this.#linked.length - before);
    try {
      if (prepare()) {
        this.#linked.push(...opened);
        return;
      }
      this.#refused(...opened);
      this.#ring.submit();
    } catch (error) {
      // With one link the whole chain is refused: those that were prepared before it, too.
      const taken = before - this.#ring.sqReady;
      this.#refused(...opened, ...(taken > 0 ? this.#linked.splice(-taken) : []));
      this.#tally.failure(error, false);
    }
  }

  #links(way: string): Open[] {
    const { world } = this;
    const links: Open[] = [];
    const add = (from: readonly NamedMaker[]): void => {
      const open = this.#make(from);
      if (open === undefined) return;
      links.push(open);
      this.#begun(open, way);
    };
    for (let left = world.int(1, 5); left > 0; left -= 1) {
      add(makers);
      if (world.oneIn(3)) add([['linkTimeout', () => linkTimeout(world.pick([0, 1, 1000]))]]);
    }
    return links;
  }

  #chain(): void {
    const chain = this.#links('prepChain');
    if (chain.length === 0) return;
    const userData = chain.map(({ serial }) => serial);
    const operations = chain.map(({ operation }) => operation);
    const hard = this.world.oneIn(2);
    this.#prepare(chain, () => this.#ring.prepChain(operations, { hard, userData }));
  }

  #promisedChain(): void {
    const chain = this.#links('chain');
    const operations = chain.map(({ operation }) => operation);
    const ended = (outcome: (at: number) => Outcome): void => {
      this.#guarded(() => {
        for (const [at, open] of chain.entries()) {
          assert.ok(this.#open.delete(open.operation), `operation ${open.serial} settled twice`);
          this.#settled(open, outcome(at));
        }
      });
    };
    this.#ring
      .chain(operations as SingleOperation[], { ...this.#limits(chain), hard: this.world.bool() })
      .then(
        (results) => ended((at) => ({ error: null, result: results[at] })),
        (error) =>
          ended((at) => (error instanceof ChainError ? outcomeOf(error, at) : { error, result: undefined })),
      );
  }

  /** Whether a descriptor was closed is not told of what was stopped. */
  #limits(opened: readonly Open[]): ExecOptions {
    return opened.some(({ operation }) => operation.opcode === Op.close) ? {} : this.world.limits();
  }

  #reap(): void {
    this.#ring.submit();
    this.#ring.forEachCompletion((completion) => {
      const { event, userData } = completion;
      if (event !== undefined) {
        if (event.type === 'file') this.world.ownSlot(event.file);
        return;
      }
      assert.equal(typeof userData, 'number', 'a completion that nobody asked for');
      this.#completed(completion);
    });
  }

  #completed(completion: Completion): void {
    const { operation, userData } = completion;
    const open = this.#open.get(operation as AnyOperation);
    assert.ok(open !== undefined, `a completion of operation ${userData}, which was over`);
    // A poll may have been given other user data.
    assert.ok(userData === open.serial || userData === OTHER_USER_DATA, `user data of another operation`);
    this.#settled(open, completion);
    if (!completion.hasMore) this.#open.delete(open.operation);
  }

  #settled({ operation, name }: Open, { error, result }: Outcome): void {
    const code = error === null ? undefined : codeOf(error);
    assert.ok(!this.world.closed(operation, code), 'a descriptor was closed by somebody else');
    if (error !== null) {
      this.#tally.failure(error, true);
      return;
    }
    this.#tally.success(name);
    this.#dispose(operation, result);
  }

  /** What an operation resulted in goes back, or into the pool that others are made from. */
  #dispose(operation: AnyOperation, result: unknown): void {
    if (result instanceof BufferLease) this.world.hold(result);
    else if (result instanceof LeasedMessage) result.release();
    else if (result instanceof ReceivedMessage) this.#takeDescriptors(result);
    else if (result instanceof FixedFile) this.world.ownSlot(result);
    else if (Array.isArray(result)) for (const part of result) this.#dispose(operation, part);
    else if (typeof result === 'number' && MAKES_DESCRIPTOR.has(operation.opcode)) this.world.own(result);
    else if (typeof result === 'object' && result !== null) this.#disposeParts(operation, result);
  }

  #takeDescriptors(message: ReceivedMessage): void {
    const { descriptors } = message;
    if (descriptors !== undefined && this.world.oneIn(2))
      for (const fd of descriptors.take()) this.world.own(fd);
    message[Symbol.dispose]();
  }

  #disposeParts(operation: AnyOperation, result: object): void {
    const parts = result as Record<string, unknown>;
    for (const name of ['fd', 'file', 'readFd', 'writeFd']) {
      const part = parts[name];
      if (typeof part === 'number') this.world.own(part);
      else if (part !== undefined) this.#dispose(operation, part);
    }
  }

  /** Also what waits for room; one request at a time. */
  #cancelAll(): void {
    if (this.#cancelling) return;
    this.#cancelling = true;
    const over = (error?: unknown): void => {
      this.#cancelling = false;
      if (error !== undefined) this.#guarded(() => codeOf(error));
    };
    this.#ring.exec(asyncCancel({ any: true })).then(() => over(), over);
  }

  /** Cancels until nothing is in flight. */
  async #drain(): Promise<void> {
    const deadline = Date.now() + ROUND_MS;
    this.#reap();
    this.world.letGo();
    for (const stream of [...this.#streams]) stream.return().catch(codeOf);
    for (let tries = 0; this.#ring.inFlight + this.#ring.waiting + this.#open.size > 0; tries += 1) {
      // What was sent without a copy and nobody has received stays in flight while there is the socket.
      if (tries === PATIENT_TRIES) this.world.closeAll();
      if (this.#wrong !== undefined) throw this.#wrong;
      const open = [...this.#open.values()].slice(0, 5).map(({ serial, name }) => `${serial} ${name}`);
      assert.ok(Date.now() < deadline, `${this.#ring.inFlight} still in flight: ${open.join(', ')}`);
      // What comes after a drained operation waits with it, a request to cancel too: this one does not wait in the queue.
      try {
        this.#ring.registrar.syncCancel({ any: true }, { timeoutMs: CANCEL_MS });
      } catch (error) {
        codeOf(error);
      }
      this.#cancelAll();
      this.#reap();
      this.world.letGo();
      await turn();
    }
  }
}
