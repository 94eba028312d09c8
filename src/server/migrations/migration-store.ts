import { isDeepStrictEqual } from 'node:util';
import { CargoError } from '../../api/cargo-error.ts';
import { Base } from '../../api/container-definition.ts';
import { busyPhases, isMove, type Migration } from '../../api/migration.ts';
import { reach } from '../../faults/reach.ts';
import type { Store } from '../store/store.ts';
import { StoredMigration, toView } from './record.ts';

/**
 * Migrations and what they left on hosts, in the Store. Keys: `migrations/<id>`, `moving/<container id>` (held by the one
 * migration that may move that container) and `bases/<host id>/<kind>/<name>`.
 */
export class MigrationStore {
  readonly #store: Store;
  readonly #listeners = new Set<(migration: Migration) => void>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws CargoError MIGRATION_EXISTS when another migration holds the container. */
  async create(migration: StoredMigration): Promise<void> {
    const held = await this.#store.compareAndSwap(`moving/${migration.containerId}`, 0, migration.id);
    if (held === null) await this.#takeOverLock(migration);
    await this.#store.put(`migrations/${migration.id}`, JSON.stringify(migration));
    this.notify(toView(migration));
  }

  /** A crash between lock and record leaves a lock that belongs to nothing, or to a migration that is over. */
  async #takeOverLock(migration: StoredMigration): Promise<void> {
    const key = `moving/${migration.containerId}`;
    const lock = await this.#store.get(key);
    const holder = lock === null ? null : await this.find(lock.value);
    const free = holder === null || !busyPhases.includes(holder.phase);
    const revision = lock?.modRevision ?? 0;
    if (!free || (await this.#store.compareAndSwap(key, revision, migration.id)) === null) {
      throw new CargoError('MIGRATION_EXISTS', `${migration.container} is being moved already${describe(holder)}`, {
        details: { migration: holder?.id ?? null },
      });
    }
  }

  /**
   * Puts a record in the place of what is there, if anything: what its hosts have done counts, whatever is known here.
   * `before` is what it was concluded from.
   * @throws CargoError MIGRATION_EXISTS when another migration holds the container, WRONG_PHASE when the record has changed
   */
  async adopt(migration: StoredMigration, before: StoredMigration | null): Promise<void> {
    const key = `migrations/${migration.id}`;
    const stored = await this.#store.get(key);
    const there = stored === null ? null : StoredMigration.parse(JSON.parse(stored.value));
    if (!isDeepStrictEqual(there, before)) throw changedMeanwhile(migration);
    const isBusy = busyPhases.includes(migration.phase);
    if (isBusy && (await this.#store.get(`moving/${migration.containerId}`))?.value !== migration.id) {
      await this.#takeOverLock(migration);
    }
    const written = await this.#store.compareAndSwap(key, stored?.modRevision ?? 0, JSON.stringify(migration));
    if (written === null) throw changedMeanwhile(migration);
    if (!isBusy) await this.#unlock(migration);
    this.notify(toView(migration));
  }

  async find(id: string): Promise<StoredMigration | null> {
    const stored = await this.#store.get(`migrations/${id}`);
    return stored === null ? null : StoredMigration.parse(JSON.parse(stored.value));
  }

  /** @throws CargoError MIGRATION_NOT_FOUND */
  async get(id: string): Promise<StoredMigration> {
    const migration = await this.find(id);
    if (migration === null) throw new CargoError('MIGRATION_NOT_FOUND', `there is no migration ${id}`);
    return migration;
  }

  /** Newest first. */
  async list(): Promise<StoredMigration[]> {
    const stored = await this.#store.list('migrations/');
    const all = stored.map(({ value }) => StoredMigration.parse(JSON.parse(value)));
    return all.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  }

  /** Changes a record; a change of phase must be a legal move. Releases the container's lock when the phase is over. */
  async update(id: string, change: Partial<StoredMigration>): Promise<StoredMigration> {
    for (;;) {
      const stored = await this.#store.get(`migrations/${id}`);
      if (stored === null) throw new CargoError('MIGRATION_NOT_FOUND', `there is no migration ${id}`);
      const before = StoredMigration.parse(JSON.parse(stored.value));
      const after = { ...before, ...change, updatedAt: new Date().toISOString() };
      if (before.phase !== after.phase && !isMove(before.phase, after.phase)) {
        throw new CargoError('INTERNAL', `migration ${id} can't go from ${before.phase} to ${after.phase}`);
      }
      const isMoving = before.phase !== after.phase;
      if (isMoving) await reach(`server.${after.phase}.before`);
      const written = await this.#store.compareAndSwap(`migrations/${id}`, stored.modRevision, JSON.stringify(after));
      if (written === null) continue;
      if (isMoving) await reach(`server.${after.phase}.written`);
      if (!busyPhases.includes(after.phase)) await this.#unlock(after);
      this.notify(toView(after));
      return after;
    }
  }

  async #unlock(migration: StoredMigration): Promise<void> {
    const key = `moving/${migration.containerId}`;
    const lock = await this.#store.get(key);
    if (lock?.value === migration.id) await this.#store.compareAndSwap(key, lock.modRevision, null);
  }

  async basesOf(hostId: string): Promise<Base[]> {
    const stored = await this.#store.list(`bases/${hostId}/`);
    return stored.map(({ value }) => Base.parse(JSON.parse(value)));
  }

  async keepBases(hostId: string, bases: readonly Base[]): Promise<void> {
    for (const base of bases) await this.#store.put(baseKey(hostId, base), JSON.stringify(base));
  }

  async dropBases(hostId: string, bases: readonly Base[]): Promise<void> {
    for (const base of bases) await this.#store.delete(baseKey(hostId, base));
  }

  subscribe(listener: (migration: Migration) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }

  notify(migration: Migration): void {
    for (const listener of this.#listeners) listener(migration);
  }
}

function baseKey(hostId: string, base: Base): string {
  return `bases/${hostId}/${base.kind}/${base.name}`;
}

function changedMeanwhile({ id }: StoredMigration): CargoError {
  return new CargoError('WRONG_PHASE', `migration ${id} has gone on meanwhile`);
}

function describe(holder: StoredMigration | null): string {
  if (holder === null) return '';
  const hint = holder.phase === 'copied' ? `: finish it with \`cargoctl failover ${holder.container}\` first` : '';
  return ` (migration ${holder.id}, ${holder.phase})${hint}`;
}
