import { open } from 'node:fs/promises';
import { syncFilesystemInBackground } from '../../linux/sync.ts';
import type { Engine } from './engine.ts';

/** Where containerd keeps images and layers when Docker leaves them to it. */
const CONTAINERD_ROOT = '/var/lib/containerd';

/** The directories under which Docker keeps images, layers and containers. */
export async function storeOf(engine: Engine, signal: AbortSignal): Promise<string[]> {
  const { DockerRootDir } = await engine.info(signal);
  return [DockerRootDir, CONTAINERD_ROOT];
}

/** All that was written there is on the disk on return; Docker itself may be away. */
export async function syncStore(store: readonly string[]): Promise<void> {
  for (const path of store) {
    await using directory = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && path === CONTAINERD_ROOT) return null;
      throw error;
    });
    if (directory !== null) await syncFilesystemInBackground(directory.fd);
  }
}
