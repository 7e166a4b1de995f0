// Builds the native binary for another platform, or for this one against an old glibc: Zig brings linker and C libraries.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { binaryName, flaws, GLIBC_FLOOR } from './packages.mjs';
import { Complaint, must, root } from './project.mjs';

const OUTPUT = join('build', 'native');

async function requireTools(triple) {
  const zig = await execa('cargo-zigbuild', ['--version'], { reject: false });
  if (zig.failed) {
    const how = 'pip install --require-hashes -r scripts/cross-requirements.txt';
    throw new Complaint(`cross-compiling needs cargo-zigbuild and Zig: \`${how}\` in a virtual environment.`);
  }
  const installed = await execa('rustup', ['target', 'list', '--installed'], { reject: false });
  if (!installed.failed && !installed.stdout.split('\n').includes(triple)) {
    throw new Complaint(
      `Rust's standard library for ${triple} is missing: run \`rustup target add ${triple}\`.`,
    );
  }
}

/** Where the sources lay is nobody's affair, and must not make two builds differ. */
function remapped() {
  const cargo = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const flags = [`--remap-path-prefix=${root}=`, `--remap-path-prefix=${cargo}=cargo`];
  return [process.env.RUSTFLAGS, ...flags].filter(Boolean).join(' ');
}

/** Builds for a platform, checks what came out, and answers where it is. */
export async function crossBuild({ tuple, triple, cpu, libc }) {
  await requireTools(triple);
  const target = libc === 'gnu' ? `${triple}.${GLIBC_FLOOR}` : triple;
  const output = ['--no-js', '--dts', '../binding.d.ts', '--output-dir', OUTPUT];
  const args = ['build', '--platform', '--release', '--cross-compile', '--target', target, ...output];
  await must('napi', args, { env: { RUSTFLAGS: remapped() } });
  const binary = join(root, OUTPUT, binaryName(tuple));
  const wrong = flaws(binary, { cpu, libc });
  if (wrong.length > 0)
    throw new Complaint(`the binary for ${tuple} cannot be published: ${wrong.join('; ')}.`);
  return binary;
}
