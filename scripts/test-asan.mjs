// `npm run test:asan`: the tests of the Rust core, and the corpora of its fuzz targets, with AddressSanitizer.
import { join } from 'node:path';
import { run, script } from './lib/project.mjs';
import { buildTargets, corpora, RUST_TARGETS, sanitized, TARGET } from './lib/sanitized.mjs';

await script(async () => {
  const failed = [];
  const args = ['test', '-p', 'uring-core', '--lib', '--tests', '--no-fail-fast', '--target', TARGET];
  if ((await run('cargo', args, { env: sanitized('asan') })).failed) failed.push('cargo test');
  const dir = await buildTargets();
  for (const target of RUST_TARGETS) {
    const { committed, size } = corpora(target);
    const ended = await run(join(dir, target), ['-runs=0', committed], {
      env: sanitized('fuzz'),
      stderr: 'pipe',
    });
    if (ended.failed) failed.push(`${target}:\n${ended.stderr}`);
    else console.log(`${target}: ${size} inputs of the corpus, nothing found`);
  }
  console.log(failed.length === 0 ? '\nasan: all clean' : `\nasan: failed: ${failed.join('\n')}`);
  return failed.length === 0 ? 0 : 1;
});
