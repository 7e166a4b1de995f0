// What a case does with its ring, one step after the other: every way of running operations, and everything around them.
import * as uring from 'uring';
import { hostile, spoil, Thrown, trap } from './hostile.mjs';
import { anyOperation, makeArguments, OPTION_NAMES } from './operations.mjs';

/** Operations whose number is a new descriptor of ours. */
const BRINGS = new Set(['openat', 'openat2', 'accept', 'acceptMultishot', 'socket', 'fixedFdInstall']);

/** Notes what an operation has brought, so that it is not taken for a leak. */
export function took(world, name, result) {
  if (BRINGS.has(name) && typeof result === 'number') world.brings(result);
  if (result === null || typeof result !== 'object') return;
  if (typeof result.fd === 'number') world.brings(result.fd);
  for (const end of [result.readFd, result.writeFd]) if (typeof end === 'number') world.brings(end);
  for (const part of Array.isArray(result) ? result : [result, result.file, result.readFd, result.writeFd]) {
    if (part instanceof uring.FixedFile) world.resources.files.push(part);
    if (part instanceof uring.BufferLease) world.resources.leases.push(part);
    if (part?.descriptors instanceof uring.ReceivedDescriptors)
      for (const fd of part.descriptors.take()) world.brings(fd);
  }
}

/** An operation, whose arguments are wrong half of the time. */
function operation(dice, world) {
  if (world.operations.length > 0 && dice.oneIn(6))
    return { name: 'again', made: dice.pick(world.operations) };
  const { name, make, args } = anyOperation(dice, world);
  if (dice.oneIn(2)) spoil(dice, world, args);
  // Standard input: whoever opens something next would get its number.
  if (name === 'close' && args[0] === 0) args[0] = -1;
  const made = make(...args);
  world.log.push(name);
  if (!(made instanceof uring.Operation)) throw new Error(`${name} has made no operation`);
  if (dice.oneIn(20)) made.offset = hostile(dice, world);
  if (dice.oneIn(40)) {
    const get = trap(dice, world, dice.pick([0, -1, 100]));
    Object.defineProperty(made, 'offset', { get, configurable: true });
  }
  // Run twice it would close a descriptor that is another's by then, perhaps the event loop's.
  if (name !== 'close') world.operations.push(made);
  if (world.operations.length > 8) world.operations.shift();
  world.names.set(made, name);
  return { name, made };
}

/** What it brings goes to `took`, whatever the object was called with. */
const nameOf = (world, made) => world.names.get(made) ?? 'unknown';

function execOptions(dice, world) {
  if (dice.oneIn(2)) return undefined;
  const controller = new AbortController();
  if (dice.oneIn(2)) controller.abort(new Thrown('aborted'));
  else world.controllers.push(controller);
  return {
    ...(dice.oneIn(2) ? { signal: controller.signal } : {}),
    ...(dice.oneIn(2) ? { timeoutMs: dice.pick([0, 1, 5, 0.5]) } : {}),
  };
}

/** Arguments as given, or one of them spoilt. */
function given(dice, world, args) {
  if (dice.oneIn(3)) spoil(dice, world, args);
  return args;
}

/** For callbacks that do nothing but take what is theirs. */
export function takes(world, args) {
  const completion = args.find((arg) => arg instanceof uring.Completion);
  if (completion?.ok) took(world, nameOf(world, completion.operation), completion.result);
}

function callback(dice, world) {
  const [own, what] = [dice.split(), dice.int(0, 9)];
  return (error, result, completion) => {
    if (error) world.checkError(error, 'a callback');
    else took(world, nameOf(world, completion.operation), result);
    if (what === 0) throw new Thrown('a callback');
    if (what < 3) world.step(own);
    if (what === 3) void world.ring.close();
  };
}

function exec(dice, world) {
  const { made } = operation(dice, world);
  // Another operation may have taken its place.
  const args = given(dice, world, [made, execOptions(dice, world)]);
  const promise = world.ring.exec(...args);
  world.follow(promise, 'exec', (result) => took(world, nameOf(world, args[0]), result));
}

