// Pipes: made by the ring, and bytes moved through them inside the kernel.
import { closeSync, constants, readFileSync, readSync, writeSync } from 'node:fs';
import test from 'ava';
import {
  asyncCancel,
  close,
  FixedFile,
  fixedFdInstall,
  type Pipe,
  pipe,
  Ring,
  read,
  SpliceFlags,
  splice,
  tee,
  type UringError,
  write,
} from 'uring';
import { assertUsable, FORMS, file, pattern, reap, runAs, waitFor } from './_fixtures.ts';
import { leakCheck, openFds, withRing } from './_helpers.ts';
import { settle, soon } from './_until.ts';

leakCheck(test);

function closePipe(...pipes: readonly Pipe[]): void {
  for (const { readFd, writeFd } of pipes) {
    closeSync(readFd);
    closeSync(writeFd);
  }
}

/** What waits in a pipe. */
function contents({ readFd }: Pipe, sizeBytes: number): string {
  const bytes = Buffer.alloc(sizeBytes);
  return bytes.toString('latin1', 0, readSync(readFd, bytes));
}

/** The flags of a descriptor, as the kernel shows them. */
function flagsOf(fd: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
  return Number.parseInt(/^flags:\s*(\d+)$/m.exec(text)?.[1] ?? '', 8);
}

const O_CLOEXEC = 0o2000000;

