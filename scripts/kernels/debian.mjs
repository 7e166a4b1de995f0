// Packages of Debian's archive, fetched and unpacked into the cache. Nothing is installed, and the system's own list of
// sources stays as it is: apt is pointed at private folders.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { Complaint } from '../lib/project.mjs';

export const cache = process.env.URING_KERNELS_CACHE ?? join(homedir(), '.cache', 'uring-kernels');

const MIRROR = process.env.DEBIAN_MIRROR ?? 'http://deb.debian.org';
const SUITES = {
  debian: ['bullseye', 'bookworm', 'bookworm-backports', 'trixie', 'trixie-backports', 'sid'],
  'debian-security': ['bullseye-security', 'bookworm-security', 'trixie-security'],
};
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** What this system itself could install. */
const OWN = {
  debian: ['bookworm', 'bookworm-updates', 'bookworm-backports'],
  'debian-security': ['bookworm-security'],
};

const sources = (archives) =>
  Object.entries(archives)
    .map(
      ([archive, suites]) =>
        `Types: deb\nURIs: ${MIRROR}/${archive}\nSuites: ${suites.join(' ')}\nComponents: main\nArchitectures: amd64\nSigned-By: ${KEYRING}\n`,
    )
    .join('\n');

/** One of apt's tools, with its folders in the cache. */
function apt(folder, tool, args, options) {
  const dir = join(cache, folder);
  const settings = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(dir, 'sources.d'),
    'Dir::State::lists': join(dir, 'lists'),
    'Dir::Cache': dir,
    'Dir::Cache::archives': join(dir, 'archives'),
    'Acquire::Languages': 'none',
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
  };
  const given = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return execa(tool, ['-qq', ...given, ...args], { stdin: 'ignore', ...options });
}

const updates = new Map();

/** Reads the archive's lists, once for each run that downloads anything. */
function update(folder, archives) {
  const read = async () => {
    if (!existsSync(KEYRING)) throw new Complaint('kernels are fetched with apt: this needs a Debian system');
    for (const name of ['lists/partial', 'archives/partial', 'sources.d']) {
      mkdirSync(join(cache, folder, name), { recursive: true });
    }
    writeFileSync(join(cache, folder, 'sources.d', 'debian.sources'), sources(archives));
    await apt(folder, 'apt-get', ['update']);
  };
  if (!updates.has(folder)) updates.set(folder, read());
  return updates.get(folder);
}

/** Downloads packages (`package/suite`; an ending * stands for the newest of that name) into a folder. */
async function download(packages, into) {
  await update('apt', SUITES);
  const names = [];
  for (const wanted of packages) {
    const [name, suite] = wanted.split('/');
    const [start, end] = name.split('*');
    if (end === undefined) {
      names.push(wanted);
      continue;
    }
    const { stdout } = await apt('apt', 'apt-cache', ['pkgnames', start]);
    const found = stdout.split('\n').filter((one) => one.endsWith(end));
    found.sort(new Intl.Collator('en', { numeric: true }).compare);
    if (found.length === 0) throw new Complaint(`Debian has no package ${name} any more: see catalog.mjs`);
    names.push(`${found.at(-1)}/${suite}`);
  }
  await apt('apt', 'apt-get', ['download', ...names], { cwd: into });
}

/** Downloads packages with all that this system would have to install for them. */
async function downloadWithNeeds(packages, into) {
  await update('apt-own', OWN);
  const target = ['-o', `Dir::Cache::archives=${into}`];
  mkdirSync(join(into, 'partial'));
  await apt('apt-own', 'apt-get', [
    ...target,
    '-y',
    '--download-only',
    '--no-install-recommends',
    'install',
    ...packages,
  ]);
}

/**
 * The folder `name` of the cache, made from these packages (`package/suite`) unless it is there: `arrange` gets the
 * folder into which they were unpacked, and the one to fill.
 */
export async function unpacked(name, packages, arrange, { withNeeds = false } = {}) {
  const target = join(cache, name);
  if (existsSync(target)) return target;
  mkdirSync(cache, { recursive: true });
  console.log(`fetching ${packages.join(', ')}`);
  const work = mkdtempSync(join(cache, '.new-'));
  try {
    await (withNeeds ? downloadWithNeeds : download)(packages, work);
    const files = join(work, 'files');
    for (const deb of readdirSync(work).filter((file) => file.endsWith('.deb')))
      await execa('dpkg-deb', ['-x', join(work, deb), files]);
    const made = join(work, 'made');
    mkdirSync(made);
    await arrange(files, made);
    mkdirSync(join(target, '..'), { recursive: true });
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}