function chain(dice, world) {
  const links = dice.some(1, 4, () => operation(dice, world).made);
  const args = given(dice, world, [links, { ...execOptions(dice, world), hard: dice.oneIn(2) }]);
  const promise = world.ring.chain(...args);
  const tookAll = (results) => {
    for (const [at, result] of results.entries()) took(world, nameOf(world, args[0][at]), result);
  };
  // Links that were through have brought what they have brought.
  const failed = (error) => tookAll((error.results ?? []).map((link) => link?.value));
  world.follow(promise, 'chain', tookAll, failed);
}

async function drainStream(dice, world, stream, name) {
  for (let count = dice.int(0, 3); count > 0; count -= 1) {
    const { done, value } = await stream.next();
    if (done) return;
    took(world, name, value);
    if (dice.oneIn(2)) value?.release?.();
  }
  if (dice.oneIn(2)) await stream.return();
}

function multishot(dice, world) {
  const { made } = operation(dice, world);
  const options = dice.oneIn(2) ? {} : { signal: execOptions(dice, world)?.signal };
  const args = given(dice, world, [made, options]);
  const stream = world.ring.multishot(...args);
  world.follow(drainStream(dice.split(), world, stream, nameOf(world, args[0])), 'multishot');
}

function prepare(dice, world) {
  const userData = dice.pick([7, 'x', null]);
  if (dice.oneIn(3)) {
    const links = dice.some(1, 4, () => operation(dice, world).made);
    world.ring.sq.prepChain(...given(dice, world, [links, { userData, hard: dice.oneIn(2) }]));
  } else {
    world.ring.sq.prep(...given(dice, world, [operation(dice, world).made, userData, dice.pick([0, 4, 16])]));
  }
}

function readByHand(dice, world) {
  const see = (completion) => {
    if (completion === undefined) return;
    if (completion.error) world.checkError(completion.error, 'a completion');
    else took(world, nameOf(world, completion.operation), completion.result);
    if (dice.oneIn(10)) world.step();
    if (dice.oneIn(20)) throw new Thrown('a reader');
  };
  // Always with an end: waiting for nothing is what was asked for.
  const limit = { timeoutMs: dice.pick([0, 0.1, 1]) };
  const { cq } = world.ring;
  dice.pick([
    () => see(cq.tryNext()),
    () => see(cq.peek() && undefined),
    () => see(cq.next(limit)),
    () => cq.wait(dice.pick([0, 1, 3, -1, 0.5, 2 ** 40]), limit),
    () => cq.forEach(see),
    () => {
      for (const completion of cq) see(completion);
    },
    () => world.ring.submitAndWait(dice.pick([0, 1, 2 ** 33, '1']), limit),
    () => cq.forEach(...given(dice, world, [see])),
  ])();
}

const GETTERS = [
  'fd',
  'handle',
  'setupFlags',
  'features',
  'operations',
  'inFlight',
  'waiting',
  'closed',
  'clock',
];

