// Linked operations: a write, an fsync and a read as one submission, each started when the one before it has succeeded.
// Then a chain that breaks.
//
//   npm run example -- linked_ops
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AnyOperation, close, fsync, openat, Ring, read, write } from 'uring';

/** Runs a chain and prints what became of each operation. All of them are submitted, or none. */
function runChain(ring: Ring, chain: Record<string, AnyOperation>): void {
  const operations = Object.values(chain);
  if (!ring.prepChain(operations, { userData: Object.keys(chain) })) throw new Error('the queue is full');
  ring.submitAndWait(operations.length);
  for (const { userData, res, error } of ring.completions()) {
    console.log(`  ${userData}: ${error === null ? res : error.code}`);
  }
}

const dir = mkdtempSync(join(tmpdir(), 'uring-'));
const ring = new Ring();
try {
  const path = join(dir, 'journal');
  const fd = await ring.exec(openat(path, { openFlags: 'w+' }));
  const line = Buffer.from('an entry of the journal\n');
  const buffer = ring.alloc(line.byteLength);

  console.log('durable before it is read:');
  runChain(ring, {
    write: write(fd, line, { offset: 0 }),
    fsync: fsync(fd, { dataOnly: true }),
    read: read(fd, buffer, { offset: 0 }),
  });
  console.log(`  the file says: ${buffer.toString().trim()}`);

  // A failure, or a short read or write, breaks the chain: the rest is cancelled, the fsync never starts.
  const readOnly = await ring.exec(openat(path));
  console.log('not written, so not made durable:');
  runChain(ring, { write: write(readOnly, line, { offset: 0 }), fsync: fsync(readOnly) });

  await ring.exec(close(readOnly));
  await ring.exec(close(fd));
} finally {
  await ring.close();
  rmSync(dir, { recursive: true });
}
