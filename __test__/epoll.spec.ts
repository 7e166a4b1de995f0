// An epoll instance, changed and waited for by a ring. Node cannot make one: these tests take that of a worker's event
// loop, while the worker blocks its thread and does not look at it.
import { closeSync, openSync, writeSync } from 'node:fs';
import test from 'ava';
import { asyncCancel, EpollEvents, epollCtl, epollWait, type Ring } from 'uring';
import { epoll } from './_epoll.ts';
import { assertUsable, FORMS, file, runAs, twoEnds } from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';

leakCheck(test);

const { IN, OUT, ET, ONESHOT } = EpollEvents;

/** Everything the instance has to say, apart from what its own loop watches. */
async function ours(ring: Ring, epfd: number, data: bigint): Promise<number | undefined> {
  const events = await ring.exec(epollWait(epfd));
  return events.find((event) => event.data === data)?.events;
}

for (const form of FORMS) {
  test.serial(`a descriptor is added, told of, changed and deleted (${form})`, async (t) => {
    const epfd = await epoll(t);
    const { reader, writer } = twoEnds(t);
    await withRing({}, async (ring) => {
      const data = 2n ** 64n - 2n;
      t.is(await runAs(form, ring, epollCtl(epfd, 'add', reader, { events: IN, data })), undefined);
      await t.throwsAsync(runAs(form, ring, epollCtl(epfd, 'add', reader)), { code: 'EEXIST' });
      writeSync(writer, 'x');
      t.is(await ours(ring, epfd, data), IN);
      const change = { events: IN | ET | ONESHOT, data: 7 };
      t.is(await runAs(form, ring, epollCtl(epfd, 'modify', reader, change)), undefined);
      t.is(await ours(ring, epfd, 7n), IN);
      t.is(await runAs(form, ring, epollCtl(epfd, 'delete', reader)), undefined);
      await t.throwsAsync(runAs(form, ring, epollCtl(epfd, 'delete', reader)), { code: 'ENOENT' });
      await t.throwsAsync(runAs(form, ring, epollCtl(epfd, 'modify', reader)), { code: 'ENOENT' });
    });
  });
}

test.serial('epollWait waits until something comes, and brings no more than was asked for', async (t) => {
  const epfd = await epoll(t);
  const { reader, writer } = twoEnds(t);
  await withRing({}, async (ring) => {
    await ring.exec(epollCtl(epfd, 'add', reader, { events: IN }));
    const waiting = ring.exec(epollWait(epfd, 1));
    ring.submit();
    t.is(ring.inFlight, 1);
    writeSync(writer, 'x');
    t.deepEqual(await waiting, [{ events: IN, data: BigInt(reader) }]);
    await ring.exec(epollCtl(epfd, 'add', writer, { events: OUT }));
    t.is((await ring.exec(epollWait(epfd, 1))).length, 1);
    t.is((await ring.exec(epollWait(epfd, 64))).length, 2);
    await ring.exec(epollCtl(epfd, 'delete', writer));
    await ring.exec(epollCtl(epfd, 'delete', reader));
  });
});

test.serial('epollWait takes a registered file, and is cancelled', async (t) => {
  const epfd = await epoll(t);
  const { reader, writer } = twoEnds(t);
  await withRing({}, async (ring) => {
    const slot = ring.registrar.registerFiles().alloc(epfd);
    const wait = epollWait(slot);
    const ended = ring.exec(wait).catch((error: NodeJS.ErrnoException) => error.code as unknown);
    ring.submit();
    t.is(await ring.exec(asyncCancel(wait)), 0);
    t.is(await ended, 'ECANCELED');
    await ring.exec(epollCtl(epfd, 'add', reader, { events: IN }));
    writeSync(writer, 'x');
    t.deepEqual(await ring.exec(wait), [{ events: IN, data: BigInt(reader) }]);
    await ring.exec(epollCtl(epfd, 'delete', reader));
  });
});

test('what is no epoll instance is EINVAL, what is not open EBADF', async (t) => {
  const { fd } = file(t);
  const { reader } = twoEnds(t);
  await withRing({}, async (ring) => {
    await t.throwsAsync(ring.exec(epollCtl(fd, 'add', reader)), { code: 'EINVAL' });
    await t.throwsAsync(ring.exec(epollWait(fd)), { code: 'EINVAL' });
    const gone = openSync('/dev/null', 'r');
    closeSync(gone);
    await t.throwsAsync(ring.exec(epollCtl(gone, 'add', reader)), { code: 'EBADF' });
    await t.throwsAsync(ring.exec(epollWait(gone)), { code: 'EBADF' });
    await assertUsable(t, ring);
  });
});
