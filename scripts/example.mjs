// `npm run example -- timer`: compiles the examples and runs one of them; what follows its name is given to it.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, compileExamples } from './lib/build.mjs';
import { Complaint, root, run, script } from './lib/project.mjs';

const names = readdirSync(join(root, 'examples'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

await script(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (!names.includes(name)) {
    throw new Complaint(
      `which example? \`npm run example -- ${names[0]}\`, or ${names.slice(1).join(', ')}.`,
    );
  }
  if (!existsSync(join(root, 'dist', 'index.js'))) await build();
  await compileExamples();
  // Ctrl-C reaches the example as well, and this script ends with it.
  process.on('SIGINT', () => {});
  const { exitCode } = await run(process.execPath, [
    '--enable-source-maps',
    join('build', 'examples', `${name}.js`),
    ...args,
  ]);
  return exitCode ?? 1;
});
