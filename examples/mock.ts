// Tests code that does I/O against answers that are hard to get from a real file: short writes, a full disk, a peer that
// is slow. Nothing of it needs io_uring, Linux or the native binary.
//
//   npm run example -- mock
import { close, openat, type Ring, recv, type UringError, write } from 'uring';
import { after, mock } from 'uring/mock';

/** The code under test: goes on after a short write, and once more when it was interrupted. */
async function save(ring: Ring, path: string, bytes: Buffer): Promise<void> {
  const fd = await ring.exec(openat(path, { openFlags: 'w' }));
  try {
    for (let offset = 0; offset < bytes.byteLength; ) {
      try {
        offset += await ring.exec(write(fd, bytes.subarray(offset), { offset }));
      } catch (error) {
        if ((error as UringError).code !== 'EINTR') throw error;
      }
    }
  } finally {
    await ring.exec(close(fd));
  }
}

const bytes = Buffer.from('abcdef');

// A list is what comes one after the other: a short write, an interruption, and the rest.
const seen: string[] = [];
const answers = [4, 'EINTR', 2] as const;
const short = mock({
  openat: () => {},
  write: ({ data, offset }) => {
    seen.push(`${data}@${offset}`);
    return answers[seen.length - 1];
  },
});
await using ring = new short.Ring();
await save(ring, '/journal', bytes);
short.assertNoLeaks();
console.log(`short and interrupted: ${seen.join(' ')}`);

const full = mock({ openat: () => {}, write: [3, 'ENOSPC'] });
await using fullRing = new full.Ring();
await save(fullRing, '/journal', bytes).catch((error: UringError) =>
  console.log(`full disk: ${error.code}, errno ${error.errno}`),
);
full.assertNoLeaks();

// Time passes when the test says so.
const slow = mock({ recv: () => after(60_000, Buffer.from('late')) });
await using slowRing = new slow.Ring();
const socket = slow.descriptor('a connection');
const answer = slowRing
  .exec(recv(socket, slowRing.alloc(64)), { timeoutMs: 30_000 })
  .catch((error: UringError) => error.code);
await slow.clock.advance(30_000);
console.log(`slow peer: ${await answer} after ${slow.clock.nowMs} ms`);
await slowRing.exec(close(socket));

// What is not answered says so; what is not given back, too.
await slowRing
  .exec(openat('/etc/hostname'))
  .catch((error: UringError) => console.log(`no handler: ${error.code}`));
slow.descriptor('a file that nobody closes');
try {
  slow.assertNoLeaks();
} catch (error) {
  console.log(`leaks: ${/\((.*)\)/.exec((error as Error).message)?.[1]}`);
}
