// One connection of a server: what arrives goes to a protocol, and what it answers is sent in order.
import {
  asyncCancel,
  type BufferLease,
  type BufferRing,
  type Completion,
  close,
  type FixedFile,
  type Ring,
  recvMultishot,
  send,
  shutdown,
  type UringError,
} from 'uring';
import { ByteQueue } from './byte-queue.ts';

/** Answers that may wait for a slow reader; with more, nothing is read from it. */
const ANSWERS_BYTES_MAX = 256 * 1024;
const SEND_BYTES_MAX = 128 * 1024;
/** How long the peer may go on sending after the last answer. */
const LINGER_MS = 1000;

/** What a server makes of what it hears: one for each connection. */
export interface Protocol {
  /**
   * Answers the request at the front of the input, with `connection.write`. The input is gone afterwards.
   *
   * @returns the bytes that it took; for a request that is not complete, how many it needs at least, as a negative number
   */
  answer(input: Buffer, connection: Connection): number;
}

/**
 * It is written with callbacks, which cost less than promises, and let it decide about each completion: `receive` and
 * `send` are in flight at most once each, and the socket is closed when neither is.
 */
export class Connection {
  readonly #ring: Ring;
  readonly #fd: FixedFile;
  readonly #protocol: Protocol;
  readonly #onClosed: (connection: Connection) => void;
  readonly #receive: ReturnType<typeof recvMultishot>;
  readonly #input = new ByteQueue();
  readonly #answers = new ByteQueue();
  /** The protocol wants this much before it looks again. */
  #needed = 1;
  #receiving = false;
  #pausing = false;
  #sending = false;
  /** The peer has sent all it had. */
  #inputEnded = false;
  /** No more requests are answered. */
  #ending = false;
  #shutDown = false;
  /** The socket is to be closed as soon as nothing is in flight. */
  #closing = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(
    ring: Ring,
    fd: FixedFile,
    buffers: BufferRing,
    protocol: Protocol,
    onClosed: (connection: Connection) => void,
  ) {
    this.#ring = ring;
    this.#fd = fd;
    this.#protocol = protocol;
    this.#onClosed = onClosed;
    this.#receive = recvMultishot(fd, buffers);
    this.#arm();
  }

  /** Sends bytes, or a text of characters below 256, after all that was written before. */
  write(data: Uint8Array | string): void {
    this.#answers.append(data);
  }

  /** Sends what was written, and closes. */
  end(): void {
    this.#ending = true;
    this.#goOn();
  }

  /** Closes at once. */
  destroy(): void {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#linger);
    // It ends what is in flight: closing would not.
    if (this.#receiving || this.#sending) this.#ring.start(shutdown(this.#fd, 'both'), ignore);
    this.#closeIfIdle();
  }

  get #isFull(): boolean {
    return this.#answers.length > ANSWERS_BYTES_MAX;
  }

  #arm(): void {
    if (this.#receiving || this.#inputEnded || this.#closing || this.#isFull) return;
    this.#receiving = true;
    this.#ring.start(this.#receive, this.#onReceived);
  }

  readonly #onReceived = (
    error: UringError | null,
    lease: BufferLease | null,
    completion: Completion,
  ): void => {
    try {
      if (lease) this.#take(lease.data);
    } finally {
      lease?.release();
    }
    if (!completion.hasMore) {
      this.#receiving = false;
      // Without a buffer there was nothing to receive: the end. Other ends are the kernel's, and it is started again: it
      // found no buffer (they are back after each batch), no room for a completion, or was cancelled by ourselves.
      if (error === null && !lease) this.#inputEnded = true;
      else if (error !== null && error.code !== 'ECANCELED' && error.code !== 'ENOBUFS') this.destroy();
    }
    this.#goOn();
  };

  #take(data: Buffer): void {
    if (this.#ending || this.#closing) return;
    if (this.#input.length === 0) {
      // Most requests come whole, and are read where the kernel has put them.
      this.#input.append(data.subarray(this.#answerAll(data)));
    } else {
      this.#input.append(data);
    }
  }

  /** Answers the requests of some input, and says how much of it they were. */
  #answerAll(input: Buffer): number {
    let taken = 0;
    this.#needed = 1;
    while (input.length - taken >= this.#needed && !this.#isFull && !this.#ending) {
      const bytes = this.#protocol.answer(input.subarray(taken), this);
      if (bytes > 0) taken += bytes;
      else this.#needed = Math.max(-bytes, input.length - taken + 1);
    }
    return taken;
  }

  /** Does what can be done now, after anything has happened. */
  #goOn(): void {
    if (this.#closing) {
      this.#closeIfIdle();
      return;
    }
    if (!this.#ending && this.#input.length >= this.#needed) {
      this.#input.take(this.#answerAll(this.#input.bytes));
    }
    this.#sendNext();
    if (this.#isFull) this.#pause();
    if (!this.#sending && (this.#ending || this.#inputEnded)) this.#finish();
    this.#arm();
  }

  #sendNext(): void {
    if (this.#sending || this.#answers.length === 0) return;
    this.#sending = true;
    this.#ring.start(send(this.#fd, this.#answers.bytes.subarray(0, SEND_BYTES_MAX)), this.#onSent);
  }

  readonly #onSent = (error: UringError | null, bytes: number): void => {
    this.#sending = false;
    // It may have been short.
    if (error === null) this.#answers.take(bytes);
    else this.destroy();
    this.#goOn();
  };

  /** Stops receiving. What comes nevertheless before the end is kept. */
  #pause(): void {
    if (!this.#receiving || this.#pausing) return;
    this.#pausing = true;
    this.#ring.start(asyncCancel(this.#receive), () => {
      this.#pausing = false;
    });
  }

  /** All is answered and sent. A close now could make the peer lose the answer, if it is still sending. */
  #finish(): void {
    if (this.#inputEnded) {
      this.destroy();
    } else if (!this.#shutDown) {
      this.#shutDown = true;
      this.#ring.start(shutdown(this.#fd, 'write'), ignore);
      this.#linger = setTimeout(() => this.destroy(), LINGER_MS);
    }
  }

  #closeIfIdle(): void {
    if (this.#receiving || this.#sending) return;
    this.#receiving = true; // for good
    this.#ring.start(close(this.#fd), () => this.#onClosed(this));
  }
}

/** The peer was faster. */
function ignore(): void {}
