// Passed, failed and skipped tests, and the line that closes every test run.

export class Counts {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Titles, and what is known of failures, to be told again at the end: CI keeps no more of a long run than that. */
  failures = [];
  skips = [];
  /** What the kernel says that it lacks, and how many tests were skipped for that. */
  lacking = {};
  /** What the kernel says of itself (ava-here.mjs). */
  kernel = {};

  pass(count = 1) {
    this.passed += count;
  }

  fail(failure, count = 1) {
    this.failed += count;
    this.failures.push(failure);
  }

  skip(title) {
    const [, major, minor] = /\(needs Linux (\d+)\.(\d+)/.exec(title) ?? [];
    if (Number(major) * 1000 + Number(minor) > this.kernel.age)
      return this.lack({ need: `kernel:${major}.${minor}` });
    this.skipped += 1;
    this.skips.push(title);
  }

  /** A test that was skipped because the kernel says that it lacks what it needs (needs.mjs). */
  lack({ need }) {
    this.skipped += 1;
    this.lacking[need] = (this.lacking[need] ?? 0) + 1;
  }

  get ran() {
    return this.passed + this.failed + this.skipped;
  }

  /** Says where each named test ran, for sums over several runs. */
  labelled(label) {
    this.failures = this.failures.map((failure) => `${label}: ${failure}`);
    this.skips = this.skips.map((title) => `${label}: ${title}`);
    return this;
  }

  add(other) {
    this.passed += other.passed;
    this.failed += other.failed;
    this.skipped += other.skipped;
    this.failures.push(...other.failures);
    this.skips.push(...other.skips);
    for (const [need, count] of Object.entries(other.lacking)) {
      this.lacking[need] = (this.lacking[need] ?? 0) + count;
    }
    this.kernel = other.kernel;
    return this;
  }

  toString() {
    return `${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`;
  }
}

/**
 * In the titles of tests that a fresh machine skips: clients and tools that nobody here wrote are not installed, there is no
 * root to make disks, and nobody has said that the tests may switch io_uring off for the whole machine.
 */
const EXPLAINED = /\(needs .*(?:scripts\/install-clients\.sh|URING_TEST_SYSCTL=1)\)/;

/**
 * Prints the end of a run and returns its exit code. A skipped test proves nothing, so a run is good only
 * if no more were skipped than URING_EXPECTED_SKIPS allows (0 unless said), but for those that their
 * titles explain.
 */
export function conclude(counts) {
  const skipsAllowed = Number(process.env.URING_EXPECTED_SKIPS ?? 0);
  const unexplained = counts.skips.filter((title) => !EXPLAINED.test(title)).length;
  const tooManySkips = !(unexplained <= skipsAllowed);
  console.log('');
  for (const title of counts.skips) console.log(`skipped: ${title}`);
  for (const [need, count] of Object.entries(counts.lacking))
    console.log(`skipped without ${need}: ${count}`);
  for (const failure of counts.failures) console.log(`failed: ${failure}`);
  if (tooManySkips) {
    console.log(
      `${unexplained} tests were skipped without an explanation in their titles, and ${skipsAllowed} may be (URING_EXPECTED_SKIPS): the run fails.`,
    );
  }
  console.log(String(counts));
  return counts.failed > 0 || tooManySkips ? 1 : 0;
}
