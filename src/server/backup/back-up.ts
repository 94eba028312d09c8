import { createWriteStream } from 'node:fs';
import { access, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import { syncDirectory, UNFINISHED } from '../../files/durable-file.ts';
import { dataDirAt } from '../data-dir.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { addFiles, keptFiles } from './backup-file.ts';
import { fetchSnapshot } from './snapshot-socket.ts';

/**
 * Writes all that a server needs to be itself again, as of one moment, to one file for its owner alone, whether the
 * server runs or not. A file of that name is replaced once the new one is whole.
 * @throws CargoError BAD_REQUEST
 */
export async function backUp(dataDir: string, to: string): Promise<void> {
  const dir = dataDirAt(dataDir);
  await access(dir.database).catch(() => {
    throw new CargoError('BAD_REQUEST', `${dataDir} is no data directory of a cargo-server`);
  });
  const temporary = `${to}${UNFINISHED}`;
  await rm(temporary, { force: true });
  try {
    const fetched = await fetchSnapshot(dir.backupSocket, createWriteStream(temporary, { mode: 0o600 }));
    if (!fetched) await snapshotOfStopped(dir.database, temporary);
    const files = new Map(
      await Promise.all(keptFiles.map(async (name) => [name, await readFile(dir[name], 'utf8')] as const)),
    );
    addFiles(temporary, files);
    {
      await using file = await open(temporary);
      await file.chmod(0o600);
      await file.sync();
    }
    await rename(temporary, to);
    await syncDirectory(dirname(to));
  } finally {
    await rm(temporary, { force: true });
  }
}

/** @throws CargoError STORE_CONFLICT when a server runs that does not answer on its socket */
async function snapshotOfStopped(database: string, to: string): Promise<void> {
  await rm(to, { force: true });
  const store = new SqliteStore(database);
  try {
    store.snapshot(to);
  } finally {
    await store.close();
  }
}
