// @ts-check
// `files.read.small`: `fs.promises.readFile`.

import { readFile } from 'node:fs/promises';

import { measure, parseOptions, promiseRunner } from '../common.mjs';
import { checkContent, FileCycle } from '../small-files.mjs';

const options = parseOptions();
const files = new FileCycle(options);

async function readNext() {
  const index = files.next();
  const content = await readFile(files.paths[index]);
  checkContent(index, content, content.length);
}

await measure(options, promiseRunner(options.depth, readNext));
