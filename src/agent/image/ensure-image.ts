import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CargoError } from '../../api/cargo-error.ts';
import type { ImageDefinition } from '../../api/container-definition.ts';
import { type Engine, type ImageInspect, loadedReferences, storeOf, syncStore } from '../docker/index.ts';
import type { ImageLoads } from './image-loads.ts';
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
  /** Who loads. */
  key: string;
  fetch(haveLayers: readonly string[], signal: AbortSignal): Promise<Readable>;
  /** Called, and awaited, before an image or a tag is made. */
  willMake(reference: string): Promise<void>;
  loaded(bytes: number): void;
};

/**
 * Has the image here afterwards, on the disk, from the source if need be, and never another one than the definition's. Of
 * layers that a crash may have left without their content nothing is used.
 */
export async function ensureImage(
  engine: Engine,
  loads: ImageLoads,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<EnsuredImage> {
  const doubtful = await loads.doubtful();
  if (wanted.layers.some((layer) => doubtful.has(layer))) {
    await removeDoubtful(engine, loads, wanted, source, signal);
  }
  const present = await findSameImage(engine, wanted, signal);
  const fetched = present === null ? await fetchImage(engine, loads, wanted, source, signal) : null;
  const image = present ?? fetched?.image;
  if (image === undefined) throw new CargoError('INTERNAL', 'an image is neither present nor fetched');
  return {
    createFrom: await referenceFor(engine, image, wanted, source, signal),
    entrypoint: image.Config?.Entrypoint ?? [],
    layersFetched: fetched?.layers ?? 0,
    bytes: fetched?.bytes ?? 0,
  };
}

/**
 * Docker keeps layers that no image refers to, and shows them nowhere: what it has is taken up by loading the image once
 * more, and goes with it.
 */
async function removeDoubtful(
  engine: Engine,
  loads: ImageLoads,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<void> {
  const doubtful = await loads.doubtful();
  const image =
    (await findSameImage(engine, wanted, signal)) ?? (await fetchImage(engine, loads, wanted, source, signal)).image;
  for (const tag of image.RepoTags ?? []) await engine.removeImage(tag, signal);
  await engine.removeImage(image.Id, signal);
  const left = await layersHere(engine, wanted.layers, signal);
  if (left.some((layer) => doubtful.has(layer))) {
    const message = `the layers of image ${wanted.reference} on this host may lack content, because a crash cut off their loading, and another image or container uses them: remove it (docker ps -a, docker rmi) and begin anew`;
    throw new CargoError('DOCKER_ERROR', message);
  }
  await loads.trust(wanted.layers);
}

async function fetchImage(
  engine: Engine,
  loads: ImageLoads,
  wanted: ImageDefinition,
  source: ImageSource,
  signal: AbortSignal,
): Promise<{ image: ImageInspect; layers: number; bytes: number }> {
  const doubtful = await loads.doubtful();
  const here = await layersHere(engine, wanted.layers, signal);
  const whole = here.findIndex((layer) => doubtful.has(layer));
  const have = whole < 0 ? here : here.slice(0, whole);
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
  const said = await loadDurably(
    await storeOf(engine, signal),
    loads,
    { key: source.key, layers: wanted.layers.slice(have.length) },
    () => loadFrom(engine, tar, counter, signal),
  );
  for (const reference of [wanted.id, ...loadedReferences(said)]) {
    const image = await engine.findImage(reference, signal);
    if (image !== null && isSameImage(image, wanted))
      return { image, layers: wanted.layers.length - have.length, bytes };
  }
  const message = `the image that was loaded is not the ${wanted.reference} (${wanted.id}) of the source`;
  throw new CargoError('CHECKSUM_MISMATCH', message);
}

/** A load that fails may leave layers, too. */
async function loadDurably(
  store: readonly string[],
  loads: ImageLoads,
  { key, layers }: { key: string; layers: string[] },
  load: () => Promise<string>,
): Promise<string> {
  await loads.begin(key, layers);
  try {
    return await load();
  } finally {
    await syncStore(store);
    await loads.end(key);
  }
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
