import { spawn } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { CargoError } from '../../src/api/cargo-error.ts';
import { enterCommand } from '../enter.ts';
import type { Lab, LabHost } from '../state.ts';
import { type Image, imageArchive } from './archive.ts';
import { busyboxImage } from './busybox.ts';
import { databaseImage } from './database.ts';

const recipes = {
  mariadb: (reference) => databaseImage('mariadb', reference),
  redis: (reference) => databaseImage('redis', reference),
  postgres: (reference) => databaseImage('postgres', reference),
  busybox: busyboxImage,
} satisfies Record<string, (reference: string) => Promise<Image>>;
export type ImageName = keyof typeof recipes;
export const imageNames = Object.keys(recipes) as ImageName[];

/** Builds the layers that the cache lacks. */
export const buildImage = (name: ImageName, tag: string): Promise<Image> => recipes[name](`${name}:${tag}`);

/** Builds an image, or takes it from the cache, and loads it into the host's Docker. @throws CargoError DOCKER_ERROR */
export async function loadImage(lab: Lab, host: LabHost, name: ImageName, tag: string): Promise<string> {
  const image = await buildImage(name, tag);
  const [shell, ...args] = enterCommand(lab, host, ['docker', 'load', '--quiet']);
  const child = spawn(shell, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  const [fed, status] = await Promise.allSettled([pipeline(imageArchive(image), child.stdin), ended]);
  if (fed.status === 'rejected' || status.status === 'rejected' || status.value !== 0) {
    const cause = fed.status === 'rejected' ? fed.reason : undefined;
    throw new CargoError('DOCKER_ERROR', `Docker on ${host.name} does not load ${image.reference}`, { cause });
  }
  return image.reference;
}
