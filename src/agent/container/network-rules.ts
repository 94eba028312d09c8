import { BlockList } from 'node:net';
import type { Finding } from '../../api/plan.ts';
import type { NetworkInspect } from '../docker/index.ts';

/** Why a network of that name at the target can't serve the container, or null. */
export function networkConflict(existing: NetworkInspect, wanted: NetworkInspect, fixed: boolean): Finding | null {
  const differs = (['Driver', 'Internal', 'EnableIPv6'] as const).find((key) => existing[key] !== wanted[key]);
  if (differs !== undefined) {
    const message =
      `the target has another network ${wanted.Name}: its ${differs} is ${existing[differs]}, not ${wanted[differs]}; ` +
      `rename or remove it there first`;
    return { level: 'blocker', code: 'network-differs', subject: wanted.Name, message };
  }
  const here = subnetsOf(existing).sort().join(', ');
  const there = subnetsOf(wanted).sort().join(', ');
  if (!fixed || here === there) return null;
  const message = `the container has a fixed address on network ${wanted.Name} (${there}), which is ${here} at the target: make it the same there`;
  return { level: 'blocker', code: 'network-differs', subject: wanted.Name, message };
}

/** The network of the target whose addresses overlap with this one's, as a finding, or null. */
export function subnetsTaken(wanted: NetworkInspect, networks: readonly NetworkInspect[]): Finding | null {
  for (const network of networks) {
    if (network.Name === wanted.Name) continue;
    const clash = subnetsOf(wanted).find((subnet) => subnetsOf(network).some((other) => subnetsOverlap(subnet, other)));
    if (clash === undefined) continue;
    const message = `the addresses of network ${wanted.Name} (${clash}) belong to network ${network.Name} at the target`;
    return { level: 'blocker', code: 'subnet-taken', subject: wanted.Name, message };
  }
  return null;
}

function subnetsOf(network: NetworkInspect): string[] {
  return (network.IPAM?.Config ?? []).map((config) => config.Subnet).filter((subnet) => subnet !== undefined);
}

/** Two prefixes overlap exactly when one holds the other's first address. */
export function subnetsOverlap(a: string, b: string): boolean {
  return holds(a, b) || holds(b, a);
}

function holds(outer: string, inner: string): boolean {
  const [network = '', length = ''] = outer.split('/');
  const [address = ''] = inner.split('/');
  const family = network.includes(':') ? 'ipv6' : 'ipv4';
  if (family !== (address.includes(':') ? 'ipv6' : 'ipv4')) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(length), family);
  return list.check(address, family);
}
