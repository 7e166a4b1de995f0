// What a debugger, console.log and string templates show: what something is and does now. No handles, no tokens, no addresses;
// and whatever state it is in, looking at it never fails.
import { type InspectOptionsStylized, inspect } from 'node:util';
import { BufferGroup } from './buffer-group.ts';
import { BufferLease, BufferRing } from './buffer-ring.ts';
import { Completion } from './completion.ts';
import { FixedFile, SLOTS_MAX } from './files.ts';
import { CqeFlags, SqeFlags } from './flags.ts';
import { type AnyOperation, Operation } from './operation.ts';
import { Ring } from './ring.ts';
import { RingWorker } from './ring-worker.ts';
import { MultishotStream } from './runtime/multishot.ts';
import { RingPeer } from './worker/peer.ts';

type Fields = Record<string, unknown>;
type Inspect = typeof inspect;

interface Class<T> {
  readonly name: string;
  readonly prototype: T;
}

/** Only fields that there is something to say of. */
function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Something that may be gone with its ring. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

function names(flags: number, table: Readonly<Record<string, number>>): string[] | undefined {
  const found = Object.entries(table).filter(([, bit]) => (flags & bit) !== 0);
  return found.length === 0 ? undefined : found.map(([name]) => name);
}

/** Gives a class its forms for `util.inspect` and for strings. */
function describe<T extends object>(type: Class<T>, fieldsOf: (it: T) => Fields): void {
  const show = (it: T, depth: number, options: InspectOptionsStylized, show: Inspect): string => {
    const name = attempt(() => it.constructor.name) ?? type.name;
    if (depth < 0) return options.stylize(`[${name}]`, 'special');
    const inner = { ...options, depth: options.depth == null ? null : options.depth - 1 };
    const fields = attempt(() => present(fieldsOf(it))) ?? {};
    return `${name} ${show(fields, inner)}`;
  };
  Object.defineProperties(type.prototype, {
    [inspect.custom]: {
      configurable: true,
      writable: true,
      value(this: T, depth: number, options: InspectOptionsStylized, inspector: Inspect = inspect): string {
        return show(this, depth, options, inspector);
      },
    },
    toString: {
      configurable: true,
      writable: true,
      value(this: T): string {
        return inspect(this, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
      },
    },
  });
}

function operationFields(operation: AnyOperation): Fields {
  const isFixed = operation.hasFlags(SqeFlags.FIXED_FILE);
  const { fd, offset, memory, path, dest } = operation;
  return {
    name: attempt(() => operation.name),
    fd: fd < 0 || isFixed ? undefined : fd,
    slot: isFixed ? fd & (SLOTS_MAX - 1) : undefined,
    path,
    dest,
    offset: offset === 0 ? undefined : offset,
    sizeBytes: memory?.length,
    bufferGroup: operation.buffers?.group,
    isMultishot: operation.isMultishot || undefined,
    flags: names((operation.head >>> 8) & 0xff, SqeFlags),
  };
}

function ringFields(ring: Ring): Fields {
  const { closed, inFlight, waiting, entries, cqEntries, setupFlags } = ring;
  return {
    closed: closed || undefined,
    fd: closed ? undefined : attempt(() => ring.fd),
    inFlight,
    waiting,
    prepared: closed ? undefined : ring.sqReady,
    entries,
    cqEntries,
    setupFlags,
  };
}

function completionFields(completion: Completion): Fields {
  const { operation, res, flags, result, error, userData, msg, event, extra } = completion;
  return {
    operation: operation?.name,
    event,
    res,
    result: error === null && result !== res ? result : undefined,
    error: error ?? undefined,
    // The upper half is the number of a buffer.
    flags: names(flags & 0xffff, CqeFlags),
    bufferId: completion.bufferId,
    userData,
    msg: msg === 0 ? undefined : msg,
    extra,
  };
}

describe(Ring, ringFields);
describe<AnyOperation>(Operation, operationFields);
describe(Completion, completionFields);
describe(BufferRing, (buffers) => {
  const { group, entries, sizeBytes, provide, incremental } = buffers;
  return { group, entries, sizeBytes, provide, incremental, lent: attempt(() => buffers.lent) };
});
describe(BufferGroup, (buffers) => {
  const { group, entries, sizeBytes } = buffers;
  return { group, entries, sizeBytes, lent: attempt(() => buffers.lent) };
});
describe(BufferLease, ({ id, isReleased, data }) => ({
  id,
  isReleased,
  sizeBytes: isReleased ? undefined : data.length,
}));
describe(FixedFile, ({ slot }) => ({ slot }));
describe<MultishotStream<unknown>>(MultishotStream, ({ description: { operation, state, results } }) => ({
  operation: attempt(() => operation.name),
  state,
  results,
}));
describe(RingPeer, () => ({}));
describe(RingWorker, ({ thread: { threadId } }) => ({ threadId }));
