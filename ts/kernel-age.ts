// How far the io_uring of a kernel has come. Options of operations have no probe; but a kernel that says that it has an
// operation or a feature has what came before it, also where a distributor brought it to an older version.
import { FEATURES } from './flags.ts';
import { opInfo } from './generated/ops.ts';

/** First kernels of the features that came after 5.10 (io_uring_setup(2), FEATURES). */
const FEATURE_KERNELS: Readonly<Partial<Record<(typeof FEATURES)[number], string>>> = {
  SQPOLL_NONFIXED: '5.11',
  EXT_ARG: '5.11',
  NATIVE_WORKERS: '5.12',
  RSRC_TAGS: '5.13',
  CQE_SKIP: '5.17',
  LINKED_FILE: '5.17',
  REG_REG_RING: '6.3',
  RECVSEND_BUNDLE: '6.10',
  MIN_TIMEOUT: '6.12',
  RW_ATTR: '6.14',
  NO_IOWAIT: '6.15',
};

/** What a ring or a probe says of its kernel. */
export interface KernelSays {
  readonly features: number;
  readonly operations: readonly number[];
}

/** A version as a number that compares: 6.10 comes after 6.9. */
function versionNumber(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major * 1000 + minor;
}

const OPERATION_MARKS = Object.values(opInfo).map(({ kernel }) => versionNumber(kernel));
const MARKS: readonly number[] = [...Object.values(FEATURE_KERNELS).map(versionNumber), ...OPERATION_MARKS];

/** @internal What a kernel has of the latest version: the version as a number, major times 1000 plus minor. */
export function ageOf({ features, operations }: KernelSays): number {
  const ages = operations.map((opcode) => versionNumber(opInfo[opcode]?.kernel ?? '0'));
  for (const [bit, name] of FEATURES.entries()) {
    if ((features & (1 << bit)) !== 0) ages.push(versionNumber(FEATURE_KERNELS[name] ?? '0'));
  }
  return Math.max(...ages);
}

/** @internal Whether a kernel has nothing of what came with this version: whatever came later, it lacks. */
export function isOlderThan(kernel: KernelSays, version: string): boolean {
  const wanted = versionNumber(version);
  // Some versions brought nothing that can be asked for: then the last that did decides.
  const mark = Math.max(...MARKS.filter((one) => one <= wanted));
  return ageOf(kernel) < mark;
}

/** The bits of features by their names. */
export function featureBits(names: readonly (typeof FEATURES)[number][]): number {
  return names.reduce((bits, name) => bits | (1 << FEATURES.indexOf(name)), 0);
}
