// @ts-check
// `files.read.small`: many small files, whole. As the native peer does, it looks at each file in memory that the next
// one uses, and takes a short read for the end.

import { forEachFile, Ring } from 'uring';

import { measure, parseOptions } from '../common.mjs';
import { checkContent, FileCycle } from '../small-files.mjs';

const options = parseOptions();
const ring = new Ring();
const files = new FileCycle(options);

/** @param {number} count */
async function readMany(count) {
  const indexes = Array.from({ length: count }, () => files.next());
  const paths = indexes.map((index) => files.paths[index]);
  let done = 0;
  /** @type {import('uring').FileCallback} */
  const check = (error, bytes, at) => {
    if (error) throw error;
    checkContent(indexes[at], bytes, bytes.length);
    done++;
  };
  await forEachFile(ring, paths, check, { concurrency: options.depth, shortIsEnd: true });
  if (done !== count) throw new Error(`${done} of ${count} files came`);
}

await measure(options, readMany);
await ring.close();