/** Methods of the ring and its registrar: how they are called, and where what they give goes. */
const METHODS = {
  alloc: (d, w) => w.ring.alloc(...given(d, w, [d.pick([1, 64, 5000, 300_000])])),
  allocShared: (d, w) => w.resources.shared.push(w.ring.allocShared(d.pick([16, 64, '8', -1, 4097]))),
  openShared: (d, w) => w.ring.openShared(...given(d, w, [w.resources.shared.at(-1)?.token])),
  createBufferGroup: (d, w) =>
    w.resources.groups.push(w.ring.createBufferGroup(...given(d, w, [{ entries: 4, sizeBytes: 64 }]))),
  registerBufferRing: (d, w) =>
    w.resources.buffers.push(
      w.ring.registrar.registerBufferRing(
        ...given(d, w, [
          {
            entries: 4,
            sizeBytes: 64,
            provide: d.pick(['automatically', 'manually']),
            incremental: d.oneIn(3),
            mmap: d.oneIn(3),
          },
        ]),
      ),
    ),
  registerFiles: (d, w) =>
    w.resources.tables.push(w.ring.registrar.registerFiles(...given(d, w, [{ slots: 4, kernelSlots: 4 }]))),
  setFile: (d, w) => w.resources.files.push(w.table(d).set(...given(d, w, [d.int(0, 4), w.fd(d)]))),
  allocFile: (d, w) => w.resources.files.push(w.table(d).alloc(...given(d, w, [w.fd(d)]))),
  updateFiles: (d, w) => w.table(d).update(...given(d, w, [0, [w.fd(d), -1]])),
  clearFile: (d, w) => w.table(d).clear(...given(d, w, [w.one(d, 'files')])),
  unregisterFiles: (d, w) => w.table(d).unregister(),
  takeBuffer: (d, w) => {
    const lease = w.one(d, 'buffers').take();
    if (lease !== undefined) w.resources.leases.push(lease);
  },
  release: (d, w) => w.one(d, 'leases').release(),
  provide: (d, w) => w.one(d, 'leases').provide(...given(d, w, [d.pick([0, 1, 64])])),
  lease: (d, w) => w.one(d, 'leases').data?.fill?.(1),
  status: (d, w) => w.one(d, 'buffers').status(),
  unregisterBufferRing: (d, w) => w.one(d, 'buffers').unregister(),
  removeGroup: (d, w) => w.follow(w.one(d, 'groups').remove(), 'remove'),
  registerBuffers: (d, w) => w.ring.registrar.registerBuffers(...given(d, w, [[w.bytes(d)]])),
  unregisterBuffers: (d, w) => w.ring.registrar.unregisterBuffers(...given(d, w, [[w.bytes(d)]])),
  cloneBuffers: (d, w) => w.ring.registrar.cloneBuffers(...given(d, w, [w.other, [w.other.alloc(64)]])),
  registerEventfd: (d, w) => w.brings(w.ring.registrar.registerEventfd(...given(d, w, [{}]))),
  unregisterEventfd: (_d, w) => w.ring.registrar.unregisterEventfd(),
  registerPersonality: (_d, w) => w.ring.registrar.registerPersonality(),
  unregisterPersonality: (d, w) => w.ring.registrar.unregisterPersonality(...given(d, w, [1])),
  setWorkerLimits: (d, w) => w.ring.registrar.setWorkerLimits(...given(d, w, [{ bounded: 2, unbounded: 2 }])),
  setWorkerAffinity: (d, w) => w.ring.registrar.setWorkerAffinity(...given(d, w, [[0]])),
  setClock: (d, w) => w.ring.registrar.setClock(...given(d, w, ['boottime'])),
  syncCancel: (d, w) =>
    w.ring.registrar.syncCancel(...given(d, w, [d.pick([...w.operations, 'all']), { timeoutMs: 1 }])),
  restrict: (d, w) => w.ring.registrar.restrict(...given(d, w, [{ operations: ['read'] }])),
  registerNapi: (d, w) => w.ring.registrar.registerNapi(...given(d, w, [{ busyPollUs: 1 }])),
  resize: (d, w) => w.ring.resize(...given(d, w, [{ entries: d.pick([4, 8]), cqEntries: d.pick([16, 64]) }])),
  supports: (d, w) => w.ring.supports(...given(d, w, ['read'])),
  enable: (_d, w) => w.ring.enable(),
  ref: (d, w) => w.ring.ref(d.pick([...w.operations, undefined])),
  unref: (d, w) => w.ring.unref(...given(d, w, [d.pick([...w.operations, undefined])])),
  receive: (d, w) => w.stoppers.push(w.ring.receive(...given(d, w, [() => {}]))),
  registerRingFd: (_d, w) => w.ring.registerRingFd(),
  unregisterRingFd: (_d, w) => w.ring.unregisterRingFd(),
  sendMessage: (d, w) =>
    uring.sendMessage(...given(d, w, [d.pick([w.ring, w.other, w.ring.handle]), { data: 1 }])),
  probe: () => uring.probe(),
  getters: (d, w) => w.ring[d.pick(GETTERS)],
  stats: (_d, w) => w.ring.stats(),
  socketAddress: (d, w) => uring.socketAddress(...given(d, w, [w.bytes(d)])),
  newRing: (d, w) => w.follow(new uring.Ring(...given(d, w, [ringOptions(d)])).close(), 'a ring'),
  forget: (_d, w) => {
    for (const list of Object.values(w.resources)) list.splice(0);
  },
};

