import { networkInterfaces } from 'node:os';
import type { Finding } from '../../api/plan.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import { type Listener, listeners } from './listeners.ts';

const wildcards = new Set(['', '0.0.0.0', '::']);

/** Host ports that the container publishes and somebody has on this host, and addresses that this host lacks. */
export async function portFindings(engine: Engine, inspect: ContainerInspect, signal: AbortSignal): Promise<Finding[]> {
  const wanted = publishedPorts(inspect);
  if (wanted.length === 0) return [];
  const containers = await engine.containers(signal);
  const published = containers.flatMap((container) =>
    container.Ports.map((port) => ({
      address: port.IP ?? '',
      port: port.PublicPort ?? 0,
      protocol: port.Type,
      owner: `container ${container.Names[0]?.replace(/^\//, '') ?? container.Id}`,
    })),
  );
  const taken = [
    ...published,
    ...(await listeners()).map((listener) => ({ ...listener, owner: 'a process of the host' })),
  ];
  const addresses = new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((one) => one.address)));
  return wanted.flatMap((want) => {
    const subject = `${want.address || '0.0.0.0'}:${want.port}/${want.protocol}`;
    const clash = taken.find((other) => clashes(want, other));
    if (clash !== undefined) {
      const message = `host port ${want.port}/${want.protocol} is taken at the target by ${clash.owner}`;
      return [{ level: 'blocker' as const, code: 'host-port-taken', subject, message }];
    }
    if (wildcards.has(want.address) || want.address.startsWith('127.') || addresses.has(want.address)) return [];
    const message = `the container publishes a port on ${want.address}, an address that the target does not have`;
    return [{ level: 'blocker' as const, code: 'host-address-missing', subject, message }];
  });
}

function publishedPorts({ HostConfig }: ContainerInspect): Listener[] {
  return Object.entries(HostConfig.PortBindings ?? {}).flatMap(([port, bindings]) =>
    (bindings ?? [])
      .filter(({ HostPort }) => /^[1-9]\d*$/.test(HostPort))
      .map(({ HostIp, HostPort }) => ({
        address: HostIp,
        port: Number(HostPort),
        protocol: port.split('/')[1] ?? 'tcp',
      })),
  );
}

function clashes(want: Listener, other: Listener): boolean {
  if (want.port !== other.port || want.protocol !== other.protocol) return false;
  return wildcards.has(want.address) || wildcards.has(other.address) || want.address === other.address;
}
