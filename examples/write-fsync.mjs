// @ts-check
// Writes a line and makes it durable, as one submission of two linked operations:
// node examples/write-fsync.mjs [FILE]. Without FILE it uses a temporary one.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fsync, Ring, write } from 'uring';

const dir = mkdtempSync(join(tmpdir(), 'uring-'));
const path = process.argv[2] ?? join(dir, 'journal');
const fd = openSync(path, 'a');
const ring = new Ring();
try {
  const line = Buffer.from(`written at ${new Date().toISOString()}\n`);
  // The fsync starts when the write has succeeded in full; after a failed or short write it is cancelled.
  const chain = [write(fd, line), fsync(fd, { dataOnly: true })];
  if (!ring.prepChain(chain, { userData: ['write', 'fsync'] })) throw new Error('the queue is full');
  ring.submitAndWait(chain.length);
  for (const { userData, res, error } of ring.completions()) {
    if (error !== null) throw error;
    console.log(`${userData}: ${res}`);
  }
  console.log(`${ring.stats().enters} system calls; the file says: ${readFileSync(path, 'utf8').trim()}`);
} finally {
  await ring.close();
  closeSync(fd);
  rmSync(dir, { recursive: true });
}
