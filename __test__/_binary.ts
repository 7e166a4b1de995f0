// The native binaries of the build that is tested, and which of them this process can load.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './_process.ts';

const report = process.report?.getReport() as unknown as { header: { glibcVersionRuntime?: string } };

/** The platform of the Node that runs the tests, by what Node says: the package has its own way to find out. */
export const TUPLE: string = `linux-${process.arch}-${report.header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;

/** The binaries that `npm run build` made: one, on a machine with one C library. */
export const BUILT: readonly string[] = readdirSync(join(ROOT, 'dist')).filter((name) =>
  name.endsWith('.node'),
);
export const BINARY: string = BUILT.find((name) => name.includes(TUPLE)) ?? BUILT[0] ?? '';
