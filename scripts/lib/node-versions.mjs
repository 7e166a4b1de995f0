// Other versions of Node, fetched from npm's node-<os>-<arch> packages into a cache outside the project.
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { Complaint, must } from './project.mjs';

/** Lines of Node that the package supports. */
export const LINES = ['20', '22', '24', '26'];

const PACKAGE = `node-${process.platform}-${process.arch}`;
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'uring', 'node');

const byVersion = new Intl.Collator('en', { numeric: true }).compare;
const matches = (version, wanted) => version === wanted || version.startsWith(`${wanted}.`);
const binary = (version) => join(CACHE, version, 'node_modules', PACKAGE, 'bin', 'node');

function newestCached(wanted) {
  if (!existsSync(CACHE)) return undefined;
  const versions = readdirSync(CACHE).filter(
    (version) => matches(version, wanted) && existsSync(binary(version)),
  );
  return versions.sort(byVersion).at(-1);
}

async function newestPublished(wanted) {
  const { stdout, failed } = await execa('npm', ['view', PACKAGE, 'versions', '--json'], { reject: false });
  if (failed)
    throw new Complaint(`npm does not answer for ${PACKAGE}, and no Node ${wanted} is cached in ${CACHE}.`);
  const version = JSON.parse(stdout)
    .filter((candidate) => matches(candidate, wanted) && !candidate.includes('-'))
    .sort(byVersion)
    .at(-1);
  if (!version) throw new Complaint(`npm has no ${PACKAGE} of version ${wanted}.`);
  return version;
}

/** The path of a Node binary for a major or full version; `latest` asks npm even if one is cached. */
export async function nodeBinary(wanted, { latest = false } = {}) {
  const version = (latest ? undefined : newestCached(wanted)) ?? (await newestPublished(wanted));
  if (!existsSync(binary(version))) {
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    await must('npm', ['install', ...quiet, '--prefix', join(CACHE, version), `${PACKAGE}@${version}`]);
  }
  return { version, path: binary(version) };
}
