// Every argument of every operation on paths and attributes, given wrong: refused before anything reaches the kernel.
import test from 'ava';
import {
  fgetxattr,
  fsetxattr,
  getxattr,
  linkat,
  mkdirat,
  openat2,
  pipe,
  renameat,
  setxattr,
  statx,
  symlinkat,
  unlinkat,
} from 'uring';
import { leakCheck } from './_helpers.ts';
import { declare, each, range, type, value, wrong } from './_refusals.ts';

leakCheck(test);

const FD = 0;
const memory = Buffer.alloc(16);

declare(
  'directories',
  each(
    [
      ['openat2', 'options.dirFd', (dirFd) => openat2('x', { dirFd: wrong(dirFd) })],
      ['statx', 'options.dirFd', (dirFd) => statx('x', { dirFd: wrong(dirFd) })],
      ['renameat', 'options.oldDirFd', (fd) => renameat('x', 'y', { oldDirFd: wrong(fd) })],
      ['renameat', 'options.newDirFd', (fd) => renameat('x', 'y', { newDirFd: wrong(fd) })],
      ['linkat', 'options.oldDirFd', (fd) => linkat('x', 'y', { oldDirFd: wrong(fd) })],
      ['linkat', 'options.newDirFd', (fd) => linkat('x', 'y', { newDirFd: wrong(fd) })],
      ['symlinkat', 'options.dirFd', (dirFd) => symlinkat('x', 'y', { dirFd: wrong(dirFd) })],
      ['unlinkat', 'options.dirFd', (dirFd) => unlinkat('x', { dirFd: wrong(dirFd) })],
      ['mkdirat', 'options.dirFd', (dirFd) => mkdirat('x', { dirFd: wrong(dirFd) })],
    ],
    [
      ['3', type],
      [null, type],
      [-1, range],
      [0.5, range],
      [2 ** 31, range],
    ],
  ),
);

declare(
  'paths',
  each(
    [
      ['openat2', 'path', (path) => openat2(wrong(path))],
      ['statx', 'path', (path) => statx(wrong(path))],
      ['renameat', 'oldPath', (path) => renameat(wrong(path), 'x')],
      ['renameat', 'newPath', (path) => renameat('x', wrong(path))],
      ['linkat', 'oldPath', (path) => linkat(wrong(path), 'x')],
      ['linkat', 'newPath', (path) => linkat('x', wrong(path))],
      ['symlinkat', 'target', (path) => symlinkat(wrong(path), 'x')],
      ['symlinkat', 'path', (path) => symlinkat('x', wrong(path))],
      ['unlinkat', 'path', (path) => unlinkat(wrong(path))],
      ['mkdirat', 'path', (path) => mkdirat(wrong(path))],
      ['setxattr', 'path', (path) => setxattr(wrong(path), 'user.a', memory)],
      ['getxattr', 'path', (path) => getxattr(wrong(path), 'user.a')],
    ],
    [
      [undefined, type],
      [null, type],
      [['x'], type],
      ['a\0b', value],
      [Buffer.from('a\0'), value],
      ['x'.repeat(4096), value],
    ],
  ),
);

declare(
  'names of attributes',
  each(
    [
      ['setxattr', 'name', (name) => setxattr('x', wrong(name), memory)],
      ['fsetxattr', 'name', (name) => fsetxattr(FD, wrong(name), memory)],
      ['getxattr', 'name', (name) => getxattr('x', wrong(name))],
      ['fgetxattr', 'name', (name) => fgetxattr(FD, wrong(name))],
    ],
    [
      [undefined, type],
      [7, type],
      [new URL('file:///x'), type],
      ['', value],
      ['user.a\0', value],
      ['user.'.padEnd(256, 'x'), value],
    ],
  ),
);

declare('values of attributes', [
  ...each(
    [
      ['setxattr', 'value', (given) => setxattr('x', 'user.a', wrong(given))],
      ['fsetxattr', 'value', (given) => fsetxattr(FD, 'user.a', wrong(given))],
    ],
    [
      ['text', type],
      [undefined, type],
      [[1, 2], type],
    ],
  ),
  range('too long', () => setxattr('x', 'user.a', Buffer.alloc(65_537)), /"value.byteLength" .* <= 65536/),
  value(
    'create and replace',
    () => setxattr('x', 'user.a', memory, { create: true, replace: true }),
    /"options.replace" cannot be true where create is/,
  ),
  value(
    'a size for what is not wanted',
    () => getxattr('x', 'user.a', { sizeOnly: true, sizeBytes: 5 }),
    /"options.sizeBytes" has no meaning where only the size is wanted/,
  ),
]);

declare(
  'booleans',
  each(
    [
      ['renameat', 'options.noReplace', (given) => renameat('x', 'y', { noReplace: wrong(given) })],
      ['renameat', 'options.exchange', (given) => renameat('x', 'y', { exchange: wrong(given) })],
      ['renameat', 'options.whiteout', (given) => renameat('x', 'y', { whiteout: wrong(given) })],
      ['unlinkat', 'options.removeDirectory', (given) => unlinkat('x', { removeDirectory: wrong(given) })],
      ['linkat', 'options.followSymlink', (given) => linkat('x', 'y', { followSymlink: wrong(given) })],
      ['statx', 'options.followSymlink', (given) => statx('x', { followSymlink: wrong(given) })],
      ['statx', 'options.bigint', (given) => statx('x', { bigint: wrong(given) })],
      ['setxattr', 'options.create', (given) => setxattr('x', 'user.a', memory, { create: wrong(given) })],
      ['fsetxattr', 'options.replace', (given) => fsetxattr(FD, 'user.a', memory, { replace: wrong(given) })],
      ['getxattr', 'options.sizeOnly', (given) => getxattr('x', 'user.a', { sizeOnly: wrong(given) })],
      ['fgetxattr', 'options.sizeOnly', (given) => fgetxattr(FD, 'user.a', { sizeOnly: wrong(given) })],
    ],
    [
      [1, type],
      ['true', type],
    ],
  ),
);

declare('slots for what is opened', [
  ...each(
    [
      ['openat2', 'options.direct', (direct) => openat2('x', { direct: wrong(direct) })],
      ['pipe', 'options.direct', (direct) => pipe({ direct: wrong(direct) })],
    ],
    [
      ['1', type],
      [false, type],
      [null, type],
      [-1, range],
      [2 ** 20, range],
    ],
  ),
  range('a pipe needs two', () => pipe({ direct: 2 ** 20 - 1 }), /"options.direct"/),
]);
