import type { Store } from '../store/store.ts';

const PREFIX = 'held/';

/**
 * Migrations that nothing may be done for before both of their hosts have said what they know of them, in the Store at
 * `held/<migration id>`: what the Store has of them is older than what has happened.
 */
export class Holds {
  readonly #store: Store;
  readonly #ids = new Set<string>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Reads what the Store has. To be called once, before anything else. */
  async load(): Promise<void> {
    for (const { key } of await this.#store.list(PREFIX)) this.#ids.add(key.slice(PREFIX.length));
  }

  ids(): string[] {
    return [...this.#ids];
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Durable on return. */
  async add(id: string): Promise<void> {
    this.#ids.add(id);
    await this.#store.put(PREFIX + id, '{}');
  }

  async remove(id: string): Promise<void> {
    await this.#store.delete(PREFIX + id);
    this.#ids.delete(id);
  }
}
