// A file system for emulated machines, which see nothing of this one's: Node, some programs with their libraries, and the
// project.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { execa } from 'execa';
import { root } from '../lib/project.mjs';

const PROGRAMS = [
  'bash',
  'sh',
  'env',
  'cat',
  'sync',
  'sleep',
  'true',
  'mkfifo',
  'losetup',
  'setpriv',
  'prlimit',
  'perl',
  'chmod',
  'curl',
  'ls',
  'kill',
  'ps',
  'stat',
  'dd',
];
const FOLDERS = [
  'dev',
  'proc',
  'sys',
  'tmp',
  'run',
  'root',
  'etc',
  'var/tmp',
  'usr/bin',
  'usr/sbin',
  'usr/lib',
  'usr/lib64',
];
const ACCOUNTS = ['passwd', 'group', 'hosts', 'hostname', 'nsswitch.conf', 'services', 'protocols'];
const LEFT_OUT = ['.git', 'target', join('node_modules', '.cache')];

const found = (name) =>
  process.env.PATH.split(delimiter)
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path));

function libraries(program) {
  try {
    const text = execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return text.match(/\/[^ \n]+\.so[^ \n]*/g) ?? [];
  } catch {
    return []; // a script, or a static program
  }
}

function install(tree, from, to = from) {
  const target = join(tree, to.replace(/^\/(bin|sbin|lib|lib64)\//, '/usr/$1/'));
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
}

function fill(tree, job) {
  for (const folder of FOLDERS) mkdirSync(join(tree, folder), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(tree, name));
  const programs = [process.execPath, ...PROGRAMS.map(found).filter(Boolean)];
  for (const program of programs) {
    install(tree, program);
    for (const library of libraries(program)) install(tree, library);
  }
  for (const name of ACCOUNTS.filter((one) => existsSync(join('/etc', one))))
    install(tree, join('/etc', name));
  const filter = (source) => !LEFT_OUT.includes(relative(root, source));
  cpSync(root, join(tree, root), { recursive: true, filter, verbatimSymlinks: true });
  mkdirSync(join(tree, root, 'node_modules', '.cache'));
  mkdirSync(join(tree, root, 'build', 'scratch'), { recursive: true });
  const sandbox = join(root, 'target', 'debug', 'uring-sandbox');
  if (existsSync(sandbox)) install(tree, sandbox);
  cpSync(job, join(tree, job), { recursive: true });
}

/** Makes the image `image`, with the folder of the job in it. */
export async function makeRoot(image, job, sizeBytes) {
  const tree = mkdtempSync(join(tmpdir(), 'uring-root-'));
  try {
    fill(tree, job);
    await execa('mkfs.ext4', [
      '-q',
      '-F',
      '-E',
      'root_owner=0:0',
      '-O',
      '^has_journal',
      '-d',
      tree,
      image,
      `${sizeBytes / 2 ** 20}M`,
    ]);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
