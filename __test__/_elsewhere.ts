// This machine in the disguise of another: what Node says of its platform and of error numbers, which differ.
import { writeFileSync } from 'node:fs';

/** Another platform, as far as a program can see it. */
export interface Elsewhere {
  readonly platform: string;
  readonly arch: string;
  /** Error numbers that are others there than on Linux; null for those that are not there (os.constants.errno). */
  readonly errnos: Readonly<Record<string, number | null>>;
  /** Functions of `process` that are not there. */
  readonly without: readonly string[];
}

/** sys/errno.h of macOS. */
export const DARWIN: Elsewhere = {
  platform: 'darwin',
  arch: 'arm64',
  errnos: {
    EDEADLK: 11,
    EAGAIN: 35,
    EWOULDBLOCK: 35,
    EINPROGRESS: 36,
    EALREADY: 37,
    EADDRINUSE: 48,
    ENETUNREACH: 51,
    ECONNABORTED: 53,
    ECONNRESET: 54,
    ENOBUFS: 55,
    ETIMEDOUT: 60,
    ECONNREFUSED: 61,
    ENAMETOOLONG: 63,
    EHOSTUNREACH: 65,
    ENOTEMPTY: 66,
    ESTALE: 70,
    ENOLCK: 77,
    ENOSYS: 78,
    ECANCELED: 89,
    ETIME: 101,
    EOPNOTSUPP: 102,
  },
  without: [],
};

/** errno.h of the Windows SDK. */
export const WINDOWS: Elsewhere = {
  platform: 'win32',
  arch: 'x64',
  errnos: {
    EADDRINUSE: 100,
    EALREADY: 103,
    ECANCELED: 105,
    ECONNABORTED: 106,
    ECONNREFUSED: 107,
    ECONNRESET: 108,
    EHOSTUNREACH: 110,
    EINPROGRESS: 112,
    ENETUNREACH: 118,
    ENOBUFS: 119,
    ENAMETOOLONG: 38,
    ENOSYS: 40,
    ENOTEMPTY: 41,
    EOPNOTSUPP: 130,
    ETIME: 137,
    ETIMEDOUT: 138,
    EWOULDBLOCK: 140,
    EDQUOT: null,
    ESTALE: null,
  },
  without: ['getuid', 'geteuid', 'getgid', 'getegid', 'setuid', 'seteuid', 'setgid', 'setegid', 'setgroups'],
};

/** Writes what a child has to run before anything else (`--require`). */
export function writeDisguise(path: string, { platform, arch, errnos, without }: Elsewhere): void {
  writeFileSync(
    path,
    `'use strict';
const os = require('node:os');
const { syncBuiltinESMExports } = require('node:module');
const errnos = { ...os.constants.errno, ...${JSON.stringify(errnos)} };
for (const name of Object.keys(errnos)) if (errnos[name] === null) delete errnos[name];
os.constants.errno = errnos;
for (const name of ${JSON.stringify(without)}) delete process[name];
syncBuiltinESMExports();
Object.defineProperty(process, 'platform', { value: ${JSON.stringify(platform)} });
Object.defineProperty(process, 'arch', { value: ${JSON.stringify(arch)} });
`,
  );
}
