// Calls that fail while a ring is opened, tied to the event loop, or told something: a typed error, no descriptor lost, and
// the next attempt works.
import test, { type ExecutionContext } from 'ava';
import { probe } from 'uring';
import { canFail, runFaulty, STRACE, whenTraced } from './_faults.ts';
import { leakCheck, skipUnless } from './_helpers.ts';
import { WELL } from './_process.ts';

leakCheck(test);

const TIMEOUT_MS = 90_000;
const whenResized = skipUnless(
  canFail && probe().registrations.includes('REGISTER_RESIZE_RINGS'),
  `Linux 6.13 and ${STRACE}`,
  test.serial,
);

/** Opens a ring, and tells how that ended and how many descriptors it has left open. */
const OPENING = `
  import { readdirSync } from 'node:fs';
  import { availability, nop, Ring } from 'uring';
  const fds = () => readdirSync('/proc/self/fd').length;
  await new Ring().close();
  async function open(...faults) {
    const before = fds();
    fault(...faults);
    let ring;
    const ended = outcome(() => { ring = new Ring(); return 'opened'; });
    mend();
    if (ring === undefined) return say(ended, fds() - before);
    say(ended, await ring.exec(nop({ result: 3 })));
    await ring.close();
  }`;

async function says(t: ExecutionContext, source: string, ...lines: readonly string[]): Promise<void> {
  t.timeout(TIMEOUT_MS);
  t.like(await runFaulty(source), { ...WELL, stdout: lines.join('\n') });
}

whenTraced('a ring that the kernel does not open is an error, and none once it does', async (t) => {
  const source = `${OPENING}
    for (const errno of ['EAGAIN', 'EBUSY', 'EBADF', 'ENOMEM'])
      await open('io_uring_setup:error=' + errno);
    fault('io_uring_setup:error=ENOMEM');
    const { available, errno, reason } = availability();
    say(available, errno, /no memory for a ring/.test(reason));
    mend();
    say(availability().available);
    await open('io_uring_setup:error=ENOMEM:when=2');`;
  await says(
    t,
    source,
    ...['EAGAIN', 'EBUSY', 'EBADF'].map((errno) => `UringError ${errno} io_uring_setup | 0`),
    'UringError ERR_URING_UNAVAILABLE io_uring_setup | 0',
    'false | -12 | true',
    'true',
    'opened | 3',
  );
});

whenTraced(
  'a signal that comes between is no error, wherever a ring is opened or told something',
  async (t) => {
    const source = `${OPENING}
    await open('io_uring_setup:error=EINTR:when=1..5', 'io_uring_register:error=EINTR:when=1..5');
    const ring = new Ring();
    fault('io_uring_register:error=EINTR:when=1..3');
    ring.registrar.registerFiles({ slots: 4 });
    ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 });
    say(ring.alloc(64).length, ring.stats().registeredBytes > 0, await ring.exec(nop({ result: 4 })));
    mend();
    await ring.close();`;
    await says(t, source, 'opened | 3', '64 | true | 4');
  },
);

whenTraced('queues that cannot be mapped are an error, and the ring that was made is closed', async (t) => {
  const source = `${OPENING}
    // Two mappings of the kernel's pages, and one for the block that Rust and JavaScript share.
    for (const at of [1, 2, 3]) await open('mmap:error=ENOMEM:when=' + at);
    await open('mmap:error=EAGAIN:when=1');
    await open('mprotect:error=ENOMEM:when=1');
    await open('madvise:error=ENOMEM:when=1..5');`;
  const none = 'UringError ERR_URING_UNAVAILABLE io_uring_setup | 0';
  // What keeps children from copying pages only makes them slower.
  await says(t, source, none, none, none, 'UringError EAGAIN io_uring_setup | 0', none, 'opened | 3');
});

whenTraced(
  'a ring that cannot be tied to the event loop refuses what was started, and can be later',
  async (t) => {
    const source = `
    import { readdirSync } from 'node:fs';
    import { nop, Ring } from 'uring';
    const fds = () => readdirSync('/proc/self/fd').length;
    for (const call of ['eventfd2', 'io_uring_register']) {
      for (const errno of ['EAGAIN', 'ENOMEM', 'EBADF']) {
        const ring = new Ring();
        const before = fds();
        fault(call + ':error=' + errno + ':when=1');
        const refused = await ending(ring.exec(nop()));
        say(refused.replace(/ [a-z_0-9]+$/, ''), fds() - before, await ring.exec(nop({ result: 2 })), ring.inFlight);
        mend();
        await ring.close();
      }
    }
    const ring = new Ring();
    fault('eventfd2:error=EMFILE');
    say((await ending(ring.exec(nop()))).includes('EMFILE'), (await ending(ring.close())) ?? 'closed');
    mend();`;
    const lines = ['EAGAIN', 'ENOMEM', 'EBADF'].map((errno) => `UringError ${errno} | 0 | 2 | 0`);
    await says(t, source, ...lines, ...lines, 'true | closed');
  },
);

