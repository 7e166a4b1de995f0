// A stream of bytes in memory, for the mock.

export class MockPipe {
  #bytes = Buffer.alloc(0);
  #isOver = false;
  readonly #waiting = new Set<() => void>();

  readonly put = (bytes: string | Buffer): number => {
    const more = Buffer.from(bytes);
    this.#bytes = Buffer.concat([this.#bytes, more]);
    this.#wake();
    return more.byteLength;
  };

  readonly hangUp = (): void => {
    this.#isOver = true;
    this.#wake();
  };

  #wake(): void {
    for (const wake of [...this.#waiting]) {
      this.#waiting.delete(wake);
      wake();
    }
  }

  get isReady(): boolean {
    return this.#bytes.byteLength > 0 || this.#isOver;
  }

  /** Waits until there is something, or nobody wants it any more: what nobody waits for is not lost. */
  async ready(signal: AbortSignal): Promise<boolean> {
    while (!this.isReady && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    return !signal.aborted;
  }

  /** What an operation reads, now or when there is something. */
  read({ room, signal }: { room: number; signal: AbortSignal }): Buffer | Promise<Buffer | undefined> {
    if (this.isReady) return this.take(room);
    return this.ready(signal).then((isThere) => (isThere ? this.take(room) : undefined));
  }

  /** What one operation reads again and again. */
  async *arriving({
    room,
    signal,
  }: {
    room: number;
    signal: AbortSignal;
  }): AsyncGenerator<Buffer, undefined> {
    while (await this.ready(signal)) yield this.take(room);
  }

  take(room: number): Buffer {
    const taken = this.#bytes.subarray(0, room);
    this.#bytes = this.#bytes.subarray(taken.byteLength);
    return taken;
  }
}
