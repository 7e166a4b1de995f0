// `npm test`: builds what changed, then runs the Rust and the JavaScript tests.
// `npm test -- __test__/read.spec.ts -m 'reads *'` hands its arguments to ava and leaves the Rust tests out.
import { compileTests, runAva } from './lib/ava.mjs';
import { build } from './lib/build.mjs';
import { runCargo } from './lib/cargo.mjs';
import { Counts, conclude } from './lib/counts.mjs';
import { script } from './lib/project.mjs';

await script(async () => {
  const args = process.argv.slice(2);
  await build();
  await compileTests();
  const counts = new Counts();
  if (args.length === 0) counts.add(await runCargo());
  counts.add(await runAva({ args }));
  return conclude(counts);
});
