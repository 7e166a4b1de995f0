// @ts-check
// `wal.append`: writers that append a record to one file and have it durable before they write the next.

import { CURRENT_POSITION, close, fsync, openat, Ring, write } from 'uring';

import { measure, parseOptions, promiseRunner } from '../common.mjs';
import { RECORD_BYTES, Writers } from '../wal-records.mjs';

const options = parseOptions();
const ring = new Ring();
await ring.exec(close(await ring.exec(openat(options.file, { openFlags: 'w' }))));
const fd = await ring.exec(openat(options.file, { openFlags: 'a' }));
const writers = new Writers(options.depth, (bytes) => ring.alloc(bytes));

/** @param {number} writer */
async function append(writer) {
  const [bytes] = await ring.chain([
    write(fd, writers.next(writer), { offset: CURRENT_POSITION }),
    fsync(fd, { dataOnly: true }),
  ]);
  if (bytes !== RECORD_BYTES) throw new Error(`${bytes} bytes of a record were written`);
}

await measure(options, promiseRunner(options.depth, append));
writers.checkAndRemove(options.file);
await ring.exec(close(fd));
await ring.close();
