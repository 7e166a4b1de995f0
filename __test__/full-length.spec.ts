// Moving exactly as many bytes as there are.
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  AbortError,
  nop,
  type Operation,
  pipe,
  type Ring,
  RwFlags,
  read,
  readFully,
  recvExactly,
  SqeFlags,
  sendAll,
  shutdown,
  TransferError,
  writeAll,
} from 'uring';
import { file, open, pattern } from './_fixtures.ts';
import { leakCheck, skipUnless, withRing } from './_helpers.ts';
import { tcpPair } from './_loopback.ts';
import { settle, soon } from './_until.ts';

type T = ExecutionContext<unknown>;
type Composites = typeof import('../dist/composites/full-length.js');
type Limits = typeof import('../dist/composites/remaining.js');

const { moveAll }: Composites = await import(
  new URL('composites/full-length.js', import.meta.resolve('uring')).href
);
const { Remaining }: Limits = await import(
  new URL('composites/remaining.js', import.meta.resolve('uring')).href
);

leakCheck(test);

/** Whether files beside the tests' own can be opened so (tmpfs has learnt it with 6.6). */
function hasDirect(): boolean {
  const path = join(tmpdir(), `uring-direct-${process.pid}`);
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path, { force: true });
  }
}

// The kernel leaves the position of such a file where it is: each piece was written over the one before.
skipUnless(hasDirect(), 'a file system with O_DIRECT')(
  'at the own position of an O_DIRECT file each piece goes on where the last has ended',
  async (t) => {
    const { path } = file(t);
    const fd = open(t, path, constants.O_RDWR | constants.O_DIRECT);
    await withRing({}, async (ring) => {
      // More pieces than one operation takes.
      const parts = Array.from({ length: 3 }, (_, at) => {
        const part = ring.alloc(3 << 20);
        part.set(pattern(part.length, at + 1));
        return part;
      });
      await writeAll(ring, fd, parts.slice(0, 2));
      await writeAll(ring, fd, parts.slice(2));
      t.true(readFileSync(path).equals(Buffer.concat(parts)));
      const again = open(t, path, constants.O_RDONLY | constants.O_DIRECT);
      for (const part of parts) {
        const memory = ring.alloc(3 << 20);
        t.is(await readFully(ring, again, memory), memory.length);
        t.true(memory.equals(part));
      }
      t.is(await readFully(ring, again, ring.alloc(4096)), 0);
    });
  },
);

/** A pipe whose reads and writes wait. */
async function pipeOf(t: T, ring: Ring): Promise<{ reader: number; writer: number; closeWriter(): void }> {
  const { readFd, writeFd } = await ring.exec(pipe());
  let isOpen = true;
  const closeWriter = (): void => {
    if (isOpen) closeSync(writeFd);
    isOpen = false;
  };
  t.teardown(() => closeSync(readFd));
  t.teardown(closeWriter);
  return { reader: readFd, writer: writeFd, closeWriter };
}

test('readFully fills the buffer, however the bytes come, and reads fewer at the end only', async (t) => {
  const bytes = pattern(10_000);
  const { fd } = file(t, bytes);
  await withRing({}, async (ring) => {
    const buffer = Buffer.alloc(6000);
    t.is(await readFully(ring, fd, buffer, { offset: 1000 }), 6000);
    t.true(buffer.equals(bytes.subarray(1000, 7000)));
    t.is(await readFully(ring, fd, buffer, { offset: 7000n }), 3000);
    t.is(await readFully(ring, fd, buffer, { offset: 20_000 }), 0);
    t.is(await readFully(ring, fd, Buffer.alloc(0)), 0);
    t.is(await readFully(ring, fd, buffer), 6000, 'at its own position');
    t.is(await readFully(ring, fd, buffer), 4000, 'which has moved');
    const { reader, writer, closeWriter } = await pipeOf(t, ring);
    const filling = readFully(ring, reader, buffer);
    for (let at = 0; at < 6000; at += 1000) {
      writeSync(writer, bytes, at, 1000);
      await settle(3);
    }
    t.is(await soon(filling, 'all that was written'), 6000);
    t.true(buffer.equals(bytes.subarray(0, 6000)));
    writeSync(writer, 'the end');
    closeWriter();
    t.is(await readFully(ring, reader, buffer), 7);
  });
});

