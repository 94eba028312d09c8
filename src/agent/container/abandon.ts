import { chmod, chown, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepInput, StepOutput } from '../../api/agent-steps.ts';
import type { Base } from '../../api/container-definition.ts';
import { reach } from '../../faults/reach.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import { removeImages } from '../image/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { unprotectTree } from '../volume/index.ts';
import { moveBaseOut } from './bases.ts';
import { exists } from './host-paths.ts';
import { hasWritten, keepCopy, keptName } from './kept-copy.ts';
import type { LazyMounts } from './lazy-mounts.ts';
import { removeNetworks } from './networks.ts';
import { type Target, targetOf, updateTarget } from './records.ts';
import { refuse } from './refuse.ts';
import { shutDown } from './shut-down.ts';
import { places, temporaryName } from './stage.ts';
import { setStagedAside, volumeAt } from './staged-base.ts';

/**
 * Refuses the permit, unless that is done already, then takes away all that `stage` made; data that was here before
 * stands aside again. Each removal may have been done by an earlier call. A container that has run here, if not well, may
 * have told clients that it has their data: where it has written, its copy is kept.
 * @throws CargoError TARGET_STARTED when the container has come up here: from then on the data here is the newer one
 */
export async function abandon(
  engine: Engine,
  lazy: LazyMounts,
  context: StepContext,
  { keepStaged }: StepInput<'abandon'>,
): Promise<StepOutput<'abandon'>> {
  await refuse(engine, context);
  const container = await stagedContainer(engine, context, targetOf(context));
  if (container !== null && targetOf(context).lazy.length > 0) await shutDown(engine, container.Id, context);
  await lazy.drop(context);
  const isOfUse = container !== null && targetOf(context).whole !== false;
  const keptAs = isOfUse ? await decideToKeep(context, container) : null;
  if (container === null || keptAs === null) {
    const bases = keepStaged === true ? await setStagedAside(context) : [];
    return { keptAs: null, bases, removed: await clearStaged(engine, context, bases) };
  }
  const lostTo = context.record().peer?.name ?? 'source';
  await keepCopy(engine, context, container, { keptAs, lostTo });
  return { keptAs, bases: [], removed: [] };
}

/** The name that the copy is kept under, recorded before anything is done about it. */
async function decideToKeep(context: StepContext, container: ContainerInspect): Promise<string | null> {
  const { keptAs } = targetOf(context);
  if (keptAs !== null) return keptAs;
  if (!(await hasWritten(context, container))) return null;
  const name = keptName(context, container.Id);
  await updateTarget(context, () => ({ keptAs: name }));
  return name;
}

/** The permit must have been refused. `kept` stands aside and stays. @returns what was removed */
export async function clearStaged(engine: Engine, context: StepContext, kept: readonly Base[] = []): Promise<string[]> {
  const { signal } = context;
  const target = targetOf(context);
  const container = await stagedContainer(engine, context, target);
  const isKept = (name: string): boolean => kept.some((base) => base.name === name);
  const removed = await removeContainer(engine, container, target, kept, signal);
  await reach('target.abandon.container-removed');
  const volumes = [...target.createdVolumes, ...emptied(target, kept)].filter((name) => !isKept(name));
  for (const name of volumes) if (await engine.removeVolume(name, signal)) removed.push(name);
  removed.push(...(await places.run('places', () => removeNetworks(engine, target.createdNetworks, signal))));
  removed.push(...(await removePaths(context, target, isKept)));
  removed.push(...(await removeImages(engine, target.loadedImages, signal)));
  return removed;
}

/** By its id, or by the name it was created under where the id was not recorded any more. */
export async function stagedContainer(
  engine: Engine,
  context: StepContext,
  target: Target,
): Promise<ContainerInspect | null> {
  const name = context.record().definition?.name;
  const reference = target.containerId ?? (name === undefined ? null : temporaryName(name, context.migrationId));
  return reference === null ? null : engine.findContainer(reference, context.signal);
}

async function removeContainer(
  engine: Engine,
  container: ContainerInspect | null,
  target: Target,
  kept: readonly Base[],
  signal: AbortSignal,
): Promise<string[]> {
  if (container?.State.Running) await engine.kill(container.Id, signal);
  // Before the container goes: its anonymous volumes go with it, and with them what stands in them.
  for (const move of target.usedBases) await moveBaseOut(move);
  for (const { path } of target.mountPaths) {
    const stays = target.usedBases.some((move) => move.to === path) || kept.some(({ dataPath }) => dataPath === path);
    if (!stays) await unprotectTree(path);
  }
  if (container === null) return [];
  await engine.removeContainer(container.Id, { anonymousVolumes: kept.length === 0 }, signal);
  return [container.Name.replace(/^\//, '')];
}

/** Anonymous volumes whose data has gone back aside: they don't go with the container where others are kept. */
function emptied({ usedBases }: Target, kept: readonly Base[]): string[] {
  if (kept.length === 0) return [];
  return usedBases.filter(({ base }) => base.anonymous).map(({ to }) => volumeAt(to));
}

async function removePaths(context: StepContext, target: Target, isKept: (name: string) => boolean): Promise<string[]> {
  const mounted = new Set((context.record().definition?.mounts ?? []).map((mount) => mount.name));
  const removed: string[] = [];
  for (const path of target.createdPaths.toReversed()) {
    if (isKept(path) || !(await exists(path))) continue;
    if (mounted.has(path)) await rm(path, { recursive: true, force: true });
    else if ((await readdir(path)).length > 0) continue;
    else await rmdir(path);
    removed.push(path);
  }
  for (const { path, mode, uid, gid } of target.adoptedPaths) {
    if (!(await exists(path))) continue;
    for (const name of await readdir(path, { encoding: 'buffer' })) {
      await rm(Buffer.concat([Buffer.from(join(path, '/')), name]), { recursive: true, force: true });
    }
    await chown(path, uid, gid);
    await chmod(path, mode);
  }
  return removed;
}
