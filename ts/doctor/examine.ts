// What `uring doctor` finds out.
import { readFileSync } from 'node:fs';
import { type Availability, availability, unavailableBy } from '../availability.ts';
import { type Op, opInfo } from '../generated/ops.ts';
import { type Surroundings, surroundings } from '../platform/surroundings.ts';
import { probe } from '../probe.ts';
import { Ring } from '../ring.ts';

/** The block that a ring allocates for small memory (memory/allocator.ts), and so what must be registered at least. */
const TRIED_BYTES = 1 << 20;
/** Two rings' worth of descriptors and some hundred connections; below it a server runs out soon. */
const DESCRIPTORS_FEW = 1024;

/** An operation that the kernel lacks, and the first kernel that has it. */
export interface MissingOperation {
  readonly name: keyof typeof Op;
  readonly kernel: string;
}

/** Something that works less well than it could. */
export interface Advice {
  readonly problem: string;
  readonly remedy: string;
}

/** What a ring is like that was opened without options. */
export interface RingReport {
  readonly entries: number;
  readonly cqEntries: number;
  /** Setup flags that this kernel knows. */
  readonly knownSetupFlags: readonly string[];
  readonly missingOperations: readonly MissingOperation[];
  /** Of 1 MiB that was to be registered. */
  readonly registeredBytes: number;
}

/** All that `uring doctor --json` prints. */
export interface Report {
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly architecture: string;
  readonly availability: Availability;
  readonly surroundings?: Surroundings;
  readonly ring?: RingReport;
  readonly advice: readonly Advice[];
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

async function examineRing(): Promise<RingReport> {
  const ring = new Ring();
  try {
    ring.alloc(1);
    const has = new Set(ring.operations);
    return {
      entries: ring.entries,
      cqEntries: ring.cqEntries,
      knownSetupFlags: probe().setupFlags,
      missingOperations: Object.values(opInfo).flatMap(({ name, kernel }) =>
        has.has(name) ? [] : [{ name, kernel }],
      ),
      registeredBytes: Math.min(ring.stats().registeredBytes, TRIED_BYTES),
    };
  } finally {
    await ring.close();
  }
}

function adviceFor(answer: Availability, ring: RingReport, around: Surroundings): Advice[] {
  if (!answer.available) return [];
  const { memlockBytes, descriptors } = answer.limits;
  const all: Advice[] = [];
  if (ring.registeredBytes < TRIED_BYTES) {
    const problem = `memory cannot be registered: RLIMIT_MEMLOCK (${memlockBytes.soft} bytes) is too low or used up; everything works, a little slower`;
    const remedy =
      'raise it: `ulimit -l`, LimitMEMLOCK= in systemd, docker run --ulimit memlock=-1; 8 MiB will do for most';
    all.push({ problem, remedy });
  }
  if (descriptors.soft < DESCRIPTORS_FEW) {
    const problem = `few descriptors: RLIMIT_NOFILE is ${descriptors.soft}`;
    const remedy = 'raise it: `ulimit -n`, LimitNOFILE= in systemd, docker run --ulimit nofile=65536';
    all.push({ problem, remedy });
  }
  if (around.sysctl === 1) {
    const problem =
      'the sysctl kernel.io_uring_disabled is 1: this process may use io_uring by its privileges or its group, others may not';
    const remedy = 'keep that in mind for the user that the service runs as, or set the sysctl to 0';
    all.push({ problem, remedy });
  }
  return all;
}

/** Asks the kernel, and opens a ring if there can be one. */
export async function examine(): Promise<Report> {
  const answer = availability();
  const { platform, arch: architecture, versions } = process;
  const known = { version: version(), node: versions.node, platform, architecture, availability: answer };
  if (platform !== 'linux') return { ...known, advice: [] };
  const around = surroundings();
  if (!answer.available) return { ...known, surroundings: around, advice: [] };
  try {
    const ring = await examineRing();
    return { ...known, surroundings: around, ring, advice: adviceFor(answer, ring, around) };
  } catch (error) {
    // A limit that one ring is just within.
    return { ...known, availability: unavailableBy(error), surroundings: around, advice: [] };
  }
}
