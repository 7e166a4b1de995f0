// What iou (and ringbahn on top of it) can do, by the rows of its list (I1 to I31), and the cases of its own tests:
// errors of registration (I29) and everything else (I30). What another test proves already is not here.
import { readFileSync, readlinkSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import test from 'ava';
import * as uring from 'uring';
import {
  asyncCancel,
  FileSlots,
  filesUpdate,
  nop,
  PollEvents,
  pollAdd,
  pollRemove,
  read,
  readFixed,
  timeout,
  write,
  writev,
} from 'uring';
import * as f from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { sourceDocs } from './_source-docs.ts';

leakCheck(test);

test('I3: what is prepared stays with the program until the next submit', async (t) => {
  await withRing({}, (ring) => {
    t.true(ring.sq.prep(nop(), 'prepared'));
    t.is(ring.cq.tryNext(), undefined);
    t.is(ring.stats().submitted, 0);
    t.is(ring.sq.submit(), 1);
    t.is(ring.cq.tryNext()?.userData, 'prepared');
  });
});

test('I8: a wait that is over leaves no completion behind, and a timer that is over is known by its result', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, ({ sq, cq }) => {
    sq.prep(read(pipe, Buffer.alloc(1)), 'waits for longer');
    t.is(cq.next({ timeoutMs: 1 }), undefined);
    t.is(cq.ready, 0);
    sq.prep(timeout(1), 'timer');
    const ended = cq.next();
    t.like(ended, { userData: 'timer', res: -constants.errno.ETIME, ok: true });
    t.is(cq.tryNext(), undefined);
  });
});

test('I12: the descriptor of a ring is one of io_uring', async (t) => {
  await withRing({}, (ring) => {
    t.is(readlinkSync(`/proc/self/fd/${ring.fd}`), 'anon_inode:[io_uring]');
  });
});

test('I15: a slice of registered memory is registered memory', async (t) => {
  const { fd } = f.file(t, Buffer.from('0123456789'));
  await withRing({}, async (ring) => {
    const buffer = ring.alloc(8).fill('.');
    t.is(await ring.exec(readFixed(fd, buffer.subarray(2, 5), { offset: 4 })), 3);
    t.is(buffer.toString(), '..456...');
  });
});

test('I16: one function takes descriptors and slots, memory of the ring and of others', async (t) => {
  const { fd } = f.file(t, Buffer.from('the same'));
  await withRing({}, async (ring) => {
    const slot = ring.registrar.registerFiles().alloc(fd);
    for (const file of [fd, slot]) {
      for (const memory of [ring.alloc(8), Buffer.alloc(8), new Uint8Array(new SharedArrayBuffer(8))]) {
        t.is(await ring.exec(read(file, memory, { offset: 0 })), 8);
        t.is(Buffer.from(memory).toString(), 'the same');
      }
    }
  });
});

test('I22: a ring has the features that every kernel has had since they came', async (t) => {
  await withRing({}, (ring) => {
    // Linux 5.4 to 5.9 brought these (io_uring_setup(2)), and the package needs 5.6 at least.
    const old = ['SINGLE_MMAP', 'NODROP', 'SUBMIT_STABLE', 'RW_CUR_POS', 'CUR_PERSONALITY'];
    t.deepEqual(ring.features.slice(0, old.length), old);
  });
});

test('I24: whatever iou can prepare is a function', (t) => {
  const names =
    `nop read readv readFixed write writev writeFixed fsync splice recv send recvmsg sendmsg fallocate statx
    openat close timeout timeoutRemove linkTimeout pollAdd pollRemove connect accept fadvise madvise epollCtl
    filesUpdate provideBuffers removeBuffers asyncCancel`.split(/\s+/);
  t.is(names.length, 31);
  const exported = new Map<string, unknown>(Object.entries(uring));
  t.deepEqual(
    names.filter((name) => typeof exported.get(name) !== 'function'),
    [],
  );
});

