import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { CargoError } from '../../api/cargo-error.ts';
import { ChangeLog, type LogLimits } from './change-log.ts';
import { keyRange } from './key-range.ts';
import { LONGEST_LEASE_MS, SqliteLease } from './sqlite-lease.ts';
import type { Lease, Store, StoredValue, StoreEvent } from './store.ts';

const DEFAULT_LIMITS: LogLimits = { events: 10_000, bytes: 64 * 1024 * 1024 };
/** A server that is started while the last one still ends waits this long for its lock. */
const LOCK_LIMIT_MS = 3_000;

type Row = { key: string; value: string; create_revision: number; mod_revision: number };

/**
 * The Store in one SQLite file, for one server: the file is locked for as long as it is open. A write is on disk when its
 * promise resolves (synchronous=FULL). Each write has a revision of its own.
 */
export class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #log: ChangeLog;
  readonly #leases = new Map<string, SqliteLease>();
  readonly #closing = new AbortController();
  #revision: number;
  #changed = Promise.withResolvers<void>();

  /** @throws CargoError STORE_CONFLICT when another process has the file open */
  constructor(path: string, limits: LogLimits = DEFAULT_LIMITS) {
    this.#db = openLocked(path);
    this.#log = new ChangeLog(this.#db, limits);
    const meta = this.#db.prepare('SELECT revision FROM meta').get();
    this.#revision = Number(meta?.['revision']);
    for (const row of this.#db.prepare('SELECT id, ttl_ms FROM leases').all()) {
      this.#hold(String(row['id']), Number(row['ttl_ms']));
    }
  }

  async get(key: string): Promise<StoredValue | null> {
    const row = this.#row(key);
    return row === undefined ? null : toStored(row);
  }

  async list(prefix: string): Promise<StoredValue[]> {
    const { from, to } = keyRange(prefix);
    const rows = this.#db
      .prepare('SELECT * FROM entries WHERE key >= ? AND (? IS NULL OR key < ?) ORDER BY key')
      .all(from, to, to) as Row[];
    return rows.map(toStored);
  }

  async put(key: string, value: string, options: { lease?: Lease } = {}): Promise<number> {
    return this.#transaction(() => this.#write(key, value, options.lease));
  }

  async compareAndSwap(
    key: string,
    expected: number,
    value: string | null,
    options: { lease?: Lease } = {},
  ): Promise<number | null> {
    return this.#transaction(() => {
      const row = this.#row(key);
      if ((row?.mod_revision ?? 0) !== expected) return null;
      if (value !== null) return this.#write(key, value, options.lease);
      return row === undefined ? this.#revision : this.#remove(key);
    });
  }

  async delete(key: string): Promise<boolean> {
    return this.#transaction(() => {
      if (this.#row(key) === undefined) return false;
      this.#remove(key);
      return true;
    });
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    const range = keyRange(prefix);
    let position = fromRevision;
    while (!stop.aborted) {
      const { events, upTo } = this.#log.read(range, position, this.#revision);
      for (const event of events) {
        yield event;
        if (stop.aborted) return;
      }
      position = Math.max(position, upTo);
      if (position >= this.#revision) await this.#nextChange(stop);
    }
  }

  async revision(): Promise<number> {
    return this.#revision;
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    if (!(ttlMs > 0 && ttlMs <= LONGEST_LEASE_MS)) {
      throw new CargoError('BAD_REQUEST', `a lease lasts 1 to ${LONGEST_LEASE_MS} ms, not ${ttlMs}`);
    }
    const id = randomUUID();
    this.#db.prepare('INSERT INTO leases (id, ttl_ms) VALUES (?, ?)').run(id, Math.ceil(ttlMs));
    return this.#hold(id, ttlMs);
  }

  /** Writes all of it to a new file, as of one moment, while it goes on being used. */
  snapshot(path: string): void {
    this.#db.prepare('VACUUM INTO ?').run(path);
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const lease of this.#leases.values()) lease.suspend();
    this.#db.close();
  }

  #row(key: string): Row | undefined {
    return this.#db.prepare('SELECT * FROM entries WHERE key = ?').get(key) as Row | undefined;
  }

  #hold(id: string, ttlMs: number): SqliteLease {
    const lease = new SqliteLease(id, ttlMs, () => this.#dropLease(id));
    this.#leases.set(id, lease);
    return lease;
  }

  #dropLease(id: string): void {
    this.#leases.delete(id);
    this.#transaction(() => {
      const rows = this.#db.prepare('SELECT key FROM entries WHERE lease = ? ORDER BY key').all(id);
      for (const row of rows) this.#remove(String(row['key']));
      this.#db.prepare('DELETE FROM leases WHERE id = ?').run(id);
    });
  }

  #write(key: string, value: string, lease: Lease | undefined): number {
    if (lease !== undefined && !this.#leases.has(lease.id)) {
      throw new CargoError('NOT_FOUND', `lease ${lease.id} has run out`);
    }
    const revision = this.#nextRevision();
    this.#db
      .prepare(
        `INSERT INTO entries (key, value, create_revision, mod_revision, lease) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, mod_revision = excluded.mod_revision, lease = excluded.lease`,
      )
      .run(key, value, revision, revision, lease?.id ?? null);
    this.#log.append({ type: 'put', key, value, revision });
    return revision;
  }

  #remove(key: string): number {
    const revision = this.#nextRevision();
    this.#db.prepare('DELETE FROM entries WHERE key = ?').run(key);
    this.#log.append({ type: 'delete', key, value: null, revision });
    return revision;
  }

  #nextRevision(): number {
    this.#revision += 1;
    this.#db.prepare('UPDATE meta SET revision = ?').run(this.#revision);
    return this.#revision;
  }

  /** All or nothing; watchers hear of it once it is on disk. */
  #transaction<T>(work: () => T): T {
    const before = this.#revision;
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      if (this.#revision !== before) this.#announce();
      return result;
    } catch (error) {
      this.#revision = before;
      this.#db.exec('ROLLBACK');
      this.#log.recount();
      throw error;
    }
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #nextChange(stop: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>();
    const wake = () => woken.resolve();
    stop.addEventListener('abort', wake, { once: true });
    this.#changed.promise.then(wake);
    await woken.promise;
    stop.removeEventListener('abort', wake);
  }
}

function toStored(row: Row): StoredValue {
  return { key: row.key, value: row.value, createRevision: row.create_revision, modRevision: row.mod_revision };
}

/** The exclusive locking mode makes the kernel free the lock when the process dies, however it dies. */
function openLocked(path: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path, { timeout: LOCK_LIMIT_MS });
  try {
    db.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      BEGIN EXCLUSIVE;
      CREATE TABLE IF NOT EXISTS meta (revision INTEGER NOT NULL) STRICT;
      INSERT INTO meta (revision) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM meta);
      CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, create_revision INTEGER NOT NULL,
        mod_revision INTEGER NOT NULL, lease TEXT) STRICT, WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS entries_lease ON entries (lease) WHERE lease IS NOT NULL;
      COMMIT;`);
    return db;
  } catch (error) {
    db.close();
    if (!isBusy(error)) throw error;
    throw new CargoError('STORE_CONFLICT', `another process has ${path} open: is a cargo-server running already?`, {
      cause: error,
    });
  }
}

/** https://sqlite.org/rescode.html: 5 is SQLITE_BUSY, 6 SQLITE_LOCKED; the low byte is the primary code. */
function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  return code === 5 || code === 6;
}
