import { BufferRing, type BufferRingOptions } from './buffer-ring.ts';
import { systemError, type UringError } from './errors.ts';
import { FileTable, type FileTableOptions } from './files.ts';
import type { NativeRing } from './platform/native.ts';
import type { Engine } from './runtime/engine.ts';
import { closedError } from './runtime/rejects.ts';
import { checkInteger, checkOptions } from './validate.ts';

/** @internal What a registrar needs of its ring. */
export interface RegistrarOwner {
  readonly ring: unknown;
  readonly engine: Engine;
  isClosed(): boolean;
}

/**
 * What a ring is told ahead of time: files, buffers, credentials. Reached as `ring.registrar`.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/io_uring_register.2.html io_uring_register(2)}
 */
export class Registrar {
  readonly #owner: RegistrarOwner;
  readonly #native: NativeRing;
  readonly #bufferRings = new Set<BufferRing>();
  #files: FileTable | undefined;

  /** @internal */
  constructor(owner: RegistrarOwner) {
    this.#owner = owner;
    this.#native = owner.engine.native;
  }

  #assertOpen(): void {
    if (this.#owner.isClosed()) throw closedError();
  }

  // Files.

  /**
   * Registers the ring's table of files, once. Since Linux 6.0.
   *
   * @throws `EMFILE` when the table is larger than RLIMIT_NOFILE, `EBUSY` when there is one already
   */
  registerFiles(options: FileTableOptions = {}): FileTable {
    this.#assertOpen();
    checkOptions('options', options);
    const owner = { native: this.#native, assertOpen: () => this.#assertOpen() };
    this.#files = new FileTable(this.#owner.ring, owner, options);
    return this.#files;
  }

  /** The table that `registerFiles` made. */
  get files(): FileTable | undefined {
    return this.#files;
  }

  // Provided buffers.

  /** Registers a ring of provided buffers. Since Linux 5.19 (`mmap` 6.4, `incremental` 6.12). */
  registerBufferRing(options: BufferRingOptions = {}): BufferRing {
    this.#assertOpen();
    checkOptions('options', options);
    const { ring, engine, isClosed } = this.#owner;
    const owner = {
      native: this.#native,
      recycle: (group: number, id: number) => engine.recycle(group, id),
      forget: (buffers: BufferRing) => this.#bufferRings.delete(buffers),
      get isClosed(): boolean {
        return isClosed();
      },
    };
    const buffers = new BufferRing(ring, owner, options);
    this.#bufferRings.add(buffers);
    return buffers;
  }

  /** @internal The ring is closing: ends the streams that wait for a buffer. */
  abandon(error: UringError): void {
    for (const buffers of this.#bufferRings) buffers.abandon(error);
  }

  // Credentials.

  /** Registers the process's present credentials, for the `personality` option of operations. Since Linux 5.6. */
  registerPersonality(): number {
    this.#assertOpen();
    const id = this.#native.registerPersonality();
    if (id < 0) throw systemError(id, 'io_uring_register');
    return id;
  }

  unregisterPersonality(id: number): void {
    this.#assertOpen();
    const result = this.#native.unregisterPersonality(checkInteger('id', id, 1, 0xffff));
    if (result < 0) throw systemError(result, 'io_uring_register');
  }
}
