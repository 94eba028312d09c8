import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { chmod, open, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UNFINISHED } from '../../files/durable-file.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';

/** Who may open the data directory may have what is in it: the socket asks for nothing else. */
export async function serveSnapshots(path: string, store: SqliteStore): Promise<AsyncDisposable> {
  await rm(path, { force: true });
  const directory = await open(dirname(path));
  const snapshots = new AsyncDisposableStack();
  snapshots.defer(() => directory.close());
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    hand(path, store, socket).catch(() => socket.destroy());
  });
  server.listen(shortPath(directory.fd, path));
  await once(server, 'listening');
  await chmod(path, 0o600);
  snapshots.defer(() => rm(path, { force: true }));
  snapshots.defer(async () => {
    server.close();
  });
  return snapshots;
}

async function hand(path: string, store: SqliteStore, socket: Socket): Promise<void> {
  const file = `${path}-${process.hrtime.bigint()}${UNFINISHED}`;
  try {
    store.snapshot(file);
    await pipeline(createReadStream(file), socket);
  } finally {
    await rm(file, { force: true });
  }
}

/** Writes the snapshot of the server that runs; false when none does. @throws what writing throws */
export async function fetchSnapshot(path: string, output: Writable): Promise<boolean> {
  const directory = await open(dirname(path)).catch(() => null);
  if (directory === null) return false;
  try {
    const socket = connect(shortPath(directory.fd, path));
    try {
      await once(socket, 'connect');
    } catch {
      return false;
    }
    await pipeline(socket, output);
    return true;
  } finally {
    await directory.close();
  }
}

/** The name of a Unix socket may have 107 bytes (unix(7)); that of a data directory may be longer. */
function shortPath(directory: number, path: string): string {
  return `/proc/self/fd/${directory}/${basename(path)}`;
}
