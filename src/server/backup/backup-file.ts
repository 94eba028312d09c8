import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import type { DataDir } from '../data-dir.ts';

/**
 * A backup is one SQLite file: the server's database, with the files of its data directory in a table of its own. The
 * token of the first start isn't among them: what it is worth may have changed.
 */
export const keptFiles = ['ca', 'caKey', 'serverCertificate', 'serverKey', 'adminToken', 'readToken'] as const;
export type KeptFile = (typeof keptFiles)[number] & keyof DataDir;

const Row = z.object({ name: z.enum(keptFiles), content: z.string() });

/** @throws Error when the database did not come through whole */
export function addFiles(backup: string, files: ReadonlyMap<KeptFile, string>): void {
  using db = open(backup);
  refuseDamaged(db);
  db.exec('CREATE TABLE backup_files (name TEXT PRIMARY KEY, content TEXT NOT NULL) STRICT');
  const insert = db.prepare('INSERT INTO backup_files (name, content) VALUES (?, ?)');
  for (const [name, content] of files) insert.run(name, content);
}

/** Takes the files out of a copy of a backup, which is the bare database then. @throws CargoError BAD_REQUEST */
export function takeFiles(copy: string): Map<KeptFile, string> {
  try {
    using db = open(copy);
    refuseDamaged(db);
    const rows = z.array(Row).parse(db.prepare('SELECT name, content FROM backup_files').all());
    db.exec('DROP TABLE backup_files; VACUUM');
    const files = new Map(rows.map(({ name, content }) => [name, content]));
    const missing = keptFiles.filter((name) => !files.has(name));
    if (missing.length > 0) throw new Error(`it lacks ${missing.join(', ')}`);
    return files;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CargoError('BAD_REQUEST', `this is no whole backup of a cargo-server: ${reason}`, { cause });
  }
}

function refuseDamaged(db: DatabaseSync): void {
  const [check] = db.prepare('PRAGMA integrity_check').all();
  if (check?.['integrity_check'] !== 'ok') throw new Error('it is damaged');
}

/** No log beside the file: the backup is one file. */
function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL');
  return db;
}
