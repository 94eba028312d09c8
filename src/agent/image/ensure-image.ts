import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CargoError } from '../../api/cargo-error.ts';
import type { ImageDefinition } from '../../api/container-definition.ts';
import { type Engine, type ImageInspect, loadedReferences } from '../docker/index.ts';
import { findSameImage, isSameImage, layersHere } from './local-images.ts';

export type EnsuredImage = {
  /** What the container is to be created from: the original reference where it names the image here, else the id. */
  createFrom: string;
  entrypoint: readonly string[];
  layersFetched: number;
  /** Bytes of the tar that came from the source; 0 where the image was here. */
  bytes: number;
};

export type ImageSource = {
  fetch(haveLayers: readonly string[], signal: AbortSignal): Promise<Readable>;
  /** Called, and awaited, before an image or a tag is made. */
  willMake(reference: string): Promise<void>;
  loaded(bytes: number): void;
};

/** Has the image here afterwards, from the source if need be, and never another one than the definition's. */
export async function ensureImage(
  engine: Engine,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<EnsuredImage> {
  const present = await findSameImage(engine, wanted, signal);
  const fetched = present === null ? await fetchImage(engine, wanted, source, signal) : null;
  const image = present ?? fetched?.image;
  if (image === undefined) throw new CargoError('INTERNAL', 'an image is neither present nor fetched');
  return {
    createFrom: await referenceFor(engine, image, wanted, source, signal),
    entrypoint: image.Config?.Entrypoint ?? [],
    layersFetched: fetched?.layers ?? 0,
    bytes: fetched?.bytes ?? 0,
  };
}

async function fetchImage(
  engine: Engine,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<{ image: ImageInspect; layers: number; bytes: number }> {
  const have = await layersHere(engine, wanted.layers, signal);
  await source.willMake(wanted.id);
  const tar = await source.fetch(have, signal);
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      source.loaded(bytes);
      done(null, chunk);
    },
  });
  const said = await loadFrom(engine, tar, counter, signal);
  for (const reference of [wanted.id, ...loadedReferences(said)]) {
    const image = await engine.findImage(reference, signal);
    if (image !== null && isSameImage(image, wanted))
      return { image, layers: wanted.layers.length - have.length, bytes };
  }
  const message = `the image that was loaded is not the ${wanted.reference} (${wanted.id}) of the source`;
  throw new CargoError('CHECKSUM_MISMATCH', message);
}

async function loadFrom(engine: Engine, tar: Readable, counter: Transform, signal: AbortSignal): Promise<string> {
  try {
    const [said] = await Promise.all([engine.loadImage(counter, signal), pipeline(tar, counter, { signal })]);
    return said;
  } finally {
    // Where Docker refused the image nobody reads on.
    counter.destroy();
    tar.destroy();
  }
}

/** Tags the image as at the source unless the tag names another image here: no tag is ever taken away. */
async function referenceFor(
  engine: Engine,
  image: ImageInspect,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<string> {
  const named = await engine.findImage(wanted.reference, signal);
  if (named !== null) return named.Id === image.Id ? wanted.reference : image.Id;
  if (!wanted.referenceIsCurrent || !isTag(wanted.reference)) return image.Id;
  await source.willMake(wanted.reference);
  await engine.tagImage(image.Id, wanted.reference, signal);
  return wanted.reference;
}

/** Neither an id nor a digest: something `docker tag` takes. */
function isTag(reference: string): boolean {
  return !reference.includes('@') && !/^(sha256:)?[0-9a-f]{12,64}$/.test(reference);
}