whenTraced('what cannot be registered is an error and changes nothing; memory works without', async (t) => {
  const source = `
    import { nop, Ring, read } from 'uring';
    import { openSync } from 'node:fs';
    const fd = openSync('/dev/zero');
    for (const errno of ['EAGAIN', 'ENOMEM', 'EBUSY', 'EBADF']) {
      const ring = new Ring();
      await ring.exec(nop());
      const once = (act) => {
        fault('io_uring_register:error=' + errno + ':when=1');
        const ended = outcome(act);
        mend();
        return ended;
      };
      const files = () => ring.registrar.registerFiles({ slots: 4 }).slots;
      const buffers = () => ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 }).sizeBytes;
      say(once(files), once(buffers));
      say(once(() => ring.alloc(64).length), ring.stats().registeredBytes, await ring.exec(read(fd, ring.alloc(64))));
      say(outcome(files), await ring.exec(nop({ result: 2 })));
      await ring.close();
    }`;
  const lines = (errno: string): string[] => {
    const error = `UringError ${errno} io_uring_register`;
    return [`${error} | ${error}`, '64 | 0 | 64', '4 | 2'];
  };
  await says(t, source, ...['EAGAIN', 'ENOMEM', 'EBUSY', 'EBADF'].flatMap(lines));
});

whenResized(
  'a resize that the kernel refuses changes nothing, and one that a signal interrupts is done',
  async (t) => {
    const source = `
    import { nop, Ring } from 'uring';
    const ring = new Ring({ entries: 8, cqEntries: 16 });
    await ring.exec(nop());
    for (const what of ['ENOMEM:when=1', 'EBUSY:when=1', 'EBADF:when=1', 'EINTR:when=1..3']) {
      fault('io_uring_register:error=' + what);
      const ended = outcome(() => ring.resize({ cqEntries: 64 }) ?? 'resized');
      mend();
      say(ended, ring.cqEntries, await ring.exec(nop({ result: 2 })));
    }
    await ring.close();`;
    const refused = ['ENOMEM', 'EBUSY', 'EBADF'].map(
      (errno) => `UringError ${errno} io_uring_register | 16 | 2`,
    );
    await says(t, source, ...refused, 'resized | 64 | 2');
  },
);

// The operations that came after it waited for ever: the ring was given up in Rust, and nobody had told JavaScript.
whenResized('a resize whose queues cannot be mapped breaks the ring, and everybody is told', async (t) => {
  const source = `
    import { nop, Ring, timeout } from 'uring';
    for (const at of [1, 2, 3]) {
      const ring = new Ring();
      const running = ending(ring.exec(timeout(3_600_000)));
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      fault('mmap:error=ENOMEM:when=' + at);
      say(outcome(() => ring.resize({ cqEntries: 8192 })));
      mend();
      say(await running, await ending(ring.exec(nop())), outcome(() => ring.submitAndWait(1)), outcome(() => ring.run('once')));
      await ring.close();
      say(ring.closed);
    }`;
  const broken = 'UringError EBADFD io_uring_enter';
  const lines = [
    'UringError ENOMEM io_uring_register',
    `${broken} | ${broken} | ${broken} | ${broken}`,
    'true',
  ];
  await says(t, source, ...lines, ...lines, ...lines);
});

whenTraced('memory that cannot be mapped is an error of whoever wants it, and of nobody else', async (t) => {
  const source = `
    import { openSync } from 'node:fs';
    import { nop, Ring, read } from 'uring';
    const fd = openSync('/dev/zero');
    const ring = new Ring();
    const other = ending(ring.exec(nop({ result: 1 })));
    const once = (act) => {
      fault('mmap:error=ENOMEM:when=1');
      const ended = outcome(act);
      mend();
      return ended;
    };
    say(once(() => ring.alloc(300_000)), once(() => ring.allocShared(4096)));
    say(once(() => ring.registrar.registerBufferRing({ entries: 4, sizeBytes: 64 })));
    fault('mmap:error=ENOMEM:when=1');
    // Staged, as any memory of JavaScript's own.
    say(await ending(ring.exec(read(fd, Buffer.alloc(64)))), await ending(ring.chain([nop(), read(fd, Buffer.alloc(64))])));
    mend();
    say(await other, await ring.exec(read(fd, Buffer.alloc(64))), ring.alloc(300_000).length, ring.inFlight);
    await ring.close();`;
  await says(
    t,
    source,
    'UringError ENOMEM mmap | UringError ENOMEM mmap',
    'UringError ENOMEM io_uring_register',
    'UringError ENOMEM mmap | [0,64]',
    '1 | 64 | 300000 | 0',
  );
});
