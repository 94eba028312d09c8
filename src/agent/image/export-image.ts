import type { Readable } from 'node:stream';
import { CargoError } from '../../api/cargo-error.ts';
import type { ImageDefinition } from '../../api/container-definition.ts';
import type { Engine } from '../docker/index.ts';
import { layersToLeaveOut, withoutLayers } from './layer-filter.ts';

/**
 * A `docker load` tar of the image without the layers that the other host has. It is saved by id, so it carries no tag:
 * loading it can't take a tag away from another image.
 */
export async function exportImage(
  engine: Engine,
  image: ImageDefinition,
  haveLayers: readonly string[],
  signal: AbortSignal,
): Promise<Readable> {
  const present = await engine.findImage(image.id, signal);
  if (present === null) {
    throw new CargoError('DOCKER_ERROR', `image ${image.reference} (${image.id}) is no longer on the source host`);
  }
  return withoutLayers(await engine.saveImage(image.id, signal), layersToLeaveOut(image.layers, haveLayers));
}
