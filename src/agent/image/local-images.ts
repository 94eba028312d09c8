import { isDeepStrictEqual } from 'node:util';
import type { ImageDefinition } from '../../api/container-definition.ts';
import type { Engine, ImageInspect } from '../docker/index.ts';
import { commonPrefix } from './layer-filter.ts';

/** The same image: the same layers in the same order, for the same platform. Ids differ between Docker's two stores. */
export function isSameImage(image: ImageInspect, wanted: ImageDefinition): boolean {
  return (
    isDeepStrictEqual(image.RootFS.Layers, wanted.layers) &&
    image.Architecture === wanted.architecture &&
    image.Os === wanted.os
  );
}

/**
 * The image of the definition on this host, or null. Only the id counts: another image may have the same layers and a
 * different configuration, and fetching a configuration alone costs next to nothing.
 */
export async function findSameImage(
  engine: Engine,
  wanted: ImageDefinition,
  signal: AbortSignal,
): Promise<ImageInspect | null> {
  const image = await engine.findImage(wanted.id, signal);
  return image !== null && isSameImage(image, wanted) ? image : null;
}

/**
 * The part of a layer chain, from the base up, that images of this host already hold. A graph driver finds such layers
 * by their chain id, so `docker load` does not need their content; the containerd store does.
 */
export async function layersHere(engine: Engine, layers: readonly string[], signal: AbortSignal): Promise<string[]> {
  const info = await engine.info(signal);
  if (usesContainerdStore(info)) return [];
  let longest = 0;
  for (const id of await engine.imageIds(signal)) {
    const image = await engine.findImage(id, signal);
    longest = Math.max(longest, image === null ? 0 : commonPrefix(layers, image.RootFS.Layers));
  }
  return layers.slice(0, longest);
}

function usesContainerdStore(info: { DriverStatus?: string[][] | null | undefined }): boolean {
  return (info.DriverStatus ?? []).some(
    (row) => row[0] === 'driver-type' && row[1]?.startsWith('io.containerd') === true,
  );
}
