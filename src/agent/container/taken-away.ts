import { rm } from 'node:fs/promises';
import { CargoError } from '../../api/cargo-error.ts';
import type { Engine } from '../docker/index.ts';
import { dropVolume } from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { type Cover, isCovered, setAside, uncover } from './cover.ts';
import { endUsers } from './end-users.ts';
import { exists } from './host-paths.ts';
import { definitionOf, targetOf, updateTarget } from './records.ts';
import { volumeAt } from './staged-base.ts';

/** A volume whose content follows, and where its hydrator keeps what it knows. */
type Followed = { cover: Cover; stateDir: string };

/** Whether somebody has removed the container here (`docker rm -f`) while its data follows. Once so, for ever. */
export async function isTakenAway(engine: Engine, context: StepContext): Promise<boolean> {
  const { permit, containerId, lazy } = targetOf(context);
  if (lazy.some(({ takenAway }) => takenAway)) return true;
  if (lazy.length === 0 || permit !== 'used' || containerId === null) return false;
  return (await engine.findContainer(containerId, context.signal)) === null;
}

/**
 * Ends what protects the volumes of a container that was removed. What has come of them stands aside, where Docker doesn't find
 * it: it isn't whole, and whoever started another container with such a volume (`docker compose up`) would read zeros. One that
 * runs with it already is ended. `docker volume rm` removes it, and so does the recovery. Safe to repeat.
 */
export async function endTakenAway(
  engine: Engine,
  context: StepContext,
  volumes: readonly Followed[],
): Promise<CargoError> {
  await updateTarget(context, ({ lazy }) => ({ lazy: lazy.map((known) => ({ ...known, takenAway: true })) }));
  const ours = await stillOurs(volumes);
  // No other container can be started with them from here on; then those that were are ended, then the protection.
  for (const { cover } of ours) uncover(cover);
  await endUsers(
    engine,
    ours.map(({ cover }) => cover),
    context.signal,
  );
  for (const { cover, stateDir } of ours) {
    await dropVolume(stateDir);
    await setAside(cover);
    // Docker could not remove the directory while something was mounted over it, and has forgotten the volume all the same.
    const isKnown = (await engine.findVolume(volumeAt(cover.data), context.signal)) !== null;
    if (!isKnown) await rm(cover.volume, { recursive: true, force: true });
  }
  const { name } = definitionOf(context);
  const source = context.record().peer?.name ?? 'the source';
  return new CargoError(
    'TARGET_REMOVED',
    `${name} was removed by hand before all its data had come; ${source} keeps it as it was when it was stopped, and ` +
      `does not start it by itself: \`cargoctl recover ${name} --at source --accept-loss\` does`,
  );
}

/** Where the data of one is gone, whatever has its name now is somebody else's. */
async function stillOurs<V extends Followed>(volumes: readonly V[]): Promise<V[]> {
  const isHere = await Promise.all(volumes.map(({ cover }) => isCovered(cover) || exists(cover.aside)));
  return volumes.filter((_, at) => isHere[at]);
}

/**
 * Before what was staged is removed, or put back: a volume that was taken away and has been removed since is none of this
 * migration's, and its name may be another's.
 */
export async function disown(context: StepContext, volumes: readonly Followed[]): Promise<void> {
  if (!targetOf(context).lazy.some(({ takenAway }) => takenAway)) return;
  const ours = await stillOurs(volumes);
  const paths = new Set(volumes.filter((volume) => !ours.includes(volume)).map(({ cover }) => cover.data));
  const names = new Set([...paths].map(volumeAt));
  await updateTarget(context, ({ createdVolumes, usedBases, mountPaths, lazy }) => {
    const gone = mountPaths.filter(({ path }) => paths.has(path)).map(({ index }) => index);
    return {
      createdVolumes: createdVolumes.filter((name) => !names.has(name)),
      usedBases: usedBases.filter(({ to }) => !paths.has(to)),
      mountPaths: mountPaths.filter(({ index }) => !gone.includes(index)),
      lazy: lazy.filter(({ index }) => !gone.includes(index)),
    };
  });
}
