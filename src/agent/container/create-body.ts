import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { ContainerInspect, Endpoint, HostConfig, NetworkInspect } from '../docker/index.ts';
import { inspectOf, networksOf, shortId } from './definition-parts.ts';
import { mountsFromOthers } from './mounts.ts';

/**
 * The body of `POST /containers/create` that makes the same container again: what inspect shows, whole, with these
 * differences: the restart policy is "no" until the container has started well, networks are named rather than
 * numbered, links are in the form that create takes, and what `--volumes-from` brought is named.
 */
export function createBody(
  definition: ContainerDefinition,
  image: { createFrom: string; entrypoint: readonly string[] },
): Record<string, unknown> {
  const inspect = inspectOf(definition);
  const networks = networksOf(definition);
  return {
    ...configOf(inspect, image),
    HostConfig: hostConfigOf(inspect, networks),
    NetworkingConfig: { EndpointsConfig: endpointsOf(inspect) },
  };
}

function configOf(
  inspect: ContainerInspect,
  image: { createFrom: string; entrypoint: readonly string[] },
): Record<string, unknown> {
  const config: Record<string, unknown> = { ...inspect.Config, Image: image.createFrom };
  // Docker refuses a host name where the host's own is shared.
  if (inspect.HostConfig.UTSMode === 'host') config['Hostname'] = '';
  // An entry point taken away with `--entrypoint ""` shows as none, and none means the image's.
  if ((inspect.Config.Entrypoint ?? []).length === 0 && image.entrypoint.length > 0) config['Entrypoint'] = [''];
  return config;
}

function hostConfigOf(inspect: ContainerInspect, networks: NetworkInspect[]): HostConfig {
  const { HostConfig } = inspect;
  const named = networks.find((network) => network.Id === HostConfig.NetworkMode);
  return {
    ...HostConfig,
    NetworkMode: named?.Name ?? HostConfig.NetworkMode,
    RestartPolicy: { Name: 'no' },
    Links: HostConfig.Links?.map(linkToCreate) ?? null,
    VolumesFrom: null,
    Binds: bindsOf(inspect),
  };
}

/** `/db:/web/alias`, as inspect has it, is `db:alias` for create. */
function linkToCreate(link: string): string {
  const [target = '', alias = ''] = link.split(':');
  return `${target.replace(/^\//, '')}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
}

function bindsOf(inspect: ContainerInspect): string[] | null {
  const others = mountsFromOthers(inspect)
    .filter((mount) => mount.Type === 'volume' || mount.Type === 'bind')
    .map(
      (mount) => `${mount.Type === 'volume' ? mount.Name : mount.Source}:${mount.Destination}${mount.RW ? '' : ':ro'}`,
    );
  const binds = [...(inspect.HostConfig.Binds ?? []), ...others];
  return binds.length > 0 ? binds : null;
}

function endpointsOf(inspect: ContainerInspect): Record<string, unknown> {
  const endpoints = Object.entries(inspect.NetworkSettings.Networks).filter(
    ([name]) => name !== 'host' && name !== 'none',
  );
  return Object.fromEntries(endpoints.map(([name, endpoint]) => [name, endpointToCreate(endpoint, inspect)]));
}

function endpointToCreate(endpoint: Endpoint, inspect: ContainerInspect): Record<string, unknown> {
  // Docker before API 1.45 lists the short id, which is another one at the target.
  const aliases = endpoint.Aliases?.filter((alias) => alias !== shortId(inspect.Id));
  return {
    IPAMConfig: endpoint.IPAMConfig ?? null,
    Links: endpoint.Links ?? null,
    Aliases: aliases ?? null,
    DriverOpts: endpoint.DriverOpts ?? null,
    ...(isMacOfUser(endpoint) ? { MacAddress: endpoint.MacAddress } : {}),
  };
}

/** Docker derives the hardware addresses that it makes by itself from the IPv4 address: 02:42 and its four bytes. */
function isMacOfUser(endpoint: Endpoint): boolean {
  const mac = endpoint.MacAddress ?? '';
  if (mac === '') return false;
  const bytes = (endpoint.IPAddress ?? '').split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return mac !== ['02', '42', ...bytes].join(':');
}

/** True where the container asks for an address of its own choice on a network. */
export function hasFixedAddress(inspect: ContainerInspect, network: string): boolean {
  const endpoint = inspect.NetworkSettings.Networks[network];
  return Object.values(endpoint?.IPAMConfig ?? {}).some((address) => address !== '');
}
