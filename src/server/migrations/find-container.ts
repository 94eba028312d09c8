import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerSummary, Host, HostContainers } from '../../api/host.ts';
import type { Hosts } from './ports.ts';

const LIST_LIMIT_MS = 1_500;
const SHORTEST_ID_PREFIX = 4;

/**
 * The host that a container is on and its id there. Without a source the container must be on one host only; containers
 * that open migrations have only `staged` (by id) don't count.
 * @throws CargoError CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS (details.candidates), AGENT_UNREACHABLE
 */
export async function findContainer(
  hosts: Hosts,
  reference: string,
  source: Host | null,
  staged: ReadonlySet<string>,
): Promise<{ host: Host; containerId: string }> {
  const all = (await hosts.containers(LIST_LIMIT_MS)).map((entry) => without(entry, staged));
  const found = all.flatMap((entry) => matching(entry, reference).map((container) => ({ ...entry, container })));
  const here = source === null ? found : found.filter(({ host }) => host.id === source.id);
  if (source !== null) refuseAway(all, source);
  const [only] = here;
  if (only === undefined)
    throw notFound(
      reference,
      source,
      found.map(({ host }) => host.name),
    );
  if (here.length > 1) throw ambiguous(reference, here);
  if (only.stale) throw away(only.host);
  return { host: only.host, containerId: only.container.Id };
}

function without(entry: HostContainers, staged: ReadonlySet<string>): HostContainers {
  return { ...entry, containers: entry.containers.filter(({ Id }) => !staged.has(Id)) };
}

/** By exact name or id; a prefix of an id counts only where no name or id is exact, as in docker. */
function matching(entry: HostContainers, reference: string): ContainerSummary[] {
  const exact = entry.containers.filter(({ Id, Names }) => Id === reference || Names.includes(`/${reference}`));
  if (exact.length > 0 || reference.length < SHORTEST_ID_PREFIX) return exact;
  return entry.containers.filter(({ Id }) => Id.startsWith(reference));
}

function refuseAway(all: readonly HostContainers[], source: Host): void {
  const entry = all.find(({ host }) => host.id === source.id);
  if (entry === undefined || entry.stale) throw away(source);
}

function away(host: Host): CargoError {
  const why = host.status === 'docker-down' ? 'its Docker daemon does not answer' : 'its agent does not answer';
  const code = host.status === 'docker-down' ? 'DOCKER_UNREACHABLE' : 'AGENT_UNREACHABLE';
  return new CargoError(code, `host ${host.name} can't be used now: ${why}; start it and try again`);
}

function notFound(reference: string, source: Host | null, elsewhere: readonly string[]): CargoError {
  const place = source === null ? 'on any host' : `on host ${source.name}`;
  const hint = elsewhere.length > 0 ? `; it is on ${elsewhere.join(', ')}` : '; `cargoctl list` shows what there is';
  return new CargoError('CONTAINER_NOT_FOUND', `there is no container ${reference} ${place}${hint}`);
}

function ambiguous(reference: string, found: readonly { host: Host; container: ContainerSummary }[]): CargoError {
  const candidates = found.map(({ host, container }) => ({
    host: host.name,
    hostId: host.id,
    containerId: container.Id,
    name: container.Names[0]?.slice(1) ?? container.Id,
  }));
  const places = [...new Set(candidates.map(({ host }) => host))].join(', ');
  return new CargoError(
    'CONTAINER_AMBIGUOUS',
    `${reference} names several containers, on ${places}: say which host it is to be moved from, or give its full id`,
    { details: { candidates } },
  );
}
