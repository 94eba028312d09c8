import type { ContainerSummary } from '../api/host.ts';
import { nameOf } from './container-name.ts';

const PROJECT = 'com.docker.compose.project';
const SERVICE = 'com.docker.compose.service';
/** `service:condition:restart`, joined by commas: as Docker Compose labels the containers that it makes. */
const DEPENDS_ON = 'com.docker.compose.depends_on';

/** By name, but what a Compose service depends on comes before it. A circle is entered where it is met first. */
export function inDependencyOrder(containers: readonly ContainerSummary[]): ContainerSummary[] {
  const ordered: ContainerSummary[] = [];
  const visited = new Set<ContainerSummary>();
  const visit = (container: ContainerSummary): void => {
    if (visited.has(container)) return;
    visited.add(container);
    for (const needed of containers.filter((other) => dependsOn(container, other))) visit(needed);
    ordered.push(container);
  };
  containers.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b))).forEach(visit);
  return ordered;
}

function dependsOn({ Labels }: ContainerSummary, other: ContainerSummary): boolean {
  const project = Labels?.[PROJECT];
  const services = (Labels?.[DEPENDS_ON] ?? '').split(',').map((entry) => entry.split(':')[0]);
  const service = other.Labels?.[SERVICE];
  return project !== undefined && other.Labels?.[PROJECT] === project && services.includes(service ?? '');
}
