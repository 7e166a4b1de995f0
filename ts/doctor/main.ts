// The commands of `npx uring`, of which there is one.
import { parseArgs } from 'node:util';
import { examine } from './examine.ts';
import { page } from './page.ts';
import { screenOf } from './paint.ts';

const USAGE = `uring doctor [--json]

Says whether io_uring can be used here: what this kernel, its limits and the package have; or what
blocks it, and how to unblock it.

  --json   the same for machines
  --help   this text

Exit status: 0 it can be used, 1 it cannot, 2 wrong arguments.
`;

const EXIT_UNAVAILABLE = 1;
const EXIT_USAGE = 2;

/** `Infinity` is no number in JSON, and a limit that is not there no null. */
export function jsonValue(_key: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? 'unlimited' : value;
}

function wrong(problem: string): number {
  process.stderr.write(`uring: ${problem}\n\n${USAGE}`);
  return EXIT_USAGE;
}

async function doctor(json: boolean): Promise<number> {
  const report = await examine();
  process.stdout.write(
    json ? `${JSON.stringify(report, jsonValue, 2)}\n` : page(report, screenOf(process.stdout, process.env)),
  );
  return report.availability.available ? 0 : EXIT_UNAVAILABLE;
}

/** Runs a command, and answers the exit status. */
export async function main(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return wrong((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [command, ...more] = positionals;
  if (command !== 'doctor' || more.length > 0) {
    return wrong(command === undefined ? 'a command is missing' : `unknown: ${positionals.join(' ')}`);
  }
  return await doctor(values.json === true);
}

function parse(args: string[]) {
  const options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
  return parseArgs({ args, options, allowPositionals: true });
}
