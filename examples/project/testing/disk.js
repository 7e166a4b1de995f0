// Files in memory, and the handlers that make a mock use them.
import { constants } from 'node:fs';

export function disk(files) {
  const byPath = new Map(Object.entries(files).map(([path, text]) => [path, { bytes: Buffer.from(text) }]));
  const open = new Map();
  const write = ({ fd, data, position }, most = Number.POSITIVE_INFINITY) => {
    const file = open.get(fd);
    const part = data.subarray(0, most);
    const size = Math.max(file.bytes.byteLength, position + part.byteLength);
    const bytes = Buffer.alloc(size);
    bytes.set(file.bytes);
    bytes.set(part, position);
    file.bytes = bytes;
    return part.byteLength;
  };
  const handlers = {
    openat({ path, flags, newFd }) {
      if (!byPath.has(path) && (flags & constants.O_CREAT) === 0) return 'ENOENT';
      if (!byPath.has(path)) byPath.set(path, { bytes: Buffer.alloc(0) });
      const file = byPath.get(path);
      if ((flags & constants.O_TRUNC) !== 0) file.bytes = Buffer.alloc(0);
      open.set(newFd, file);
      return newFd;
    },
    statx: ({ path, dirFd }) => {
      const file = path === '' ? open.get(dirFd) : byPath.get(path);
      return file === undefined ? 'ENOENT' : { stats: { size: file.bytes.byteLength } };
    },
    read: ({ fd, position, room }) => open.get(fd).bytes.subarray(position, position + room),
    write: (operation) => write(operation),
    fsync: 0,
    ftruncate: 0,
    renameat({ path, newPath }) {
      byPath.set(newPath, byPath.get(path));
      byPath.delete(path);
    },
    unlinkat: ({ path }) => (byPath.delete(path) ? 0 : 'ENOENT'),
  };
  return {
    handlers,
    write,
    text: (path) => byPath.get(path).bytes.toString(),
    paths: () => [...byPath.keys()],
  };
}
