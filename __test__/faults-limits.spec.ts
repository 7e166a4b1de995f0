// Memory that cannot be had because of limits: an error of whoever wants it, and the ring goes on.
import test from 'ava';
import { leakCheck, skipUnless } from './_helpers.ts';
import { fixture, runModule, WELL } from './_process.ts';
import { BUILD_TIMEOUT_MS, buildSandbox, sandboxed } from './_sandbox.ts';

/** Of no other test: what is locked is counted for each user. */
const USER = '65532';
const PRELUDE = `import { ending, outcome, say } from ${JSON.stringify(fixture('_faults.mjs'))};`;

leakCheck(test);

test.before('the program that makes sandboxes is built', async (t) => {
  t.timeout(BUILD_TIMEOUT_MS);
  await buildSandbox();
});

test('without address space memory is ENOMEM, until there is some again', async (t) => {
  const source = `${PRELUDE}
    import { execFileSync } from 'node:child_process';
    import { openSync, readFileSync } from 'node:fs';
    import { nop, Ring, read, readFile, write } from 'uring';
    const ring = new Ring();
    const fd = openSync('/dev/zero', 'r+');
    // What stands ready for reuse would need no address space.
    await ring.exec(read(fd, Buffer.alloc(64)));
    const sizeBytes = () => 1024 * /VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1];
    // Only what is asked for from now on is limited; V8 keeps some for itself.
    const limit = (bytes) => execFileSync('prlimit', ['--pid', process.pid, '--as=' + bytes + ':']);
    const big = Buffer.alloc(256 << 20);
    limit(sizeBytes() + (100 << 20));
    say(outcome(() => ring.alloc(256 << 20)), outcome(() => ring.allocShared(256 << 20)));
    say(outcome(() => ring.registrar.registerBufferRing({ entries: 1024, sizeBytes: 1 << 18 })));
    say(await ending(ring.exec(write(fd, big))), await ending(ring.exec(read(fd, big))), await ending(ring.chain([nop(), write(fd, big)])));
    say(await ring.exec(read(fd, Buffer.alloc(64))), ring.alloc(64).length, ring.inFlight);
    limit('unlimited');
    say(ring.alloc(256 << 20).length === big.length, await ring.exec(read(fd, big)) > 0);
    await ring.close();`;
  const stdout = [
    'UringError ENOMEM mmap | UringError ENOMEM mmap',
    'UringError ENOMEM io_uring_register',
    'UringError ENOMEM mmap | UringError ENOMEM mmap | UringError ENOMEM mmap',
    '64 | 64 | 0',
    'true | true',
  ];
  t.like(await runModule(source), { ...WELL, stdout: `${stdout.join('\n')}\n` });
});

skipUnless(process.geteuid?.() === 0, 'root')(
  'with little memory to lock, memory that is beyond it works, and says that it is not registered',
  async (t) => {
    const source = `
      import { openSync } from 'node:fs';
      import { Ring, read, readFixed } from 'uring';
      const tell = ({ code, syscall }) => code + ' ' + syscall;
      const ring = new Ring({ entries: 8, cqEntries: 8 });
      const fd = openSync('/dev/zero');
      const small = ring.alloc(4096);
      const big = ring.alloc(64 << 20);
      console.log(await ring.exec(read(fd, big)) > 0, await ring.exec(read(fd, small)));
      const { registeredBytes, unregisteredBytes } = ring.stats();
      console.log(registeredBytes < big.length, unregisteredBytes >= big.length);
      console.log(await ring.exec(readFixed(fd, big)).catch(({ code }) => code));
      try { ring.registrar.registerBuffers([big]); } catch (error) { console.log(tell(error)); }
      await ring.close();`;
    const limits = ['--memlock', String(4 << 20), '--uid', USER];
    const ended = await sandboxed(limits, ['--input-type=module', '--eval', source]);
    const stdout = ['true 4096', 'true true', 'ERR_URING_NOT_REGISTERED', 'ENOMEM io_uring_register'];
    t.like(ended, { ...WELL, stdout: `${stdout.join('\n')}\n` });
  },
);
