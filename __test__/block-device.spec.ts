// Commands to block devices, on a loop device over a file. Only root may make one.
import { execFileSync } from 'node:child_process';
import { constants, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { blockDiscard, UringError, write } from 'uring';
import { assertUsable, FORMS, fifo, file, open, pattern, runAs } from './_fixtures.ts';
import { leakCheck, skipUnless, tmpDir, withRing } from './_helpers.ts';

leakCheck(test);

const DEVICE_BYTES = 1 << 20;
const SECTOR_BYTES = 512;

/** Why there can be no loop device, or nothing. */
function lacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  try {
    execFileSync('losetup', ['--find'], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'loop devices (losetup)';
  }
}

/** A block device over a file with a pattern. */
function device(t: ExecutionContext<unknown>): { path: string; backing: string } {
  const backing = join(tmpDir(t), 'disk');
  writeFileSync(backing, pattern(DEVICE_BYTES));
  const path = execFileSync('losetup', ['--find', '--show', backing], { encoding: 'utf8' }).trim();
  t.teardown(() => execFileSync('losetup', ['--detach', path]));
  return { path, backing };
}

const missing = lacks();
const deviceTest = skipUnless(missing === undefined, missing ?? '');

for (const form of FORMS) {
  deviceTest(`blockDiscard gives a range of a device up, and leaves the rest (${form})`, async (t) => {
    const { path, backing } = device(t);
    const fd = open(t, path, 'r+');
    await withRing({}, async (ring) => {
      const blocks = statSync(backing).blocks;
      const range = { offset: 8192, lengthBytes: 65_536n };
      t.is(await runAs(form, ring, blockDiscard(fd, range)), undefined);
      const content = readFileSync(backing);
      t.true(content.subarray(8192, 8192 + 65_536).every((byte) => byte === 0));
      t.deepEqual(content.subarray(0, 8192), pattern(DEVICE_BYTES).subarray(0, 8192));
      t.deepEqual(content.subarray(8192 + 65_536), pattern(DEVICE_BYTES).subarray(8192 + 65_536));
      t.true(statSync(backing).blocks < blocks, 'a loop device punches a hole');
    });
  });

  test(`blockDiscard of a regular file fails with ENOTSUP (${form})`, async (t) => {
    const { fd } = file(t, pattern(8192));
    await withRing({}, async (ring) => {
      const refused = runAs(form, ring, blockDiscard(fd, { offset: 0, lengthBytes: 4096 }));
      const error = await t.throwsAsync(refused, { instanceOf: UringError });
      t.like(error, { code: 'ENOTSUP', syscall: 'blockDiscard' });
      t.regex(
        String(error?.message),
        /, blockDiscard; it is for block devices that can discard, since Linux 6.12$/,
      );
      await assertUsable(t, ring);
    });
  });
}

deviceTest(
  'blockDiscard takes a registered file, and refuses what is not aligned or leaves the device',
  async (t) => {
    const { path } = device(t);
    const fd = open(t, path, 'r+');
    await withRing({}, async (ring) => {
      const fixed = ring.registrar.registerFiles().alloc(fd);
      await ring.exec(blockDiscard(fixed, { offset: 0, lengthBytes: SECTOR_BYTES }));
      const wrong = [
        { offset: 1, lengthBytes: SECTOR_BYTES },
        { offset: 0, lengthBytes: SECTOR_BYTES - 1 },
        { offset: DEVICE_BYTES, lengthBytes: SECTOR_BYTES },
        { offset: 2 ** 40, lengthBytes: 2 ** 40 },
      ];
      for (const range of wrong) {
        await t.throwsAsync(ring.exec(blockDiscard(fixed, range)), { code: 'EINVAL' }, String(range.offset));
      }
      await assertUsable(t, ring);
    });
  },
);

deviceTest('blockDiscard needs a device that is open for writing', async (t) => {
  const { path } = device(t);
  const fd = open(t, path, 'r');
  await withRing({}, async (ring) => {
    const refused = ring.exec(blockDiscard(fd, { offset: 0, lengthBytes: SECTOR_BYTES }));
    await t.throwsAsync(refused, { code: 'EBADF' });
  });
});

test('blockDiscard of what is no device at all fails', async (t) => {
  const fd = fifo(t);
  await withRing({}, async (ring) => {
    const range = { offset: 0, lengthBytes: SECTOR_BYTES };
    await t.throwsAsync(ring.exec(blockDiscard(fd, range)), { code: 'ENOTSUP' });
    await t.throwsAsync(ring.exec(blockDiscard(1_000_000, range)), { code: 'EBADF' });
  });
});

deviceTest('a write stream that the device does not have fails with EINVAL', async (t) => {
  const { path } = device(t);
  const fd = open(t, path, constants.O_RDWR | constants.O_DIRECT);
  await withRing({}, async (ring) => {
    const memory = ring.alloc(4096);
    t.is(await ring.exec(write(fd, memory, { offset: 0 })), 4096);
    await t.throwsAsync(ring.exec(write(fd, memory, { offset: 0, writeStream: 3 })), { code: 'EINVAL' });
  });
});
