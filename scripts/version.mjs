// Part of `npm version`: carries the version, and what else the platform packages share with package.json, everywhere.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { platformManifest, platforms, readManifest, writeJson } from './lib/packages.mjs';
import { must, root, script } from './lib/project.mjs';

await script(async () => {
  const { name, version } = readManifest();
  for (const platform of platforms()) {
    const folder = join(root, 'npm', platform.tuple);
    const manifest = platformManifest(platform);
    mkdirSync(folder, { recursive: true });
    writeJson(join(folder, 'package.json'), manifest);
    const text = `${manifest.description}. It is installed by \`npm install ${name}\`, where it fits, and is of no use without it.`;
    writeFileSync(join(folder, 'README.md'), `# ${manifest.name}\n\n${text}\n`);
  }
  const cargo = join(root, 'Cargo.toml');
  const text = readFileSync(cargo, 'utf8');
  writeFileSync(
    cargo,
    text.replace(/(\[workspace\.package\]\nversion = ")[^"]+/, (_, before) => before + version),
  );
  // The generated TypeScript has the version of the Rust workspace, and Cargo.lock follows it.
  const args = ['test', '--quiet', '--package', 'uring-core', '--test', 'generated'];
  await must('cargo', args, { env: { URING_UPDATE: '1' } });
  await must('git', ['add', 'npm', 'Cargo.toml', 'Cargo.lock', 'ts/generated']);
});