const COMPOSITES = {
  readFile: ['otherRing', 'path', 'options'],
  readFiles: ['otherRing', 'paths', 'options'],
  statFiles: ['otherRing', 'paths', 'options'],
  writeFile: ['otherRing', 'path', 'source', 'options'],
  readFully: ['otherRing', 'file', 'bytes', 'options'],
  writeAll: ['otherRing', 'file', 'source', 'options'],
  sendAll: ['otherRing', 'socket', 'source', 'options'],
  tcpConnect: ['otherRing', 'address', 'options'],
  udpConnect: ['otherRing', 'address', 'options'],
  unixConnect: ['otherRing', 'address', 'options'],
  tcpListen: ['otherRing', 'address', 'options'],
  unixListen: ['otherRing', 'address', 'options'],
};

/** A composite works on the ring of the case; by hand there would be no end to wait for. */
function composite(dice, world) {
  const name = dice.pick(Object.keys(COMPOSITES));
  const paths = dice.some(0, 4, () => dice.pick(['file', 'missing', Buffer.from('file')]));
  const args = COMPOSITES[name].map((kind) =>
    kind === 'paths' ? paths : makeArguments(dice, world, [kind])[0],
  );
  args[0] = world.ring;
  args[args.length - 1] = { ...args.at(-1), ...execOptions(dice, world) };
  world.follow(Promise.resolve(functions.get(name)(...given(dice, world, args))), name, (result) =>
    took(world, name, result),
  );
}

/** Options of a ring, most of which this kernel has. */
export function ringOptions(dice) {
  const chosen = (count, options) => (dice.oneIn(count) ? options : {});
  return {
    entries: dice.pick([1, 4, 8, 64]),
    cqEntries: dice.pick([64, 128]),
    ...chosen(5, { taskrun: dice.pick(['coop', 'defer', 'none']) }),
    ...chosen(8, { sqeBytes: dice.pick([128, 'mixed']) }),
    ...chosen(8, { cqeBytes: dice.pick([32, 'mixed']) }),
    ...chosen(8, { noMmap: true }),
    ...chosen(12, { noMmap: true, registeredFdOnly: true }),
    ...chosen(10, { registeredWait: true }),
    ...chosen(10, { asyncContext: false }),
    ...chosen(10, { waitingMax: dice.int(1, 20) }),
    ...chosen(15, { disabled: true }),
    ...chosen(25, { sqpoll: { idleMs: 1 } }),
    ...chosen(25, { singleIssuer: false }),
  };
}

const functions = new Map(Object.entries(uring));
const NAMES = Object.keys(METHODS);

function method(dice, world) {
  const name = dice.pick(NAMES);
  world.log.push(`ring: ${name}`);
  return METHODS[name](dice, world);
}

/** Steps, and how often each is taken. */
const STEPS = [
  [20, exec],
  [
    15,
    (dice, world) =>
      world.ring.start(...given(dice, world, [operation(dice, world).made, callback(dice, world), 7, 3])),
  ],
  [6, chain],
  [6, multishot],
  [10, prepare],
  [5, (_dice, world) => world.ring.submit()],
  [8, readByHand],
  [20, method],
  [4, composite],
  [3, (dice, world) => world.spoilMemory(dice)],
  [
    3,
    (dice, world) =>
      dice.pick(world.controllers.length > 0 ? world.controllers : [new AbortController()]).abort(),
  ],
  [1, (dice, world) => dice.oneIn(4) && world.ring.close()],
];

const ALL = STEPS.flatMap(([count, step]) => Array.from({ length: count }, () => step));

export function step(dice, world) {
  world.optionNames = OPTION_NAMES;
  const chosen = dice.pick(ALL);
  world.log.push(`- ${chosen.name}`);
  return chosen(dice, world);
}
