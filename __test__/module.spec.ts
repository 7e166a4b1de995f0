import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import test from 'ava';
import * as uring from 'uring';
import { leakCheck } from './_helpers.ts';
import { ROOT, runModule, runNode, WELL } from './_process.ts';
import { sourceDocs } from './_source-docs.ts';

const EXPORTS = [
  'AT_FDCWD',
  'AbortError',
  'BigIntStats',
  'BufferGroup',
  'BufferLease',
  'BufferRing',
  'CURRENT_POSITION',
  'ChainError',
  'Completion',
  'CompletionHalf',
  'CqeFlags',
  'EpollEvents',
  'FallocateMode',
  'FileSlots',
  'FileTable',
  'FixedFile',
  'LeasedMessage',
  'MessageFlags',
  'Op',
  'Operation',
  'PollEvents',
  'ProvidedBuffers',
  'ReceivedDescriptors',
  'ReceivedMessage',
  'Ring',
  'RingWorker',
  'RwFlags',
  'SharedMemory',
  'SocketFlags',
  'SpliceFlags',
  'SplitCompletion',
  'SqeFlags',
  'Stats',
  'StatxAttributes',
  'StatxMask',
  'SubmissionHalf',
  'SyncFileRangeFlags',
  'TransferError',
  'UringError',
  'accept',
  'acceptMultishot',
  'asyncCancel',
  'availability',
  'bind',
  'blockDiscard',
  'close',
  'connect',
  'epollCtl',
  'epollWait',
  'fadvise',
  'fallocate',
  'fgetxattr',
  'filesUpdate',
  'fixedFdInstall',
  'forEachFile',
  'fsetxattr',
  'fsync',
  'ftruncate',
  'futexWait',
  'futexWaitv',
  'futexWake',
  'getpeername',
  'getsockname',
  'getsockopt',
  'getxattr',
  'ioprio',
  'linkTimeout',
  'linkat',
  'listen',
  'madvise',
  'mkdirat',
  'msgRing',
  'msgRingFile',
  'nop',
  'nop128',
  'openat',
  'openat2',
  'pipe',
  'pollAdd',
  'pollMultishot',
  'pollRemove',
  'pollUpdate',
  'probe',
  'provideBuffers',
  'raw',
  'read',
  'readFile',
  'readFiles',
  'readFilesInOrder',
  'readFixed',
  'readFully',
  'readMultishot',
  'readv',
  'readvFixed',
  'receiveQueueBytes',
  'recv',
  'recvExactly',
  'recvMultishot',
  'recvZc',
  'recvmsg',
  'recvmsgMultishot',
  'removeBuffers',
  'renameat',
  'send',
  'sendAll',
  'sendBundle',
  'sendMessage',
  'sendQueueBytes',
  'sendZc',
  'sendmsg',
  'sendmsgZc',
  'setsockopt',
  'setxattr',
  'shutdown',
  'socket',
  'socketAddress',
  'splice',
  'statFiles',
  'statx',
  'symlinkat',
  'syncFileRange',
  'tcpConnect',
  'tcpListen',
  'tee',
  'timeout',
  'timeoutMultishot',
  'timeoutRemove',
  'timeoutUpdate',
  'txTimestamp',
  'udpConnect',
  'unixConnect',
  'unixListen',
  'unlinkat',
  'uringCmd128',
  'waitid',
  'write',
  'writeAll',
  'writeFile',
  'writeFixed',
  'writev',
  'writevFixed',
];

/** What no kernel has to have: helpers, the question itself, and operations that have no name here. */
const OF_NO_KERNEL: readonly string[] = ['availability', 'ioprio', 'probe', 'raw', 'socketAddress'];

leakCheck(test);

interface Example {
  readonly title: string;
  readonly source: string;
}

