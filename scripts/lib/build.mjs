// Builds dist/: the native binding, the ES modules with their types, and the CommonJS entry.
import { chmodSync, copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { Complaint, must, root } from './project.mjs';

const RUST_MIN = { major: 1, minor: 88 }; // what napi 3 asks for

async function requireRust() {
  const wanted = `Rust ${RUST_MIN.major}.${RUST_MIN.minor} or newer`;
  const { stdout, failed } = await execa('cargo', ['--version'], { cwd: root, reject: false });
  if (failed) {
    throw new Complaint(
      `building needs ${wanted} and found none: install it from https://rustup.rs, then run this again.`,
    );
  }
  const [, major, minor] = /^cargo (\d+)\.(\d+)/.exec(stdout) ?? [];
  const old =
    Number(major) < RUST_MIN.major || (Number(major) === RUST_MIN.major && Number(minor) < RUST_MIN.minor);
  if (old) {
    throw new Complaint(
      `building needs ${wanted} and found ${stdout}: run \`rustup update\` or install it from https://rustup.rs.`,
    );
  }
}

async function buildNative() {
  if (process.platform !== 'linux') {
    console.log('uring: io_uring is a Linux interface, so the native part is not built on this platform.');
    return;
  }
  await requireRust();
  // The declarations that napi writes are kept out of dist: ts/ has its own, stricter ones.
  const output = ['--no-js', '--dts', '../build/binding.d.ts', '--output-dir', 'dist'];
  await must('napi', ['build', '--platform', '--release', ...output]);
}

/** Runs tsc on a project, then removes what it once wrote for sources that are gone: a deleted spec must not run. */
export async function compile(project, sourceDir, outDir) {
  await must('tsc', ['-p', project]);
  for (const file of readdirSync(join(root, outDir), { recursive: true })) {
    const source = file.match(/^(.*?)(\.js|\.js\.map|\.d\.ts)$/)?.[1];
    if (source && !existsSync(join(root, sourceDir, `${source}.ts`))) rmSync(join(root, outDir, file));
  }
}

export const compileExamples = () => compile('examples/tsconfig.json', 'examples', 'build/examples');

export async function build() {
  await buildNative();
  await compile('tsconfig.json', 'ts', 'dist');
  const cjs = join(root, 'scripts', 'cjs');
  for (const file of readdirSync(cjs)) copyFileSync(join(cjs, file), join(root, 'dist', file));
  // npm does it for whoever installs the package, not for `npx uring` in a checkout.
  chmodSync(join(root, 'dist', 'doctor', 'cli.js'), 0o755);
}
