// How far a kernel's io_uring has come, by what it says that it has.
import test from 'ava';

const { featureBits, isOlderThan }: typeof import('../dist/kernel-age.js') = await import(
  new URL('kernel-age.js', import.meta.resolve('uring')).href
);

/** As Debian's 5.10.46, 5.10.262 and 6.1.176 answer. */
const first = (count: number): number[] => Array.from({ length: count }, (_, opcode) => opcode);
const OLD = { features: 0x7f, operations: first(34) };
const BROUGHT_BACK = { features: 0x7ff, operations: first(37) };
const LONG_TERM = { features: 0x1fff, operations: first(49) };

test('a kernel is older than a version if it has nothing of what came with that or later', (t) => {
  for (const version of ['5.11', '5.13', '5.19', '6.10', '7.0']) t.true(isOlderThan(OLD, version), version);
  t.false(isOlderThan(OLD, '5.8'));
  for (const version of ['5.10', '5.11', '5.13']) t.false(isOlderThan(BROUGHT_BACK, version), version);
  t.true(isOlderThan(BROUGHT_BACK, '5.19'));
  for (const version of ['5.19', '6.0', '6.1']) t.false(isOlderThan(LONG_TERM, version), version);
  t.true(isOlderThan(LONG_TERM, '6.3'));
});

test('a version that brought nothing to ask for counts as the one before it that did', (t) => {
  t.false(isOlderThan(LONG_TERM, '6.2'));
  t.true(isOlderThan(LONG_TERM, '6.6'), '6.3 has a mark');
});

test('bits of features stand where the kernel has them', (t) => {
  t.is(featureBits(['SINGLE_MMAP', 'EXT_ARG']), 1 | (1 << 8));
});
