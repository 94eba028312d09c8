import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UNFINISHED } from '../files/durable-file.ts';

/** Where the server keeps what it must not forget. Every file is its owner's alone. */
export type DataDir = {
  ca: string;
  caKey: string;
  serverCertificate: string;
  serverKey: string;
  adminToken: string;
  readToken: string;
  joinToken: string;
  database: string;
  /** Unix socket on which a server that runs hands out a snapshot of its database. */
  backupSocket: string;
};

export async function prepareDataDir(path: string): Promise<DataDir> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  return dataDirAt(path);
}

export function dataDirAt(path: string): DataDir {
  return {
    ca: join(path, 'ca.pem'),
    caKey: join(path, 'ca.key'),
    serverCertificate: join(path, 'server.pem'),
    serverKey: join(path, 'server.key'),
    adminToken: join(path, 'admin-token'),
    readToken: join(path, 'read-token'),
    joinToken: join(path, 'join-token'),
    database: join(path, 'cargo.db'),
    backupSocket: join(path, 'backup.sock'),
  };
}

/** What a server that was killed while writing a file left behind. Only for who holds the lock of the directory. */
export async function removeLeftovers(path: string): Promise<void> {
  const names = await readdir(path);
  await Promise.all(
    names.filter((name) => name.endsWith(UNFINISHED)).map((name) => rm(join(path, name), { force: true })),
  );
}
