// @ts-check
// `files.stat`: `fs.promises.stat`.

import { stat } from 'node:fs/promises';

import { measure, parseOptions, promiseRunner } from '../common.mjs';
import { checkSize, FileCycle } from '../small-files.mjs';

const options = parseOptions();
const files = new FileCycle(options);

async function statNext() {
  const index = files.next();
  const { size } = await stat(files.paths[index]);
  checkSize(index, size);
}

await measure(options, promiseRunner(options.depth, statNext));
