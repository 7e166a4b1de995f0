// What Rust needs to be built with AddressSanitizer, and fuzz targets with coverage besides. Stable compilers have both,
// but say so only to those who ask for unstable options; a target must be named, or build scripts would get them too.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Complaint, must, root } from './project.mjs';

export const TARGET = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`;

/** Raw records through checks and relocation, and a real ring whose block is written by an enemy. */
export const RUST_TARGETS = ['records', 'ring'];

const COVERAGE = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  '-Cdebug-assertions',
  '-Ccodegen-units=1',
];

const SUPPRESSIONS = join(root, 'fuzz', 'lsan.supp');

/** Variables of a process that is built, or runs, with AddressSanitizer. */
export function sanitized(name, flags = []) {
  return {
    RUSTC_BOOTSTRAP: '1',
    RUSTFLAGS: ['-Zsanitizer=address', ...flags].join(' '),
    CARGO_TARGET_DIR: join(root, 'target', name),
    LSAN_OPTIONS: `suppressions=${SUPPRESSIONS}:print_suppressions=0`,
  };
}

/** libFuzzer is C++, which the crate builds; it says so at great length where nothing can. */
function assertCanBuild() {
  const compiler = process.env['CXX'] ?? 'c++';
  if (spawnSync(`${compiler} --version`, { shell: true, stdio: 'ignore' }).status !== 0)
    throw new Complaint(
      `libFuzzer needs a C++ compiler, and ${compiler} does not run: install g++ or set CXX`,
    );
}

/** Builds the fuzz targets; answers the folder that they are in. */
export async function buildTargets() {
  assertCanBuild();
  const args = ['--release', '--locked', '--target', TARGET];
  await must('cargo', ['build', '--manifest-path', 'fuzz/Cargo.toml', ...args], {
    env: sanitized('fuzz', COVERAGE),
  });
  return join(root, 'target', 'fuzz', TARGET, 'release');
}

/** The committed corpus of a target: a line for each input, so that a thousand of them are one file. */
const packed = (target) => join(root, 'fuzz', 'corpus', `${target}.txt`);

/** An empty folder of a target, where the build's output is. */
function emptyDirectory(target, what) {
  const dir = join(root, 'build', 'fuzz', target, what);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  return dir;
}

/** Unpacks the committed corpus; answers its folder, how many inputs it has, and the folder for what a run finds. */
export function corpora(target) {
  const committed = emptyDirectory(target, 'committed');
  const inputs = existsSync(packed(target)) ? readFileSync(packed(target), 'utf8').split('\n') : [];
  inputs.forEach((input, at) => {
    writeFileSync(join(committed, String(at).padStart(4, '0')), Buffer.from(input, 'base64'));
  });
  const found = join(root, 'build', 'fuzz', target, 'found');
  mkdirSync(found, { recursive: true });
  return { committed, found, size: inputs.length };
}

/** Makes the corpus anew, of the inputs that are needed for all that was ever reached. */
export async function keep(dir, target) {
  const { committed, found } = corpora(target);
  const kept = emptyDirectory(target, 'kept');
  await must(join(dir, target), ['-set_cover_merge=1', kept, committed, found], {
    env: sanitized('fuzz'),
    stderr: 'ignore',
  });
  const inputs = readdirSync(kept).map((name) => readFileSync(join(kept, name)));
  inputs.sort((one, other) => one.length - other.length || Buffer.compare(one, other));
  writeFileSync(packed(target), inputs.map((input) => input.toString('base64')).join('\n'));
  return inputs.length;
}
