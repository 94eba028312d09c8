import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';

const Line = z.looseObject({ error: z.string().optional(), stream: z.string().optional() });

/** `docker load` answers 200 before it has read the image: a failure comes as one of the JSON lines of the body. */
export function loadFailure(said: string): CargoError | null {
  const error = lines(said).find((line) => line.error !== undefined)?.error;
  if (error === undefined) return null;
  const full = /no space left on device/i.test(error);
  return new CargoError(full ? 'DISK_FULL' : 'DOCKER_ERROR', `could not load the image: ${error}`);
}

/** Ids and names that a load said it has loaded. */
export function loadedReferences(said: string): string[] {
  return lines(said)
    .map((line) => /^Loaded image(?: ID)?: (\S+)/.exec(line.stream ?? '')?.[1])
    .filter((reference) => reference !== undefined);
}

function lines(said: string): z.infer<typeof Line>[] {
  return said
    .split('\n')
    .filter((line) => line.trim().startsWith('{'))
    .map((line) => Line.parse(JSON.parse(line)));
}
