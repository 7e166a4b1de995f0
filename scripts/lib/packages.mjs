// The packages that are published: `uring`, and one for each platform, which holds nothing but the native binary.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { readElf } from './elf.mjs';
import { Complaint, root } from './project.mjs';

export const PACKAGES = join(root, 'build', 'packages');

/** Rust's standard library needs as much; Node's own builds need 2.28. */
export const GLIBC_FLOOR = '2.17';

/** What a tarball and its installed files may take. A change that needs more says so here. */
export const BUDGET_BYTES = {
  main: { packed: 830_000, installed: 3_200_000 },
  platform: { packed: 400_000, installed: 850_000 },
};

const LICENSES = ['LICENSE-APACHE', 'LICENSE-MIT'];
const CPUS = { x86_64: 'x64', aarch64: 'arm64' };
const MACHINES = { x64: 62, arm64: 183 }; // e_machine, elf(5)
/** Pages of an arm64 kernel have up to 64 KiB, and a segment must begin with one. */
const ALIGN_BYTES = { x64: 4096, arm64: 65_536 };
/** Libraries that are part of the C library. */
const NEEDED = {
  gnu: /^(libc\.so\.6|lib(pthread|dl|m)\.so\.[0-9]+|ld-linux-(x86-64|aarch64)\.so\.[0-9]+)$/,
  musl: /^libc\.(so|musl-(x86_64|aarch64)\.so\.1)$/,
};

export const readManifest = (folder = root) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** The platforms, by the names that packages and binaries carry: `linux-x64-gnu`. */
export function platforms() {
  return readManifest().napi.targets.map((triple) => {
    const [, processor, libc] = /^(\w+?)-unknown-linux-(gnu|musl)$/.exec(triple);
    const cpu = CPUS[processor];
    return { tuple: `linux-${cpu}-${libc}`, triple, cpu, libc };
  });
}

export const binaryName = (tuple) => `uring.${tuple}.node`;

/** The manifest of a platform's package. It stands in `npm/`, where a test compares it with this. */
export function platformManifest({ tuple, triple, cpu, libc }) {
  const { name, version, license, author, keywords, engines, publishConfig } = readManifest();
  return {
    name: `${name}-${tuple}`,
    version,
    description: `The native binary of ${name} for ${triple}`,
    keywords,
    license,
    author,
    engines,
    os: ['linux'],
    cpu: [cpu],
    libc: [libc === 'gnu' ? 'glibc' : 'musl'],
    main: binaryName(tuple),
    files: [binaryName(tuple), 'LICENSE-*'],
    publishConfig,
  };
}

export const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

async function npmPack(folder, args) {
  const options = ['pack', '--json', '--ignore-scripts', ...args];
  const { stdout, failed, stderr } = await execa('npm', options, { cwd: folder, reject: false });
  if (failed) throw new Complaint(`npm pack in ${folder} failed: ${stderr}`);
  return JSON.parse(stdout)[0];
}

/** npm compares it with where the workflow runs before it believes the provenance. */
function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  return name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {};
}

function keepTo(budget, name, packedBytes, installedBytes) {
  for (const [what, bytes, most] of [
    ['its tarball', packedBytes, budget.packed],
    ['what it installs', installedBytes, budget.installed],
  ]) {
    if (bytes <= most) continue;
    const place = 'BUDGET_BYTES in scripts/lib/packages.mjs';
    throw new Complaint(
      `${name} is too big: ${what} has ${bytes} bytes, and the budget (${place}) is ${most}.`,
    );
  }
}

/** Packs what `fill` puts into a folder. */
async function pack(out, budget, fill) {
  mkdirSync(out, { recursive: true });
  const stage = mkdtempSync(join(tmpdir(), 'uring-stage-'));
  try {
    await fill(stage);
    const { name, filename, size, unpackedSize } = await npmPack(stage, ['--pack-destination', out]);
    keepTo(budget, name, size, unpackedSize);
    return { name, tarball: join(out, filename), packedBytes: size, installedBytes: unpackedSize };
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/**
 * Packs the main package. The platform packages become its optional dependencies only here: they exist on the registry
 * from the release on, and a lockfile of the checkout that named them before would be refused by `npm ci`.
 */
export function packMain(out = PACKAGES) {
  const { name, version, scripts, devDependencies, ava, napi, ...manifest } = readManifest();
  const binaries = platforms().map(({ tuple }) => [`${name}-${tuple}`, version]);
  const optionalDependencies = Object.fromEntries(binaries);
  return pack(out, BUDGET_BYTES.main, async (stage) => {
    for (const { path } of (await npmPack(root, ['--dry-run'])).files) {
      mkdirSync(dirname(join(stage, path)), { recursive: true });
      copyFileSync(join(root, path), join(stage, path));
    }
    const published = { name, version, ...manifest, ...repository(), optionalDependencies };
    writeJson(join(stage, 'package.json'), published);
  });
}

/** Packs a platform's package with this binary. */
export function packPlatform({ tuple }, binary, out = PACKAGES) {
  return pack(out, BUDGET_BYTES.platform, (stage) => {
    const folder = join(root, 'npm', tuple);
    writeJson(join(stage, 'package.json'), { ...readManifest(folder), ...repository() });
    copyFileSync(join(folder, 'README.md'), join(stage, 'README.md'));
    for (const license of LICENSES) copyFileSync(join(root, license), join(stage, license));
    copyFileSync(binary, join(stage, binaryName(tuple)));
  });
}

const byVersion = new Intl.Collator('en', { numeric: true }).compare;

/** The newest glibc that a binary asks for; undefined where it asks for none. */
export function glibcOf({ versions }) {
  const asked = versions.flatMap((name) => /^GLIBC_([\d.]+)$/.exec(name)?.[1] ?? []);
  return asked.sort(byVersion).at(-1);
}

/** What is wrong with a binary that is to be published for this platform; nothing, if it can be loaded wherever promised. */
export function flaws(binary, { cpu, libc }) {
  const elf = readElf(binary);
  const glibc = glibcOf(elf);
  const foreign = elf.needed.filter((name) => !NEEDED[libc].test(name));
  const checks = [
    [elf.machine !== MACHINES[cpu], `it is not for ${cpu} (e_machine ${elf.machine})`],
    [foreign.length > 0, `it needs ${foreign.join(', ')}`],
    [!elf.needed.some((name) => name.startsWith('libc.')), 'it is not linked with the C library'],
    [libc === 'musl' && glibc !== undefined, `it needs glibc ${glibc}`],
    [byVersion(glibc ?? '0', GLIBC_FLOOR) > 0, `it needs glibc ${glibc}, newer than ${GLIBC_FLOOR}`],
    [elf.searchPaths.length > 0, `it looks for libraries in ${elf.searchPaths.join(', ')}`],
    [elf.alignBytes < ALIGN_BYTES[cpu], `its segments are aligned to ${elf.alignBytes} bytes only`],
  ];
  return checks.filter(([wrong]) => wrong).map(([, text]) => text);
}
