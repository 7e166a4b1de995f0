// The report as a page for people.
import type { Available, ResourceLimit } from '../availability.ts';
import { describeErrno } from '../errors.ts';
import type { Surroundings } from '../platform/surroundings.ts';
import type { Unavailable } from '../platform/unavailable.ts';
import type { Advice, Report, RingReport } from './examine.ts';
import { paint, type Screen, wrap } from './paint.ts';

const INDENT = 2;
const LABEL = 14;

/** A label, and beside it a text of as many lines as it takes. */
function row(screen: Screen, label: string, text: string): string[] {
  const lines = wrap(text, screen.columns - INDENT - LABEL);
  const head = paint(screen, 'dim', label.padEnd(LABEL));
  return lines.map((line, at) => `${' '.repeat(INDENT)}${at === 0 ? head : ' '.repeat(LABEL)}${line}`);
}

function sentence(text: string): string {
  const end = /[.!?]$/.test(text) ? '' : '.';
  // The name of a program or of a file stays as it is.
  const start = text.startsWith('io_uring') ? 'io_' : text.charAt(0).toUpperCase();
  return `${start}${text.slice(start.length)}${end}`;
}

function bytes(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return 'unlimited';
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value === 0 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  const shown = value / 1024 ** power;
  return `${Number.isInteger(shown) ? shown : shown.toFixed(1)} ${units[power]}`;
}

function limitText(limit: ResourceLimit, shown: (value: number) => string): string {
  return limit.soft === limit.hard
    ? shown(limit.soft)
    : `${shown(limit.soft)}, can be raised to ${shown(limit.hard)}`;
}

const count = (value: number): string =>
  value === Number.POSITIVE_INFINITY ? 'unlimited' : value.toLocaleString('en-US');

/** What could stand in the way, and whether it does. */
function blocks({ sysctl, seccomp }: Surroundings): string {
  const switches: Record<string, string> = {
    0: 'kernel.io_uring_disabled is 0',
    1: 'kernel.io_uring_disabled is 1 (only for privileged processes and one group)',
    2: 'kernel.io_uring_disabled is 2 (for nobody)',
    absent: 'no sysctl kernel.io_uring_disabled',
    undefined: 'kernel.io_uring_disabled cannot be read',
  };
  const filters: Record<string, string> = {
    0: 'no seccomp filter',
    1: 'strict seccomp',
    2: 'a seccomp filter is active',
    undefined: 'whether a seccomp filter is active cannot be read',
  };
  return `${switches[String(sysctl)] ?? `kernel.io_uring_disabled is ${sysctl}`}; ${filters[String(seccomp)] ?? ''}`;
}

function missing({ missingOperations }: RingReport, available: Available): string {
  const all = available.operations.length + missingOperations.length;
  if (missingOperations.length === 0) return `all ${all}`;
  const names = missingOperations.map(({ name, kernel }) => `${name} (Linux ${kernel})`).join(', ');
  return `${available.operations.length} of ${all}; missing: ${names}`;
}

function system(screen: Screen, { version, node, platform, architecture }: Report, kernel: string): string[] {
  return row(screen, 'System', `${kernel || platform} on ${architecture}, Node ${node}, uring ${version}`);
}

function healthy(screen: Screen, report: Report, available: Available): string[] {
  const { ring, surroundings } = report;
  const { memlockBytes, descriptors } = available.limits;
  const lines = system(screen, report, `Linux ${available.kernel}`);
  if (ring === undefined) return lines;
  const others = ring.knownSetupFlags.filter((name) => !available.setupFlags.includes(name));
  const registered = ring.registeredBytes === 0 ? 'memory is not registered' : 'memory can be registered';
  return [
    ...lines,
    ...row(screen, 'Queues', `${count(ring.entries)} submissions, ${count(ring.cqEntries)} completions`),
    ...row(screen, 'Flags granted', available.setupFlags.join(', ') || 'none'),
    ...row(screen, 'More flags', others.join(', ') || 'none'),
    ...row(screen, 'Features', available.features.join(', ') || 'none'),
    ...row(screen, 'Operations', missing(ring, available)),
    ...row(
      screen,
      'Memory',
      `${registered}; RLIMIT_MEMLOCK ${limitText(memlockBytes, bytes)} for all rings of the user`,
    ),
    ...row(screen, 'Descriptors', `RLIMIT_NOFILE ${limitText(descriptors, count)}`),
    ...(surroundings === undefined ? [] : row(screen, 'Blocks', blocks(surroundings))),
  ];
}

function ill(screen: Screen, report: Report, { code, errno, reason, remedy }: Unavailable): string[] {
  const { surroundings } = report;
  const answer = errno === undefined ? '' : `, ${describeErrno(-errno)[0]}`;
  const kernel = surroundings === undefined ? '' : `Linux ${surroundings.release}`;
  return [
    ...row(screen, 'Why', sentence(reason)),
    ...row(screen, 'What to do', sentence(remedy)),
    '',
    ...row(screen, 'Code', `${code}${answer}`),
    ...system(screen, report, kernel),
    ...(surroundings === undefined ? [] : row(screen, 'Seen', blocks(surroundings))),
  ];
}

function advised(screen: Screen, advice: readonly Advice[]): string[] {
  return advice.flatMap(({ problem, remedy }) => [
    '',
    ...row(screen, 'Advice', sentence(problem)),
    ...row(screen, '', sentence(remedy)),
  ]);
}

/** The whole page, with an empty line above and below. */
export function page(report: Report, screen: Screen): string {
  const { availability } = report;
  const headline = availability.available
    ? paint(screen, 'green', '✔ io_uring works here.')
    : paint(screen, 'red', '✘ io_uring cannot be used here.');
  const body = availability.available
    ? healthy(screen, report, availability)
    : ill(screen, report, availability);
  const lines = [
    '',
    `${' '.repeat(INDENT)}${paint(screen, 'bold', headline)}`,
    '',
    ...body,
    ...advised(screen, report.advice),
    '',
  ];
  return `${lines.join('\n')}\n`;
}
