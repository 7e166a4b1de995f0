// What this kernel should have, from its version: tests may guess where the package itself never does.
import { release } from 'node:os';

const [major = 0, minor = 0] = release().split('.').map(Number);

/** Whether this kernel is at least of a version such as '6.18'. */
export function kernelIs(version: string): boolean {
  const [wantedMajor = 0, wantedMinor = 0] = version.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
