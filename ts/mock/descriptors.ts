import { stand } from '../platform/descriptors.ts';

/**
 * The first descriptor of a mock. The system has none as high (fs.nr_open), so that using one by mistake with the real
 * thing fails; and none is ever used twice, so that using one after it was closed fails too.
 */
export const FIRST_DESCRIPTOR = 1_000_000_000;
let next = FIRST_DESCRIPTOR;

/** An open file, under a descriptor, in slots of rings, or both. */
export interface MockFile {
  readonly fd: number;
  /** What it is, for messages. */
  readonly what: string;
}

/** A number that no file has had. */
export function reserveDescriptor(): number {
  const fd = next;
  next += 1;
  return fd;
}

/** The descriptors of a mock. */
export class Descriptors {
  /** Where those stand that were read or written without an offset. */
  readonly #positions = new Map<number, number>();
  readonly #open = new Map<number, { readonly file: MockFile; readonly forget: () => void }>();

  /** A new file, which is open nowhere yet. */
  make(what: string): MockFile {
    return { fd: reserveDescriptor(), what };
  }

  /** Gives a file a descriptor: its own number, or one that a handler chose. */
  open(file: MockFile): number {
    const forget = stand(file.fd, () => this.close(file.fd));
    this.#open.set(file.fd, { file, forget });
    return file.fd;
  }

  has(fd: number): boolean {
    return this.#open.has(fd);
  }

  get(fd: number): MockFile | undefined {
    return this.#open.get(fd)?.file;
  }

  position(fd: number): number {
    return this.#positions.get(fd) ?? 0;
  }

  /** Bytes were read or written where it stood. */
  advance(fd: number, bytes: number): void {
    this.#positions.set(fd, this.position(fd) + bytes);
  }

  /** Answers whether it was open. */
  close(fd: number): boolean {
    this.#positions.delete(fd);
    this.#open.get(fd)?.forget();
    return this.#open.delete(fd);
  }

  get all(): MockFile[] {
    return [...this.#open.values()].map(({ file }) => file);
  }
}
