// The process that cases run in: `node child.mjs SEED FIRST SECONDS`, or with TRACE a single one. It says on standard output
// which case begins, so that whoever started it knows when it dies.
import { mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Case } from './case.mjs';
import { makeEndpoints, openDescriptors } from './world.mjs';

const [seed, first, seconds] = process.argv.slice(2).map(Number);
const trace = process.env['TRACE'] !== undefined;
const STDOUT = 1;

const say = (message) => writeSync(STDOUT, `${JSON.stringify(message)}\n`);

const dir = mkdtempSync(join(tmpdir(), 'uring-fuzz-'));
process.chdir(dir);
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

let current;
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    if (trace || current === undefined) console.error(event, error);
    if (current === undefined) process.exit(1);
    current.uncaught(error);
  });
}
// Warnings about what is open at the wrong time are part of the game.
process.removeAllListeners('warning');
process.on('warning', () => {});

const endpoints = await makeEndpoints();
await setTimeout(200); // the ring that made them lets go of its own in the turns after it is closed
const before = openDescriptors();
const end = performance.now() + 1000 * seconds;
const total = { cases: 0, steps: 0, refused: 0, settled: 0 };
for (let index = first; performance.now() < end; index += 1) {
  say({ begins: index });
  current = new Case(seed, index);
  try {
    await current.run(endpoints, before, trace);
  } catch (error) {
    say({ failed: index, error: inspect(error, { depth: 6 }) });
    process.exit(1);
  }
  total.cases += 1;
  for (const [name, count] of Object.entries(current.counts)) total[name] += count;
  if (trace) break;
}
say({ total });
process.exit(0);
