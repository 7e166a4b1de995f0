// Many files, and what became of reading them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pattern } from './_fixtures.ts';
import { tmpDir } from './_helpers.ts';

type T = ExecutionContext<unknown>;

/** Files of these sizes, each with bytes of its own. */
export function filesOf(
  t: T,
  sizes: readonly number[],
): { dir: string; paths: string[]; contents: Buffer[] } {
  const dir = tmpDir(t);
  const contents = sizes.map((size, at) => pattern(size, at + 1));
  const paths = contents.map((_, at) => join(dir, `${at}`));
  for (const [at, path] of paths.entries()) writeFileSync(path, contents[at] as Buffer);
  return { dir, paths, contents };
}

/** The value of each, or the code of its error. */
export function values<V>(results: readonly PromiseSettledResult<V>[]): unknown[] {
  return results.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.code));
}

/** All were read, and are what they should be. (Comparing large buffers with deepEqual takes half a minute.) */
export function assertContents(
  t: T,
  results: readonly PromiseSettledResult<Buffer>[],
  contents: readonly Buffer[],
): void {
  t.is(results.length, contents.length);
  for (const [at, one] of results.entries())
    t.true(one.status === 'fulfilled' && one.value.equals(contents[at] as Buffer), `file ${at}`);
}