/** The fenced blocks of every doc comment below ts/, those marked `no-run` apart. */
function examples(): { run: Example[]; total: number } {
  const run: Example[] = [];
  let total = 0;
  for (const name of readdirSync(join(ROOT, 'ts'), { recursive: true, encoding: 'utf8' }).sort()) {
    if (!name.endsWith('.ts')) continue;
    const text = readFileSync(join(ROOT, 'ts', name), 'utf8');
    for (const match of text.matchAll(/^ *\* ```ts(?<mark>[^\n]*)\n(?<body>(?: *\*[^\n]*\n)*?) *\* ```$/gm)) {
      const { mark = '', body = '' } = match.groups ?? {};
      total += 1;
      if (mark.trim() === 'no-run') continue;
      const line = text.slice(0, match.index).split('\n').length;
      run.push({ title: `ts/${name}:${line}`, source: body.replaceAll(/^ *\* ?/gm, '') });
    }
  }
  return { run, total };
}

/** `await using` as Node 20 can run it: closed at the end, in reverse order, whatever happens. */
function downLevel(source: string): string {
  const disposed: string[] = [];
  const lines = source.split('\n').map((line) =>
    line.replace(/^await using (\w+) =/, (_, name: string) => {
      disposed.unshift(name);
      return `var ${name} =`;
    }),
  );
  const imports = lines.filter((line) => line.startsWith('import '));
  const body = lines.filter((line) => !line.startsWith('import '));
  const ends = disposed.map((name) => `  await ${name}?.[Symbol.asyncDispose]();`);
  return [...imports, 'try {', ...body, '} finally {', ...ends, '}', ''].join('\n');
}

/** What is left of an example without its types, of which they have few: `(name: Type) =>`. */
function withoutTypes(source: string): string {
  return source.replaceAll(/\((\w+): \w+\) =>/g, '($1) =>').replaceAll(/^import type .*$/gm, '');
}

test('ES modules and CommonJS get the same classes', async (t) => {
  const required = createRequire(import.meta.url)('uring') as typeof uring;
  t.is(required.Ring, uring.Ring);
  t.is(required.UringError, uring.UringError);
  t.deepEqual(Object.keys(required).sort(), EXPORTS);
  // In the other order too, and where nothing but CommonJS is loaded.
  const source = `
    const { Ring, nop } = require('uring');
    const ring = new Ring();
    ring.exec(nop()).then(async (result) => {
      const esm = await import('uring');
      await ring.close();
      console.log(result, esm.Ring === Ring, ring instanceof esm.Ring);
    });
  `;
  const ended = await runNode(['--input-type=commonjs', '--no-warnings', '--eval', source]);
  t.like(ended, { ...WELL, stdout: '0 true true\n' });
});

test('the package exports what it says, and nothing else', (t) => {
  t.deepEqual(Object.keys(uring).sort(), EXPORTS);
  t.false('default' in uring);
});

