// What doing nothing can be done with.
import test from 'ava';
import { nop, nop128 } from 'uring';
import { assertUsable, FORMS, file, runAs } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

for (const form of FORMS) {
  test(`nop looks a file up, by descriptor and by slot (${form})`, async (t) => {
    const { fd } = file(t);
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, nop({ fd })), 0);
      t.is(await runAs(form, ring, nop({ fd, result: 9 })), 9);
      await t.throwsAsync(runAs(form, ring, nop({ fd: 0x7fff_fff0 })), { code: 'EBADF' });
      const files = ring.registrar.registerFiles();
      const slot = files.set(3, fd);
      t.is(await runAs(form, ring, nop({ fd: slot, result: 4 })), 4);
      files.clear(slot);
      await t.throwsAsync(runAs(form, ring, nop({ fd: slot })), { code: 'ERR_URING_STALE_HANDLE' });
    });
  });

  test(`nop looks a registered buffer up (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, nop({ buffer: ring.alloc(64), result: 7 })), 7);
      await t.throwsAsync(runAs(form, ring, nop({ buffer: Buffer.alloc(64) })), {
        code: 'ERR_URING_NOT_REGISTERED',
      });
      await assertUsable(t, ring);
    });
  });

  test(`nop completes by way of task work (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      t.is(await runAs(form, ring, nop({ taskWork: true, result: 12 })), 12);
      await t.throwsAsync(runAs(form, ring, nop({ taskWork: true, result: -5 })), { code: 'EIO' });
    });
  });
}

test('a ring with completions of 16 bytes has no room for extra numbers', async (t) => {
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(nop({ extra: [1n, 2n] })), {
      code: 'EINVAL',
      message: /; options.extra needs Linux 6.18 and a ring with completions of 32 bytes$/,
    });
    await assertUsable(t, ring);
  });
});

test('nop128 is refused by a kernel that does not have it, with the one that does', async (t) => {
  await withRing({}, async (ring) => {
    if (ring.operations.includes('nop128')) {
      await t.throwsAsync(ring.exec(nop128()), { code: 'ERR_URING_NEEDS_LARGE_ENTRY' });
    } else {
      const expected = { code: 'ERR_URING_UNSUPPORTED_OP', message: /nop128: it needs Linux 6\.19/ };
      await t.throwsAsync(ring.exec(nop128()), expected);
      t.throws(() => ring.prep(nop128()), expected);
    }
    t.is(ring.inFlight, 0);
  });
});
