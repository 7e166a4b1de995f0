// What composites have open is closed also where the ring takes no operation to close it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { asyncCancel, nop, Ring, read, readFiles, tcpConnect } from 'uring';
import { fifo } from './_fixtures.ts';
import { leakCheck, openFds, skipUnless, tmpDir, withRing } from './_helpers.ts';
import { blackHole } from './_loopback.ts';
import { runModule, WELL } from './_process.ts';
import { settle, soon, until } from './_until.ts';

leakCheck(test);

const asRoot = skipUnless(process.geteuid?.() === 0, 'root');

/** A child that counts what of its descriptors are sockets or files of this directory. */
function child(dir: string): string {
  return `
    import { forEachFile, nop, Ring, tcpConnect, tcpListen, writeFile } from 'uring';
    import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
    import { setTimeout as sleep } from 'node:timers/promises';
    const DIR = ${JSON.stringify(dir)};
    const NOBODY = 65534;
    const outcome = (promise) => promise.then(() => 'done', (error) => error.code);
    const targets = () => readdirSync('/proc/self/fd').flatMap((fd) => {
      try { return [readlinkSync('/proc/self/fd/' + fd)]; } catch { return []; }
    });
    const left = () => targets().filter((to) => to.startsWith('socket:') || to.startsWith(DIR)).length;
    // The kernel drops files asynchronously.
    const settled = async (count) => {
      for (let turns = 0; turns < 500 && left() !== count; turns += 1) await sleep(10);
      return left() - count;
    };
    const ring = new Ring();
    await ring.exec(nop());
  `;
}

asRoot('after a change of credentials a connection that is given up closes its socket', async (t) => {
  const ended = await runModule(`${child(tmpDir(t))}
    const hole = await tcpListen(ring, { address: '127.0.0.1', port: 0 }, { backlog: 0 });
    await tcpConnect(ring, hole.address);
    const before = left();
    const connecting = outcome(tcpConnect(ring, hole.address, { timeoutMs: 100 }));
    while (left() === before) await sleep(1);
    process.setegid(NOBODY);
    console.log(await connecting);
    process.setegid(0);
    console.log(await settled(before));
    process.exit();
  `);
  t.like(ended, { ...WELL, stdout: 'ERR_URING_TIMEOUT\n0\n' });
});

asRoot('after a change of credentials files that are read and written are closed', async (t) => {
  const ended = await runModule(`${child(tmpDir(t))}
    const paths = Array.from({ length: 100 }, (_, at) => DIR + '/' + at);
    for (const path of paths) writeFileSync(path, 'a file');
    const before = left();
    let count = 0;
    const reading = forEachFile(ring, paths, () => { count += 1; if (count === 20) process.setegid(NOBODY); });
    await outcome(reading);
    console.log(count);
    process.setegid(0);
    console.log(await settled(before));
    const writing = outcome(writeFile(ring, DIR + '/large', Buffer.alloc(32 << 20)));
    while (left() === before) await sleep(0);
    process.setegid(NOBODY);
    console.log(await writing);
    process.setegid(0);
    console.log(await settled(before));
    process.exit();
  `);
  t.like(ended, { ...WELL, stdout: '100\n0\nERR_URING_CREDENTIALS_CHANGED\n0\n' });
});

/** Fills the ring with operations that wait, and its waiting queue up to its end. */
function fill(ring: Ring, fd: number): Promise<unknown>[] {
  const waiting: Promise<unknown>[] = [];
  const room = ring.cqEntries + 4 - ring.inFlight;
  for (let count = 0; count < room; count += 1)
    waiting.push(ring.exec(read(fd, Buffer.alloc(1))).catch((error) => error.code));
  return waiting;
}

test.serial(
  'a connection that is aborted on a ring without any room ends, and closes its socket',
  async (t) => {
    const fd = fifo(t);
    await withRing({}, async (other) => {
      const { at } = await blackHole(t, other);
      const ring = new Ring({ entries: 4, cqEntries: 8, waitingMax: 1 });
      await ring.exec(nop());
      const before = openFds().size;
      const controller = new AbortController();
      const connecting = tcpConnect(ring, at, { signal: controller.signal });
      await until(() => openFds().size > before);
      await settle();
      const waiting = fill(ring, fd);
      await settle();
      controller.abort();
      await t.throwsAsync(soon(connecting, 'the end of connecting'), { code: 'ABORT_ERR' });
      t.is(openFds().size, before);
      await ring.close();
      const codes = await Promise.all(waiting);
      t.true(codes.includes('ERR_URING_QUEUE_FULL'), 'it was full');
    });
  },
);

test.serial('slots are closed when everything is cancelled, also what waits for room', async (t) => {
  const fd = fifo(t);
  const dir = tmpDir(t);
  const paths = Array.from({ length: 60 }, (_, at) => join(dir, `${at}`));
  for (const path of paths) writeFileSync(path, 'a file');
  await withRing({}, async (other) => {
    const { at } = await blackHole(t, other);
    await withRing({ entries: 8, cqEntries: 16 }, async (ring) => {
      ring.registrar.registerFiles({ slots: 1, kernelSlots: 4 });
      await ring.exec(nop());
      const before = openFds().size;
      for (let round = 0; round < 10; round += 1) {
        const controller = new AbortController();
        const connecting = tcpConnect(ring, at, { direct: true, signal: controller.signal });
        await until(() => ring.stats().fileSlots === 1);
        await settle();
        // Whatever would close the slot by the ring waits behind these.
        const waiting = fill(ring, fd);
        controller.abort();
        await settle();
        await ring.exec(asyncCancel({ any: true }));
        await t.throwsAsync(soon(connecting, 'the end'), { code: 'ABORT_ERR' });
        await Promise.all(waiting);
        t.is(ring.stats().fileSlots, 0);
        const reading = readFiles(ring, paths, { direct: true });
        await settle(round);
        const others = fill(ring, fd);
        await ring.exec(asyncCancel({ any: true }));
        await soon(reading, 'the files');
        await ring.exec(asyncCancel({ any: true }));
        await Promise.all(others);
        t.is(ring.stats().fileSlots, 0);
      }
      t.is(openFds().size, before);
    });
  });
});
