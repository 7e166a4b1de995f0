// Makers of operations on open files and on paths.
import * as u from 'uring';
import type { Kind } from '../endpoints.ts';
import type { World } from '../world.ts';
import type { Makers } from './index.ts';

const transfer = (w: World): never =>
  w.options({
    offset: w.offset(),
    rwFlags: w.oneIn(5) ? w.rather(w.pick([u.RwFlags.DSYNC, u.RwFlags.NOWAIT, u.RwFlags.APPEND, 0xffff])) : 0,
    ioprio: w.rather(0),
  });

const storing = (w: World): never =>
  ({ ...(transfer(w) as object), ...(w.oneIn(30) ? { writeStream: w.rather(0) } : {}) }) as never;

const readable = (w: World): u.Fd => w.of('file', 'file', 'device', 'pipeOut', 'stream');
const writable = (w: World): u.Fd => w.of('file', 'file', 'device', 'pipeIn', 'stream');

/** Small enough to be had, or too large for any file system; nothing that would fill the machine's memory. */
const size = (w: World): number =>
  w.ratherNumber(w.pick([1, 4096, 10_000, 65_536, -1, (2n ** 62n) as never]));

const range = (w: World): Record<string, unknown> => ({
  offset: w.offset(),
  lengthBytes: w.rather(w.int(0, 9999)),
});

/** Bits of modes and flags that belong together. */
const bits = (w: World, max: number): number => w.rather(w.int(0, max));

const transfers: Makers = {
  read: (w) => u.read(readable(w), w.bytes(), transfer(w)),
  'read:group': (w) => u.read(readable(w), w.group(), transfer(w)),
  write: (w) => u.write(writable(w), w.bytes(), storing(w)),
  readFixed: (w) => u.readFixed(readable(w), w.bytes(), transfer(w)),
  writeFixed: (w) => u.writeFixed(writable(w), w.bytes(), storing(w)),
  readv: (w) => u.readv(readable(w), w.list(), transfer(w)),
  writev: (w) => u.writev(writable(w), w.list(), storing(w)),
  readvFixed: (w) => u.readvFixed(readable(w), w.ownList(), transfer(w)),
  writevFixed: (w) => u.writevFixed(writable(w), w.ownList(), storing(w)),
};

const space: Makers = {
  fsync: (w) => u.fsync(w.of('file'), w.options({ ...range(w), dataOnly: w.bool() })),
  syncFileRange: (w) => u.syncFileRange(w.of('file'), w.options({ ...range(w), syncFlags: bits(w, 8) })),
  fallocate: (w) =>
    u.fallocate(
      w.of('file'),
      size(w),
      w.options({ offset: w.offset(), mode: w.rather(w.pick([0, 1, 3, 16])) }),
    ),
  ftruncate: (w) => u.ftruncate(w.of('file'), w.rather(w.pick([0, 1, 4096, 100_000, 2 ** 40])), w.options()),
  fadvise: (w) =>
    u.fadvise(
      w.of('file'),
      w.rather(w.pick(['normal', 'random', 'willneed', 'dontneed', 'noreuse'])),
      w.options({ offset: w.offset(), lengthBytes: w.rather(w.pick([0, 4096, 2 ** 40])) }),
    ),
  blockDiscard: (w) => u.blockDiscard(w.of('file'), w.options({ offset: 0, lengthBytes: w.rather(4096) })),
};

/** A path, by itself or with the directory that it starts from. */
function place(w: World, choices: Record<string, unknown>): [path: string, options: never] {
  const options = w.options(choices) as object;
  if (!w.oneIn(4)) return [w.path(), { ...options, ...(w.oneIn(9) ? { dirFd: w.noFd() } : {}) } as never];
  return [w.pick(['x', 'y', 'a', 'b', 'c', '']), { ...options, dirFd: w.steady('directory') } as never];
}

const opening = (w: World): Record<string, unknown> => ({
  openFlags: w.rather(w.pick(['r', 'r+', 'w+', 'a', 'wx', 'r', 0, 0o100 | 2])),
  mode: bits(w, 0o7777),
});

const RULES = ['noXdev', 'noMagiclinks', 'noSymlinks', 'beneath', 'inRoot', 'cached'] as const;

function openat2(w: World, more: object = {}): u.AnyOperation {
  const resolve = w.rather(Array.from({ length: w.int(0, 2) }, () => w.rather(w.pick(RULES))));
  const [path, options] = place(w, { ...opening(w), resolve });
  return u.openat2(path, { ...(options as object), ...more } as never);
}

