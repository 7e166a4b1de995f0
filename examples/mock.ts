// Tests code that does I/O against answers that are hard to get from a real file: short writes, a full disk.
//
// A mock ring, which answers without a kernel, comes with a later version (issue 5), and this example will use it then.
// Until then `nop({ result })` stands in for it: the real kernel does nothing, and answers what it was told to (since
// Linux 6.10).
//
//   npm run example -- mock
import { nop, type Operation, Ring, type UringError, write } from 'uring';

/** What the code under test needs of the world: an operation that writes bytes somewhere. */
type Write = (bytes: Buffer, offset: number) => Operation<number>;

/** The code under test: goes on after a short write, and once more when it was interrupted. */
async function writeAll(ring: Ring, bytes: Buffer, writing: Write): Promise<number> {
  let calls = 0;
  for (let offset = 0; offset < bytes.byteLength; ) {
    calls += 1;
    try {
      offset += await ring.exec(writing(bytes.subarray(offset), offset));
    } catch (error) {
      if ((error as UringError).code !== 'EINTR') throw error;
    }
  }
  return calls;
}

/** In place of a write: gives these answers, one after the other, and notes what would have been written. */
function scripted(answers: readonly number[], seen: string[]): Write {
  const left = answers.values();
  return (bytes, offset) => {
    seen.push(`${bytes}@${offset}`);
    const { value, done } = left.next();
    if (done === true) throw new Error('the script is over');
    return nop({ result: value });
  };
}

const EINTR = -4;
const ENOSPC = -28;

await using ring = new Ring();
const bytes = Buffer.from('abcdef');

const seen: string[] = [];
const calls = await writeAll(ring, bytes, scripted([4, EINTR, 2], seen));
console.log(`short and interrupted, calls: ${calls}, ${seen.join(' ')}`);

const disk = writeAll(ring, bytes, scripted([3, ENOSPC], []));
await disk.catch((error: UringError) => console.log(`full disk: ${error.code}, errno ${error.errno}`));

// The same code, for real.
console.log(`for real, calls: ${await writeAll(ring, Buffer.from('abcdef\n'), (rest) => write(1, rest))}`);
