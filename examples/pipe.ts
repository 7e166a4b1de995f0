// A pipe: made, written, read, and emptied into a file without its bytes coming near the program.
//
//   npm run example -- pipe
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CURRENT_POSITION, close, openat, pipe, Ring, read, splice, write } from 'uring';

async function show(ring: Ring, dir: string): Promise<void> {
  const { readFd, writeFd } = await ring.exec(pipe());

  // A pipe has no offsets; CURRENT_POSITION is the default, and written out here only to be seen.
  const written = await ring.exec(write(writeFd, Buffer.from('hello, pipe'), { offset: CURRENT_POSITION }));
  const buffer = ring.alloc(64);
  const bytes = await ring.exec(read(readFd, buffer, { offset: CURRENT_POSITION }));
  console.log(`wrote ${written} bytes, read ${bytes}: ${buffer.toString('utf8', 0, bytes)}`);

  const path = join(dir, 'spliced');
  const file = await ring.exec(openat(path, { openFlags: 'w' }));
  await ring.exec(write(writeFd, Buffer.from('straight to the file')));
  const moved = await ring.exec(splice(readFd, file, 4096, { offsetOut: 0 }));
  console.log(`spliced ${moved} bytes: ${readFileSync(path, 'utf8')}`);

  // When nobody can write any more, a read results in 0: the end.
  await ring.exec(close(writeFd));
  console.log(`after the end: ${await ring.exec(read(readFd, buffer))} bytes`);
  await ring.exec(close(readFd));
  await ring.exec(close(file));
}

await using ring = new Ring();
if (ring.supports('pipe')) {
  const dir = mkdtempSync(join(tmpdir(), 'uring-'));
  try {
    await show(ring, dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
} else {
  console.log('this kernel cannot make pipes through io_uring: that came with Linux 6.16');
}
