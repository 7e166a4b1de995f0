// What handlers of mocks may answer; compiled, never run.
import { mock } from 'uring/mock';

mock({
  openat: ({ path }) => (path === '/a' ? undefined : 'ENOENT'),
  read: async () => 'EAGAIN',
  write: [1, 'EINTR', Buffer.from('x')],
  *recv() {
    yield Buffer.from('a');
    return 0;
  },
  async *accept() {
    yield 3;
  },
  getsockname: { address: { address: '::1', port: 1 } },
  close: () => {},
});
// @ts-expect-error: no operation is called so
mock({ opened: 0 });
// @ts-expect-error: neither a result nor several
mock({ read: () => true });
// @ts-expect-error: no part of a result
mock({ accept: { adress: { path: '/a' } } });
// @ts-expect-error: there is no such operation to be missing
mock({}, { missing: ['frobnicate'] });