test('I28: the documentation of timers says that their end is a completion, which counts', (t) => {
  const docs = sourceDocs();
  t.regex(docs.get('timeout') ?? '', /Its completion has `res` -ETIME/);
  t.regex(docs.get('linkTimeout') ?? '', /Its completion has `res` -ETIME/);
});

test('I31: an operation is in flight, then completed or cancelled; the next on its file waits for the cancel', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, ({ sq, cq }) => {
    const bytes = Buffer.alloc(4);
    sq.prep(read(pipe, bytes), 'read');
    sq.submit();
    const next = [asyncCancel({ userData: 'read' }), write(pipe, Buffer.from('next')), read(pipe, bytes)];
    t.true(sq.prepChain(next, { hard: true, userData: ['cancel', 'write', 'read again'] }));
    cq.wait(4);
    f.endedAs(
      t,
      [...cq],
      [
        ['read', 'ECANCELED'],
        ['cancel', 0],
        ['write', 4],
        ['read again', 4],
      ],
    );
    t.is(bytes.toString(), 'next');
  });
});

// I29: what can be wrong with registered files.

test('I29: an update without a table of files is refused, for slots of ours and of the kernel', async (t) => {
  const { fd } = f.file(t);
  await withRing({}, async (ring) => {
    const expected = { code: 'ERR_URING_SLOT_UNAVAILABLE', message: /registerFiles/ };
    await t.throwsAsync(ring.exec(filesUpdate(0, [fd])), expected);
    await t.throwsAsync(ring.exec(filesUpdate('any', [fd])), expected);
    await f.assertUsable(t, ring);
  });
});

test('I29: a slot behind the end of the table is refused, and the table stays as it is', async (t) => {
  const { fd } = f.file(t, Buffer.from('x'));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 0 });
    const kept = files.set(1, fd);
    t.throws(() => files.set(2, fd), { code: 'ERR_OUT_OF_RANGE', message: /"slot".*<= 1. Received 2/ });
    await t.throwsAsync(ring.exec(filesUpdate(2, [fd])), { code: 'ERR_URING_SLOT_UNAVAILABLE' });
    t.is(await ring.exec(read(kept, Buffer.alloc(1), { offset: 0 })), 1);
  });
});

test('I29: an update with more files than there are slots behind its first changes nothing', async (t) => {
  const { fd } = f.file(t, Buffer.from('x'));
  await withRing({}, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 2, kernelSlots: 0 });
    const kept = files.set(0, fd);
    await t.throwsAsync(ring.exec(filesUpdate(0, [fd, fd, fd])), { code: 'ERR_URING_SLOT_UNAVAILABLE' });
    t.is(await ring.exec(read(kept, Buffer.alloc(1), { offset: 0 })), 1, 'it has not gone stale');
  });
});

test('I29: an update fills an empty slot and leaves empty ones empty', async (t) => {
  const { fd } = f.file(t, Buffer.from('x'));
  await withRing({}, async (ring) => {
    ring.registrar.registerFiles({ slots: 3, kernelSlots: 0 });
    const { EMPTY, SKIP } = FileSlots;
    const [one, two, three] = await ring.exec(filesUpdate(0, [fd, EMPTY, SKIP]));
    t.deepEqual([one?.slot, two, three], [0, undefined, undefined]);
    t.is(await ring.exec(read(one as uring.FixedFile, Buffer.alloc(1), { offset: 0 })), 1);
    t.is(ring.stats().fileSlots, 1);
  });
});

// I30: everything else.

test('I30: iterating without waiting yields all of eight completions, and then ends', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let at = 0; at < 8; at += 1) t.true(sq.prep(nop(), at));
    cq.wait(8);
    t.deepEqual(
      [...cq].map(({ userData }) => userData),
      [0, 1, 2, 3, 4, 5, 6, 7],
    );
  });
});

