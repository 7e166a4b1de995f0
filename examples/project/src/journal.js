// What is written is on the disk when `append` resolves.
import {
  close,
  fsync,
  openat,
  readFile,
  renameat,
  UringError,
  unlinkat,
  write,
  writeAll,
  writeFile,
} from 'uring';

/** A file of lines, each a JSON value, to which more are added. */
export class Journal {
  #ring;
  #path;
  #fd;
  #size;

  static async open(ring, path) {
    const before = await readFile(ring, path).catch((error) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    const fd = await ring.exec(openat(path, { openFlags: flagsFor(before) }));
    // A line that was not finished, because the power went, never was.
    const size = before.lastIndexOf(0x0a) + 1;
    return { journal: new Journal(ring, path, fd, size), entries: parsed(before.subarray(0, size)) };
  }

  constructor(ring, path, fd, size) {
    this.#ring = ring;
    this.#path = path;
    this.#fd = fd;
    this.#size = size;
  }

  get sizeBytes() {
    return this.#size;
  }

  /** Writes and syncs with one system call; a write that is short breaks the chain, and is finished here. */
  async append(entry) {
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    try {
      await this.#ring.chain([write(this.#fd, line, { offset: this.#size }), fsync(this.#fd)]);
    } catch (error) {
      if (error.code !== 'ERR_URING_SHORT_TRANSFER') throw error;
      const done = error.results[0].value;
      await writeAll(this.#ring, this.#fd, line.subarray(done), { offset: this.#size + done });
      await this.#ring.exec(fsync(this.#fd));
    }
    this.#size += line.byteLength;
  }

  /** Replaces the file by a shorter one that says the same; whatever fails, the old one stays. */
  async compact(entries) {
    const other = `${this.#path}.new`;
    const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    try {
      await writeFile(this.#ring, other, text, { fsync: true });
      await this.#ring.exec(renameat(other, this.#path));
    } catch (error) {
      await this.#ring.exec(unlinkat(other)).catch(() => {});
      throw error;
    }
    await this.close();
    this.#fd = await this.#ring.exec(openat(this.#path, { openFlags: 'r+' }));
    this.#size = Buffer.byteLength(text);
  }

  async close() {
    await this.#ring.exec(close(this.#fd));
  }
}

/** A new file is made, what an old one has stays. */
const flagsFor = (before) => (before.byteLength === 0 ? 'w+' : 'r+');

function parsed(bytes) {
  const lines = bytes.toString().split('\n').slice(0, -1);
  try {
    return lines.map((line) => JSON.parse(line));
  } catch (error) {
    throw new UringError('ERR_JOURNAL', `the journal is damaged: ${error.message}`);
  }
}