test('files inside the package are its own affair', async (t) => {
  const require = createRequire(import.meta.url);
  t.throws(() => require('uring/dist/ring.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
  t.is((require('uring/package.json') as { name: string }).name, 'uring');
});

test('the package depends on nothing at run time', (t) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  t.deepEqual(manifest.dependencies ?? {}, {});
  t.deepEqual(manifest.peerDependencies ?? {}, {});
  t.deepEqual(
    Object.keys(manifest.optionalDependencies ?? {}).filter((name) => !name.startsWith('uring-linux-')),
    [],
  );
  const foreign: string[] = [];
  for (const name of readdirSync(join(ROOT, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (!/\.c?js$/.test(name)) continue;
    const text = readFileSync(join(ROOT, 'dist', name), 'utf8');
    for (const [, from = ''] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom '([^']+)';/gm)) {
      if (!from.startsWith('.') && !from.startsWith('node:')) foreign.push(`${name}: ${from}`);
    }
  }
  t.deepEqual(foreign, []);
});

test('importing the package opens no ring, no file, and loads no native code', async (t) => {
  const ended = await runModule(`
    import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
    // Node's own: it looks at the standard streams when this module is first imported.
    import 'node:util';
    const look = () => ({
      fds: readdirSync('/proc/self/fd').map((fd) => {
        try { return fd + ' ' + readlinkSync('/proc/self/fd/' + fd); } catch { return ''; }
      }),
      native: /uring\\.linux[^\\n]*\\.node/.test(readFileSync('/proc/self/maps', 'latin1')),
    });
    const opened = (before, after) => after.fds.filter((fd) => !before.fds.includes(fd));
    const before = look();
    const { Ring } = await import('uring');
    const imported = look();
    const ring = new Ring();
    const open = look();
    await ring.close();
    const rings = opened(imported, open).filter((fd) => fd.endsWith(' anon_inode:[io_uring]'));
    console.log(JSON.stringify([opened(before, imported), imported.native, rings.length, open.native]));
  `);
  t.like(ended, WELL);
  t.deepEqual(JSON.parse(ended.stdout), [[], false, 1, true]);
});

test('a ring is closed by asyncDispose, as `await using` calls it', async (t) => {
  t.is(typeof Symbol.asyncDispose, 'symbol');
  const ring = new uring.Ring();
  const hour = t.throwsAsync(ring.exec(uring.timeout(3_600_000)), { code: 'ECANCELED' });
  t.is(await ring[Symbol.asyncDispose](), undefined);
  await hour;
  t.true(ring.closed);
  await t.throwsAsync(ring.exec(uring.nop()), { code: 'ERR_URING_CLOSED' });
});

const { run, total } = examples();

test('examples are found, and most of them run', (t) => {
  t.true(total >= 20, `${total} examples`);
  t.true(run.length > total / 2, `${run.length} of ${total} run`);
  t.is(
    downLevel('await using a = f();\nawait using b = g(a);\nuse(b);').split('\n').slice(-4, -2).join(''),
    '  await b?.[Symbol.asyncDispose]();  await a?.[Symbol.asyncDispose]();',
  );
});

/** In the project, so that the package is found by its name; the kernel matrix makes this folder writable. */
const SCRATCH = join(ROOT, 'build', 'scratch');
mkdirSync(SCRATCH, { recursive: true });

/**
 * The last example of each processor. Each is a process of its own: a hundred at a time were all slower than their limit
 * (load average 70 on two processors).
 */
const lanes: Promise<unknown>[] = Array.from({ length: availableParallelism() }, () => Promise.resolve());

for (const [at, { title, source }] of run.entries()) {
  test(`the example at ${title} runs`, async (t) => {
    const dir = mkdtempSync(join(SCRATCH, 'example-'));
    const scratch = mkdtempSync(join(tmpdir(), 'uring-example-'));
    t.teardown(() => {
      rmSync(dir, { recursive: true });
      rmSync(scratch, { recursive: true });
    });
    // Inside the project, so that 'uring' is this package; run elsewhere, so that it litters nothing here.
    const file = join(dir, 'example.mjs');
    writeFileSync(file, downLevel(withoutTypes(source)));
    const lane = at % lanes.length;
    const running = Promise.resolve(lanes[lane]).then(() =>
      runNode([file], { cwd: scratch, timeoutMs: 20_000 }),
    );
    lanes[lane] = running.catch(() => {});
    const ended = await running;
    t.like(ended, WELL, `${relative(ROOT, title)}\n${ended.stderr}\n${source}`);
  });
}

test('what is exported is documented; functions with manual page, example, first kernel, in the README', (t) => {
  const index = readFileSync(join(ROOT, 'ts/index.ts'), 'utf8');
  const names = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    list.split(',').flatMap((name) => name.trim().replace(/^type /, '') || []),
  );
  t.true(names.length > EXPORTS.length, 'types too');
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const docs = sourceDocs();
  for (const name of names) {
    const text = docs.get(name) ?? '';
    t.not(text, '', name);
    if (!/^[a-z]/.test(name) || !EXPORTS.includes(name)) continue;
    if (name !== 'ioprio')
      t.true(readme.includes(`\`${name}\``) || readme.includes(`${name}()`), `${name} in the README`);
    t.regex(text, /@see/, name);
    t.regex(text, /@example/, name);
    if (!OF_NO_KERNEL.includes(name)) t.regex(text, /Since Linux \d/, name);
  }
});
