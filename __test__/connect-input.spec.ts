// What connecting by TCP and UDP refuses before anything starts.
import test from 'ava';
import { type ConnectTarget, type TcpConnectOptions, tcpConnect, udpConnect } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { answering } from './_lookup.ts';

leakCheck(test);

const REFUSED: readonly (readonly [what: string, target: unknown, options: unknown, code: string])[] = [
  ['no target', undefined, {}, 'ERR_INVALID_ARG_TYPE'],
  ['a target without address and host', { port: 1 }, {}, 'ERR_INVALID_ARG_VALUE'],
  ['a target with both', { address: '::1', host: 'a', port: 1 }, {}, 'ERR_INVALID_ARG_VALUE'],
  ['a name as an address', { address: 'localhost', port: 1 }, {}, 'ERR_INVALID_ARG_VALUE'],
  ['a path', { path: '/a' }, {}, 'ERR_INVALID_ARG_VALUE'],
  ['no port', { host: 'a' }, {}, 'ERR_INVALID_ARG_TYPE'],
  ['a port that is too large', { host: 'a', port: 65_536 }, {}, 'ERR_OUT_OF_RANGE'],
  ['an empty host', { host: '', port: 1 }, {}, 'ERR_INVALID_ARG_VALUE'],
  ['a host that is no string', { host: 7, port: 1 }, {}, 'ERR_INVALID_ARG_TYPE'],
  ['options that are none', { host: 'a', port: 1 }, 7, 'ERR_INVALID_ARG_TYPE'],
  ['a signal that is none', { host: 'a', port: 1 }, { signal: {} }, 'ERR_INVALID_ARG_TYPE'],
  ['a negative time', { host: 'a', port: 1 }, { timeoutMs: -1 }, 'ERR_OUT_OF_RANGE'],
  ['a family that is none', { host: 'a', port: 1 }, { family: 5 }, 'ERR_INVALID_ARG_VALUE'],
  ['a lookup that is none', { host: 'a', port: 1 }, { lookup: 7 }, 'ERR_INVALID_ARG_TYPE'],
  ['a local name', { host: 'a', port: 1 }, { localAddress: 'a' }, 'ERR_INVALID_ARG_VALUE'],
  ['a local port that is too large', { host: 'a', port: 1 }, { localPort: 65_536 }, 'ERR_OUT_OF_RANGE'],
  [
    'a local address of another family',
    { address: '::1', port: 1 },
    { localAddress: '127.0.0.1' },
    'ERR_INVALID_ARG_VALUE',
  ],
  ['an address of another family', { host: '::1', port: 1 }, { family: 4 }, 'ERR_INVALID_ARG_VALUE'],
  [
    'an option that has no name',
    { host: 'a', port: 1 },
    { socketOptions: { SO_X: 1 } },
    'ERR_INVALID_ARG_VALUE',
  ],
  ['direct that is no boolean', { host: 'a', port: 1 }, { direct: 1 }, 'ERR_INVALID_ARG_TYPE'],
];

for (const [what, target, options, code] of REFUSED) {
  test(`${what} is refused before anything starts, for TCP and UDP`, async (t) => {
    await withRing({}, async (ring) => {
      const { submitted } = ring.stats();
      const asked: unknown[] = [];
      const all = typeof options === 'object' ? { lookup: answering([], asked), ...options } : options;
      for (const start of [tcpConnect, udpConnect])
        await t.throwsAsync(start(ring, target as ConnectTarget, all as { direct: true }), {
          code,
          any: true,
        });
      t.is(ring.stats().submitted, submitted);
      t.deepEqual(asked, []);
    });
  });
}

test('options of TCP alone are checked too', async (t) => {
  await withRing({}, async (ring) => {
    const { submitted } = ring.stats();
    for (const options of [
      { noDelay: 1 },
      { keepAlive: 'yes' },
      { keepAliveInitialDelayMs: '1' },
      { attemptDelayMs: '1' },
      { attemptTimeoutMs: '1' },
      { autoSelectFamily: 0 },
    ]) {
      const start = tcpConnect(
        ring,
        { host: 'a', port: 1 },
        options as unknown as TcpConnectOptions as object,
      );
      await t.throwsAsync(start, { code: 'ERR_INVALID_ARG_TYPE', any: true }, JSON.stringify(options));
    }
    t.is(ring.stats().submitted, submitted);
  });
});
