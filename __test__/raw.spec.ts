// Operations by number. What becomes of one that the table does not know is tested in Rust (crates/core/tests/ring):
// no kernel has such.
import test from 'ava';
import { Op, raw } from 'uring';
import { assertUsable, FORMS, file, pattern, runAs } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const INVALID = { code: 'ERR_URING_INVALID_RECORD' };

for (const form of FORMS) {
  test(`a known operation that names nothing runs by its number (${form})`, async (t) => {
    const { fd } = file(t, pattern(10));
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, raw({ opcode: Op.nop, opFlags: 1, len: 42 })), 42);
      t.is(await runAs(form, ring, raw({ opcode: Op.ftruncate, fd, off: 3n })), 0);
      const slot = ring.registrar.registerFiles().alloc(fd);
      t.is(await runAs(form, ring, raw({ opcode: Op.fsync, fd: slot })), 0);
      await t.throwsAsync(runAs(form, ring, raw({ opcode: Op.nop, opFlags: 1, len: -5 })), { code: 'EIO' });
    });
  });
}

test('a number that the kernel does not have is unsupported, whatever its fields', async (t) => {
  await withRing({}, async (ring) => {
    const unsupported = { code: 'ERR_URING_UNSUPPORTED_OP', message: /does not have operation 200/ };
    await t.throwsAsync(ring.exec(raw({ opcode: 200 })), unsupported);
    await t.throwsAsync(ring.exec(raw({ opcode: 200, addr: { in: Buffer.alloc(8) } })), unsupported);
    t.throws(() => ring.prep(raw({ opcode: 200, off: 1 })), unsupported);
    t.is(ring.inFlight, 0);
  });
});

test('a known operation has its own checks: bits that it does not define, and memory by address', async (t) => {
  await withRing({}, async (ring) => {
    const before = ring.stats().submitted;
    for (const fields of [
      { opcode: Op.nop, off: 1 },
      { opcode: Op.nop, addr: 2n ** 40n },
      { opcode: Op.nop, addr3: -1n },
      { opcode: Op.nop, ioprio: 1 },
      { opcode: Op.nop, fileIndex: 1 },
      { opcode: Op.nop, bufferGroup: 1 },
      { opcode: Op.nop, opFlags: 2 ** 31 },
    ]) {
      await t.throwsAsync(ring.exec(raw(fields)), INVALID);
    }
    for (const address of [4096, 0x7fff_0000_0000n, 2n ** 64n - 1n]) {
      const reads = raw({ opcode: Op.read, fd: 0, addr: address, len: 16 });
      await t.throwsAsync(ring.exec(reads), { code: 'ERR_URING_STALE_HANDLE' });
    }
    t.is(ring.stats().submitted, before, 'nothing reached the kernel');
    await assertUsable(t, ring);
  });
});
