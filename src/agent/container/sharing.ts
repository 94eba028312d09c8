import type { ContainerDefinition, DataMount } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import type { Engine, ListedContainer, MountPoint } from '../docker/index.ts';
import { overlaps, resolved } from './host-paths.ts';

type Shared = Pick<DataMount, 'kind' | 'name' | 'path' | 'readOnly'>;

const active = new Set(['running', 'paused', 'restarting']);

/** Data of this container that other containers of the host use too, directly or through a path above or below it. */
export async function usedByOthers(
  engine: Engine,
  definition: Pick<ContainerDefinition, 'id' | 'mounts'>,
  signal: AbortSignal,
): Promise<Finding[]> {
  const others = (await engine.containers(signal)).filter((other) => other.Id !== definition.id);
  const findings: Finding[] = [];
  for (const mount of definition.mounts) {
    const path = await resolved(mount.path);
    for (const other of others) {
      for (const use of other.Mounts) {
        if (await isSame({ ...mount, path }, use)) findings.push(sharingFinding(mount, other, use));
      }
    }
  }
  return uniqueFindings(findings);
}

async function isSame(mount: Shared, use: MountPoint): Promise<boolean> {
  if (use.Type === 'volume' && mount.kind === 'volume') return use.Name === mount.name;
  if ((use.Type !== 'volume' && use.Type !== 'bind') || use.Source === '') return false;
  return overlaps(mount.path, await resolved(use.Source));
}

function sharingFinding(mount: Shared, other: ListedContainer, use: MountPoint): Finding {
  const what = mount.kind === 'volume' ? `volume ${mount.name}` : `bind mount ${mount.name}`;
  const name = other.Names[0]?.replace(/^\//, '') ?? other.Id;
  const via = use.Type === 'bind' && use.Source !== mount.name ? ` (as ${use.Source})` : '';
  if (!active.has(other.State)) {
    const message = `${what} also belongs to the stopped container ${name}${via}, which will not find it here afterwards`;
    return { level: 'warning', code: 'data-shared-with-stopped', subject: mount.name, message };
  }
  if (mount.readOnly && !use.RW && mount.kind === 'bind') {
    const message = `${what} is also read by the running container ${name}${via}; the target gets a copy of its own`;
    return { level: 'warning', code: 'data-shared-read-only', subject: mount.name, message };
  }
  const message = `${what} is also used by the running container ${name}${via}: stop that container or part their data first`;
  return { level: 'blocker', code: 'data-shared', subject: mount.name, message };
}

export function uniqueFindings(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}
