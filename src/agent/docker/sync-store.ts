import { open } from 'node:fs/promises';
import { syncFilesystemInBackground } from '../../linux/sync.ts';
import type { Engine } from './engine.ts';

/** Where containerd keeps images and layers when Docker leaves them to it. */
const CONTAINERD_ROOT = '/var/lib/containerd';

/** All that Docker has written of images, layers and containers is on the disk on return. */
export async function syncStore(engine: Engine, signal: AbortSignal): Promise<void> {
  const { DockerRootDir } = await engine.info(signal);
  for (const path of [DockerRootDir, CONTAINERD_ROOT]) {
    await using directory = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && path === CONTAINERD_ROOT) return null;
      throw error;
    });
    if (directory !== null) await syncFilesystemInBackground(directory.fd);
  }
}
