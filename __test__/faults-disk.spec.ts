// Disks that are full, limited, or fail: a typed error for what was not done, everything acknowledged is there, and the ring
// goes on. (Device-mapper's error and flakey targets: the kernel matrix, where a kernel has them.)
import test, { type ExecutionContext } from 'ava';
import { type Disk, runOn, whenLoops, whenQuotas, whenRoot } from './_disks.ts';
import { leakCheck, tmpDir } from './_helpers.ts';
import { runProgram, WELL } from './_process.ts';

leakCheck(test);

const TIMEOUT_MS = 60_000;

async function says(
  t: ExecutionContext,
  disk: Disk,
  source: string,
  ...lines: readonly string[]
): Promise<void> {
  t.timeout(TIMEOUT_MS);
  t.like(await runOn(disk, source), { ...WELL, stdout: `${lines.join('\n')}\n` });
}

/** Writes records until that is refused, and then reads all that was acknowledged. */
const FILLING = `
  import { openSync, readFileSync, rmSync } from 'node:fs';
  import { fsync, nop, Ring, write } from 'uring';
  const RECORD_BYTES = 10_000;
  const record = (at) => Buffer.alloc(RECORD_BYTES, 'record ' + at + ', ');
  /** What became of each of so many records that were written at once. */
  async function fill(ring, fd, count) {
    return await Promise.all(Array.from({ length: count }, async (_, at) =>
      await ending(ring.exec(write(fd, record(at), { offset: at * RECORD_BYTES })))));
  }
  /** Whether all bytes that were acknowledged are in the file. */
  function holds(path, results) {
    const bytes = readFileSync(path);
    return results.every((done, at) => typeof done !== 'number' ||
      bytes.subarray(at * RECORD_BYTES, at * RECORD_BYTES + done).equals(record(at).subarray(0, done)));
  }
  const errorsOf = (results) => [...new Set(results.filter((result) => typeof result !== 'number'))];
`;

const FULL: Disk = { make: ['mount -t tmpfs -o size=1m,nr_inodes=8 tmpfs "$DIR"'] };

whenRoot(
  'a full disk is ENOSPC for what finds no room, and nothing that was acknowledged is lost',
  async (t) => {
    const source = `${FILLING}
    const fd = openSync(DIR + '/file', 'w');
    openSync(DIR + '/other', 'w');
    const ring = new Ring();
    const results = await fill(ring, fd, 200);
    say(errorsOf(results), results.filter(Number.isInteger).length >= 100, holds(DIR + '/file', results));
    say(await ending(ring.chain([nop(), write(fd, record(0), { offset: 5_000_000 }), fsync(fd)])));
    say(await ring.exec(fsync(fd)) ?? 'synced', await ring.exec(nop({ result: 3 })), ring.inFlight);
    const { truncateSync } = await import('node:fs');
    truncateSync(DIR + '/file', RECORD_BYTES);
    say(await ring.exec(write(fd, record(1), { offset: RECORD_BYTES })), holds(DIR + '/file', [RECORD_BYTES, RECORD_BYTES]));
    await ring.close();`;
    await says(
      t,
      FULL,
      source,
      '["UringError ENOSPC write"] | true | true',
      'ChainError ENOSPC write',
      'synced | 3 | 0',
      '10000 | true',
    );
  },
);

