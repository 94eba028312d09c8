import type { DatabaseSync } from 'node:sqlite';
import { CargoError } from '../../api/cargo-error.ts';
import type { StoreEvent } from './store.ts';

export type LogLimits = { events: number; bytes: number };

const BATCH = 200;

type Row = { revision: number; type: 'put' | 'delete'; key: string; value: string | null };

/**
 * The last events of the Store, for watchers. Bounded twice, by number and by bytes of values: a watcher that is further
 * behind gets an error and lists again. Revisions are without gaps, so the number of events kept says which is the oldest.
 */
export class ChangeLog {
  readonly #db: DatabaseSync;
  readonly #limits: LogLimits;
  #events = 0;
  #bytes = 0;

  constructor(db: DatabaseSync, limits: LogLimits) {
    db.exec(`CREATE TABLE IF NOT EXISTS events (
      revision INTEGER PRIMARY KEY, type TEXT NOT NULL, key TEXT NOT NULL, value TEXT) STRICT`);
    this.#db = db;
    this.#limits = limits;
    this.recount();
  }

  /** To be called after a transaction was rolled back. */
  recount(): void {
    const counted = 'SELECT count(*) AS events, coalesce(sum(length(value)), 0) AS bytes FROM events';
    const row = this.#db.prepare(counted).get();
    this.#events = Number(row?.['events']);
    this.#bytes = Number(row?.['bytes']);
  }

  /** Within the transaction of the write that it tells of. */
  append(event: StoreEvent): void {
    this.#db
      .prepare('INSERT INTO events (revision, type, key, value) VALUES (?, ?, ?, ?)')
      .run(event.revision, event.type, event.key, event.value);
    this.#events += 1;
    this.#bytes += event.value?.length ?? 0;
    this.#compact();
  }

  /** Drops a tenth more than it must, so that it is not done with every write. */
  #compact(): void {
    if (this.#events <= this.#limits.events && this.#bytes <= this.#limits.bytes) return;
    const keepEvents = Math.ceil(this.#limits.events * 0.9);
    const keepBytes = this.#limits.bytes * 0.9;
    const newestFirst = this.#db.prepare('SELECT revision, length(value) AS bytes FROM events ORDER BY revision DESC');
    let events = 0;
    let bytes = 0;
    for (const row of newestFirst.iterate()) {
      const size = Number(row['bytes'] ?? 0);
      if (events >= keepEvents || (events > 0 && bytes + size > keepBytes)) {
        this.#db.prepare('DELETE FROM events WHERE revision <= ?').run(Number(row['revision']));
        break;
      }
      events += 1;
      bytes += size;
    }
    this.#events = events;
    this.#bytes = bytes;
  }

  /**
   * Events of a range of keys after a revision, and up to where the log was read.
   * @throws CargoError STORE_CONFLICT when some of them are gone already
   */
  read(
    range: { from: string; to: string | null },
    after: number,
    current: number,
  ): { events: StoreEvent[]; upTo: number } {
    const oldest = current - this.#events + 1;
    if (after + 1 < oldest) {
      throw new CargoError(
        'STORE_CONFLICT',
        `the events after revision ${after} are compacted up to ${oldest - 1}: list again and watch from there`,
      );
    }
    const events = this.#db
      .prepare(
        'SELECT * FROM events WHERE revision > ? AND key >= ? AND (? IS NULL OR key < ?) ORDER BY revision LIMIT ?',
      )
      .all(after, range.from, range.to, range.to, BATCH) as Row[];
    const last = events.at(-1);
    const upTo = events.length < BATCH || last === undefined ? current : last.revision;
    return { events: events.map(({ type, key, value, revision }) => ({ type, key, value, revision })), upTo };
  }
}
