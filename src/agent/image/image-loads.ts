import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { readIfThere, replaceDurably, syncDirectory } from '../../files/durable-file.ts';
import { Serial } from '../migrations/serial.ts';

/** What loads it → the diff ids of the layers that it was to bring. */
const Loads = z.record(z.string(), z.array(z.string()));
type Loads = z.infer<typeof Loads>;

/**
 * The loads of images that have begun and whose layers are not known to be on the disk. Docker registers a layer before its
 * content is durable, and takes what it has under that name ever after, also for another image: a power cut leaves files
 * of the right name without content, which every container of the image would see.
 */
export class ImageLoads {
  readonly #path: string;
  readonly #serial = new Serial();
  /** Those of this process: they are no reason for doubt. */
  readonly #active = new Set<string>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Durable on return: from now on a crash leaves these layers in doubt. */
  async begin(key: string, layers: readonly string[]): Promise<void> {
    this.#active.add(key);
    await this.#change((loads) => ({ ...loads, [key]: [...new Set([...(loads[key] ?? []), ...layers])] }));
  }

  /** All that this load has brought, or left, is on the disk. */
  async end(key: string): Promise<void> {
    await this.#change(({ [key]: _, ...others }) => others);
    this.#active.delete(key);
  }

  /** These layers were made anew, and are on the disk. */
  async trust(layers: readonly string[]): Promise<void> {
    await this.#change((loads) => {
      const kept = Object.entries(loads).map(([key, doubtful]): [string, string[]] => [
        key,
        this.#active.has(key) ? doubtful : doubtful.filter((layer) => !layers.includes(layer)),
      ]);
      return Object.fromEntries(kept.filter(([, doubtful]) => doubtful.length > 0));
    });
  }

  /** Layers of loads that a crash cut off. */
  async doubtful(): Promise<ReadonlySet<string>> {
    const loads = await this.#serial.run('file', () => this.#read());
    return new Set(Object.entries(loads).flatMap(([key, layers]) => (this.#active.has(key) ? [] : layers)));
  }

  async #change(change: (loads: Loads) => Loads): Promise<void> {
    await this.#serial.run('file', async () => {
      const directory = dirname(this.#path);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const loads = change(await this.#read());
      if (Object.keys(loads).length > 0) return replaceDurably(this.#path, JSON.stringify(loads));
      await rm(this.#path, { force: true });
      await syncDirectory(directory);
    });
  }

  async #read(): Promise<Loads> {
    return Loads.parse(JSON.parse((await readIfThere(this.#path)) ?? '{}'));
  }
}
