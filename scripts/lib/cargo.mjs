// Runs the Rust tests and counts them from cargo's summary lines.
import { Counts } from './counts.mjs';
import { run } from './project.mjs';

export async function runCargo() {
  const counts = new Counts();
  const result = await run('cargo', ['test', '--workspace', '--no-fail-fast'], {
    stdout: ['inherit', 'pipe'],
    env: { CARGO_TERM_COLOR: 'never' }, // the lines are read below
  });
  for (const line of result.stdout.split('\n')) {
    const test = /^test (.+?)(?: - should panic)? \.\.\. (FAILED|ignored)/.exec(line);
    if (test?.[2] === 'FAILED') counts.fail(`cargo: ${test[1]}`);
    else if (test) counts.skip(`cargo: ${test[1]}`);
    const summary = /^test result: \w+\. (\d+) passed;/.exec(line);
    if (summary) counts.pass(Number(summary[1]));
  }
  // A build error, or a test binary that died before its summary.
  if (result.failed && counts.failed === 0) counts.fail(`cargo test: ${result.shortMessage}`);
  if (counts.ran === 0) counts.fail('cargo test ran no tests');
  return counts;
}
