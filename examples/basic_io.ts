// Writes a file with promises, then reads it again by hand, many blocks at a time, and compares their SHA-256.
//
//   npm run example -- basic_io
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Completion, close, openat, Ring, read, statx, write } from 'uring';

const BLOCK_BYTES = 64 * 1024;
const FILE_BYTES = 20 * BLOCK_BYTES + 1000;
const DEPTH = 16;

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** With promises: most code. A write may be short, as everywhere. */
async function writeFile(ring: Ring, fd: number, contents: Buffer): Promise<void> {
  for (let offset = 0; offset < contents.byteLength; ) {
    offset += await ring.exec(write(fd, contents.subarray(offset), { offset }));
  }
}

/**
 * By hand, as a C program would: keeps up to DEPTH reads in flight. It blocks the thread while it waits, so it belongs
 * into a worker, a tool or a test.
 */
function readFile(ring: Ring, fd: number, size: number): Buffer {
  const contents = Buffer.alloc(size);
  // Memory of the ring: the kernel writes straight into it.
  const free = Array.from({ length: DEPTH }, () => ring.alloc(BLOCK_BYTES));
  let next = 0;
  // The completion is reused for the next one: take what you need out of it.
  const onCompletion = ({ error, res, userData }: Completion): void => {
    if (error !== null) throw error;
    const { offset, buffer } = userData as { offset: number; buffer: Buffer };
    if (res < Math.min(BLOCK_BYTES, size - offset)) throw new Error(`a short read at ${offset}`);
    buffer.copy(contents, offset, 0, res);
    free.push(buffer);
  };
  while (next < size || ring.inFlight > 0) {
    for (let buffer = free.pop(); buffer !== undefined; buffer = free.pop()) {
      // `prep` answers false when the submission queue is full.
      if (next >= size || !ring.prep(read(fd, buffer, { offset: next }), { offset: next, buffer })) {
        free.push(buffer);
        break;
      }
      next += BLOCK_BYTES;
    }
    ring.submitAndWait(1);
    ring.forEachCompletion(onCompletion);
  }
  return contents;
}

const dir = mkdtempSync(join(tmpdir(), 'uring-'));
const ring = new Ring({ entries: DEPTH });
try {
  const written = randomBytes(FILE_BYTES);
  const fd = await ring.exec(openat(join(dir, 'data'), { openFlags: 'w+' }));
  await writeFile(ring, fd, written);
  const { size } = await ring.exec(statx(fd));
  console.log(`wrote ${size} bytes`);

  const before = ring.stats();
  const contents = readFile(ring, fd, size);
  const { submitted, enters } = ring.stats();
  console.log(`${submitted - before.submitted} reads, system calls: ${enters - before.enters}`);
  console.log(`contents: ${sha256(contents) === sha256(written) ? 'the same' : 'different'}`);
  await ring.exec(close(fd));
} finally {
  await ring.close();
  rmSync(dir, { recursive: true });
}
