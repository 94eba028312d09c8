import type { ContainerDefinition } from '../../api/container-definition.ts';
import { ContainerInspect, NetworkInspect } from '../docker/index.ts';

/** Docker's own words about the container, as far as Cargo reads them. */
export function inspectOf(definition: ContainerDefinition): ContainerInspect {
  return ContainerInspect.parse(definition.inspect);
}

export function networksOf(definition: ContainerDefinition): NetworkInspect[] {
  return definition.networks.map((network) => NetworkInspect.parse(network));
}

/** What `docker ps` shows as the id. */
export function shortId(containerId: string): string {
  return containerId.slice(0, 12);
}

/** What the source container is called once it has been moved away. */
export function movedName(name: string, containerId: string): string {
  return `${name}-moved-${shortId(containerId)}`;
}

/** What marks names that belong to one migration for as long as it lasts. */
export function migrationMark(migrationId: string): string {
  return migrationId.slice(0, 13);
}