for (const form of FORMS) {
  test(`pipe results in two descriptors, and what goes into one comes out of the other (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const ends = await runAs(form, ring, pipe());
      t.is(writeSync(ends.writeFd, 'hello'), 5);
      t.is(contents(ends, 64), 'hello');
      for (const fd of [ends.readFd, ends.writeFd]) {
        t.is(flagsOf(fd) & O_CLOEXEC, O_CLOEXEC);
        t.is(flagsOf(fd) & constants.O_NONBLOCK, constants.O_NONBLOCK);
      }
      closePipe(ends);
    });
  });

  test.serial(
    `pipe into slots of the kernel's choice results in two registered files (${form})`,
    async (t) => {
      await withRing({}, async (ring) => {
        ring.registrar.registerFiles({ slots: 2, kernelSlots: 4 });
        // The first operation on the event loop opens an eventfd.
        await assertUsable(t, ring);
        const fds = openFds().size;
        const { readFd, writeFd } = await runAs(form, ring, pipe({ direct: true }));
        t.true(readFd instanceof FixedFile && writeFd instanceof FixedFile);
        t.not(readFd.slot, writeFd.slot);
        t.is(openFds().size, fds, 'it takes no descriptor');
        t.is(await runAs(form, ring, write(writeFd, Buffer.from('hello'))), 5);
        const buffer = ring.alloc(8);
        t.is(await runAs(form, ring, read(readFd, buffer)), 5);
        await runAs(form, ring, close(readFd));
        await t.throwsAsync(runAs(form, ring, write(writeFd, buffer)), { code: 'EPIPE' });
        await runAs(form, ring, close(writeFd));
        t.is(ring.stats().fileSlots, 0);
      });
    },
  );

  test(`pipe into slots by number takes the one given and the next (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      ring.registrar.registerFiles({ slots: 4, kernelSlots: 0 });
      const { readFd, writeFd } = await runAs(form, ring, pipe({ direct: 2 }));
      t.deepEqual([readFd.slot, writeFd.slot], [2, 3]);
      t.is(await runAs(form, ring, write(writeFd, Buffer.from('hello'))), 5);
      t.is(await runAs(form, ring, read(readFd, ring.alloc(8))), 5);
      const code = 'ERR_URING_SLOT_UNAVAILABLE';
      for (const direct of [1, 2, 3]) {
        await t.throwsAsync(runAs(form, ring, pipe({ direct })), { code }, `slots from ${direct} on`);
      }
      t.is(ring.stats().fileSlots, 2);
      await runAs(form, ring, pipe({ direct: 0 }));
    });
  });

  test(`splice moves bytes from file to pipe to file, at the offsets given (${form})`, async (t) => {
    const from = file(t, pattern(1000));
    const to = file(t, Buffer.alloc(20));
    await withRing({}, async (ring) => {
      const ends = await runAs(form, ring, pipe());
      t.is(await runAs(form, ring, splice(from.fd, ends.writeFd, 300, { offsetIn: 100 })), 300);
      t.is(await runAs(form, ring, splice(ends.readFd, to.fd, 1000, { offsetOut: 10n })), 300);
      t.deepEqual(readFileSync(to.path).subarray(10), pattern(1000).subarray(100, 400));
      // Without offsets it is the files' own positions, which move.
      t.is(await runAs(form, ring, splice(from.fd, ends.writeFd, 10)), 10);
      t.is(await runAs(form, ring, splice(from.fd, ends.writeFd, 10, { offsetIn: null })), 10);
      t.is(contents(ends, 64), pattern(1000).toString('latin1', 0, 20));
      t.is(await runAs(form, ring, splice(from.fd, ends.writeFd, 10, { offsetIn: 1000 })), 0);
      closePipe(ends);
    });
  });

  test(`splice and tee take registered files on either side (${form})`, async (t) => {
    const { fd, path } = file(t, pattern(50));
    await withRing({}, async (ring) => {
      const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 4 });
      const slot = files.alloc(fd);
      const [one, two] = [
        await runAs(form, ring, pipe({ direct: true })),
        await runAs(form, ring, pipe({ direct: true })),
      ];
      t.is(await runAs(form, ring, splice(slot, one.writeFd, 50, { offsetIn: 0 })), 50);
      t.is(await runAs(form, ring, tee(one.readFd, two.writeFd, 50)), 50);
      t.is(await runAs(form, ring, splice(one.readFd, slot, 50, { offsetOut: 50 })), 50);
      t.is(await runAs(form, ring, splice(two.readFd, fd, 50, { offsetOut: 100 })), 50);
      t.deepEqual(readFileSync(path), Buffer.concat([pattern(50), pattern(50), pattern(50)]));
    });
  });

  test(`tee copies what is in a pipe and leaves it there (${form})`, async (t) => {
    await withRing({}, async (ring) => {
      const [one, two] = [await runAs(form, ring, pipe()), await runAs(form, ring, pipe())];
      writeSync(one.writeFd, 'twice');
      t.is(await runAs(form, ring, tee(one.readFd, two.writeFd, 100)), 5);
      t.is(contents(one, 64), 'twice');
      t.is(contents(two, 64), 'twice');
      closePipe(one, two);
    });
  });
}

test('pipe with O_NONBLOCK and O_DIRECT is one of packets that does not wait', async (t) => {
  await withRing({}, async (ring) => {
    const ends = await ring.exec(pipe({ pipeFlags: constants.O_NONBLOCK | constants.O_DIRECT }));
    t.throws(() => contents(ends, 8), { code: 'EAGAIN' });
    writeSync(ends.writeFd, 'one');
    writeSync(ends.writeFd, 'two');
    t.is(contents(ends, 64), 'one');
    t.is(contents(ends, 64), 'two');
    closePipe(ends);
  });
});

test('a pipe into slots has the flags that were given', async (t) => {
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles();
    const { readFd } = await ring.exec(pipe({ direct: true, pipeFlags: constants.O_NONBLOCK }));
    const fd = await ring.exec(fixedFdInstall(readFd));
    t.is(flagsOf(fd) & constants.O_NONBLOCK, constants.O_NONBLOCK);
    closeSync(fd);
  });
});

test('a read of the ring waits for a pipe that does not wait itself', async (t) => {
  await withRing({}, async (ring) => {
    const ends = await ring.exec(pipe({ pipeFlags: constants.O_NONBLOCK }));
    const waiting = ring.exec(read(ends.readFd, ring.alloc(8)));
    writeSync(ends.writeFd, 'late');
    t.is(await soon(waiting, 'the read'), 4);
    closePipe(ends);
  });
});

test('pipe into slots fails where there is no table, and where no slot is free', async (t) => {
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(pipe({ direct: true })), { code: 'ERR_URING_SLOT_UNAVAILABLE' });
    ring.registrar.registerFiles({ slots: 1, kernelSlots: 3 });
    await t.throwsAsync(ring.exec(pipe({ direct: 0 })), { code: 'ERR_URING_SLOT_UNAVAILABLE' });
    await ring.exec(pipe({ direct: true }));
    await t.throwsAsync(ring.exec(pipe({ direct: true })), { code: 'ENFILE', message: /, pipe$/ });
    t.is(ring.stats().fileSlots, 2, 'the one that was free is free again');
    await assertUsable(t, ring);
  });
});

test.serial('a pipe that nobody has taken is closed with its ring', async (t) => {
  const before = openFds().size;
  const ring = new Ring();
  ring.registrar.registerFiles();
  ring.prep(pipe());
  ring.prep(pipe({ direct: true }));
  ring.prep(pipe({ direct: 1 }));
  waitFor(ring, 3);
  t.true(openFds().size >= before + 3);
  await ring.close();
  t.is(openFds().size, before);
});

test.serial('a pipe that was delivered and not read by hand is closed with its ring', async (t) => {
  const before = openFds().size;
  const ring = new Ring();
  ring.prep(pipe());
  ring.submit();
  // Whoever delivers for the loop finds the completion and keeps it for its reader.
  await ring.exec(read(1_000_000, Buffer.alloc(1))).catch(() => {});
  await ring.close();
  t.is(openFds().size, before);
});

test('a pipe read by hand stays open when its ring is closed', async (t) => {
  const ring = new Ring();
  ring.prep(pipe());
  waitFor(ring, 1);
  const ends = reap(ring)[0]?.result as Pipe;
  await ring.close();
  t.is(writeSync(ends.writeFd, 'x'), 1);
  t.is(contents(ends, 8), 'x');
  closePipe(ends);
});

test('splice of an empty pipe waits for data, unless it is told not to', async (t) => {
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    const ends = await ring.exec(pipe({ pipeFlags: 0 }));
    const { NONBLOCK } = SpliceFlags;
    const impatient = splice(ends.readFd, fd, 100, { spliceFlags: NONBLOCK });
    await t.throwsAsync(ring.exec(impatient), { code: 'EAGAIN', message: /, splice$/ });
    const [other] = [await ring.exec(pipe({ pipeFlags: 0 }))];
    const copy = tee(ends.readFd, other.writeFd, 100, { spliceFlags: NONBLOCK });
    await t.throwsAsync(ring.exec(copy), { code: 'EAGAIN', message: /, tee$/ });
    const waiting = ring.exec(
      splice(ends.readFd, fd, 100, { spliceFlags: SpliceFlags.MOVE | SpliceFlags.MORE }),
    );
    writeSync(ends.writeFd, 'late');
    t.is(await soon(waiting, 'the splice'), 4);
    t.is(readFileSync(path, 'utf8'), 'late');
    closePipe(ends, other);
  });
});

// The kernel answered -512 (ERESTARTSYS) here, which is no error of anybody's.
test('splice and tee that wait are interrupted when they are cancelled, and when their ring is closed', async (t) => {
  const { fd } = file(t);
  const ring = new Ring();
  const [one, two] = [await ring.exec(pipe({ pipeFlags: 0 })), await ring.exec(pipe({ pipeFlags: 0 }))];
  const codeOf = (promise: Promise<number>) => promise.then(String, (error: UringError) => error.code);
  const waiting = splice(one.readFd, fd, 10);
  const cancelled = codeOf(ring.exec(waiting));
  await ring.exec(asyncCancel(waiting)).catch(() => {});
  t.true(['EINTR', 'ECANCELED'].includes(await soon(cancelled, 'the cancelled splice')));
  const left = [splice(one.readFd, fd, 10), tee(one.readFd, two.writeFd, 10)].map((operation) =>
    codeOf(ring.exec(operation)),
  );
  await settle();
  await soon(ring.close(), 'the end of the ring');
  for (const code of await Promise.all(left)) t.true(['EINTR', 'ECANCELED'].includes(code), code);
  closePipe(one, two);
});

test('splice and tee fail as their system calls do', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const ends = await ring.exec(pipe());
    const { readFd, writeFd } = ends;
    await t.throwsAsync(ring.exec(splice(fd, fd, 10)), { code: 'EINVAL' }, 'no pipe');
    await t.throwsAsync(ring.exec(splice(readFd, fd, 10, { offsetIn: 0 })), { code: 'ESPIPE' });
    await t.throwsAsync(ring.exec(splice(fd, writeFd, 10, { offsetOut: 0 })), { code: 'ESPIPE' });
    await t.throwsAsync(ring.exec(splice(1_000_000, writeFd, 10)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(splice(fd, 1_000_000, 10)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(tee(fd, writeFd, 10)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(tee(readFd, 1_000_000, 10)), { code: 'EBADF' });
    closePipe(ends);
    await assertUsable(t, ring);
  });
});

test('splice from a registered file that is gone is refused', async (t) => {
  const { fd } = file(t, pattern(100));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles();
    const gone = files.alloc(fd);
    files.clear(gone);
    const ends = await ring.exec(pipe());
    await t.throwsAsync(ring.exec(splice(gone, ends.writeFd, 10)), { code: 'ERR_URING_STALE_HANDLE' });
    await t.throwsAsync(ring.exec(tee(gone, ends.writeFd, 10)), { code: 'ERR_URING_STALE_HANDLE' });
    closePipe(ends);
  });
});

test('a write that finds too little room in a pipe is short, and does not hold up the thread', async (t) => {
  await withRing({}, async (ring) => {
    const { readFd, writeFd } = await ring.exec(pipe());
    t.teardown(() => [readFd, writeFd].forEach(closeSync));
    const size = 1 << 20;
    const written = await ring.exec(write(writeFd, Buffer.alloc(size)));
    t.true(written > 0 && written < size, `${written}`);
  });
});
