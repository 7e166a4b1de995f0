// What xuring can do with the kernel, by the rows of its list (X11 to X16), where no other test proves it.
import test from 'ava';
import * as uring from 'uring';
import { asyncCancel, read, timeout } from 'uring';
import * as f from './_fixtures.ts';
import { leakCheck, withRing } from './_helpers.ts';
import { until } from './_until.ts';

leakCheck(test);

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
