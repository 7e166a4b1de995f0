// A file system in memory, for the mock: one folder, `/mock`.
import { constants } from 'node:fs';
import type { MockHandlers, MockOperation } from 'uring/mock';

interface MockFile {
  bytes: Buffer;
}

export class MockFiles {
  readonly paths = new Map<string, MockFile>();
  readonly #open = new Map<number, MockFile>();

  has(fd: number): boolean {
    return this.#open.has(fd);
  }

  readonly handlers: MockHandlers = {
    openat: ({ path, flags, newFd }) => {
      if (path === '.' || path === '/mock') return newFd;
      let file = this.paths.get(path);
      if (file !== undefined && (flags & constants.O_EXCL) !== 0) return 'EEXIST';
      if (file === undefined && (flags & constants.O_CREAT) === 0) return 'ENOENT';
      file ??= { bytes: Buffer.alloc(0) };
      if ((flags & constants.O_TRUNC) !== 0) file.bytes = Buffer.alloc(0);
      this.paths.set(path, file);
      this.#open.set(newFd, file);
      return undefined;
    },
    read: (operation) => this.read(operation),
    write: (operation) => this.write(operation),
    writev: (operation) => this.write(operation),
    statx: ({ path, dirFd }) => {
      const file = path === '' ? this.#open.get(dirFd) : this.paths.get(path);
      return file === undefined ? 'ENOENT' : { stats: { size: file.bytes.byteLength } };
    },
    ftruncate: ({ fd, length }) => {
      const file = this.#open.get(fd);
      if (file === undefined) return 'EBADF';
      file.bytes = Buffer.concat([file.bytes, Buffer.alloc(length)]).subarray(0, length);
      return 0;
    },
    fsync: 0,
    unlinkat: ({ path }) => (this.paths.delete(path) ? 0 : 'ENOENT'),
    renameat: ({ path, newPath }) => {
      const file = this.paths.get(path);
      if (file === undefined) return 'ENOENT';
      this.paths.delete(path);
      this.paths.set(newPath, file);
      return 0;
    },
  };

  read({ fd, position, room }: MockOperation): Buffer | 'EBADF' {
    return this.#open.get(fd)?.bytes.subarray(position, position + room) ?? 'EBADF';
  }

  write({ fd, data, position }: MockOperation): number | 'EBADF' {
    const file = this.#open.get(fd);
    if (file === undefined) return 'EBADF';
    const bytes = Buffer.alloc(Math.max(file.bytes.byteLength, position + data.byteLength));
    bytes.set(file.bytes);
    bytes.set(data, position);
    file.bytes = bytes;
    return data.byteLength;
  }
}