const opens: Makers = {
  openat: (w) => u.openat(...place(w, opening(w))),
  'openat:direct': (w) => {
    const [path, options] = place(w, opening(w));
    return u.openat(path, { ...(options as object), direct: w.direct() } as never);
  },
  openat2: (w) => openat2(w),
  'openat2:direct': (w) => openat2(w, { direct: w.direct() }),
  close: (w) => {
    const options = w.options();
    return w.closes((fd) => u.close(fd, options));
  },
  statx: (w) =>
    u.statx(
      ...place(w, {
        followSymlink: w.bool(),
        bigint: w.bool(),
        mask: bits(w, 0xffff),
        atFlags: w.rather(w.pick([0, 0x2000, 0x4000, 0x800])),
      }),
    ),
  'statx:descriptor': (w) => u.statx(w.fd() as number, w.options({ bigint: w.bool() })),
};

/** Two paths, with the directories that they start from. */
function twoPlaces(
  w: World,
  choices: Record<string, unknown>,
): [oldPath: string, newPath: string, options: never] {
  const [oldPath, { dirFd: oldDirFd, ...options }] = place(w, choices) as [string, Record<string, unknown>];
  const [newPath, { dirFd: newDirFd }] = place(w, {}) as [string, Record<string, unknown>];
  const directories = {
    ...(oldDirFd === undefined ? {} : { oldDirFd }),
    ...(newDirFd === undefined ? {} : { newDirFd }),
  };
  return [oldPath, newPath, { ...options, ...directories } as never];
}

const names: Makers = {
  renameat: (w) =>
    u.renameat(...twoPlaces(w, { noReplace: w.bool(), exchange: w.bool(), whiteout: w.oneIn(20) })),
  unlinkat: (w) => u.unlinkat(...place(w, { removeDirectory: w.bool() })),
  mkdirat: (w) => u.mkdirat(...place(w, { mode: bits(w, 0o7777) })),
  symlinkat: (w) => u.symlinkat(w.path(), ...place(w, {})),
  linkat: (w) => u.linkat(...twoPlaces(w, { followSymlink: w.bool() })),
};

const attribute = (w: World): string =>
  w.rather(
    w.pick<string>([
      'user.a',
      'user.b',
      'trusted.c',
      'nothing',
      Buffer.from('user.a') as never,
      `user.${'x'.repeat(300)}`,
    ]),
  );

const keeping = (w: World): never => w.options({ create: w.bool(), replace: w.bool() });

const wanted = (w: World): never =>
  w.options({ sizeBytes: w.rather(w.pick([1, 100, 65_536])), sizeOnly: w.bool() });

const attributes: Makers = {
  setxattr: (w) => u.setxattr(w.path(), attribute(w), w.bytes(), keeping(w)),
  fsetxattr: (w) => u.fsetxattr(w.of('file', 'directory'), attribute(w), w.bytes(), keeping(w)),
  getxattr: (w) => u.getxattr(w.path(), attribute(w), wanted(w)),
  fgetxattr: (w) => u.fgetxattr(w.of('file', 'directory'), attribute(w), wanted(w)),
};

const splicing = (w: World): Record<string, unknown> => ({ spliceFlags: w.rather(w.pick([0, 1, 2, 4, 15])) });

/** Never a socket that blocks: the pipe would be locked while it waits, and stop the thread that uses it. */
const calm = (w: World, kind: Kind): u.Fd => (w.oneIn(6) ? w.slot() : w.steady(kind));

const pipes: Makers = {
  splice: (w) => {
    const [from, to, more] = w.pick([
      ['file', 'pipeIn', { offsetIn: w.rather(0) }],
      ['pipeOut', 'file', { offsetOut: w.rather(100) }],
      ['pipeOut', 'pipeIn', { offsetIn: w.rather(null) }],
      ['pipeOut', 'tcp', {}],
      ['tcp', 'pipeIn', {}],
    ] as const);
    const options = w.options({ ...splicing(w), ...more });
    return u.splice(calm(w, from), calm(w, to), w.rather(w.int(1, 9999)), options);
  },
  tee: (w) => u.tee(w.of('pipeOut'), w.of('pipeIn'), w.rather(w.int(1, 999)), w.options(splicing(w))),
  pipe: (w) => u.pipe(w.options({ pipeFlags: w.pick([undefined, 0o4000, 0o44000]) })),
  'pipe:direct': (w) => u.pipe({ ...(w.options() as object), direct: w.direct() }),
};

export const files: Makers = { ...transfers, ...space, ...opens, ...names, ...attributes, ...pipes };
