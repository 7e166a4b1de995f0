// `npm run pack`: everything that is published, as tarballs in build/packages. Names pick some of it: `main`, and
// platforms such as `linux-arm64-musl`. `--local` takes what `npm run build` made for this machine, instead of
// cross-compiling; such a binary needs the glibc of this machine, so it is good for trying and not for publishing.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { crossBuild } from './lib/cross.mjs';
import { readElf } from './lib/elf.mjs';
import { binaryName, glibcOf, PACKAGES, packMain, packPlatform, platforms } from './lib/packages.mjs';
import { Complaint, root, script } from './lib/project.mjs';

function readArguments() {
  const options = {
    local: { type: 'boolean', default: false },
    out: { type: 'string', default: PACKAGES },
    json: { type: 'boolean', default: false },
  };
  const known = ['main', ...platforms().map(({ tuple }) => tuple)];
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (!positionals.every((name) => known.includes(name))) throw new Complaint();
    return { ...values, out: resolve(values.out), names: positionals.length > 0 ? positionals : known };
  } catch {
    throw new Complaint(`pack what? \`npm run pack\` packs all, or name some of: ${known.join(', ')}.`);
  }
}

/** The binary that was built for this machine, if it is for this platform. */
function localBinary({ tuple }) {
  const binary = join(root, 'dist', binaryName(tuple));
  return existsSync(binary) ? binary : undefined;
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(0).padStart(5)} kB`;

function show({ name, packedBytes, installedBytes, needs }) {
  console.log(
    `${name.padEnd(24)} ${kilobytes(packedBytes)} packed ${kilobytes(installedBytes)} installed  ${needs}`,
  );
}

await script(async () => {
  const { local, out, names, json } = readArguments();
  const packed = [];
  if (names.includes('main')) {
    if (!existsSync(join(root, 'dist', 'index.js'))) throw new Complaint('run `npm run build` first.');
    packed.push({ ...(await packMain(out)), needs: '' });
  }
  for (const platform of platforms().filter(({ tuple }) => names.includes(tuple))) {
    const binary = local ? localBinary(platform) : await crossBuild(platform);
    if (binary === undefined) continue;
    const glibc = glibcOf(readElf(binary));
    const needs = glibc === undefined ? 'musl' : `glibc ${glibc}`;
    packed.push({ ...(await packPlatform(platform, binary, out)), needs });
  }
  if (json) console.log(JSON.stringify(packed));
  else for (const one of packed) show(one);
});
