// @ts-check
// `wal.append`: `FileHandle.write` and `FileHandle.datasync`.

import { open, writeFile } from 'node:fs/promises';

import { measure, parseOptions, promiseRunner } from '../common.mjs';
import { RECORD_BYTES, Writers } from '../wal-records.mjs';

const options = parseOptions();
await writeFile(options.file, '');
const handle = await open(options.file, 'a');
const writers = new Writers(options.depth, Buffer.allocUnsafeSlow);

/** @param {number} writer */
async function append(writer) {
  const { bytesWritten } = await handle.write(writers.next(writer));
  if (bytesWritten !== RECORD_BYTES) throw new Error(`${bytesWritten} bytes of a record were written`);
  await handle.datasync();
}

await measure(options, promiseRunner(options.depth, append));
writers.checkAndRemove(options.file);
await handle.close();
