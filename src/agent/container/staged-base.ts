import { basename, dirname, join } from 'node:path';
import type { Base } from '../../api/container-definition.ts';
import type { StepContext } from '../migrations/step-context.ts';
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
  const bases: Base[] = [];
  for (const { index, path } of mountPaths) {
    const mount = mounts.find((candidate) => candidate.index === index);
    const wasHere = usedBases.some(({ to }) => to === path) || adoptedPaths.some((adopted) => adopted.path === path);
    const isBegun = await exists(join(context.directory, `mount-${index}`));
    if (mount === undefined || wasHere || !isBegun) continue;
    const { kind, anonymous, destinations } = mount;
    const dataPath = kind === 'bind' ? path : `${path}.kept-${migrationMark(context.migrationId)}`;
    if (kind === 'volume') await moveOnce(path, dataPath);
    bases.push({
      ...{ kind, dataPath, destinations, anonymous, migrationId: context.migrationId },
      name: kind === 'bind' ? mount.name : volumeAt(path),
      containerId: containerId ?? '',
      containerName: name,
    });
  }
  return bases;
}

/** The name of the local driver's volume whose data is at this path. */
export function volumeAt(path: string): string {
  return basename(dirname(path));
}
