import { close, recv, sendAll, tcpConnect, timeout } from 'uring';

const AGAIN = new Set(['ECONNREFUSED', 'ECONNRESET', 'EAGAIN']);

/** Asks once, on a connection of its own. */
async function once(ring, target, question, limits) {
  const { fd } = await tcpConnect(ring, target, { noDelay: true, ...limits });
  try {
    await sendAll(ring, fd, Buffer.from(`${question}\n`), limits);
    const buffer = ring.alloc(256);
    let answer = '';
    while (!answer.endsWith('\n')) {
      const bytes = await ring.exec(recv(fd, buffer), limits);
      if (bytes === 0) throw Object.assign(new Error('the server has gone'), { code: 'ECONNRESET' });
      answer += buffer.toString('utf8', 0, bytes);
    }
    return answer.slice(0, -1);
  } finally {
    await ring.exec(close(fd));
  }
}

/** Asks, and asks again when there is hope: after 100 ms, 200 ms, 400 ms, ... */
export async function ask(ring, target, question, { tries = 3, timeoutMs = 1000 } = {}) {
  for (let left = tries - 1, waitMs = 100; ; left -= 1, waitMs *= 2) {
    try {
      return await once(ring, target, question, { timeoutMs });
    } catch (error) {
      if (left === 0 || !AGAIN.has(error.code)) throw error;
    }
    await ring.exec(timeout(waitMs));
  }
}
