import { rm } from 'node:fs/promises';
import type { Base, DataMount } from '../../api/container-definition.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { moveOnce } from './gate.ts';
import { exists } from './host-paths.ts';
import { updateTarget } from './records.ts';

/** Data of a mount that is left on this host. */
export function baseOf(
  { kind, name, anonymous, destinations }: DataMount,
  left: Pick<Base, 'dataPath' | 'migrationId' | 'containerId' | 'containerName'>,
): Base {
  return { kind, name, anonymous, destinations, ...left };
}

/**
 * What Cargo left here of this mount's data when the container was moved away, or null. Anonymous volumes are known by
 * the container's name and the destination, because their names change with every move.
 */
export async function matchingBase(
  mount: DataMount,
  containerName: string,
  bases: readonly Base[],
): Promise<Base | null> {
  for (const base of bases) {
    const same = mount.anonymous
      ? base.anonymous &&
        base.containerName === containerName &&
        base.destinations.some((destination) => mount.destinations.includes(destination))
      : !base.anonymous && base.name === mount.name;
    if (same && base.kind === mount.kind && (await exists(base.dataPath))) return base;
  }
  return null;
}

/**
 * Puts the data that stands aside into its place in a volume. What `docker create` put there (a copy of the image's
 * content, in a volume that it has just made) is dropped. Recorded first, so that `abandon` can put it aside again.
 */
export async function moveBaseIn(context: StepContext, base: Base, mountpoint: string): Promise<void> {
  const move = { base, from: base.dataPath, to: mountpoint };
  await updateTarget(context, (target) => ({
    usedBases: [...target.usedBases.filter((used) => used.from !== move.from), move],
  }));
  if (move.from === move.to || !(await exists(move.from))) return;
  if (base.anonymous) await rm(move.to, { recursive: true, force: true });
  await moveOnce(move.from, move.to);
}

/** Puts the data aside again; durable on return. */
export async function moveBaseOut(move: { from: string; to: string }): Promise<void> {
  if (move.from !== move.to && !(await exists(move.from))) await moveOnce(move.to, move.from);
}
