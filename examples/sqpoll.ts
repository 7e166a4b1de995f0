// SQPOLL: a thread of the kernel looks for new operations, so that submitting takes no system call while it is awake, and
// looking for completions never does. That thread burns a core until nothing has come for `idleMs`: it is for programs
// that are busy all the time.
//
//   npm run example -- sqpoll
import { closeSync, openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { nop, Ring, read } from 'uring';

const BATCHES = 50;
const BATCH = 10;

const ring = new Ring({ sqpoll: { idleMs: 10_000 } });
const fd = openSync(fileURLToPath(import.meta.url), 'r');
const buffers = Array.from({ length: BATCH }, () => ring.alloc(64));

// The thread starts asleep: the first submission wakes it.
ring.prep(nop());
ring.submitAndWait(1);
for (const { error } of ring.completions()) if (error !== null) throw error;
const before = ring.stats();

let bytes = 0;
for (let batch = 0; batch < BATCHES; batch += 1) {
  for (const [at, buffer] of buffers.entries()) ring.prep(read(fd, buffer, { offset: at * 64 }));
  // Tells the kernel only when its thread has fallen asleep.
  ring.submit();
  // A program would do something useful meanwhile; `submitAndWait` would be a system call.
  while (ring.cqReady < BATCH) await turn();
  for (const { error, res } of ring.completions()) {
    if (error !== null) throw error;
    bytes += res;
  }
}
const { submitted, enters } = ring.stats();
console.log(`${submitted - before.submitted} reads of ${bytes} bytes in ${BATCHES} submissions`);
console.log(`system calls: ${enters - before.enters}`);

closeSync(fd);
await ring.close();