test('I30: iterating with waiting yields eight completions that come at different times', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let at = 0; at < 8; at += 1) t.true(sq.prep(timeout(1 + at * 4), at));
    sq.submit();
    const seen: unknown[] = [];
    for (const { userData } of cq.blocking(1)) seen.push(userData);
    t.deepEqual(seen.sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

test('I30: a queue of eight serves eight times as many operations, one by one', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let at = 0; at < 64; at += 1) {
      if (!sq.prep(nop(), at)) t.fail('no room');
      cq.wait(1);
      t.is(cq.tryNext()?.userData, at);
    }
  });
});

test('I30: a queue of eight serves sixteen hard-linked chains of four, in order', async (t) => {
  await withRing({ entries: 8 }, ({ sq, cq }) => {
    for (let base = 0; base < 64; base += 4) {
      const userData = [base, base + 1, base + 2, base + 3];
      t.true(sq.prepChain([nop(), nop(), nop(), nop()], { hard: true, userData }));
      cq.wait(4);
      t.deepEqual(
        [...cq].map((completion) => completion.userData),
        userData,
      );
    }
  });
});

test('I30: a slot in the middle of a table of a thousand empty ones is filled, and written through', async (t) => {
  const { fd, path } = f.file(t);
  await withRing({ entries: 2 }, async (ring) => {
    const files = ring.registrar.registerFiles({ slots: 1024, kernelSlots: 0 });
    t.is(ring.stats().fileSlots, 0);
    const file = files.set(713, fd);
    t.is(file.slot, 713);
    t.is(await ring.exec(writev(file, [Buffer.from('hello there\n')], { offset: 0 })), 12);
    t.is(readFileSync(path, 'utf8'), 'hello there\n');
  });
});

test('I30: a file in a table of one slot is written through a list of buffers', async (t) => {
  const { fd, path } = f.file(t);
  await withRing({ entries: 2 }, async (ring) => {
    const file = ring.registrar.registerFiles({ slots: 1, kernelSlots: 0 }).set(0, fd);
    t.is(await ring.exec(writev(file, [Buffer.from('hello '), ring.alloc(5).fill('there')])), 11);
    t.is(readFileSync(path, 'utf8'), 'hello there');
  });
});

test('I30: a poll that waits ends when there is something to read, which stays to be read', async (t) => {
  const pipe = f.fifo(t);
  await withRing({ entries: 2 }, ({ sq, cq }) => {
    sq.prep(pollAdd(pipe, PollEvents.IN), 'poll');
    sq.submit();
    t.is(cq.ready, 0);
    writeSync(pipe, 'Hello World');
    const polled = cq.next();
    t.is(polled?.userData, 'poll');
    t.is((polled?.result as number) & PollEvents.IN, PollEvents.IN);
    const buffer = Buffer.alloc(11);
    sq.prep(read(pipe, buffer));
    t.is(cq.next()?.res, 11);
    t.is(buffer.toString(), 'Hello World');
  });
});

test('I30: a poll that is removed ends with ECANCELED', async (t) => {
  const pipe = f.fifo(t);
  await withRing({ entries: 2 }, ({ sq, cq }) => {
    const poll = pollAdd(pipe, PollEvents.IN);
    sq.prep(poll, 'poll');
    sq.submit();
    sq.prep(pollRemove(poll), 'remove');
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        ['poll', 'ECANCELED'],
        ['remove', 0],
      ],
    );
  });
});

test('I30: a registered file is read into registered memory', async (t) => {
  const { fd } = f.file(t, f.pattern(4096));
  await withRing({ entries: 32 }, async (ring) => {
    const file = ring.registrar.registerFiles({ slots: 1, kernelSlots: 0 }).set(0, fd);
    const buffer = ring.alloc(4096);
    t.is(await ring.exec(readFixed(file, buffer, { offset: 0 })), 4096);
    t.deepEqual(buffer, f.pattern(4096));
  });
});