test('writeAll writes all, of one buffer or of many, also where a write takes only a part', async (t) => {
  const bytes = pattern(1_000_000);
  const { fd, path } = file(t);
  await withRing({}, async (ring) => {
    await writeAll(ring, fd, bytes);
    t.true(readFileSync(path).equals(bytes));
    const parts = Array.from({ length: 2500 }, (_, at) => bytes.subarray(at * 400, (at + 1) * 400));
    await writeAll(ring, fd, parts, { offset: 1_000_000 });
    t.true(readFileSync(path).equals(Buffer.concat([bytes, bytes])));
    await writeAll(ring, fd, []);
    // A pipe holds 64 KiB.
    const { reader, writer } = await pipeOf(t, ring);
    const taken = Buffer.alloc(2_000_000);
    const reading = readFully(ring, reader, taken);
    await writeAll(ring, writer, bytes);
    await writeAll(ring, writer, parts);
    t.is(await soon(reading, 'all of both'), 2_000_000);
    t.true(taken.equals(Buffer.concat([bytes, bytes])));
  });
});

test('sendAll sends all and recvExactly receives all, on a connection that takes it in pieces', async (t) => {
  const bytes = pattern(9_000_000);
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    const buffers = [Buffer.alloc(9_000_000), ring.alloc(9_000_000)];
    for (const buffer of buffers) {
      const sending = sendAll(ring, client, bytes);
      const header = buffer.subarray(0, 100);
      await recvExactly(ring, server, header);
      await recvExactly(ring, server, buffer.subarray(100));
      await sending;
      t.true(buffer.equals(bytes));
    }
    await sendAll(ring, client, Buffer.alloc(0));
    await recvExactly(ring, server, Buffer.alloc(0));
  });
});

test('recvExactly rejects when the connection ends before, and says after how many bytes', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    const receiving = recvExactly(ring, server, Buffer.alloc(100));
    await sendAll(ring, client, pattern(30));
    await ring.exec(shutdown(client, 'write'));
    const error = await t.throwsAsync(receiving, { instanceOf: TransferError });
    t.like(error, { code: 'ERR_URING_SHORT_TRANSFER', bytes: 30, syscall: 'recv' });
    t.regex(error.message, /after 30 of 100 bytes/);
  });
});

test('sendAll to a connection that is gone is EPIPE or ECONNRESET', async (t) => {
  await withRing({}, async (ring) => {
    const [client, server] = await tcpPair(t, ring);
    await ring.exec(shutdown(client, 'both'));
    const error = await t.throwsAsync(sendAll(ring, client, pattern(10)), { instanceOf: TransferError });
    t.like(error, { code: 'EPIPE', bytes: 0, syscall: 'send' });
    t.true(server >= 0);
  });
});

test('stopped half-way, the error tells how many bytes were moved', async (t) => {
  await withRing({}, async (ring) => {
    const { reader, writer } = await pipeOf(t, ring);
    const bytes = pattern(1_000_000);
    const late = await t.throwsAsync(writeAll(ring, writer, bytes, { timeoutMs: 300 }), {
      instanceOf: TransferError,
      code: 'ERR_URING_TIMEOUT',
    });
    t.is(late.bytes, 65_536, 'what a pipe holds');
    const held = Buffer.alloc(65_536);
    t.is(await readFully(ring, reader, held), 65_536);
    t.true(held.equals(bytes.subarray(0, 65_536)));

    const controller = new AbortController();
    const reading = readFully(ring, reader, Buffer.alloc(100), { signal: controller.signal });
    writeSync(writer, 'forty-two bytes, and then nothing any more');
    await settle();
    controller.abort(new Error('enough'));
    const aborted = await t.throwsAsync(reading, { instanceOf: AbortError });
    t.like(aborted, { result: 42, cause: { message: 'enough' } });

    const [client, server] = await tcpPair(t, ring);
    const receiving = recvExactly(ring, server, Buffer.alloc(100), { timeoutMs: 300 });
    await sendAll(ring, client, pattern(30));
    t.like(await t.throwsAsync(receiving), { code: 'ERR_URING_TIMEOUT', bytes: 30 });
    const sending = sendAll(ring, client, Buffer.alloc(50_000_000), { timeoutMs: 300 });
    const error = await t.throwsAsync(sending, { instanceOf: TransferError, code: 'ERR_URING_TIMEOUT' });
    t.true(error.bytes > 0 && error.bytes < 50_000_000);
    t.is(ring.inFlight, 0);
  });
});

