import { closeSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Errno } from '../errnos.ts';
import { VERSION } from '../generated/abi.ts';
import type { Native } from './native.ts';
import { surroundings } from './surroundings.ts';
import { refusedSetup, type Unavailable, type UnavailableCode, unavailableError } from './unavailable.ts';

const ARCHITECTURES = ['x64', 'arm64'];

/** A binary that belongs to another version of the package. */
class OutOfStep extends Error {}

/** Files of musl: the loader, which is the library, under the names that Alpine and Debian give it. */
const MUSL = /\/(ld-musl-|libc\.musl-|libc\.so(\s|$))/;

/**
 * C library of this process, as the platform packages are named after it. What is mapped decides, so that a program
 * that was started through the loader is recognised too. `process.report` would know it as well, but takes
 * milliseconds, and longer where it asks the name server about open connections. Without /proc it is taken for glibc.
 */
function libc(): 'gnu' | 'musl' {
  try {
    return MUSL.test(readFileSync('/proc/self/maps', 'latin1')) ? 'musl' : 'gnu';
  } catch {
    return 'gnu';
  }
}

function unavailable(code: UnavailableCode, reason: string, remedy: string): Unavailable {
  return { available: false, code, reason, remedy };
}

/** What forbids even to look for the binary. */
function forbidden(): Unavailable | undefined {
  const switched = process.env['URING_DISABLED'] ?? '';
  if (switched !== '' && switched !== '0') {
    const reason = `io_uring is switched off by the environment variable URING_DISABLED (${switched})`;
    return unavailable(
      'environment',
      reason,
      'unset the variable, or set it to 0, and start the program again',
    );
  }
  if (process.platform === 'linux') return undefined;
  const reason = `io_uring exists on Linux only; this is ${process.platform}`;
  return unavailable('platform', reason, 'run the program on Linux, in a virtual machine if need be');
}

/** Without a descriptor no library can be loaded, and the loader's errors do not say it. */
function descriptorsAreOut(): boolean {
  try {
    closeSync(openSync(fileURLToPath(import.meta.url), 'r'));
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE';
  }
}

/** Why none of the places had it. */
function notLoaded(tuple: string, causes: readonly unknown[]): Unavailable {
  const codeOf = (cause: unknown): unknown => (cause as { code?: unknown }).code;
  if (causes.some((cause) => codeOf(cause) === 'ERR_DLOPEN_DISABLED')) {
    const reason = 'Node was told not to load addons (--permission or --no-addons)';
    return unavailable('addons', reason, 'allow them: --allow-addons with --permission, no --no-addons');
  }
  if (descriptorsAreOut()) {
    return refusedSetup(-Errno.EMFILE, surroundings(), Number.POSITIVE_INFINITY);
  }
  if (!ARCHITECTURES.includes(process.arch)) {
    const reason = `there is no native binary for ${process.arch}, only for ${ARCHITECTURES.join(' and ')}`;
    return unavailable(
      'architecture',
      reason,
      'build it in a checkout with `npm run build`, or use another machine',
    );
  }
  const broken = causes.find((cause) => codeOf(cause) === 'ERR_DLOPEN_FAILED');
  if (broken !== undefined) {
    const reason = `the native binary for ${tuple} does not load (${(broken as Error).message})`;
    const remedy = `install uring-${tuple} of the same version as uring; the folder must not be mounted noexec`;
    return unavailable('binary', reason, remedy);
  }
  const other = causes.find((cause) => cause instanceof OutOfStep);
  if (other !== undefined) {
    const remedy = `install the same version of both, uring and uring-${tuple}; in a checkout run npm run build`;
    return unavailable('binary', other.message, remedy);
  }
  const remedy = `install the package uring-${tuple} (npm leaves it out with --omit=optional, and when a lockfile was made on another platform), or run npm run build in a checkout`;
  return unavailable('binary', `no native binary for ${tuple}`, remedy);
}

/** What the two halves tell each other is no public interface, so only halves of one version fit together. */
function inStep(native: Native, candidate: string): Native {
  const version = native.version?.() ?? 'unknown';
  if (version === VERSION) return native;
  throw new OutOfStep(`the native binary (${candidate}) is of version ${version}, and uring is ${VERSION}`);
}

/** The native addon: from the checkout's own build, else from the platform package. */
export function load(): Native {
  const reason = forbidden();
  if (reason !== undefined) throw unavailableError(reason);
  const require = createRequire(import.meta.url);
  const tuple = `linux-${process.arch}-${libc()}`;
  const causes: unknown[] = [];
  for (const candidate of [`../uring.${tuple}.node`, `uring-${tuple}`]) {
    try {
      return inStep(require(candidate) as Native, candidate);
    } catch (cause) {
      causes.push(cause);
    }
  }
  throw unavailableError(notLoaded(tuple, causes), new AggregateError(causes, 'every place was tried'));
}
