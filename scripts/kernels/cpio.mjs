// An archive that Linux takes as its first file system ("newc", Documentation/driver-api/early-userspace/buffer-format.rst).
const MAGIC = '070701';
const DIRECTORY = 0o040_755;
const PROGRAM = 0o100_755;

const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

function entry(name, mode, bytes, inode) {
  const fields = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.from(`${header}${name}\0`)), padded(bytes)]);
}

/** `files` by their paths; null is a folder, which has to come before what is in it. */
export function cpio(files) {
  const entries = Object.entries(files).map(([name, bytes], at) =>
    entry(name, bytes === null ? DIRECTORY : PROGRAM, bytes ?? Buffer.alloc(0), at + 1),
  );
  return Buffer.concat([...entries, entry('TRAILER!!!', 0, Buffer.alloc(0), 0)]);
}
