import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { replaceDurably, syncDirectory } from '../../files/durable-file.ts';
import { DiskReserve } from './disk-reserve.ts';
import { OverList } from './over.ts';
import { MigrationRecord, type StepOutcome } from './record.ts';
import { Serial } from './serial.ts';

/** Ids become names of directories. */
const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

type Entry = { kind: 'record'; record: MigrationRecord } | { kind: 'damaged'; path: string };

/**
 * The migrations that this agent takes part in, one directory each, all in memory too. A change is on disk before its
 * promise resolves, and is either there whole or not at all.
 */
export class RecordStore {
  readonly #root: string;
  readonly #entries: Map<string, Entry>;
  readonly #reserve: DiskReserve;
  readonly #over: OverList;
  readonly #serial = new Serial();

  private constructor(root: string, entries: Map<string, Entry>, reserve: DiskReserve, over: OverList) {
    this.#root = root;
    this.#reserve = reserve;
    this.#entries = entries;
    this.#over = over;
  }

  /** A damaged record is logged and makes the calls for its migration fail; it doesn't keep the others from going on. */
  static async open(root: string, log: Logger): Promise<RecordStore> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const reserve = new DiskReserve(join(root, '.reserve'));
    await reserve.keep();
    const entries = new Map<string, Entry>();
    for (const { name: id } of (await readdir(root, { withFileTypes: true })).filter((found) => found.isDirectory())) {
      const entry = await readEntry(root, id);
      if (entry === null) await rm(join(root, id), { recursive: true });
      else entries.set(id, entry);
      if (entry?.kind === 'damaged')
        log.error({ migration: id, path: entry.path }, 'the record of a migration is damaged');
    }
    return new RecordStore(root, entries, reserve, await OverList.open(join(root, '.over')));
  }

  directory(id: string): string {
    return join(this.#root, id);
  }

  /** @throws CargoError INTERNAL when the record is damaged */
  find(id: string): MigrationRecord | null {
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    if (entry.kind === 'record') return entry.record;
    throw new CargoError(
      'INTERNAL',
      `the record of migration ${id} is damaged: put ${entry.path} back from a backup, then restart cargo-agent`,
    );
  }

  /** What came of the steps that ended a migration which is over here; null for one that isn't. */
  ended(id: string): Readonly<Record<string, StepOutcome>> | null {
    return this.#over.outcomes(id);
  }

  /** All that can be read. */
  whole(): MigrationRecord[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.kind === 'record' ? [entry.record] : []));
  }

  /** @throws CargoError MIGRATION_NOT_FOUND */
  get(id: string): MigrationRecord {
    const record = this.find(id);
    if (record === null) throw new CargoError('MIGRATION_NOT_FOUND', `this host has no record of migration ${id}`);
    return record;
  }

  /** The record of the migration, made if there is none. @throws CargoError MIGRATION_OVER */
  async create(id: string): Promise<MigrationRecord> {
    if (!SAFE_ID.test(id)) throw new CargoError('BAD_REQUEST', 'a migration id has 1 to 64 letters, digits, - and _');
    return this.#serial.run(id, async () => {
      const known = this.find(id);
      if (known !== null) return known;
      if (this.ended(id) !== null) throw new CargoError('MIGRATION_OVER', `migration ${id} is over on this host`);
      await mkdir(this.directory(id), { recursive: true, mode: 0o700 });
      await syncDirectory(this.#root);
      return this.#save({ id, epoch: 0, definition: null, peer: null, source: null, target: null, outcomes: {} });
    });
  }

  /** Changes the record and returns once the change is durable. Changes of one record happen one after the other. */
  async update(id: string, change: (record: MigrationRecord) => MigrationRecord): Promise<MigrationRecord> {
    return this.#serial.run(id, () => this.#save(change(this.get(id))));
  }

  /** Drops the record and all else in its directory; that the migration is over is kept for ever. */
  async remove(id: string): Promise<void> {
    await this.#serial.run(id, async () => {
      const record = this.find(id);
      if (record === null) return;
      await this.#reserve.through(() => this.#over.add(record));
      // The record goes first: a directory without one is cleared at the next start.
      await rm(join(this.directory(id), 'record.json'), { force: true });
      this.#entries.delete(id);
      await rm(this.directory(id), { recursive: true, force: true });
      await syncDirectory(this.#root);
      await this.#reserve.keep();
    });
  }

  async #save(record: MigrationRecord): Promise<MigrationRecord> {
    const path = join(this.directory(record.id), 'record.json');
    await this.#reserve.through(() => replaceDurably(path, JSON.stringify(record)));
    this.#entries.set(record.id, { kind: 'record', record });
    return record;
  }
}

/** null: a directory in which no record was ever whole. */
async function readEntry(root: string, id: string): Promise<Entry | null> {
  const path = join(root, id, 'record.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  try {
    const record = MigrationRecord.parse(JSON.parse(text));
    return record.id === id ? { kind: 'record', record } : { kind: 'damaged', path };
  } catch {
    return { kind: 'damaged', path };
  }
}
