// Opens a file, and closes it in the callback: the callback way of running operations, which allocates nothing for each.
//
//   npm run example -- open_close [FILE]
import { fileURLToPath } from 'node:url';
import { close, openat, Ring } from 'uring';

const path = process.argv[2] ?? fileURLToPath(import.meta.url);
const ring = new Ring();

// The errors of the kernel are given to the callback; a wrong argument throws where the operation is made.
ring.start(openat(path), (error, fd) => {
  if (error !== null) {
    console.error(error.message);
    process.exitCode = 1;
    void ring.close();
    return;
  }
  console.log(`opened ${path} as descriptor ${fd}`);
  ring.start(close(fd), (failed) => {
    console.log(failed === null ? 'closed' : failed.message);
    void ring.close();
  });
});
// Nothing has happened yet: operations are submitted when this turn of the event loop ends.
console.log(`started: ${ring.inFlight + ring.waiting} operation, ${ring.stats().submitted} submitted`);
// The process stays alive for what is in flight, and ends when nothing is.
