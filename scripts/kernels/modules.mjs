// Kernel modules out of a package, for a guest that loads them one after the other.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const UNPACK = { '.xz': ['xz', '-dc'], '.zst': ['zstd', '-qdc'] };

/** Dependencies that a module only declares as wished for (its checksums). */
function softly(dir, name) {
  const file = join(dir, 'modules.softdep');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line) => line.match(new RegExp(`^softdep ${name} pre: (.*)`))?.[1].split(' ') ?? []);
}

/** Copies modules and what they depend on; their names are numbered in the order in which they have to be loaded. */
export function copyModules(from, to, wanted) {
  const lines = readFileSync(join(from, 'modules.dep'), 'utf8').trim().split('\n');
  const files = new Set();
  const add = (name) => {
    const line = lines.find(
      (text) =>
        basename(text.split(':')[0])
          .replace(/\.ko.*/, '')
          .replaceAll('-', '_') === name.replaceAll('-', '_'),
    );
    const [file, ...needed] = line?.replace(':', '').split(' ') ?? []; // none: it is built in
    for (const one of needed.reverse()) files.add(one);
    if (file) files.add(file);
  };
  for (const name of wanted) {
    for (const wished of softly(from, name)) add(wished);
    add(name);
  }
  mkdirSync(to);
  let at = 100;
  for (const file of files) {
    const packed = Object.keys(UNPACK).find((ending) => file.endsWith(ending));
    const source = join(from, file);
    const [tool, ...args] = UNPACK[packed] ?? ['cat'];
    const bytes = execFileSync(tool, [...args, source], { maxBuffer: 1 << 28 });
    writeFileSync(join(to, `${at++}-${basename(file).replace(/\.ko.*/, '.ko')}`), bytes);
  }
}

/** The only folder of a given parent. */
export const only = (dir) => join(dir, readdirSync(dir)[0]);
