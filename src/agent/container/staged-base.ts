import { basename, dirname, join } from 'node:path';
import type { Base } from '../../api/container-definition.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { baseOf } from './bases.ts';
import { migrationMark } from './definition-parts.ts';
import { moveOnce } from './gate.ts';
import { exists } from './host-paths.ts';
import { definitionOf, targetOf } from './records.ts';

/**
 * Puts the data that was copied here aside, as what another try begins with. What was here before the migration (a base
 * that it used, an empty directory) is not among it.
 */
export async function setStagedAside(context: StepContext): Promise<Base[]> {
  const { mountPaths, usedBases, adoptedPaths, containerId } = targetOf(context);
  if (mountPaths.length === 0) return [];
  const { mounts, name } = definitionOf(context);
  const { migrationId } = context;
  const bases: Base[] = [];
  for (const { index, path } of mountPaths) {
    const mount = mounts.find((candidate) => candidate.index === index);
    const wasHere = usedBases.some(({ to }) => to === path) || adoptedPaths.some((adopted) => adopted.path === path);
    const isBegun = await exists(join(context.directory, `mount-${index}`));
    if (mount === undefined || wasHere || !isBegun) continue;
    const left = { migrationId, containerId: containerId ?? '', containerName: name };
    if (mount.kind === 'bind') {
      bases.push(baseOf(mount, { ...left, dataPath: path }));
    } else {
      const dataPath = `${path}.kept-${migrationMark(migrationId)}`;
      await moveOnce(path, dataPath);
      bases.push(baseOf({ ...mount, name: volumeAt(path) }, { ...left, dataPath }));
    }
  }
  return bases;
}

/** The name of the local driver's volume whose data is at this path. */
export function volumeAt(path: string): string {
  return basename(dirname(path));
}
