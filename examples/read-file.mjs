// @ts-check
// Prints a file, read with promises: node examples/read-file.mjs [FILE]
import { close, openat, Ring, read } from 'uring';

const ring = new Ring();
try {
  const fd = await ring.exec(openat(process.argv[2] ?? 'package.json'));
  // Memory of the ring: the kernel writes straight into it.
  const buffer = ring.alloc(64 * 1024);
  let offset = 0;
  for (;;) {
    const bytes = await ring.exec(read(fd, buffer, { offset }));
    if (bytes === 0) break; // the end; a read may be short before it
    offset += bytes;
    // A copy, because stdout may write it after the buffer has been filled again.
    process.stdout.write(Buffer.from(buffer.subarray(0, bytes)));
  }
  await ring.exec(close(fd));
} finally {
  await ring.close();
}
