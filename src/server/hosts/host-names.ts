import { CargoError } from '../../api/cargo-error.ts';
import type { Store } from '../store/store.ts';
import { hostKey } from './record.ts';

/** Names of hosts are unique: `host-names/<name>` holds the id of the one that has it. */
export class HostNames {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Returns whether the name is new to this host. A name whose holder never came to be (a join cut short by a crash) is
   * taken over.
   * @throws CargoError HOST_NAME_TAKEN
   */
  async claim(name: string, hostId: string): Promise<boolean> {
    const stored = await this.#store.get(nameKey(name));
    if (stored?.value === hostId) return false;
    const holder = stored === null ? null : await this.#store.get(hostKey(stored.value));
    const free = holder === null;
    const taken = free && (await this.#store.compareAndSwap(nameKey(name), stored?.modRevision ?? 0, hostId)) !== null;
    if (!taken) {
      throw new CargoError(
        'HOST_NAME_TAKEN',
        `another host is called ${name}: start this agent with --name and a name of its own`,
      );
    }
    return true;
  }

  async release(name: string, hostId: string): Promise<void> {
    const stored = await this.#store.get(nameKey(name));
    if (stored?.value === hostId) await this.#store.compareAndSwap(stored.key, stored.modRevision, null);
  }
}

function nameKey(name: string): string {
  return `host-names/${name}`;
}
