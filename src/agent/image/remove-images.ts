import type { Engine } from '../docker/index.ts';

/**
 * Takes back the images and tags of this list, in the order they were made, except what others use by now.
 * @returns what is gone
 */
export async function removeImages(engine: Engine, made: readonly string[], signal: AbortSignal): Promise<string[]> {
  const removed: string[] = [];
  for (const reference of [...made].reverse()) {
    const image = await engine.findImage(reference, signal);
    if (image === null) continue;
    const isId = reference.startsWith('sha256:');
    if (isId && (image.RepoTags ?? []).length > 0) continue;
    if (!isId && (image.RepoTags ?? []).length < 2 && !made.includes(image.Id)) continue;
    if (await engine.removeImage(reference, signal)) removed.push(reference);
  }
  return removed;
}
