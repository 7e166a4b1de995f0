// Registered buffers: memory of `ring.alloc()` is registered with the kernel by itself, so that `read` and `write` with it
// take the registered form of the operation. `readFixed` and `writeFixed` insist on that form.
//
//   npm run example -- registered_buffers
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { close, openat, Ring, read, readFixed, type UringError, write, writeFixed } from 'uring';

const SIZE_BYTES = 64 * 1024;

const dir = mkdtempSync(join(tmpdir(), 'uring-'));
const ring = new Ring();
try {
  const fd = await ring.exec(openat(join(dir, 'data'), { openFlags: 'w+' }));
  const source = ring.alloc(SIZE_BYTES).fill('registered ');
  const target = ring.alloc(SIZE_BYTES);
  const { registeredBytes, unregisteredBytes } = ring.stats();
  console.log(`memory: ${registeredBytes} bytes registered, ${unregisteredBytes} not`);

  if (registeredBytes > 0) {
    const written = await ring.exec(writeFixed(fd, source, { offset: 0 }));
    const bytes = await ring.exec(readFixed(fd, target, { offset: 0 }));
    console.log(
      `insisted on: ${written} written, ${bytes} read, ${target.equals(source) ? 'the same' : 'different'}`,
    );
  } else {
    console.log('insisted on: not possible here, RLIMIT_MEMLOCK is too low (ulimit -l)');
  }

  // The same call for any memory: registered where it can be, copied where it is not the ring's.
  const own = Buffer.alloc(SIZE_BYTES, 'anywhere ');
  await ring.exec(write(fd, own, { offset: 0 }));
  const part = target.subarray(1000, 2000);
  await ring.exec(read(fd, part, { offset: 1000 }));
  console.log(`by itself: ${part.equals(own.subarray(1000, 2000)) ? 'the same' : 'different'}`);

  await ring
    .exec(writeFixed(fd, own))
    .catch((error: UringError) => console.log(`other memory: ${error.code}`));
  await ring.exec(close(fd));
} finally {
  await ring.close();
  rmSync(dir, { recursive: true });
}
