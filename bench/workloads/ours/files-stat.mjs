// @ts-check
// `files.stat`: what the file system knows of many small files.

import { Ring, statx } from 'uring';

import { measure, parseOptions, promiseRunner } from '../common.mjs';
import { checkSize, FileCycle } from '../small-files.mjs';

const options = parseOptions();
const ring = new Ring();
const files = new FileCycle(options);

async function statNext() {
  const index = files.next();
  const stats = await ring.exec(statx(files.paths[index]));
  checkSize(index, stats.size);
}

await measure(options, promiseRunner(options.depth, statNext));
await ring.close();
