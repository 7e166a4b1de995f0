// Makers of operations on what a ring itself has: time, other operations, memory, messages, slots.
import * as u from 'uring';
import type { World } from '../world.ts';
import type { Makers } from './index.ts';

/** What `pollUpdate` gives a poll instead of its serial number. */
export const OTHER_USER_DATA = -1;

const time = (w: World): u.Time =>
  w.rather(w.pick<u.Time>([0, 1, 0.001, 2n, 1000, { sec: 0, nsec: 5 }, 86_400_000]));

/** A timer that repeats faster than the loop turns cannot be stopped; ts/ops/time.ts refuses the worst. */
const interval = (w: World): u.Time => w.rather(w.pick<u.Time>([1, 2, 5_000_000n, { sec: 1, nsec: 0 }]));

const clock = (w: World): Record<string, unknown> => ({
  clock: w.rather(w.pick(['monotonic', 'boottime', 'realtime'])),
  etimeSuccess: w.bool(),
});

const events = (w: World): number => w.rather(w.pick([1, 4, 5, 0x2019, w.int(1, 0xffff)]));

const timers: Makers = {
  timeout: (w) =>
    u.timeout(time(w), w.options({ ...clock(w), absolute: w.bool(), count: w.rather(w.int(0, 3)) })),
  timeoutRemove: (w) => u.timeoutRemove(w.target(), w.options()),
  timeoutUpdate: (w) =>
    u.timeoutUpdate(w.target(), interval(w), w.options({ absolute: w.bool(), linked: w.bool() })),
  linkTimeout: (w) => u.linkTimeout(time(w), w.options(clock(w))),
};

const polls: Makers = {
  pollAdd: (w) => u.pollAdd(w.fd(), events(w), w.options(w.oneIn(9) ? { level: w.bool() } : {})),
  pollUpdate: (w) =>
    u.pollUpdate(w.target(), { events: events(w), ...w.some({ userData: OTHER_USER_DATA }) }, w.options()),
  pollRemove: (w) => u.pollRemove(w.target(), w.options()),
  epollCtl: (w) =>
    u.epollCtl(
      w.oneIn(9) ? w.noFd() : w.epfd,
      w.rather(w.pick(['add', 'add', 'modify', 'delete'])),
      w.oneIn(9) ? w.noFd() : w.steady('stream', 'tcp', 'udp', 'pipeOut'),
      // libuv, whose instance this is, passes over events of descriptor -1.
      { ...(w.options({ events: w.rather(u.EpollEvents.IN) }) as object), data: w.ratherNumber(0xffff_ffff) },
    ),
  epollWait: (w) => u.epollWait(w.oneIn(9) ? w.noFd() : w.epfd, w.rather(w.int(1, 9)), w.options()),
};

const cancels: Makers = {
  asyncCancel: (w) => u.asyncCancel(w.target(), w.options()),
  'asyncCancel:userData': (w) => u.asyncCancel({ userData: w.rather(w.earlier()) }, w.options()),
  'asyncCancel:fd': (w) =>
    u.asyncCancel(
      { fd: w.fd(), ...w.some({ all: w.bool(), opcode: w.rather('recv') }) } as never,
      w.options(),
    ),
  'asyncCancel:opcode': (w) =>
    u.asyncCancel(
      { opcode: w.rather(w.pick(['pollAdd', 'recv', 'timeout', 22])), ...w.some({ all: w.bool() }) } as never,
      w.options(),
    ),
  'asyncCancel:any': (w) => u.asyncCancel(w.rather({ any: true as const }), w.options()),
};

/** A word that others wait on, or now and then one that is not of the ring. */
const words = (w: World): u.FutexWords => w.rather(w.oneIn(15) ? new Int32Array(4) : w.shared.words);

const futex = (w: World): never => w.options({ mask: w.rather(w.pick([-1, 1, 2])), private: w.bool() });

const waiter = (w: World): u.FutexWaiter =>
  w.rather({ words: words(w), index: w.rather(w.int(0, 9)), expected: w.rather(w.pick([0, 0, 0, 1])) });

const waits: Makers = {
  futexWait: (w) => u.futexWait(words(w), w.rather(w.int(0, 9)), w.rather(w.pick([0, 1])), futex(w)),
  futexWake: (w) => u.futexWake(words(w), w.rather(w.int(0, 9)), w.rather(w.int(1, 4)), futex(w)),
  futexWaitv: (w) =>
    u.futexWaitv(w.rather(Array.from({ length: w.int(0, 3) }, () => waiter(w))), w.options()),
  // Node waits for its children itself: this only looks.
  waitid: (w) =>
    u.waitid(w.ratherNumber('pid'), w.oneIn(9) ? w.rather(1 << 21) : w.pid, {
      ...(w.options({ exited: w.bool(), stopped: w.bool(), continued: w.bool(), wAll: w.bool() }) as object),
      noHang: !w.oneIn(4),
      noWait: true,
    }),
};

