import { Journal } from './journal.js';

/** Keys and values; what is set is in the journal before it is told. */
export class Store {
  #journal;
  #values = new Map();
  #last = Promise.resolve();

  static async open(ring, path) {
    const store = new Store();
    const { journal, entries } = await Journal.open(ring, path);
    store.#journal = journal;
    for (const [key, value] of entries) store.#values.set(key, value);
    return store;
  }

  get(key) {
    return this.#values.get(key);
  }

  /** One after the other: each goes behind the one before. */
  set(key, value) {
    const mine = this.#last.then(() => this.#journal.append([key, value]));
    this.#last = mine.catch(() => {});
    return mine.then(() => void this.#values.set(key, value));
  }

  compact() {
    const mine = this.#last.then(() => this.#journal.compact([...this.#values]));
    this.#last = mine.catch(() => {});
    return mine;
  }

  get sizeBytes() {
    return this.#journal.sizeBytes;
  }

  async close() {
    await this.#last;
    await this.#journal.close();
  }
}
