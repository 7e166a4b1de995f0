// Reads and writes past the page cache, on file systems of drives: with O_DIRECT, and polled. The kernel matrix gives its
// guests such drives (scripts/kernels/guest.mjs).
import { constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { fsync, type Ring, read, type UringError, write } from 'uring';
import { open, pattern } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

/** Folders on drives, or where none are named the one for temporary files. */
const FOLDERS = (process.env['URING_TEST_DRIVES'] ?? tmpdir()).split(':');
const BLOCK_BYTES = 4096;
const FILE_BYTES = 8 * BLOCK_BYTES;

function directFile(t: ExecutionContext, folder: string): { path: string; fd: number } {
  const dir = mkdtempSync(join(folder, 'uring-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'file');
  writeFileSync(path, pattern(FILE_BYTES));
  return { path, fd: open(t, path, constants.O_RDWR | constants.O_DIRECT) };
}

/** Reads two blocks, writes them behind each other's place, and reads the file as everybody sees it. */
async function swapBlocks(t: ExecutionContext, ring: Ring, { path, fd }: { path: string; fd: number }) {
  const [first, second] = [ring.alloc(BLOCK_BYTES), ring.alloc(BLOCK_BYTES)];
  t.is(await ring.exec(read(fd, first, { offset: 0 })), BLOCK_BYTES);
  t.is(await ring.exec(read(fd, second, { offset: BLOCK_BYTES })), BLOCK_BYTES);
  t.deepEqual(Buffer.concat([first, second]), pattern(FILE_BYTES).subarray(0, 2 * BLOCK_BYTES));
  t.is(await ring.exec(write(fd, second, { offset: 0 })), BLOCK_BYTES);
  t.is(await ring.exec(write(fd, first, { offset: BLOCK_BYTES })), BLOCK_BYTES);
  t.deepEqual(readFileSync(path).subarray(0, 2 * BLOCK_BYTES), Buffer.concat([second, first]));
}

for (const folder of FOLDERS) {
  const name = basename(folder);

  test(`O_DIRECT on ${name}: what is written is read, by the ring and by everybody`, async (t) => {
    await withRing({}, async (ring) => {
      const { path, fd } = directFile(t, folder);
      await swapBlocks(t, ring, { path, fd });
      await ring.exec(fsync(fd));
    });
  });

  for (const iopoll of [true, 'hybrid'] as const) {
    test(`iopoll (${iopoll}) on ${name}: a drive is polled, or says that it cannot be`, async (t) => {
      await withRing({ iopoll }, async (ring) => {
        const made = directFile(t, folder);
        const error: UringError | undefined = await ring
          .exec(read(made.fd, ring.alloc(BLOCK_BYTES), { offset: 0 }))
          .then(() => undefined)
          .catch((reason: UringError) => reason);
        t.log(`${name}: ${error === undefined ? 'polled' : error.message}`);
        if (error === undefined) await swapBlocks(t, ring, made);
        // Up to 6.1 a file that cannot be polled is -EINVAL on some file systems.
        else t.true(['ENOTSUP', 'EINVAL'].includes(error.code), error.message);
      });
    });
  }
}
