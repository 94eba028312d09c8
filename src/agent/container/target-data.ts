import { lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CargoError } from '../../api/cargo-error.ts';
import type { Base, DataMount } from '../../api/container-definition.ts';
import { syncDirectory } from '../../files/durable-file.ts';
import type { Engine } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { matchingBase, moveBaseIn } from './bases.ts';
import { exists } from './host-paths.ts';
import { adding, targetOf, updateTarget } from './records.ts';

/** Has a named volume on this host: an empty one with the source's name and labels, or the one that is the base. */
export async function ensureVolume(
  engine: Engine,
  context: StepContext,
  mount: DataMount,
  bases: readonly Base[],
): Promise<void> {
  const { signal } = context;
  const existing = await engine.findVolume(mount.name, signal);
  if (existing !== null) {
    const { createdVolumes, usedBases } = targetOf(context);
    if (createdVolumes.includes(mount.name)) return;
    const used = usedBases.find(({ base }) => base.kind === 'volume' && !base.anonymous && base.name === mount.name);
    const base = used?.base ?? (await matchingBase(mount, '', bases));
    if (base === null) throw occupied('volume', mount.name);
    await moveBaseIn(context, base, existing.Mountpoint);
    return;
  }
  await updateTarget(context, (target) => ({ createdVolumes: adding(target.createdVolumes, mount.name) }));
  await engine.createVolume({ name: mount.name, labels: mount.labels }, signal);
}

/** Has a bind path on this host: a new directory or file, an empty directory that was here, or the one that is the base. */
export async function ensureBindPath(context: StepContext, mount: DataMount, bases: readonly Base[]): Promise<void> {
  const { createdPaths, adoptedPaths } = targetOf(context);
  if (await exists(mount.name)) {
    const ours = createdPaths.includes(mount.name) || adoptedPaths.some((adopted) => adopted.path === mount.name);
    if (ours) return;
    const base = await matchingBase(mount, '', bases);
    if (base === null) await adopt(context, mount);
    else await moveBaseIn(context, base, mount.name);
    return;
  }
  for (const path of await missingAncestors(mount.name)) {
    await updateTarget(context, (target) => ({ createdPaths: adding(target.createdPaths, path) }));
    if (path === mount.name && mount.isFile) await writeFile(path, '', { flag: 'a' });
    else await mkdir(path, { recursive: true });
    await syncDirectory(dirname(path));
  }
}

async function adopt(context: StepContext, mount: DataMount): Promise<void> {
  const stats = await lstat(mount.name);
  if (mount.isFile || !stats.isDirectory() || (await readdir(mount.name)).length > 0) {
    throw occupied('bind', mount.name);
  }
  const adopted = { path: mount.name, mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
  await updateTarget(context, (target) => ({ adoptedPaths: [...target.adoptedPaths, adopted] }));
}

/** The path and those above it that don't exist, the uppermost first. */
async function missingAncestors(path: string): Promise<string[]> {
  if (await exists(path)) return [];
  return [...(await missingAncestors(dirname(path))), path];
}

function occupied(kind: 'volume' | 'bind', name: string): CargoError {
  const what = kind === 'volume' ? `volume ${name} exists` : `${name} exists and is not an empty directory`;
  return new CargoError(
    'BLOCKED',
    `${what} at the target, and Cargo did not leave it there: nothing is merged into it`,
  );
}
