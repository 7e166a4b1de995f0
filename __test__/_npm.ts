// Packages as npm makes and installs them. Nothing is asked of the registry.
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runProgram } from './_process.ts';

export const NPM_TIMEOUT_MS = 120_000;
/** The native binary of the checkout, or nothing. */
export const BINARY: string = readdirSync(join(ROOT, 'dist')).find((name) => name.endsWith('.node')) ?? '';
/** As the platform packages are named: uring.linux-x64-gnu.node is in npm/linux-x64-gnu. */
const TUPLE = BINARY.replace(/^uring\.|\.node$/g, '');

export async function npm(cwd: string, args: readonly string[]): Promise<string> {
  const options = { cwd, timeoutMs: NPM_TIMEOUT_MS, env: { npm_config_loglevel: 'error' } };
  const { code, stdout, stderr } = await runProgram('npm', args, options);
  if (code !== 0) throw new Error(`npm ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Makes a tarball of a package, in a folder; answers its path. */
export async function pack(folder: string, from: string = ROOT): Promise<string> {
  const args = ['pack', from, '--json', '--ignore-scripts', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(await npm(folder, args)) as [{ filename: string }];
  return join(folder, filename);
}

/** Makes a tarball of the platform package of this machine. */
export async function packPlatform(folder: string): Promise<string> {
  const platform = join(folder, 'platform');
  mkdirSync(platform);
  copyFileSync(join(ROOT, 'npm', TUPLE, 'package.json'), join(platform, 'package.json'));
  copyFileSync(join(ROOT, 'dist', BINARY), join(platform, BINARY));
  return pack(folder, platform);
}

/** Has a project, which is there, depend on these tarballs. */
export async function installInto(project: string, tarballs: readonly string[]): Promise<void> {
  await npm(project, ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', ...tarballs]);
}

/** A new project that has these tarballs as its dependencies. */
export async function install(folder: string, name: string, tarballs: readonly string[]): Promise<string> {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true }));
  await installInto(project, tarballs);
  return project;
}
