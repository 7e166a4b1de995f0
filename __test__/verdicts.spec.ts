// What an errno of io_uring_setup means where this machine cannot be: other kernels, sandboxes, security modules.
import { constants } from 'node:os';
import test from 'ava';

const { refusedSetup }: typeof import('../dist/platform/unavailable.js') = await import(
  new URL('platform/unavailable.js', import.meta.resolve('uring')).href
);

type Surroundings = Parameters<typeof refusedSetup>[1];

const HERE: Surroundings = {
  release: '6.18.0',
  version: '#1 SMP',
  sysctl: 0,
  group: -1,
  seccomp: 0,
  isAdmin: false,
};
const { EACCES, EBUSY, EINVAL, ENFILE, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM } = constants.errno;
const NO_LIMIT = Number.POSITIVE_INFINITY;

const CASES: readonly (readonly [
  title: string,
  errno: number,
  around: Partial<Surroundings>,
  code: string,
  reason: RegExp,
  remedy: RegExp,
])[] = [
  [
    'Linux 4.18 has none',
    ENOSYS,
    { release: '4.18.0', sysctl: 'absent' },
    'kernel',
    /4\.18\.0.*Linux 5\.1/,
    /5\.6/,
  ],
  [
    'Linux 5.4 has too little',
    EINVAL,
    { release: '5.4.0', sysctl: 'absent' },
    'kernel',
    /too old/,
    /5\.6 or later/,
  ],
  [
    'gVisor imitates Linux 4.4',
    ENOSYS,
    { release: '4.4.0', version: '#1 SMP Sun Jan 10 15:06:54 PST 2016', sysctl: 'absent' },
    'sandbox',
    /^this is gVisor, .*4\.4\.0/,
    /--runtime=runc/,
  ],
  [
    'gVisor imitates Linux 4.19, behind a filter',
    ENOSYS,
    { release: '4.19.0-gvisor', seccomp: 2, sysctl: undefined },
    'sandbox',
    /^this is gVisor/,
    /runtimeClassName/,
  ],
  [
    'WSL 1 imitates Linux 4.4',
    ENOSYS,
    { release: '4.4.0-19041-Microsoft', sysctl: 'absent' },
    'kernel',
    /^this is WSL 1/,
    /WSL 2/,
  ],
  [
    'WSL 2 is a kernel',
    ENOSYS,
    { release: '5.15.167.4-microsoft-standard-WSL2', sysctl: 'absent' },
    'kernel',
    /built without it/,
    /CONFIG_IO_URING/,
  ],
  [
    'a kernel built without it',
    ENOSYS,
    { sysctl: 'absent' },
    'kernel',
    /built without it/,
    /CONFIG_IO_URING.*outside of the sandbox/,
  ],
  ['hidden, though the kernel has it', ENOSYS, {}, 'sandbox', /hides io_uring/, /outside of the sandbox/],
  ['EOPNOTSUPP is taken for ENOSYS', EOPNOTSUPP, { seccomp: 2 }, 'seccomp', /hides/, /seccomp profile/],
  [
    'ENOSYS without /proc',
    ENOSYS,
    { sysctl: undefined, seccomp: undefined },
    'kernel',
    /\/proc cannot be read/,
    /seccomp profile/,
  ],
  [
    'the sysctl is 2, and there is a filter',
    EPERM,
    { sysctl: 2, seccomp: 2 },
    'sysctl',
    /filter is active too/,
    /=0/,
  ],
  [
    'the sysctl is 1, and there is a group',
    EPERM,
    { sysctl: 1, group: 44 },
    'sysctl',
    /now group 44/,
    /io_uring_group=GID/,
  ],
  [
    'the sysctl is 1, for root in a filter',
    EPERM,
    { sysctl: 1, seccomp: 2, isAdmin: true },
    'seccomp',
    /filter/,
    /profile/,
  ],
  ['EPERM with nothing in sight', EPERM, {}, 'permission', /though no seccomp filter/, /security module/],
  ['SELinux', EACCES, {}, 'security-module', /SELinux/, /audit log/],
  ['the machine is out of descriptors', ENFILE, {}, 'descriptors', /machine/, /fs\.file-max/],
  ['out of memory, without a limit', ENOMEM, {}, 'memory', /no memory/, /control group/],
  ['anything else', EBUSY, {}, 'unknown', /EBUSY \(resource busy or locked\)/, /doctor --json/],
];

for (const [title, errno, around, code, reason, remedy] of CASES) {
  test(`${title}: ${code}`, (t) => {
    const answer = refusedSetup(-errno, { ...HERE, ...around }, NO_LIMIT);
    t.like(answer, { available: false, code, errno: -errno });
    t.regex(answer.reason, reason);
    t.regex(answer.remedy, remedy);
  });
}

test('memory runs out against a limit: memlock', (t) => {
  const answer = refusedSetup(-ENOMEM, HERE, 65_536);
  t.like(answer, { code: 'memlock', errno: -ENOMEM });
  t.regex(answer.reason, /RLIMIT_MEMLOCK is 65536 bytes/);
});