const ADVICE = [
  'normal',
  'random',
  'sequential',
  'willneed',
  'dontneed',
  'free',
  'hugepage',
  'nohugepage',
] as const;
const MORE_ADVICE = ['dontdump', 'dodump', 'cold', 'populateRead', 'populateWrite'] as const;

const memory: Makers = {
  madvise: (w) => {
    const buffer = w.pick<u.Bytes>([w.shared.buffer, w.ownBytes(), w.bytes()]);
    return u.madvise(buffer, w.rather(w.pick([...ADVICE, ...MORE_ADVICE])), w.options());
  },
  provideBuffers: (w) =>
    u.provideBuffers(
      w.rather(w.byHand),
      w.options({ first: w.rather(w.int(0, 3)), count: w.rather(w.int(1, 4)) }),
    ),
  removeBuffers: (w) => u.removeBuffers(w.rather(w.byHand), w.rather(w.int(1, 4)), w.options()),
};

/** Numbers that are surely no address. */
const number = (w: World): u.RawField => w.rather(w.pick<u.RawField>([0, 1, 7n, 4096]));

/** Known operations that need no memory, and some that nobody knows. */
function raw(w: World): u.AnyOperation {
  const { nop, fsync, syncFileRange, fadvise, ftruncate } = u.Op;
  const isKnown = w.oneIn(2);
  const opcode = isKnown ? w.pick([nop, fsync, syncFileRange, fadvise, ftruncate]) : w.int(65, 300);
  const fields = w.some({
    off: number(w),
    addr: w.oneIn(2) ? { in: w.bytes() } : number(w),
    addr3: w.oneIn(9) ? { out: w.bytes() } : number(w),
    len: w.rather(0),
    opFlags: w.oneIn(9) ? w.rather(0) : 0,
    ioprio: w.oneIn(9) ? w.rather(0) : 0,
    fileIndex: w.oneIn(9) ? w.rather(0) : 0,
    bufferGroup: w.oneIn(9) ? w.rather(0) : 0,
  });
  const fd = w.of('file');
  return u.raw({ ...(w.options() as object), ...fields, opcode: w.ratherNumber(opcode), fd });
}

const numbers = (w: World): Record<string, unknown> => ({
  data: w.rather(w.int(0, 99)),
  res: w.rather(w.int(-9, 99)),
  completionFlags: w.rather(w.int(0, 99)),
});

/** Another ring, this one, or what is none. */
function ringOf(w: World): u.Ring {
  if (w.oneIn(5)) return w.ring;
  return w.oneIn(5) ? (w.fd() as never) : w.other;
}

const messages: Makers = {
  nop: (w) => u.nop(w.options({ taskWork: w.bool(), result: w.ratherNumber(w.int(-14, 1000)) })),
  'nop:fd': (w) => u.nop({ ...(w.options() as object), fd: w.fd() }),
  'nop:buffer': (w) => u.nop({ ...(w.options() as object), buffer: w.bytes() }),
  'nop:extra': (w) => u.nop({ ...(w.options() as object), extra: w.rather([1n, 2n ** 63n]) }),
  nop128: (w) => u.nop128(w.options({ result: w.rather(1) })),
  raw,
  msgRing: (w) => u.msgRing(ringOf(w), w.options(numbers(w))),
  msgRingFile: (w) =>
    u.msgRingFile(
      ringOf(w),
      w.slot(),
      w.options({ slot: w.rather(w.int(0, 9)), data: w.rather(1), skipTargetCompletion: w.bool() }),
    ),
  filesUpdate: (w) => {
    const { EMPTY, SKIP } = u.FileSlots;
    const fds = Array.from({ length: w.int(0, 3) }, () =>
      w.pick([w.steady('file'), w.steady('tcp'), EMPTY, SKIP]),
    );
    return u.filesUpdate(
      w.rather(w.oneIn(3) ? 'any' : w.int(0, 16)),
      w.oneIn(9) ? [w.noFd()] : fds,
      w.options(),
    );
  },
  fixedFdInstall: (w) => u.fixedFdInstall(w.slot(), w.options({ cloexec: w.bool() })),
};

export const rings: Makers = { ...timers, ...polls, ...cancels, ...waits, ...memory, ...messages };

/** Operations that complete more than once. */
export const ringStreams: Makers = {
  timeoutMultishot: (w) =>
    u.timeoutMultishot(interval(w), w.options({ ...clock(w), repeat: w.rather(w.int(1, 3)) })),
  pollMultishot: (w) => u.pollMultishot(w.fd(), events(w), w.options()),
};
