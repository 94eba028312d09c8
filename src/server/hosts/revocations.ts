import { createHash } from 'node:crypto';
import type { HeartbeatAnswer } from '../../api/host.ts';
import type { Store } from '../store/store.ts';

const PREFIX = 'revoked/';

/**
 * Hosts that were removed, in the Store at `revoked/<host id>`. An id is revoked and not a certificate: whatever was ever
 * issued for it is void with it, and it never comes back. A host that joins again gets another id.
 */
export class Revocations {
  readonly #store: Store;
  readonly #hostIds: Set<string>;
  #digest: string;

  private constructor(store: Store, hostIds: Set<string>) {
    this.#store = store;
    this.#hostIds = hostIds;
    this.#digest = digestOf(hostIds);
  }

  static async load(store: Store): Promise<Revocations> {
    const stored = await store.list(PREFIX);
    return new Revocations(store, new Set(stored.map(({ key }) => key.slice(PREFIX.length))));
  }

  has(hostId: string): boolean {
    return this.#hostIds.has(hostId);
  }

  /** Void from now on; durable on return. */
  async add(hostId: string): Promise<void> {
    this.#hostIds.add(hostId);
    this.#digest = digestOf(this.#hostIds);
    await this.#store.put(PREFIX + hostId, JSON.stringify({ at: new Date().toISOString() }));
  }

  /** What an agent is to be told that has heard of the list with this digest; null when that is the list. */
  newsFor(digest: string | undefined): HeartbeatAnswer['revoked'] {
    return digest === this.#digest ? null : { digest: this.#digest, hostIds: [...this.#hostIds] };
  }
}

function digestOf(hostIds: ReadonlySet<string>): string {
  return createHash('sha256')
    .update([...hostIds].sort().join())
    .digest('hex')
    .slice(0, 32);
}
