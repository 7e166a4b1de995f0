// Keys with values of several types, which may expire.

const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

/** What makes a command fail: its text goes to the client. */
export class CommandError extends Error {}

export type Value = Buffer | Deque | Set<string> | Map<string, Buffer | number>;

interface Entry {
  value: Value;
  /** By Date.now(). */
  expiresMs: number;
}

type Class<T> = new () => T;

export class Keyspace {
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** What a key has, unless it has expired. */
  get(key: string): Value | undefined {
    return this.#entry(key)?.value;
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expiresMs > Date.now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  /** What a key has, which must be a string. */
  string(key: string): Buffer | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof Buffer) return value;
    throw new CommandError(WRONG_TYPE);
  }

  /** What a key has, which must be of another type. */
  typed<T extends Value>(key: string, type: Class<T>): T | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof type) return value;
    throw new CommandError(WRONG_TYPE);
  }

  /** As `typed`, with something new for a key that is not there. */
  typedOrNew<T extends Value>(key: string, type: Class<T>): T {
    const found = this.typed(key, type);
    if (found !== undefined) return found;
    const made = new type();
    this.set(key, made);
    return made;
  }

  set(key: string, value: Value, expiresMs: number = Number.POSITIVE_INFINITY): void {
    this.#entries.set(key, { value, expiresMs });
  }

  /** Another value until the key expires as before. */
  change(key: string, value: Value): void {
    this.set(key, value, this.#entry(key)?.expiresMs);
  }

  /** Answers whether there is such a key. */
  expire(key: string, expiresMs: number): boolean {
    const entry = this.#entry(key);
    if (entry === undefined) return false;
    entry.expiresMs = expiresMs;
    return true;
  }

  /** Infinity for a key that does not expire, undefined for one that is not there. */
  expires(key: string): number | undefined {
    return this.#entry(key)?.expiresMs;
  }

  delete(key: string): boolean {
    return this.get(key) !== undefined && this.#entries.delete(key);
  }

  /** Lists, sets and maps go when they are empty. */
  deleteEmpty(key: string, { size }: { readonly size: number }): void {
    if (size === 0) this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** A list that grows and shrinks at both ends. */
export class Deque {
  /** Backwards. */
  #front: Buffer[] = [];
  #back: Buffer[] = [];

  get size(): number {
    return this.#front.length + this.#back.length;
  }

  at(place: number): Buffer | undefined {
    const { length } = this.#front;
    return place < length ? this.#front[length - 1 - place] : this.#back[place - length];
  }

  unshift(value: Buffer): void {
    this.#front.push(value);
  }

  push(value: Buffer): void {
    this.#back.push(value);
  }

  shift(): Buffer | undefined {
    if (this.#front.length === 0)
      this.#front = this.#back.splice(0, Math.ceil(this.#back.length / 2)).reverse();
    return this.#front.pop();
  }

  pop(): Buffer | undefined {
    if (this.#back.length === 0)
      this.#back = this.#front.splice(0, Math.ceil(this.#front.length / 2)).reverse();
    return this.#back.pop();
  }

  /** From one place to another, both included; negative ones count from the end. */
  range(first: number, last: number): Buffer[] {
    const from = Math.max(0, first < 0 ? first + this.size : first);
    const to = Math.min(this.size - 1, last < 0 ? last + this.size : last);
    const values: Buffer[] = [];
    for (let place = from; place <= to; place += 1) values.push(this.at(place) as Buffer);
    return values;
  }
}
