import { lstat, readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DataMount } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import type { Engine } from '../docker/index.ts';
import { exists, resolved } from './host-paths.ts';

/** Whether the place of a data mount is free on this host. Nothing that Cargo does not know as its own is written to. */
export function placeFindings(engine: Engine, mount: DataMount, signal: AbortSignal): Promise<Finding[]> {
  return mount.kind === 'bind' ? bindFindings(mount) : volumeFindings(engine, mount, signal);
}

async function volumeFindings(engine: Engine, mount: DataMount, signal: AbortSignal): Promise<Finding[]> {
  if (mount.anonymous || (await engine.findVolume(mount.name, signal)) === null) return [];
  const message = `the target has a volume ${mount.name} that Cargo did not leave there: rename it, or remove it if it is of no use`;
  return [{ level: 'blocker', code: 'volume-exists', subject: mount.name, message }];
}

async function bindFindings(mount: DataMount): Promise<Finding[]> {
  const { name } = mount;
  const blocker = (code: string, message: string): Finding[] => [{ level: 'blocker', code, subject: name, message }];
  const path = await resolved(name);
  if (await exists(path)) {
    const isEmptyDirectory = (await lstat(path)).isDirectory() && (await readdir(path)).length === 0;
    if (isEmptyDirectory && !mount.isFile) return [];
    return blocker(
      'bind-path-not-empty',
      `${name} exists at the target with ${mount.isFile ? 'other content' : 'content'} that Cargo did not leave there: move it away`,
    );
  }
  const above = await nearestExisting(path);
  if ((await lstat(above)).isDirectory()) return [];
  return blocker('bind-path-not-creatable', `${name} can't be made at the target: ${above} is not a directory`);
}

/** The path itself, or the nearest one above it that exists. */
export async function nearestExisting(path: string): Promise<string> {
  return (await exists(path)) ? path : nearestExisting(dirname(path));
}