whenRoot('on a full disk composites say how far they came, and close what they had opened', async (t) => {
  const source = `
    import { openSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
    import { fallocate, openat, Ring, writeAll, writeFile } from 'uring';
    const ring = new Ring();
    const fds = () => readdirSync('/proc/self/fd').length;
    const big = Buffer.alloc(3 << 20, 'a lot of bytes ');
    await writeFile(ring, DIR + '/small', 'kept');
    const before = fds();
    const failed = await writeFile(ring, DIR + '/big', big, { fsync: true }).catch((error) => error);
    say(failed.name, failed.code, failed.path === DIR + '/big', fds() - before);
    const there = readFileSync(DIR + '/big');
    say(failed.bytes > 500_000, failed.bytes === there.length, there.equals(big.subarray(0, failed.bytes)));
    const fd = openSync(DIR + '/small', 'r+');
    const more = await writeAll(ring, fd, [big, big], { offset: 4 }).catch((error) => error);
    say(more.name, more.code, more.bytes === statSync(DIR + '/small').size - 4, readFileSync(DIR + '/small', 'latin1').slice(0, 4));
    say(await ending(ring.exec(fallocate(fd, 64 << 20))));
    const paths = Array.from({ length: 10 }, (_, at) => DIR + '/new-' + at);
    const made = await Promise.all(paths.map((path) => ending(ring.exec(openat(path, { openFlags: 'w' })))));
    say([...new Set(made.filter((fd) => typeof fd === 'string'))], made.filter(Number.isInteger).length > 0);
    // The file's own position is behind what was written, so that it can go on when there is room again.
    truncateSync(DIR + '/big', 0);
    const own = openSync(DIR + '/big', 'r+');
    const part = await writeAll(ring, own, big).catch((error) => error);
    truncateSync(DIR + '/small', 0);
    await writeAll(ring, own, [Buffer.from('and '), Buffer.from('on')]);
    const all = Buffer.concat([big.subarray(0, part.bytes), Buffer.from('and on')]);
    say(part.code, part.bytes > 100_000, readFileSync(DIR + '/big').equals(all));
    await ring.close();`;
  await says(
    t,
    FULL,
    source,
    'TransferError | ENOSPC | true | 0',
    'true | true | true',
    'TransferError | ENOSPC | true | kept',
    'UringError ENOSPC fallocate',
    '["UringError ENOSPC openat"] | true',
    'ENOSPC | true | true',
  );
});

const QUOTA: Disk = {
  make: [
    'mount -t tmpfs -o size=64m tmpfs "$DIR"',
    'truncate -s 120m "$DIR/disk"',
    'mkfs.btrfs -q "$DIR/disk" > "$DIR/log" 2>&1',
    'mkdir "$DIR/all" && mount -o loop "$DIR/disk" "$DIR/all"',
    'btrfs quota enable "$DIR/all" && btrfs subvolume create "$DIR/all/mine" > "$DIR/log"',
    'btrfs qgroup limit 1m "$DIR/all/mine"',
  ],
  takeAway: 'umount "$DIR/all"',
};

whenQuotas(
  'a quota is EDQUOT for what goes beyond it, and nothing that was acknowledged is lost',
  async (t) => {
    const source = `${FILLING}
    const path = DIR + '/all/mine/file';
    const fd = openSync(path, 'w');
    const ring = new Ring();
    const results = await fill(ring, fd, 200);
    say(errorsOf(results), results.filter(Number.isInteger).length > 20, holds(path, results));
    say(await ring.exec(fsync(fd)) ?? 'synced', holds(path, results), await ring.exec(nop({ result: 3 })));
    await ring.close();`;
    await says(t, QUOTA, source, '["UringError EDQUOT write"] | true | true', 'synced | true | 3');
  },
);

const BROKEN: Disk = {
  make: [
    'mount -t tmpfs -o size=4m tmpfs "$DIR"',
    'truncate -s 16m "$DIR/disk"',
    'export LOOP=$(losetup -f --show "$DIR/disk")',
  ],
  takeAway: 'losetup -d "$LOOP"',
};

/** The disk is a file: what is cut off is gone, and what its file system has no room for cannot be written. */
const BREAKING = `
  import { constants, openSync, truncateSync, writeFileSync } from 'node:fs';
  import { fsync, nop, Ring, read, readFully, write } from 'uring';
  const MIB = 1 << 20;
  const ring = new Ring();
  const direct = openSync(LOOP, constants.O_RDWR | constants.O_DIRECT);
  const page = (text) => ring.alloc(MIB).fill(text);
  const back = async (at) => {
    const memory = ring.alloc(MIB);
    await ring.exec(read(direct, memory, { offset: at * MIB }));
    return memory;
  };
`;

