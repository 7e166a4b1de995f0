// What xuring can do, by the rows of its list, where no other test proves it.
import test from 'ava';
import * as uring from 'uring';
import { asyncCancel, read, timeout } from 'uring';
import * as f from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { closing, listening } from './_loopback.ts';
import { runModule } from './_process.ts';
import { until } from './_until.ts';

leakCheck(test);

test('X2: a million operations by callback allocate nothing, once everything has its slot', async (t) => {
  t.timeout(120_000);
  const program = `
    import { getHeapStatistics } from 'node:v8';
    import { Ring, nop } from 'uring';
    const ring = new Ring({ asyncContext: false });
    const operation = nop();
    let left = 0;
    let done;
    const again = () => {
      if (left > 0) start();
      else if (ring.inFlight === 0) done();
    };
    function start() {
      left -= 1;
      ring.start(operation, again);
    }
    const round = (count) => new Promise((resolve) => {
      done = resolve;
      left = count;
      for (let at = 0; at < 128; at += 1) start();
    });
    await round(200_000);
    globalThis.gc();
    await round(200_000);
    const before = getHeapStatistics().used_heap_size;
    await round(1_000_000);
    console.log(getHeapStatistics().used_heap_size - before);
    await ring.close();
  `;
  // So large that nothing is collected, and whatever is allocated can be seen.
  const nodeArguments = ['--expose-gc', '--max-semi-space-size=256', '--min-semi-space-size=256'];
  const ended = await runModule(program, { nodeArguments, timeoutMs: 100_000 });
  t.like(ended, { code: 0, stderr: '' });
  const bytes = Number(ended.stdout);
  // Each turn of the loop costs a few, whatever is in it.
  t.true(bytes < 1_000_000, `${bytes} bytes for 1,000,000 operations`);
});

test('X9: the default callback does nothing, and an operation without one is run', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, async (ring) => {
    ring.start(uring.write(pipe, Buffer.from('nobody waits')));
    ring.start(uring.nop({ result: -5 }));
    await until(() => ring.inFlight === 0);
    const buffer = Buffer.alloc(32);
    t.is(await ring.exec(read(pipe, buffer)), 12);
  });
});

test('X11: every operation of xuring is a function', (t) => {
  const names =
    `nop timeout read write readv writev openat close fsync statx socket connect accept recv pollAdd splice
    asyncCancel msgRing`.split(/\s+/);
  const exported = new Map<string, unknown>(Object.entries(uring));
  t.deepEqual(
    names.filter((name) => typeof exported.get(name) !== 'function'),
    [],
  );
});

test('X12: an offset is the position of the file, its beginning, or a number of bytes', async (t) => {
  const { fd } = f.file(t, Buffer.from('0123456789'));
  await withRing({}, async (ring) => {
    const at = async (offset?: number | bigint): Promise<string> => {
      const buffer = Buffer.alloc(2);
      await ring.exec(read(fd, buffer, offset === undefined ? {} : { offset }));
      return buffer.toString();
    };
    t.deepEqual(
      [await at(), await at(0), await at(7n), await at(uring.CURRENT_POSITION)],
      ['01', '01', '78', '23'],
    );
  });
});

test('X14: a timer of an hour is cancelled by the value that made it, and both tell how it went', async (t) => {
  await withRing({}, async (ring) => {
    const timer = timeout(3_600_000);
    const told = new Map<unknown, unknown>();
    const tell: uring.CompletionCallback<unknown> = (error, result, { userData }) =>
      void told.set(userData, error?.code ?? result);
    ring.start(timer, tell, 'timer');
    ring.start(asyncCancel(timer), tell, 'cancel');
    await until(() => told.size === 2);
    t.is(told.get('timer'), 'ECANCELED');
    t.is(told.get('cancel'), 0);
  });
});

test('X15: one operation in flight is cancelled, or all of them', async (t) => {
  const pipe = f.fifo(t);
  await withRing({}, ({ sq, cq }) => {
    for (const name of ['first', 'second', 'third']) sq.prep(timeout(3_600_000), name);
    sq.prep(read(pipe, Buffer.alloc(1)), 'read');
    sq.prep(asyncCancel({ userData: 'second' }), 'cancel one');
    cq.wait(2);
    f.endedAs(
      t,
      [...cq],
      [
        ['second', 'ECANCELED'],
        ['cancel one', 0],
      ],
    );
    sq.prep(asyncCancel({ any: true }), 'cancel all');
    cq.wait(4);
    f.endedAs(
      t,
      [...cq],
      [
        ['first', 'ECANCELED'],
        ['third', 'ECANCELED'],
        ['read', 'ECANCELED'],
        ['cancel all', 3],
      ],
    );
    sq.prep(asyncCancel({ any: true }), 'nothing is left');
    t.is(cq.next()?.res, 0);
  });
});

test('X21: a socket is made and connected by one callback, whose msg says where it is', async (t) => {
  await withRing({}, async (ring) => {
    const server = await listening(t, ring);
    const states: number[] = [];
    const fd = await new Promise<number>((resolve, reject) => {
      const step: uring.CompletionCallback<unknown> = (error, result, { msg, userData }) => {
        states.push(msg);
        if (error !== null) reject(error);
        else if (msg === 0) ring.start(uring.connect(result as number, server.at), step, result, 1);
        else resolve(userData as number);
      };
      ring.start(uring.socket('IPv4', 'stream'), step, undefined, 0);
    });
    closing(t, fd);
    t.deepEqual(states, [0, 1]);
    t.deepEqual(uring.socketAddress(fd, 'peer'), { ...server.at, family: 'IPv4' });
  });
});