test('what is interrupted is tried again, what would have to wait once more by a worker thread', async (t) => {
  await withRing({}, async (ring) => {
    const left = new Remaining(ring, 'test', {});
    const answers = (results: number[], isFile: boolean): Promise<number> => {
      const flagsSeen: number[] = [];
      const piece = (_done: number, flags: number): Operation<number> => {
        flagsSeen.push(flags);
        return nop({ result: results.shift() ?? 0 });
      };
      seen.push(flagsSeen);
      return moveAll(left, { sizeBytes: 10, piece, isFile });
    };
    const seen: number[][] = [];
    const { EINTR, EAGAIN } = { EINTR: -4, EAGAIN: -11 };
    t.is(await answers([EINTR, 3, EINTR, EINTR, EINTR, 7], false), 10);
    t.is(await answers([4, EAGAIN, 3, EAGAIN, 3], true), 10);
    t.deepEqual(seen[1], [0, 0, SqeFlags.ASYNC, 0, SqeFlags.ASYNC]);
    t.is(await answers([4, 0], true), 4);
    t.like(await t.throwsAsync(answers([4, EAGAIN, EAGAIN], true)), { code: 'EAGAIN', bytes: 4 });
    t.like(await t.throwsAsync(answers([4, EAGAIN], false)), { code: 'EAGAIN', bytes: 4 });
    t.like(await t.throwsAsync(answers([4, -5], true)), { code: 'EIO', bytes: 4, errno: -5 });
  });
});

test('a read that must not wait is tried twice, and says EAGAIN', async (t) => {
  await withRing({}, async (ring) => {
    const { reader } = await pipeOf(t, ring);
    const submitted = ring.stats().submitted;
    const reading = readFully(ring, reader, Buffer.alloc(8), { rwFlags: RwFlags.NOWAIT });
    const error = await t.throwsAsync(soon(reading, 'an answer'), { instanceOf: TransferError });
    t.like(error, { code: 'EAGAIN', syscall: 'read', bytes: 0 });
    t.is(ring.stats().submitted - submitted, 2);
  });
});

test('what is wrong is refused before anything is moved', async (t) => {
  const fd = open(t, '/dev/null', 'r+');
  await withRing({}, async (ring) => {
    const type = { code: 'ERR_INVALID_ARG_TYPE' };
    const range = { code: 'ERR_OUT_OF_RANGE' };
    const buffer = Buffer.alloc(8);
    await t.throwsAsync(readFully(ring, 'x' as never, buffer), { ...type, message: /"fd"/ });
    await t.throwsAsync(readFully(ring, fd, 'x' as never), { ...type, message: /"buffer"/ });
    for (const offset of [-1, -1n])
      await t.throwsAsync(readFully(ring, fd, buffer, { offset }), { ...range, message: /offset.*>= 0/ });
    await t.throwsAsync(writeAll(ring, fd, buffer, { offset: -1 }), { ...range, message: /offset.*>= 0/ });
    await t.throwsAsync(readFully(ring, fd, buffer, { rwFlags: 0.5 }), { ...range, message: /rwFlags/ });
    await t.throwsAsync(readFully({} as Ring, fd, buffer), { ...type, message: /"ring"/ });
    await t.throwsAsync(writeAll(ring, fd, 'x' as never), { ...type, message: /"data"/ });
    await t.throwsAsync(writeAll(ring, fd, [buffer, 7 as never]), { ...type, message: /data\[1\]/ });
    await t.throwsAsync(writeAll(ring, fd, buffer, { timeoutMs: -1 }), { ...range, message: /timeoutMs/ });
    await t.throwsAsync(sendAll(ring, fd, {} as never), { ...type, message: /"data"/ });
    await t.throwsAsync(sendAll(ring, fd, buffer, { messageFlags: -1 }), {
      ...range,
      message: /messageFlags/,
    });
    await t.throwsAsync(recvExactly(ring, fd, null as never), { ...type, message: /"buffer"/ });
    await t.throwsAsync(recvExactly(ring, fd, buffer, { signal: AbortSignal.abort() }), {
      code: 'ABORT_ERR',
    });
    t.is(ring.stats().submitted, 0);
    t.is(await ring.exec(read(fd, buffer)), 0);
  });
});
