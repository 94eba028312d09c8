/**
 * The Store, shaped like etcd: a flat map of keys to values with one revision counter for all. Values are JSON text.
 * Keys are `/`-separated, e.g. `migrations/<id>`. All implementations pass the same conformance suite.
 */
export type StoredValue = { key: string; value: string; createRevision: number; modRevision: number };

export type StoreEvent = { type: 'put' | 'delete'; key: string; value: string | null; revision: number };

/** A lease ends when it isn't kept alive in time; the keys attached to it go with it. */
export interface Lease {
  readonly id: string;
  /** @throws CargoError NOT_FOUND when it has run out already */
  keepAlive(): Promise<void>;
  revoke(): Promise<void>;
}

export interface Store {
  get(key: string): Promise<StoredValue | null>;
  /** Ordered by key. */
  list(prefix: string): Promise<StoredValue[]>;
  /** Unconditional write; returns the new revision. */
  put(key: string, value: string, options?: { lease?: Lease }): Promise<number>;
  /**
   * Writes (value) or deletes (null) only if the key's modRevision is `expected` (0: it doesn't exist). Returns the new
   * revision, or null when it wasn't as expected.
   */
  compareAndSwap(
    key: string,
    expected: number,
    value: string | null,
    options?: { lease?: Lease },
  ): Promise<number | null>;
  delete(key: string): Promise<boolean>;
  /** Events under the prefix after `fromRevision` (exclusive), in order, without gaps, until the signal aborts. */
  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<StoreEvent>;
  revision(): Promise<number>;
  grantLease(ttlMs: number): Promise<Lease>;
  close(): Promise<void>;
}
