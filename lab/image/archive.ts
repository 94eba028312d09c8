import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { Layer } from './layer.ts';

/** The `config` part of an image configuration: github.com/moby/docker-image-spec, spec.md. */
export type ImageConfig = {
  Cmd: string[];
  Env: string[];
  Entrypoint?: string[];
  ExposedPorts?: Record<string, Record<string, never>>;
  Volumes?: Record<string, Record<string, never>>;
  /** Times are nanoseconds. */
  Healthcheck?: {
    Test: string[];
    Interval: number;
    Timeout: number;
    Retries: number;
    StartPeriod: number;
    StartInterval: number;
  };
  StopSignal?: string;
};

export type Image = { reference: string; config: ImageConfig; layers: Layer[] };

const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/** What `docker load` reads; the layers come straight from the cache. */
export function imageArchive(image: Image): Readable {
  const configuration = JSON.stringify({
    architecture: architectures[process.arch] ?? process.arch,
    os: 'linux',
    created: '2025-01-01T00:00:00Z',
    config: image.config,
    rootfs: { type: 'layers', diff_ids: image.layers.map(({ diffId }) => diffId) },
    history: image.layers.map(() => ({ created: '2025-01-01T00:00:00Z', created_by: 'cargo-lab image' })),
  });
  const configName = `${createHash('sha256').update(configuration).digest('hex')}.json`;
  const layerName = ({ diffId }: Layer) => `${diffId.replace('sha256:', '')}.tar`;
  const manifest = [{ Config: configName, RepoTags: [image.reference], Layers: image.layers.map(layerName) }];
  const archive = pack();
  const fill = async () => {
    archive.entry({ name: configName }, configuration);
    for (const layer of image.layers) {
      const entry = archive.entry({ name: layerName(layer), size: statSync(layer.tar).size });
      await pipeline(createReadStream(layer.tar), entry);
    }
    archive.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
    archive.finalize();
  };
  fill().catch((error: Error) => archive.destroy(error));
  return archive as unknown as Readable;
}
