// The packages as they are published, a registry that has them, and npm, run by the Node that runs the tests.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { ROOT, runNode, runProgram } from './_process.ts';

export const NPM_TIMEOUT_MS = 180_000;

export interface Platform {
  readonly tuple: string;
  readonly triple: string;
  readonly cpu: string;
  readonly libc: 'gnu' | 'musl';
}

export interface Packed {
  readonly name: string;
  readonly tarball: string;
  readonly packedBytes: number;
  readonly installedBytes: number;
}

/** What scripts/lib/packages.mjs has. */
interface Packages {
  readonly BUDGET_BYTES: Record<'main' | 'platform', { packed: number; installed: number }>;
  readonly GLIBC_FLOOR: string;
  platforms(): Platform[];
  binaryName(tuple: string): string;
  platformManifest(platform: Platform): Record<string, unknown>;
  readManifest(folder?: string): Record<string, unknown> & { name: string; version: string };
  packPlatform(platform: Platform, binary: string, out: string): Promise<Packed>;
  flaws(binary: string, platform: Pick<Platform, 'cpu' | 'libc'>): string[];
}

export const packages: Packages = await import(
  pathToFileURL(join(ROOT, 'scripts', 'lib', 'packages.mjs')).href
);

/** Tarballs that `npm run test:packages` has made; without them the tests pack what `npm run build` made. */
export const PUBLISHED: string | undefined = process.env['URING_PACKAGES'];

let cli: Promise<string> | undefined;

/** npm's program, which `npm exec` knows; so that it runs under the Node that is tested, and sees its platform. */
async function npmProgram(): Promise<string> {
  const { stdout } = await runProgram('npm', ['exec', '--call', 'echo "$npm_execpath"'], {
    timeoutMs: NPM_TIMEOUT_MS,
  });
  return stdout.trim().replace(/npx-cli\.js$/, 'npm-cli.js');
}

export async function npm(cwd: string, args: readonly string[]): Promise<string> {
  cli ??= npmProgram();
  const env = { npm_config_loglevel: 'error', npm_config_cache: join(cwd, '.npm-cache') };
  const { code, stdout, stderr } = await runNode([await cli, ...args], {
    cwd,
    timeoutMs: NPM_TIMEOUT_MS,
    env,
  });
  if (code !== 0) throw new Error(`npm ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** The files of a tarball, by their paths in the package (ustar, as npm writes it; tar(5)). */
export function filesIn(tarball: string): Map<string, Buffer> {
  const bytes = gunzipSync(readFileSync(tarball));
  const text = (from: number, size: number): string =>
    bytes.toString('utf8', from, from + size).split('\0')[0]!;
  const files = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const sizeBytes = Number.parseInt(text(at + 124, 12), 8);
    const path = [text(at + 345, 155), text(at, 100)].filter((part) => part !== '').join('/');
    const data = at + 512;
    if (text(at + 156, 1) === '0')
      files.set(path.replace(/^package\//, ''), bytes.subarray(data, data + sizeBytes));
    at = data + Math.ceil(sizeBytes / 512) * 512;
  }
  return files;
}

/** The manifest in a tarball. */
export function manifestIn(tarball: string): Record<string, unknown> & { name: string; version: string } {
  return JSON.parse(filesIn(tarball).get('package.json')?.toString() ?? '');
}

/** Packs the main package and the binary of this machine. */
export async function packLocal(out: string): Promise<Packed[]> {
  const args = [join(ROOT, 'scripts', 'pack.mjs'), '--local', '--json', '--out', out];
  const { code, stdout, stderr } = await runNode(args, { timeoutMs: NPM_TIMEOUT_MS });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Packed[];
}

/** Has a project, which is there, depend on these tarballs. Nothing is asked of a registry. */
export async function installInto(project: string, tarballs: readonly string[]): Promise<void> {
  await npm(project, ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', ...tarballs]);
}

/** The package of a platform that nothing was built for: it can be installed, and does not load. */
async function packStandIn(platform: Platform, folder: string): Promise<string> {
  const stage = join(folder, `stand-in-${platform.tuple}`);
  mkdirSync(stage);
  copyFileSync(join(ROOT, 'npm', platform.tuple, 'package.json'), join(stage, 'package.json'));
  writeFileSync(join(stage, packages.binaryName(platform.tuple)), 'no library');
  const options = ['pack', stage, '--json', '--ignore-scripts', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(await npm(folder, options)) as [{ filename: string }];
  return join(folder, filename);
}

/** Tarballs of all packages: those to be published, or else what this machine has built, and stand-ins for the rest. */
export async function allTarballs(folder: string): Promise<string[]> {
  if (PUBLISHED !== undefined) {
    const from = PUBLISHED;
    return readdirSync(from).map((name) => join(from, name));
  }
  const packed = await packLocal(folder);
  const missing = packages
    .platforms()
    .filter(({ tuple }) => !packed.some(({ name }) => name.endsWith(tuple)));
  const standIns = await Promise.all(missing.map((platform) => packStandIn(platform, folder)));
  return [...packed.map(({ tarball }) => tarball), ...standIns];
}

/** A registry on the loopback that has these tarballs and nothing else. */
export async function startRegistry(tarballs: readonly string[]): Promise<{ url: string; server: Server }> {
  const answers = new Map<string, string | Buffer>();
  const server = createServer(({ url = '' }, response) => {
    const answer = answers.get(decodeURIComponent(url));
    response.writeHead(answer === undefined ? 404 : 200).end(answer ?? '{"error":"not found"}');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const tarball of tarballs) {
    const manifest = manifestIn(tarball);
    const { name, version } = manifest;
    const path = `/${name}/-/${basename(tarball)}`;
    const versions = { [version]: { ...manifest, dist: { tarball: url + path } } };
    answers.set(`/${name}`, JSON.stringify({ name, 'dist-tags': { latest: version }, versions }));
    answers.set(path, readFileSync(tarball));
  }
  return { url, server };
}