whenLoops(
  'a disk that loses its blocks is EIO for who reads them, and the rest is read as before',
  async (t) => {
    const source = `${BREAKING}
    for (const at of [0, 1, 2]) await ring.exec(write(direct, page('block ' + at), { offset: at * MIB }));
    await ring.exec(fsync(direct));
    truncateSync(DIR + '/disk', MIB);
    const reads = Array.from({ length: 64 }, (_, at) => ending(ring.exec(read(direct, page(0), { offset: at % 3 * MIB }))));
    const results = await Promise.all(reads);
    say(results.filter((result) => result === MIB).length, [...new Set(results)]);
    say((await back(0)).equals(page('block 0')));
    const chain = await ring.chain([nop(), read(direct, page(0), { offset: MIB }), nop()]).catch((error) => error);
    say(chain.name, chain.code, chain.failedIndex);
    const whole = await readFully(ring, direct, ring.alloc(2 * MIB), { offset: 0 }).catch((error) => error);
    say(whole.name, whole.code);
    say(await ring.exec(nop({ result: 3 })), ring.inFlight);
    await ring.close();`;
    await says(
      t,
      BROKEN,
      source,
      '22 | [1048576,"UringError EIO read"]',
      'true',
      'ChainError | EIO | 1',
      'TransferError | EIO',
      '3 | 0',
    );
  },
);

whenLoops('a disk that takes no more is an error of the write, or of the fsync that follows', async (t) => {
  const source = `${BREAKING}
    say(await ring.exec(write(direct, page('first'), { offset: 0 })));
    try { for (let at = 0; ; at += 1) writeFileSync(DIR + '/filler-' + at, Buffer.alloc(MIB)); } catch {}
    say(await ending(ring.exec(write(direct, page('second'), { offset: 8 * MIB }))));
    const buffered = openSync(LOOP, 'r+');
    // What the page cache takes is not acknowledged before fsync says so.
    say(await ring.exec(write(buffered, page('third'), { offset: 9 * MIB })));
    say(await ending(ring.exec(fsync(buffered))), await ring.exec(fsync(buffered)) ?? 'told once');
    const chain = await ring.chain([write(buffered, page('fourth'), { offset: 10 * MIB }), fsync(buffered), nop()])
      .catch((error) => error);
    say(chain.name, chain.failedIndex, (await back(0)).equals(page('first')));
    await ring.close();`;
  const { stdout, ...ended } = await runOn(BROKEN, source);
  t.like(ended, WELL);
  const [first, direct, buffered, synced, chain] = stdout.split('\n');
  t.is(first, '1048576');
  // Which of them it is says the loop driver (ENOSPC of the file beneath, or EIO).
  t.regex(direct ?? '', /^UringError (ENOSPC|EIO) write$/);
  t.is(buffered, '1048576');
  t.regex(synced ?? '', /^UringError (ENOSPC|EIO) fsync \| told once$/);
  t.is(chain, 'ChainError | 1 | true');
});

test('RLIMIT_FSIZE is EFBIG for what goes beyond it, and the process lives', async (t) => {
  const path = `${tmpDir(t)}/file`;
  const source = `
    import { openSync, readFileSync } from 'node:fs';
    import { nop, Ring, SqeFlags, write, writeFile } from 'uring';
    const path = ${JSON.stringify(path)};
    const ring = new Ring();
    const fd = openSync(path, 'w');
    const results = [];
    for (const flags of [0, SqeFlags.ASYNC])
      for (const offset of [0, 6000, 8192])
        results.push(await ring.exec(write(fd, Buffer.alloc(5000, 'x'), { offset, flags })).catch(({ code }) => code));
    console.log(JSON.stringify(results), readFileSync(path).length);
    const failed = await writeFile(ring, path, Buffer.alloc(9000, 'y')).catch((error) => error);
    console.log(failed.name, failed.code, failed.bytes, readFileSync(path, 'latin1') === 'y'.repeat(8192));
    console.log(await ring.exec(nop({ result: 3 })));
    await ring.close();`;
  const args = ['--fsize=8192', process.execPath, '--input-type=module', '--eval', source];
  const stdout = '[5000,2192,"EFBIG",5000,2192,"EFBIG"] 8192\nTransferError EFBIG 8192 true\n3\n';
  t.like(await runProgram('prlimit', args), { ...WELL, stdout });
});
