// The packages before anybody installs them: versions, manifests, contents, sizes, and what the binaries ask for.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { BINARY, BUILT } from './_binary.ts';
import { filesIn, manifestIn, NPM_TIMEOUT_MS, PUBLISHED, packages, packLocal } from './_packages.ts';
import { ROOT } from './_process.ts';

const { binaryName, BUDGET_BYTES, flaws, packPlatform, platformManifest, platforms, readManifest } = packages;

const folder = mkdtempSync(join(tmpdir(), 'uring-packages-'));
test.after.always('the tarballs are removed', () => rmSync(folder, { recursive: true, force: true }));

/** The C library of the binary that was built here. */
const OWN = BINARY.includes('-musl.') ? 'musl' : 'gnu';
const VERSION = readManifest().version;
let tarballs: readonly string[] = [];

test.before('the packages are packed', async (t) => {
  t.timeout(2 * NPM_TIMEOUT_MS);
  if (PUBLISHED === undefined) tarballs = (await packLocal(folder)).map(({ tarball }) => tarball);
  else tarballs = readdirSync(PUBLISHED).map((name) => join(PUBLISHED ?? '', name));
});

const tarballOf = (name: string): string | undefined =>
  tarballs.find((tarball) => tarball.endsWith(`/${name}-${VERSION}.tgz`));

/** The platforms whose binaries were packed. */
const packedPlatforms = () => platforms().filter(({ tuple }) => tarballOf(`uring-${tuple}`) !== undefined);

const namesIn = (tarball = ''): string[] => [...filesIn(tarball).keys()].sort();

test('one version is everywhere', (t) => {
  const text = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
  t.is(/\[workspace\.package\]\nversion = "([^"]+)"/.exec(text('Cargo.toml'))?.[1], VERSION);
  for (const name of ['uring-binding', 'uring-core'])
    t.is(new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(text('Cargo.lock'))?.[1], VERSION, name);
  t.is(/VERSION = '([^']+)'/.exec(text('ts/generated/abi.ts'))?.[1], VERSION);
  const lock = JSON.parse(text('package-lock.json')) as { version: string };
  t.is(lock.version, VERSION);
  for (const { tuple } of platforms()) t.is(readManifest(join(ROOT, 'npm', tuple)).version, VERSION, tuple);
});

test('npm/ has a package for each platform, which says where it fits', (t) => {
  const tuples = ['linux-arm64-gnu', 'linux-arm64-musl', 'linux-x64-gnu', 'linux-x64-musl'];
  t.deepEqual(
    platforms()
      .map(({ tuple }) => tuple)
      .sort(),
    tuples,
  );
  t.deepEqual(readdirSync(join(ROOT, 'npm')).sort(), tuples);
  for (const platform of platforms())
    t.deepEqual(readManifest(join(ROOT, 'npm', platform.tuple)), platformManifest(platform), platform.tuple);
  t.like(readManifest(join(ROOT, 'npm', 'linux-arm64-musl')), {
    os: ['linux'],
    cpu: ['arm64'],
    libc: ['musl'],
    main: 'uring.linux-arm64-musl.node',
  });
});

test('a checkout asks the registry for no package of ours', (t) => {
  t.is(readManifest()['optionalDependencies'], undefined);
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  t.deepEqual(
    Object.keys(lock.packages).filter((name) => name.includes('uring')),
    [],
  );
});

test('the published package asks for the binaries of its own version, and for nothing else', (t) => {
  const manifest = manifestIn(tarballOf('uring') ?? '');
  t.deepEqual(
    manifest['optionalDependencies'],
    Object.fromEntries(platforms().map(({ tuple }) => [`uring-${tuple}`, VERSION])),
  );
  for (const field of ['dependencies', 'devDependencies', 'scripts', 'ava', 'napi', 'os', 'cpu'])
    t.false(field in manifest, field);
  t.like(manifest, {
    name: 'uring',
    version: VERSION,
    publishConfig: { provenance: true, access: 'public' },
  });
});

test('the tarball holds what the package needs, and neither sources nor binaries', (t) => {
  const names = namesIn(tarballOf('uring'));
  for (const name of ['dist/index.js', 'dist/index.cjs', 'dist/index.d.cts', 'dist/doctor/cli.js'])
    t.true(names.includes(name), name);
  const others = names.filter(
    (name) => !/^(dist\/.*\.(c?js|js\.map|d\.c?ts)|LICENSE-.*|README\.md|package\.json)$/.test(name),
  );
  t.deepEqual(others, []);
});

test("a platform's tarball holds its binary, licenses, and nothing else", (t) => {
  const packed = packedPlatforms();
  t.is(packed.length, PUBLISHED === undefined ? BUILT.length : platforms().length);
  for (const { tuple } of packed) {
    const names = namesIn(tarballOf(`uring-${tuple}`));
    const expected = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json', binaryName(tuple)];
    t.deepEqual(names, expected, tuple);
  }
});

test('a package past its budget is not packed', async (t) => {
  const [platform] = platforms();
  if (platform === undefined) return t.fail('no platform');
  const big = join(folder, 'big');
  const packing = async (bytes: Buffer): Promise<string> => {
    writeFileSync(big, bytes);
    const error = await t.throwsAsync(packPlatform(platform, big, join(folder, 'out')));
    return error?.message ?? '';
  };
  const { packed, installed } = BUDGET_BYTES.platform;
  // Random bytes cannot be compressed, zeros take no room in a tarball.
  t.regex(await packing(randomBytes(packed)), /^uring-linux-x64-gnu is too big: its tarball has \d+ bytes/);
  t.regex(await packing(Buffer.alloc(installed)), /is too big: what it installs has \d+ bytes/);
});

test('a binary for another processor or C library is not published', (t) => {
  const binary = join(ROOT, 'dist', BINARY);
  const cpu = process.arch === 'x64' ? 'arm64' : 'x64';
  t.regex(flaws(binary, { cpu, libc: OWN }).join(), new RegExp(`it is not for ${cpu} `));
  const libc = OWN === 'gnu' ? 'musl' : 'gnu';
  t.regex(flaws(binary, { cpu: process.arch, libc }).join(), /it needs .*libc\.(so|musl)/);
  t.throws(() => flaws(join(ROOT, 'package.json'), { cpu, libc }), { message: /is no 64-bit .* ELF file/ });
});

test('a binary that needs a newer glibc than promised is not published', (t) => {
  const bytes = readFileSync(join(ROOT, 'dist', BINARY), 'latin1');
  const newer = join(folder, 'newer.node');
  writeFileSync(newer, bytes.replaceAll('GLIBC_2.17\0', 'GLIBC_2.99\0'), 'latin1');
  const found = flaws(newer, { cpu: process.arch, libc: OWN }).join();
  if (OWN === 'gnu') t.regex(found, /it needs glibc 2\.99, newer than 2\.17/);
  else t.notRegex(found, /glibc/);
});

test('what is published can be loaded wherever promised', (t) => {
  for (const { tuple, cpu, libc } of packedPlatforms()) {
    const binary = join(folder, `packed-${tuple}.node`);
    writeFileSync(binary, filesIn(tarballOf(`uring-${tuple}`) ?? '').get(binaryName(tuple)) ?? '');
    const found = flaws(binary, { cpu, libc });
    // What was built for this machine needs the glibc of this machine, and is not for publishing.
    const promised = PUBLISHED !== undefined;
    t.deepEqual(promised ? found : found.filter((flaw) => !flaw.startsWith('it needs ')), [], tuple);
  }
});
