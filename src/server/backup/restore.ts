import { copyFile, open, readdir, rename, rm } from 'node:fs/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { replaceDurably, syncDirectory, UNFINISHED } from '../../files/durable-file.ts';
import { prepareDataDir } from '../data-dir.ts';
import { markRestored } from '../store/restored.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { takeFiles } from './backup-file.ts';

/**
 * Makes a data directory what the backup holds. The next server that starts on it is a newer one to all agents than the
 * one that the backup was made of, and asks them what happened since.
 * @throws CargoError BAD_REQUEST (no backup; the directory holds something, without `force`), STORE_CONFLICT while a
 * server runs on it
 */
export async function restore(from: string, dataDir: string, { force }: { force: boolean }): Promise<void> {
  const dir = await prepareDataDir(dataDir);
  const there = await readdir(dataDir);
  if (there.length > 0 && !force) {
    throw new CargoError('BAD_REQUEST', `${dataDir} is not empty: --force replaces the server that is in it`);
  }
  const temporary = `${dir.database}-restored${UNFINISHED}`;
  try {
    await copyFile(from, temporary).catch((cause: unknown) => {
      throw new CargoError('BAD_REQUEST', `the backup ${from} can't be read`, { cause });
    });
    const files = takeFiles(temporary);
    const restored = new SqliteStore(temporary);
    await markRestored(restored);
    await restored.close();
    const replaced = there.includes('cargo.db') ? new SqliteStore(dir.database) : null;
    try {
      for (const [name, content] of files) await replaceDurably(dir[name], content);
      await rm(dir.joinToken, { force: true });
      await replaceDatabase(temporary, dir.database);
    } finally {
      await replaced?.close();
    }
    await removeLogs(dir.database);
    await syncDirectory(dataDir);
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(temporary + suffix, { force: true });
  }
}

async function replaceDatabase(whole: string, path: string): Promise<void> {
  {
    await using file = await open(whole);
    await file.chmod(0o600);
    await file.sync();
  }
  await removeLogs(path);
  await rename(whole, path);
}

/** Those of the database that was replaced must not be taken for the new one's. */
async function removeLogs(path: string): Promise<void> {
  for (const suffix of ['-wal', '-shm', '-journal']) await rm(path + suffix, { force: true });
}
